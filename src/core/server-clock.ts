/**
 * The API server's clock, as one replica can know it: an interval for its offset from the monotonic clock.
 *
 * A response's `Date` header bounds the offset on both sides, by the moments of sending and receiving; the latest few
 * are intersected. Stamps found in objects would bound it too, but whoever may write an object has a hand in those.
 * API servers whose clocks disagree make samples contradict each other a little: then their hull counts. A sample that
 * contradicts them by more than any such skew means that the monotonic clock stood still (a suspended machine) or that
 * the server's clock was stepped: everything measured before that moment is void, and `steppedAt` says so.
 */
import {
  hull,
  intersect,
  stampResolutionMs,
  type Interval,
  type MonotonicMs,
  type ServerMs,
} from './time.ts';

/** LIMIT: eight samples at one every ten seconds: a drift of 100 ppm moves the clocks by 8 ms in that time. */
const samplesMax = 8;
/** LIMIT: API servers of one cluster share an etcd, whose leases already require clocks within seconds of each other. */
const skewMaxMs = 5000;

/** What is known, as an immutable value. */
export interface ServerClock {
  /** Offsets (server minus monotonic, in milliseconds), oldest first. */
  readonly samples: readonly Interval[];
  /** When the last step was noticed, or null. Nothing measured on the monotonic clock before it is comparable. */
  readonly steppedAt: MonotonicMs | null;
}

/** The clock of a replica that has heard nothing yet. */
export const unknownClock: ServerClock = { samples: [], steppedAt: null };

/** Takes in a response's `Date` header (whole seconds), sent for and received at the given moments. */
export function sampleDate(
  clock: ServerClock,
  sentAt: MonotonicMs,
  receivedAt: MonotonicMs,
  date: ServerMs,
): ServerClock {
  const sample = { min: date - receivedAt, max: date + stampResolutionMs - sentAt };
  const known = offsetOf(clock);
  if (known !== null && apart(known, sample) > skewMaxMs) {
    return { samples: [sample], steppedAt: receivedAt };
  }
  return { ...clock, samples: [...clock.samples, sample].slice(-samplesMax) };
}

/** Bounds on the API server's time at `at`, in Unix milliseconds, or null before the first two-sided sample. */
export function serverTimeAt(clock: ServerClock, at: MonotonicMs): Interval | null {
  const offset = offsetOf(clock);
  return offset === null ? null : { min: at + offset.min, max: at + offset.max };
}

function offsetOf(clock: ServerClock): Interval | null {
  const [first, ...rest] = clock.samples;
  if (first === undefined) return null;
  let narrowed: Interval | null = first;
  for (const sample of rest) narrowed = narrowed === null ? null : intersect(narrowed, sample);
  return narrowed ?? clock.samples.reduce(hull);
}

function apart(a: Interval, b: Interval): number {
  return Math.max(a.min - b.max, b.min - a.max, 0);
}
