/**
 * Has the holder's lease run out? The hardest question lockwarden answers, because every clock in sight may lie.
 *
 * A holder promises at some moment W, by storing a (holder, renew time) pair, to be back within its lease duration.
 * The naive answer compares the recorded renew time with a clock. It fails three ways: the holder's clock may be fast
 * (a dead leader looks alive), slow (a live leader looks dead), or the judge's own clock may be off by an hour or step.
 * So nobody's claim is trusted. W is bounded by what the API server stamped and by what this replica saw on its
 * monotonic clock, each of which yields an interval for the promise's age. Sound intervals can only be narrowed by one
 * another; where they contradict by more than a write's latency explains (a suspended machine) the wider view is taken.
 *
 *   observed   this replica saw the write: on its way in (age at most) and stored (age at least); or saw its very stamp
 *   stamped    the entry that owns the renew time: age at least. At most as well, but only where the recorded renew
 *              time agrees with the stamp, since the same manager may have written something else later
 *   recorded   nothing but the holder's claim: no bound at all
 *
 * The verdict has a third value. `live` and `expired` are proofs; everything else is `doubt`, and doubt never denies.
 * The tolerance is given to every candidate alike: real ones that judge by the recorded time take over with a margin
 * of about zero, and their clocks are right to some milliseconds only (docs/decisions/0002-tolerance.md).
 */
import type { Observation } from './facts.ts';
import type { LockState } from './lock.ts';
import { recordOf, renewStamp } from './stamps.ts';
import { hull, intersect, secondOf, stampResolutionMs, type Interval, type ServerMs } from './time.ts';

/** What bounded the age of a promise. */
export type EvidenceSource = 'observed' | 'stamped' | 'recorded';

/**
 * What is known of a lock's promise. `untimed`: held, but without duration or renew time, so there is no promise.
 * `free`: nobody holds it. Ages and durations in milliseconds.
 */
export type Expiry = { readonly verdict: 'free' | 'untimed' } | PromiseExpiry;

/** The verdict on a promise that names a time. */
export interface PromiseExpiry {
  readonly verdict: 'live' | 'expired' | 'doubt';
  readonly holder: string;
  readonly leaseDurationMs: number;
  /** Bounds on the time since the promise was stored; `max` is Infinity where nothing bounds it. */
  readonly ageMs: Interval;
  readonly source: EvidenceSource;
}

/** Whether there is a promise that names a time. */
export function isTimed(expiry: Expiry): expiry is PromiseExpiry {
  return expiry.verdict !== 'free' && expiry.verdict !== 'untimed';
}

const unboundedAge: Interval = { min: 0, max: Infinity };

/**
 * Judges the promise in `state`.
 *
 * @param now bounds on the API server's time of the write that is judged, in Unix milliseconds, or null when unknown
 * @param toleranceMs how much early a write may be without being refused, in milliseconds, at least 0
 */
export function expiryOf(
  state: LockState | null,
  observation: Observation | null,
  now: Interval | null,
  toleranceMs: number,
): Expiry {
  const record = state === null ? null : recordOf(state);
  if (state === null || record?.holder == null) return { verdict: 'free' };
  const { holder, leaseDurationMs, renewTime } = record;
  if (leaseDurationMs === null || renewTime === null) return { verdict: 'untimed' };

  const stamp = renewStamp(state.stamps);
  const bounds: Interval[] = [];
  if (observation !== null) bounds.push(...observedBounds(observation, now));
  const source: EvidenceSource =
    bounds.length > 0 ? 'observed' : stamp !== null && now !== null ? 'stamped' : 'recorded';
  if (stamp !== null && now !== null) bounds.push(stampedBounds(stamp, renewTime.at, now, toleranceMs));

  const ageMs = narrow(bounds, toleranceMs);
  const dueMs = leaseDurationMs - toleranceMs;
  const verdict = ageMs.max <= dueMs ? 'live' : ageMs.min >= dueMs ? 'expired' : 'doubt';
  return { verdict, holder, leaseDurationMs, ageMs, source };
}

/**
 * Bounds on the API server's time of a write: the stamp it put on it, sharpened or widened by the replica's own estimate.
 * Null when neither exists.
 */
export function timeOfWrite(stamp: ServerMs | null, serverNow: Interval | null): Interval | null {
  if (stamp === null) return serverNow;
  const stamped = secondOf(stamp);
  if (serverNow === null) return stamped;
  // API servers whose clocks disagree, or a write long on its way: neither view alone can be relied on.
  if (intersect(stamped, serverNow) === null) return hull(stamped, serverNow);
  return { min: stamp, max: Math.min(stamped.max, serverNow.max) };
}

function observedBounds(observation: Observation, now: Interval | null): Interval[] {
  const bounds = [observation.ageMs];
  if (observation.stampedAt !== null && now !== null) bounds.push(ageSince(observation.stampedAt, now));
  return bounds;
}

function stampedBounds(
  stamp: ServerMs,
  recorded: ServerMs | null,
  now: Interval,
  toleranceMs: number,
): Interval {
  const age = ageSince(stamp, now);
  const agrees =
    recorded !== null &&
    recorded >= stamp - toleranceMs &&
    recorded <= stamp + stampResolutionMs + toleranceMs;
  // INVARIANT: `recorded` may only lengthen the age here; a claim never makes a promise younger than its stamp.
  if (agrees) return { min: age.min, max: Math.max(age.max, now.max - recorded) };
  return { min: age.min, max: Infinity };
}

function ageSince(stamp: ServerMs, now: Interval): Interval {
  return { min: Math.max(0, now.min - stamp - stampResolutionMs), max: Math.max(0, now.max - stamp) };
}

/**
 * What all bounds allow. Where two miss each other by no more than the tolerance, the truth lies between them: a stamp
 * is put on before the write reaches the replica, and perhaps by an API server whose clock is not that of the next.
 */
function narrow(bounds: readonly Interval[], toleranceMs: number): Interval {
  let narrowed = unboundedAge;
  for (const bound of bounds) {
    const both = intersect(narrowed, bound) ?? gap(narrowed, bound, toleranceMs);
    if (both === null) return bounds.reduce(hull);
    narrowed = both;
  }
  return narrowed;
}

/** What lies between two intervals that do not meet, or null where it is wider than `widthMax`. */
function gap(a: Interval, b: Interval, widthMax: number): Interval | null {
  const between = { min: Math.min(a.max, b.max), max: Math.max(a.min, b.min) };
  return between.max - between.min <= widthMax ? between : null;
}
