/** A way through which everything passes, or nothing: what a NetworkPolicy that drops packets looks like from both ends. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface StallingProxy {
  readonly port: number;
  /** From now on connections are accepted, and nothing that is sent arrives: on new ones, or on old ones neither. */
  stall(which: 'new' | 'all'): void;
  /** What was held up is lost; what comes passes. */
  pass(): void;
  close(): Promise<void>;
}

/** Listens on the loopback address and passes on to `targetPort` there. */
export async function startStallingProxy(targetPort: number): Promise<StallingProxy> {
  let stalls = false;
  const stalled = new WeakSet<Socket>();
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  };
  const forward = (from: Socket, to: Socket): void => {
    from.on('data', (chunk) => {
      if (!stalled.has(from)) to.write(chunk);
    });
    from.once('close', () => to.destroy());
  };
  const server = createServer((caller) => {
    const target = connect(targetPort, '127.0.0.1');
    if (stalls) stalled.add(caller).add(target);
    keep(caller);
    keep(target);
    forward(caller, target);
    forward(target, caller);
  });
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    stall: (which) => {
      stalls = true;
      if (which === 'all') for (const socket of sockets) stalled.add(socket);
    },
    pass: () => {
      stalls = false;
      cut();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        cut();
      }),
  };
}
