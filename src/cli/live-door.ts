/** Doors to read APIs: where they are, whom to trust there, and what to show at them. */
import { readFile } from 'node:fs/promises';
import { isIP, type Socket } from 'node:net';
import { checkServerIdentity, connect, type TLSSocket } from 'node:tls';
import type { Duplex } from 'node:stream';
import type { KubeConfig } from '@kubernetes/client-node';
import { namespaceOf } from '../config.ts';
import { LockwardenError } from '../errors.ts';
import type { KubeClient } from '../kube/client.ts';
import { arrayAt, isObject, objectAt, stringAt } from '../kube/json.ts';
import { forwardTo } from '../kube/port-forward.ts';
import { configurationPath } from '../kube/webhook-configuration.ts';
import { reviewAudience } from '../read-api/token.ts';
import type { LiveOptions } from './live-options.ts';
import { replicaSelector } from './review-cluster.ts';
import { unreadable } from './unreadable.ts';

/** One read API. */
export interface Door {
  /** Tells it from others: the uid of its pod, or its address. */
  readonly id: string;
  /** For people. */
  readonly name: string;
  /** Makes a connection, with the other side verified. */
  dial(): Promise<TLSSocket>;
}

/** The cluster that the doors are in. */
export interface LiveCluster {
  readonly config: KubeConfig;
  readonly client: KubeClient;
  /** lockwarden's own. */
  readonly namespace: string;
}

/** Whom to trust, and under which name. */
interface Trust {
  readonly ca: string;
  /** The name that lockwarden is registered under; null: not known. */
  readonly name: string | null;
}

/** LIMIT: a handshake is two round trips; a port-forward adds the API server and a kubelet. */
const dialTimeoutMs = 10_000;
/** The read API's port in the manifests, and its name there. */
const readPortDefault = '9444';
const portName = 'review';

/** Finds the doors there are now. `cluster` is not asked for where it is not needed. */
export async function doorsOf(options: LiveOptions, cluster: () => LiveCluster): Promise<readonly Door[]> {
  const trust = await trustOf(options, cluster);
  const { server, serverName } = options;
  if (server !== undefined) {
    const url = serverOf(server);
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    const name = serverName ?? trust.name ?? host;
    const dial = (): Promise<TLSSocket> =>
      shaken({ host, port: url.port === '' ? 443 : Number(url.port) }, name, trust.ca);
    return [{ id: url.host, name: url.host, dial }];
  }
  const { config, client, namespace } = cluster();
  const name = serverName ?? trust.name ?? `lockwarden.${namespace}.svc`;
  const pods = await replicasIn(client, namespace, options.readPort ?? readPortDefault);
  return pods.map(({ uid, pod, port }) => ({
    id: uid,
    name: pod,
    dial: async () => shaken({ socket: await forwardTo(config, { namespace, pod, port }) }, name, trust.ca),
  }));
}

/** The token to show: asked for anew, or read anew, each time. */
export async function tokenOf(
  { serviceAccount, tokenFile }: LiveOptions,
  namespace: string | undefined,
  cluster: () => LiveCluster,
): Promise<string> {
  if (tokenFile !== undefined) return (await fileOf('the token', tokenFile)).trim();
  if (serviceAccount === undefined) {
    throw usage('--live needs to say who asks: give --service-account NAME (with -n), or --token-file');
  }
  const { config, client } = cluster();
  const [name = '', own] = serviceAccount.split('/').toReversed();
  const place = own ?? namespace ?? config.getContextObject(config.currentContext)?.namespace ?? 'default';
  const { body } = await client.request({
    method: 'POST',
    path: `/api/v1/namespaces/${namespaceOf(place)}/serviceaccounts/${encodeURIComponent(name)}/token`,
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: [reviewAudience], expirationSeconds: tokenSeconds },
    },
  });
  return stringAt(objectAt(body, 'status'), 'token');
}

