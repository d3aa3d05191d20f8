/**
 * Which locks were taken within a time, as far as what is stored of them tells. Pure.
 *
 * What tells is the time of acquisition, which the holder wrote: a claim, and good enough for a line in a log. It is believed only where
 * the API server's own stamp does not contradict it: who owns the holder's field must have written since.
 */
import { describeLock, type LockRef, type LockState } from '../core/lock.ts';
import { recordOf } from '../core/stamps.ts';
import { stampResolutionMs } from '../core/time.ts';

/** Locks that were taken. */
export interface Acquired {
  readonly count: number;
  /** Some of them, in order. */
  readonly locks: readonly string[];
}

/** LIMIT: a line of a log that somebody reads; the rest is counted. */
const namedMax = 20;

/** The locks taken from `sinceMs` to `untilMs`, in Unix milliseconds of the API server. */
export function acquiredBetween(
  locks: readonly (readonly [LockRef, LockState])[],
  { sinceMs, untilMs }: { readonly sinceMs: number; readonly untilMs: number },
): Acquired {
  const taken = locks.filter(([, state]) => {
    const record = recordOf(state);
    const at = record?.acquireTime?.at ?? null;
    if (record?.holder == null || at === null || at < sinceMs || at > untilMs) return false;
    const stamps = state.stamps.entries.flatMap((each) => (each.ownsHolder ? (each.at ?? []) : []));
    return stamps.length === 0 || Math.max(...stamps) + stampResolutionMs > sinceMs;
  });
  const names = taken.map(([lock]) => describeLock(lock)).sort();
  return { count: names.length, locks: names.slice(0, namedMax) };
}
