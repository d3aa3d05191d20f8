/** What the commands of `lockwarden review` are told in common, and their surroundings. */
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock, type Clock } from '../clock.ts';
import { LockwardenError } from '../errors.ts';
import { durationMs } from '../policy/duration.ts';
import type { LiveOptions } from './live-options.ts';
import { untilSignalled } from './signals.ts';

/** Where the logs are, or the replicas. */
export interface ReviewSourceOptions extends LiveOptions {
  /** With `live`: of which namespace; by default all. */
  readonly namespace?: string;
  /** Files, `-` for standard input; empty: standard input, or the cluster. */
  readonly files: readonly string[];
  /** Reads the logs of all replicas. */
  readonly cluster: boolean;
  /** With `cluster`: those of containers that have ended, too. */
  readonly previous: boolean;
  readonly kubeconfig?: string;
  readonly context?: string;
  /** lockwarden's own namespace, where its pods are. */
  readonly lockwardenNamespace: string;
  /** A duration: what is older is left out. */
  readonly since?: string;
}

/** Surroundings of the commands. */
export interface ReviewIo {
  readonly stdout: {
    readonly isTTY?: boolean | undefined;
    readonly columns?: number | undefined;
    write(text: string): unknown;
  };
  readonly stderr: { write(text: string): unknown };
  readonly stdin: () => AsyncIterable<Buffer>;
  /** Whether somebody types there. */
  readonly stdinIsTerminal: boolean;
  readonly env: Readonly<Partial<Record<string, string>>>;
  readonly clock: Clock;
  /** Resolves after so many milliseconds, or when `signal` aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<unknown>;
  /** Resolves when somebody has seen enough. */
  readonly interrupted: () => Promise<unknown>;
}

/** Those of this process. */
export function processReviewIo(): ReviewIo {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: () => process.stdin,
    stdinIsTerminal: process.stdin.isTTY,
    env: process.env,
    clock: systemClock(),
    sleep: (ms, signal) => delay(ms, undefined, { signal }).catch(() => undefined),
    interrupted: () => untilSignalled().first,
  };
}

/** LIMIT: a year; no log is kept for longer, and the API server takes whole seconds in 64 bits. */
const sinceMsMax = 366 * 24 * 3_600_000;

/** `--since` in milliseconds, or null where it was not given. */
export function sinceOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const days = /^(\d{1,3})d$/.exec(text)?.[1];
  const ms = days === undefined ? durationMs(text) : Number(days) * 24 * 3_600_000;
  if (ms !== null && ms > 0 && ms <= sinceMsMax) return ms;
  throw new LockwardenError(
    'UsageInvalid',
    `--since does not take \`${text}\`: give a duration such as 30m, 12h or 7d`,
  );
}