/** LIMIT: longer than a stream lives, so that it is not the token that ends it. */
const tokenSeconds = 3_600;

async function trustOf({ caFile }: LiveOptions, cluster: () => LiveCluster): Promise<Trust> {
  if (caFile !== undefined) return { ca: await fileOf('the authorities', caFile), name: null };
  const { body } = await cluster().client.request({ method: 'GET', path: configurationPath });
  const [first] = arrayAt(body, 'webhooks');
  const { caBundle, service, url } = objectAt(first, 'clientConfig');
  if (typeof caBundle !== 'string' || caBundle === '') {
    const advice = 'wait until lockwarden is registered, or give --ca-file';
    throw new LockwardenError('CertificateInvalid', `the webhook configuration trusts nobody yet: ${advice}`);
  }
  const name = isObject(service)
    ? `${stringAt(service, 'name')}.${stringAt(service, 'namespace')}.svc`
    : typeof url === 'string' && URL.canParse(url)
      ? new URL(url).hostname.replace(/^\[(.*)\]$/, '$1')
      : null;
  return { ca: Buffer.from(caBundle, 'base64').toString('utf8'), name };
}

interface ReadyPod {
  readonly uid: string;
  readonly pod: string;
  readonly port: number;
}

async function replicasIn(client: KubeClient, namespace: string, port: string): Promise<readonly ReadyPod[]> {
  const { body } = await client.request({
    method: 'GET',
    path: `/api/v1/namespaces/${namespace}/pods`,
    query: { labelSelector: replicaSelector },
  });
  const ready = arrayAt(body, 'items').filter((pod) =>
    arrayAt(objectAt(pod, 'status'), 'conditions').some(
      (each) => stringAt(each, 'type') === 'Ready' && stringAt(each, 'status') === 'True',
    ),
  );
  return ready.map((pod) => {
    const metadata = objectAt(pod, 'metadata');
    const ports = arrayAt(objectAt(pod, 'spec'), 'containers').flatMap((each) => arrayAt(each, 'ports'));
    const named = ports.filter(isObject).find((each) => each['name'] === portName)?.['containerPort'];
    return {
      uid: stringAt(metadata, 'uid'),
      pod: stringAt(metadata, 'name'),
      port: typeof named === 'number' ? named : portOf(port),
    };
  });
}

/** A TLS connection to somebody who was verified to be `name`. */
function shaken(
  way: { readonly host: string; readonly port: number } | { readonly socket: Duplex },
  name: string,
  ca: string,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- node:tls takes any stream, as its documentation says
    const underneath = 'socket' in way ? { socket: way.socket as Socket } : way;
    const tls = connect({
      ...underneath,
      ca,
      minVersion: 'TLSv1.2',
      // NB: an address is no name to ask for, but one to verify.
      ...(isIP(name) === 0 && { servername: name }),
      checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
    });
    const timer = setTimeout(() => {
      tls.destroy(new Error(`no answer within ${String(dialTimeoutMs)} ms`));
    }, dialTimeoutMs);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(error);
    };
    tls.once('error', fail).once('close', () => {
      fail(new Error('the connection was closed'));
    });
    tls.once('secureConnect', () => {
      clearTimeout(timer);
      tls.on('error', () => undefined);
      resolve(tls);
    });
  });
}

function serverOf(value: string): URL {
  const url = URL.canParse(value) ? new URL(value) : null;
  if (url?.protocol === 'https:' && url.pathname === '/' && url.search === '' && url.username === '')
    return url;
  throw usage(`--server does not take \`${value}\`: give https://HOST:PORT`);
}

function portOf(value: string): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw usage(`--read-port does not take \`${value}\`: give a port`);
}

async function fileOf(what: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw unreadable(`${what} \`${path}\``, error, { ENOENT: 'there is no such file' });
  }
}

function usage(message: string): LockwardenError {
  return new LockwardenError('UsageInvalid', message);
}
