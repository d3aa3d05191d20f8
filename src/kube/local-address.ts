/** From where this machine speaks to the API server, which is where the API server can best be expected to find it. */
import { connect } from 'node:net';
import type { KubeConfig } from '@kubernetes/client-node';
import { LockwardenError } from '../errors.ts';
import { errorOfTransport, KubeError } from './errors.ts';

/** LIMIT: a connection within a data centre takes milliseconds; a packet that is dropped on the way never answers. */
const timeoutMs = 5_000;

/**
 * The local IP address of a connection to the API server of `config`.
 *
 * @throws LockwardenError `UsageInvalid` when the cluster is reached through a proxy; KubeError when it is not reached
 */
export async function localAddress(config: KubeConfig): Promise<string> {
  const cluster = config.getCurrentCluster();
  const server = cluster?.server ?? '';
  if (cluster?.proxyUrl !== undefined) {
    throw new LockwardenError(
      'UsageInvalid',
      `the cluster is reached through the proxy \`${cluster.proxyUrl}\`, so its way back is unknown; give --webhook-url`,
    );
  }
  const { hostname, port, protocol } = new URL(server);
  const standardPort = protocol === 'http:' ? 80 : 443;
  const host = hostname.replace(/^\[(.*)\]$/u, '$1');
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ host, port: port === '' ? standardPort : Number(port), timeout: timeoutMs });
  socket.once('connect', () => {
    resolve(socket.localAddress ?? '');
  });
  socket.once('timeout', () => {
    reject(new KubeError('timeout', `the API server at \`${server}\` did not answer within ${timeoutMs} ms`));
  });
  socket.once('error', (error) => {
    reject(errorOfTransport(error, server));
  });
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}
