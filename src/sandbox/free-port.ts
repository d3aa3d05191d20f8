import { once } from 'node:events';
import { createServer } from 'node:net';

/** Where everything in the sandbox listens. */
export const loopback = '127.0.0.1';

/** Ports on the loopback address that were free a moment ago, all different. Whoever binds one must expect to come second. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, loopback));
  try {
    await Promise.all(servers.map((server) => once(server, 'listening')));
    return servers.map((server) => {
      const address = server.address();
      if (address === null || typeof address === 'string') throw new Error('a TCP server has no port');
      return address.port;
    });
  } finally {
    for (const server of servers) server.close();
  }
}
