/**
 * Time as the core sees it: plain numbers that come in as data.
 *
 * Two clocks never mix. The API server's clock stamps what it stores (`managedFields[].time`) and is the only one
 * by which a lock is judged; a replica's monotonic clock measures how long ago the replica saw something. A
 * replica's wall clock appears nowhere: it may be an hour off, or step, and no decision changes.
 */

/** An instant on the API server's clock, in milliseconds since the Unix epoch. */
export type ServerMs = number & { readonly clock: 'server' };

/** An instant on this process's monotonic clock, in milliseconds since an arbitrary start. Never compare across processes. */
export type MonotonicMs = number & { readonly clock: 'monotonic' };

/** Brands `ms` (milliseconds since the Unix epoch) as an instant on the API server's clock. */
export function serverMs(ms: number): ServerMs {
  return ms as ServerMs;
}

/** Brands `ms` as an instant on this process's monotonic clock. */
export function monotonicMs(ms: number): MonotonicMs {
  return ms as MonotonicMs;
}

/**
 * Bounds on a quantity that is not known exactly. INVARIANT: `min <= max`. Either bound may be infinite.
 * What lies between them is doubt, and doubt never denies.
 */
export interface Interval {
  readonly min: number;
  readonly max: number;
}

/** The smallest interval that contains both. */
export function hull(a: Interval, b: Interval): Interval {
  return { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) };
}

/** What both intervals allow, or null where they contradict each other. */
export function intersect(a: Interval, b: Interval): Interval | null {
  const both = { min: Math.max(a.min, b.min), max: Math.min(a.max, b.max) };
  return both.min <= both.max ? both : null;
}

/** LIMIT: `managedFields[].time` is a metav1.Time, which is stored in whole seconds, rounded down. */
export const stampResolutionMs = 1000;

/** When something was of which a stamp, or a `Date` header, tells the second: both are rounded down. */
export function secondOf(stamp: number): Interval {
  return { min: stamp, max: stamp + stampResolutionMs };
}
