/** What another Node process really needs of its heap: what is left once garbage is collected. */
import { setTimeout as sleep } from 'node:timers/promises';

import { loopback } from '../../../src/sandbox/free-port.ts';

/** LIMIT: the inspector of a process that is asked for it listens within milliseconds. */
const patienceMs = 10_000;

/** The flags by which a process takes questions at `port` once it gets SIGUSR1, and not before; it says nothing of it. */
export const inspectable = (port: number): readonly string[] => [
  `--inspect-port=${loopback}:${String(port)}`,
  '--inspect-publish-uid=http',
];

/** Has a process that was started with `inspectable(port)` collect its garbage, and says what it then uses, in MiB. */
export async function collectedHeapMiB(pid: number, port: number): Promise<number> {
  process.kill(pid, 'SIGUSR1');
  const socket = new WebSocket(await inspectorOf(port));
  try {
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve, { once: true });
      socket.addEventListener('error', () => {
        reject(new Error('the inspector hangs up'));
      });
    });
    // Twice: what finalizers let go of is left to the second.
    await ask(socket, 1, 'HeapProfiler.collectGarbage');
    await ask(socket, 2, 'HeapProfiler.collectGarbage');
    return (await ask(socket, 3, 'Runtime.getHeapUsage')).usedSize / 1_024 ** 2;
  } finally {
    socket.close();
  }
}

async function inspectorOf(port: number): Promise<string> {
  const deadline = AbortSignal.timeout(patienceMs);
  while (!deadline.aborted) {
    try {
      const response = await fetch(`http://${loopback}:${String(port)}/json/list`);
      const [target] = (await response.json()) as readonly { readonly webSocketDebuggerUrl: string }[];
      if (target !== undefined) return target.webSocketDebuggerUrl;
    } catch {
      // It does not listen yet.
    }
    await sleep(50);
  }
  throw new Error('the process has no inspector');
}

/** SOURCE: https://chromedevtools.github.io/devtools-protocol/v8/Runtime/#method-getHeapUsage */
function ask(socket: WebSocket, id: number, method: string): Promise<{ readonly usedSize: number }> {
  const { promise, resolve } = Promise.withResolvers<{ readonly usedSize: number }>();
  const listen = ({ data }: MessageEvent): void => {
    const answer = JSON.parse(String(data)) as {
      readonly id?: number;
      readonly result: { usedSize: number };
    };
    if (answer.id !== id) return;
    socket.removeEventListener('message', listen);
    resolve(answer.result);
  };
  socket.addEventListener('message', listen);
  socket.send(JSON.stringify({ id, method }));
  return promise;
}
