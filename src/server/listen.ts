import type { Server } from 'node:net';
import { LockwardenError, systemCodeOf } from '../errors.ts';

/**
 * Starts `server` on `host`:`port` (0 for any free port) and resolves with the port. `flag` is what chooses the port.
 *
 * @throws LockwardenError `ListenFailed`, saying what to do, when the address cannot be had
 */
export async function listenOn(
  server: Server,
  port: number,
  host: string,
  flag: '--port' | '--health-port' | '--read-port',
): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    const onError = (error: Error): void => {
      reject(new LockwardenError('ListenFailed', reasonFor(error, port, host, flag), { cause: error }));
    };
    server.once('error', onError);
    server.listen({ port, host }, () => {
      server.off('error', onError);
      resolve();
    });
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}

function reasonFor(error: Error, port: number, host: string, flag: string): string {
  const where = `\`${host}:${String(port)}\``;
  switch (systemCodeOf(error)) {
    case 'EADDRINUSE':
      return `cannot listen on ${where}: the port is taken; stop what listens there or choose another ${flag}`;
    case 'EACCES':
      return `cannot listen on ${where}: not permitted; choose a ${flag} above 1023`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `cannot listen on ${where}: no such address on this machine; choose a --bind-address of its own, or \`0.0.0.0\``;
    default:
      return `cannot listen on ${where}: ${error.message}`;
  }
}
