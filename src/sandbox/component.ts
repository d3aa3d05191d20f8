import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

import { LockwardenError } from '../errors.ts';
import { endWithParent } from './parent-watch.ts';
import { reasonOf } from './reason-of.ts';

/** One server process of the control plane, which can be stopped, hurt and started again at the same address. */
export interface Component {
  /** Starts it and resolves once it is ready. Does nothing while it runs. */
  start(): Promise<void>;
  /** Ends it with SIGTERM, and with SIGKILL when that is not enough. Resolves once it is gone. */
  stop(): Promise<void>;
  /** Ends it with SIGKILL, as a crash. Resolves once it is gone. */
  kill(): Promise<void>;
  /** Freezes it (SIGSTOP): connections stay open and nobody answers. */
  pause(): void;
  /** Lets it go on after `pause`. */
  resume(): void;
}

/** What to run, and how to tell that it is ready. */
export interface ComponentOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** Resolves to true once the process serves; false and rejections mean not yet. */
  readonly isReady: () => Promise<boolean>;
  readonly readyTimeoutMs?: number;
}

/** LIMIT: ready within 10 s on two idle cores; a machine busy with a compiler takes several times that. */
const defaultReadyTimeoutMs = 90_000;

/** LIMIT: kube-apiserver drains for some seconds after SIGTERM; nothing in a sandbox is worth a longer wait. */
const stopTimeoutMs = 5_000;

const pollMs = 50;

/** LIMIT: enough for the error that ended a process and what led to it. */
const keptLogLines = 15;

/** A component that is not running yet. */
export function createComponent(options: ComponentOptions): Component {
  let running: RunningProcess | null = null;
  const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    const ending = running;
    running = null;
    await ending?.end(signal);
  };
  return {
    start: async () => {
      if (running?.isAlive() === true) return;
      const started = startProcess(options);
      running = started;
      try {
        await waitUntilReady(started, options);
      } catch (error) {
        await end('SIGKILL');
        throw error;
      }
    },
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    pause: () => running?.signal('SIGSTOP'),
    resume: () => running?.signal('SIGCONT'),
  };
}

interface RunningProcess {
  isAlive(): boolean;
  lastLines(): string;
  signal(signal: NodeJS.Signals): void;
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

function startProcess({ command, args, cwd, env }: ComponentOptions): RunningProcess {
  // NB: a process group of its own keeps a terminal's Ctrl-C away; whoever started the sandbox stops it in order.
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const callOff = child.pid === undefined ? () => undefined : endWithParent(child.pid);
  let tail = '';
  let failure: string | null = null;
  const gone = new Promise<void>((resolve) => {
    child.once('close', () => {
      resolve();
    });
    child.once('error', (error) => {
      failure = reasonOf(error);
      resolve();
    });
  }).then(callOff);
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      tail = `${tail}${text}`.slice(-16_384);
    });
  }
  return {
    isAlive: () => failure === null && child.exitCode === null && child.signalCode === null,
    lastLines: () => failure ?? tail.trim().split('\n').slice(-keptLogLines).join('\n'),
    signal: (signal) => child.kill(signal),
    end: (signal) => endProcess(child, gone, signal),
  };
}

async function endProcess(child: ChildProcess, gone: Promise<void>, signal: NodeJS.Signals): Promise<void> {
  child.kill(signal);
  // NB: a frozen process does not see SIGTERM before it goes on.
  child.kill('SIGCONT');
  const kill = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
  await gone;
  clearTimeout(kill);
}

async function waitUntilReady(process: RunningProcess, options: ComponentOptions): Promise<void> {
  const { name, isReady, readyTimeoutMs = defaultReadyTimeoutMs } = options;
  const deadline = AbortSignal.timeout(readyTimeoutMs);
  while (!deadline.aborted) {
    if (!process.isAlive()) {
      throw new LockwardenError(
        'ToolFailed',
        `${name} ended before it was ready; its last lines:\n${process.lastLines()}`,
      );
    }
    if (await isReady().catch(() => false)) return;
    await sleep(pollMs);
  }
  throw new LockwardenError(
    'ToolFailed',
    `${name} was not ready within ${readyTimeoutMs / 1_000} s; its last lines:\n${process.lastLines()}`,
  );
}
