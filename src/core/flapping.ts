/**
 * Does a lock change hands more often than makes sense? Every change is a pause in somebody's work, and a lock that goes
 * round among candidates has none of them do any. Only changes that were seen count: what clients write into
 * `leaseTransitions` is their own word.
 */
import type { MonotonicMs } from './time.ts';

/** The window in which changes are counted, in milliseconds. LIMIT: the time that a slow roll-out of some replicas takes. */
export const flappingWindowMs = 600_000;
/** How many changes within the window make a lock a flapping one. LIMIT: replacing three replicas one by one moves a lock three times at most. */
export const flappingChanges = 4;

/** Who held a lock last, whether or not anybody does now, and when it changed hands: the latest times, oldest first. */
export interface Hands {
  readonly last: string;
  readonly changedAt: readonly MonotonicMs[];
}

/** The hands after `holder` is seen to hold the lock at `at`. The same holder once more, after a release, is no change. */
export function handedTo(hands: Hands, holder: string, at: MonotonicMs): Hands {
  if (holder === hands.last) return hands;
  return { last: holder, changedAt: [...hands.changedAt, at].slice(-flappingChanges) };
}

/** Whether the lock is flapping at `at`. */
export function isFlapping({ changedAt }: Hands, at: MonotonicMs): boolean {
  const [oldest] = changedAt;
  return changedAt.length >= flappingChanges && oldest !== undefined && at - oldest < flappingWindowMs;
}
