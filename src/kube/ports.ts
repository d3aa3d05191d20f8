/**
 * What this layer needs from its surroundings besides an API server.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { MonotonicMs } from '../core/time.ts';

/** The monotonic half of the clock. */
export interface MonotonicClock {
  monotonicMs(): MonotonicMs;
}

/** Resolves after `ms` milliseconds, or as soon as `signal` aborts: it never rejects, so callers check the signal. */
export type Sleep = (ms: number, signal: AbortSignal) => Promise<void>;

/** Structured log: constant message, variables as fields. pino fits. */
export interface Logger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Sleeps on a timer that does not keep the process alive. */
export const timerSleep: Sleep = async (ms, signal) => {
  try {
    await delay(ms, undefined, { signal, ref: false });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
};
