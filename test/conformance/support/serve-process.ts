/** The command as a user runs it: a process of its own, known by its flags, its output, its health port and its end. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import type { KubeClient } from '../../../src/kube/client.ts';
import { rejectionMessage } from '../../../src/review/record.ts';
import { endWithParent } from '../../../src/sandbox/parent-watch.ts';
import { failureOf } from '../../kube/support/cluster.ts';

const program = fileURLToPath(new URL('../../../bin/lockwarden.js', import.meta.url));

/** One line of the log. */
export interface LogLine {
  readonly level: string;
  readonly time: string;
  readonly msg: string;
  readonly [key: string]: unknown;
}

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A command that has ended. */
export interface Finished extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Flags that serve on free ports of the loopback address. With port 0 the URL gets the port that is really listened on,
 * so no other process can come in between.
 */
export const onAnyPort: readonly string[] = [
  '--port=0',
  '--health-port=0',
  '--bind-address=127.0.0.1',
  '--webhook-url=https://127.0.0.1',
];

/** What to serve, and how. */
export interface ServeOptions {
  /** Default: `serve`. */
  readonly command?: 'serve' | 'start';
  /** Path of a kubeconfig; left out, the flag is not given. */
  readonly kubeconfig?: string;
  /** The other flags. Default: `onAnyPort`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A running `lockwarden serve`. */
export interface ServeProcess {
  readonly pid: number;
  /** Everything it has logged so far. */
  readonly lines: readonly LogLine[];
  /** Everything it has written so far, to standard output and standard error. */
  readonly output: string;
  /** How it ended. */
  readonly exit: Promise<Exit>;
  /** The refusals of real writes, which dry runs are not, among its lines. */
  rejections(): readonly LogLine[];
  /** The first line with this message for which `where` holds, logged already or yet to come. */
  untilLine(message: string, where?: (line: LogLine) => boolean): Promise<LogLine>;
  /** Asks the health port. */
  get(path: string): Promise<{ readonly status: number; readonly text: string }>;
  /** Resolves once `/readyz` says 200. */
  untilReady(): Promise<void>;
  /** The sum of the samples of a metric that have all of `labels`; null where there is none. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number | null>;
  /** Resolves once `holds` holds for the metric. */
  untilMetric(
    name: string,
    labels: Readonly<Record<string, string>>,
    holds: (value: number | null) => boolean,
  ): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** SIGKILL: a crash. Resolves once it is gone. */
  kill(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** LIMIT: the back-off after failures goes up to 10 s, and a machine that is busy takes its time besides. */
const patienceMs = 45_000;
const pollMs = 50;

/** Runs the command to its end. */
export async function runLockwarden(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Finished> {
  const child = spawnLockwarden(args, env);
  const [stdout, stderr, exit] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    exitOf(child),
  ]);
  return { stdout, stderr, ...exit };
}

/** Starts `lockwarden serve`. It need not be ready, or even alive, when this returns. */
export function startServe(options: ServeOptions = {}): ServeProcess {
  const { command = 'serve', kubeconfig, args = onAnyPort, env = {} } = options;
  const source = kubeconfig === undefined ? [] : [`--kubeconfig=${kubeconfig}`];
  const child = spawnLockwarden([command, ...source, ...args], env);
  const lines: LogLine[] = [];
  let output = '';
  let ended = false;
  const waiters = new Set<() => void>();
  const wake = (): void => {
    for (const waiter of [...waiters]) waiter();
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  createInterface({ input: child.stdout! }).on('line', (line) => {
    lines.push(parse(line));
    wake();
  });
  const exit = exitOf(child).finally(() => {
    ended = true;
    wake();
  });
  exit.catch(() => undefined);

  const untilLine: ServeProcess['untilLine'] = (message, where = () => true) =>
    new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        waiters.delete(look);
        act();
      };
      const fail = (how: string): void => {
        settle(() => {
          reject(new Error(`lockwarden ${how} \`${message}\`; it said:\n${output}`));
        });
      };
      const look = (): void => {
        const hit = lines.find((line) => line.msg === message && where(line));
        if (hit !== undefined) {
          settle(() => {
            resolve(hit);
          });
        } else if (ended) fail('ended without');
      };
      const timer = setTimeout(() => {
        fail(`did not say within ${String(patienceMs)} ms`);
      }, patienceMs);
      waiters.add(look);
      look();
    });

