/** Waiting for something to be seen. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LockwardenError } from '../errors.ts';

/** What is waited for, for how long, and what calls it off. */
export interface Wait {
  /** Completes `this did not happen within 10 s: `. */
  readonly what: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** LIMIT: what is waited for is a matter of seconds; ten looks a second show it in time and cost nothing. */
const pollMs = 100;

/**
 * Looks again and again until `look` finds something, and resolves to that.
 *
 * @throws LockwardenError `ScenarioFailed` when it is never found; the reason of `signal` when that aborts
 */
export async function until<T>(look: () => Promise<T | null> | T | null, wait: Wait): Promise<T> {
  for (let waitedMs = 0; waitedMs <= wait.timeoutMs; waitedMs += pollMs) {
    wait.signal.throwIfAborted();
    const found = await look();
    if (found !== null) return found;
    await sleep(pollMs, undefined, { signal: wait.signal });
  }
  throw new LockwardenError(
    'ScenarioFailed',
    `this did not happen within ${String(wait.timeoutMs / 1_000)} s: ${wait.what}`,
  );
}
