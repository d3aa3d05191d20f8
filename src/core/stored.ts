/**
 * A state that was stored, and what a replica knows of the moment at which its promise was, and of the tenure it is part of.
 */
import type { Observation, PodRef } from './facts.ts';
import type { LockState } from './lock.ts';
import { tenureOf, type Assertion, type TenureMarks } from './shared-facts.ts';
import type { Interval, MonotonicMs, ServerMs } from './time.ts';

/** What a renewal changes: an age is the age of a pair. */
export interface Pair {
  readonly holder: string | null;
  readonly renewTime: string | null;
}

/** Since when a holder holds. Where a list was needed to learn of it, a change of holder may have passed unseen. */
export interface Tenure extends TenureMarks {
  /** It began after this version. */
  readonly after: number;
  /** From this version on, nothing about the holder has passed unseen. */
  readonly seenFrom: number;
}

export interface Stored extends Pair {
  readonly state: LockState;
  /** The state's, or one that keeps the order where that has none. */
  readonly version: number;
  /** When the pair was stored: not before `since.min` (-Infinity: unknown), not after `since.max`. */
  readonly since: Interval;
  readonly stampedAt: ServerMs | null;
  readonly tenure: Tenure;
}

export function samePair(a: Pair, b: Pair): boolean {
  return a.holder === b.holder && a.renewTime === b.renewTime;
}

/** Which pods (null: none that a token is bound to) made its holder the holder, in order; empty where nobody knows. */
export function authorsOf(
  { state, holder, version, tenure }: Stored,
  asserted: readonly Assertion[],
  upTo = version,
): readonly (PodRef | null)[] {
  if (holder === null) return [];
  return tenureOf(asserted, { ...tenure, uid: state.uid, holder, upTo }).map(({ pod }) => pod);
}

/** The pod that spoke last for a holder, if any did. */
export function lastPod(authors: readonly (PodRef | null)[]): PodRef | null {
  return authors.findLast((each) => each !== null) ?? null;
}

/** How old a pair is at `at`. `voidBefore`: see `ServerClock.steppedAt`. */
export function observationOf(stored: Stored, at: MonotonicMs, voidBefore: MonotonicMs | null): Observation {
  return {
    // NB: a clock that stood still has counted too little, so the least age stays true; the greatest does not.
    ageMs: {
      min: Math.max(0, at - stored.since.max),
      max: isMeasurable(stored.since.min, voidBefore) ? at - stored.since.min : Infinity,
    },
    stampedAt: stored.stampedAt,
  };
}

/** Whether the time since then can be told. */
export function isMeasurable(since: number, voidBefore: MonotonicMs | null): boolean {
  return voidBefore === null || since >= voidBefore;
}
