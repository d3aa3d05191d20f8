/** A way to the API server whose bytes are counted, and which can be cut. It moves bytes, and looks into none. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

import { loopback } from '../../../src/sandbox/free-port.ts';

export interface MeteredProxy {
  readonly url: string;
  /** Bytes that the server has sent so far, with what TLS adds. */
  readonly received: number;
  /** Connections accepted so far. */
  readonly connections: number;
  /** Ends every connection at once, as a balancer that is restarted does; new ones pass. */
  cut(): void;
  close(): Promise<void>;
}

/** In front of the server at `url`, which is on the loopback address. */
export async function startMeteredProxy(url: string): Promise<MeteredProxy> {
  const sockets = new Set<Socket>();
  let [received, connections] = [0, 0];
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const server = createServer({ noDelay: true }, (caller) => {
    connections += 1;
    const target = connect({ host: loopback, port: Number(new URL(url).port), noDelay: true });
    target.on('data', (chunk) => {
      received += chunk.length;
    });
    for (const [from, to] of [
      [caller, target],
      [target, caller],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => undefined);
      from.once('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await once(server.listen(0, loopback), 'listening');
  return {
    url: `https://${loopback}:${String((server.address() as AddressInfo).port)}`,
    get received() {
      return received;
    },
    get connections() {
      return connections;
    },
    cut,
    close: async () => {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