  const get: ServeProcess['get'] = async (path) => {
    const { healthPort } = await untilLine('health port listening');
    const response = await fetch(`http://127.0.0.1:${String(healthPort)}${path}`);
    return { status: response.status, text: await response.text() };
  };
  const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
    const deadline = AbortSignal.timeout(patienceMs);
    while (!(await holds())) {
      if (deadline.aborted || ended) {
        throw new Error(`lockwarden: not ${what} within ${String(patienceMs)} ms; it said:\n${output}`);
      }
      await sleep(pollMs);
    }
  };
  const metric: ServeProcess['metric'] = async (name, labels = {}) =>
    sumOf((await get('/metrics')).text, name, labels);
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exit;
  };
  return {
    pid: child.pid ?? NaN,
    lines,
    get output() {
      return output;
    },
    exit,
    rejections: () =>
      lines.filter(({ msg, ...line }) => msg === rejectionMessage && line['dryRun'] === false),
    untilLine,
    get,
    untilReady: () => until('ready', async () => (await get('/readyz')).status === 200),
    metric,
    untilMetric: (name, labels, holds) => until(name, async () => holds(await metric(name, labels))),
    signal: (signal) => {
      child.kill(signal);
    },
    kill,
    [Symbol.asyncDispose]: kill,
  };
}

/**
 * Resolves once the API server asks the lockwarden that is registered: it takes in a configuration a moment after it was
 * written. A promise of long ago is refused whatever else is known, and a dry run leaves nothing behind.
 */
export async function untilCalled(client: KubeClient): Promise<void> {
  const deadline = AbortSignal.timeout(patienceMs);
  const record = {
    holderIdentity: 'nobody',
    leaseDurationSeconds: 15,
    renewTime: '2020-01-01T00:00:00.000000Z',
  };
  for (;;) {
    const failure = await failureOf(
      client.request({
        method: 'POST',
        path: '/apis/coordination.k8s.io/v1/namespaces/default/leases',
        query: { dryRun: 'All' },
        body: { metadata: { name: 'is-anybody-there' }, spec: record },
      }),
    );
    if (failure?.message.includes('[lockwarden S1 StaleRenewTime') === true) return;
    if (deadline.aborted) throw new Error(`lockwarden is not called: ${failure?.message ?? 'allowed'}`);
    await sleep(pollMs);
  }
}

function spawnLockwarden(args: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
  // NB: whatever the machine's own user has set must not reach a cluster of theirs.
  const inherited = Object.entries(process.env).filter(([name]) => !/^(LOCKWARDEN_|KUBE)/.test(name));
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const callOff = child.pid === undefined ? () => undefined : endWithParent(child.pid);
  child.once('close', callOff);
  return child;
}

function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('close', (code, signal) => {
      resolve({ code, signal });
    });
  });
}

async function textOf(stream: ChildProcess['stdout']): Promise<string> {
  let text = '';
  stream?.setEncoding('utf8');
  for await (const part of stream ?? []) text += String(part);
  return text;
}

/** A line that is no JSON becomes one without a level, for a test to find. */
function parse(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { level: '', time: '', msg: line };
  }
}

/**
 * The sum of the samples of a metric that have all of `labels`; null where there is none.
 * SOURCE: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */
export function sumOf(text: string, name: string, labels: Readonly<Record<string, string>>): number | null {
  const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
  const samples = text
    .split('\n')
    .map((line) => /^(?<name>\w+)(?:\{(?<labels>.*)\})? (?<value>\S+)$/.exec(line)?.groups)
    .filter((groups) => groups?.['name'] === name)
    .filter((groups) => wanted.every((each) => (groups?.['labels'] ?? '').split(',').includes(each)))
    .map((groups) => Number(groups?.['value']));
  return samples.length === 0 ? null : samples.reduce((sum, value) => sum + value, 0);
}
