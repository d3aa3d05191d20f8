import { Agent, get } from 'node:https';

import type { Credentials } from './credentials.ts';
import { loopback } from './free-port.ts';

/** LIMIT: a loopback answer takes milliseconds; one that hangs is asked for again. */
const answerTimeoutMs = 2_000;

/** Asks a loopback TLS server, as the administrator, for the status codes of paths. */
export interface ApiProbe {
  status(path: string): Promise<number>;
}

/** A probe of the server at `port`. Each question takes a connection of its own, so nothing is left to close. */
export function createApiProbe(port: number, credentials: Credentials): ApiProbe {
  const { authority, admin } = credentials;
  const agent = new Agent({ keepAlive: false, ca: authority, cert: admin.certificate, key: admin.key });
  return {
    status: (path) =>
      new Promise((resolve, reject) => {
        const request = get({ host: loopback, port, path, agent, timeout: answerTimeoutMs }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        });
        request.once('error', reject).once('timeout', () => {
          request.destroy(new Error('no answer in time'));
        });
      }),
  };
}
