/** What a replica tells of the locks that it sees: how many, never which. */
import { Gauge, Histogram, type Registry } from 'prom-client';
import { lockKinds, type LockKind } from '../core/lock.ts';

/** Where to look up, at each scrape, what is to be told. */
export interface LockCounts {
  /** Locks that somebody holds. */
  held(kind: LockKind): number;
  /** Different identities that hold them. */
  holders(kind: LockKind): number;
  flapping(kind: LockKind): number;
}

/** Metrics of locks. */
export interface LockMetrics {
  readonly tracked: Gauge<'kind'>;
  /** How much later than it was stored a write was seen, at least, in seconds. */
  readonly watchLagSeconds: Histogram<'kind'>;
  follow(counts: LockCounts): void;
}

/**
 * LIMIT: from what says that nothing lags to a lease of common length (15 s) and twice that: a watch that is behind by a lease has a
 * replica believe that a holder is gone.
 */
const lagBuckets = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60];

/** Creates the metrics on `registry`. */
export function createLockMetrics(registry: Registry): LockMetrics {
  const registers = [registry];
  const labelNames = ['kind'] as const;
  let counts: LockCounts | null = null;
  const counted = (
    name: string,
    help: string,
    count: (counts: LockCounts, kind: LockKind) => number,
  ): void => {
    const gauge = new Gauge<'kind'>({
      ...{ name, help, labelNames, registers },
      collect: () => {
        if (counts === null) return;
        for (const kind of lockKinds) gauge.set({ kind }, count(counts, kind));
      },
    });
  };
  counted('lockwarden_held_locks', 'Locks that somebody holds.', (now, kind) => now.held(kind));
  counted('lockwarden_lock_holders', 'Different identities that hold locks.', (now, kind) =>
    now.holders(kind),
  );
  counted(
    'lockwarden_flapping_locks',
    'Locks that were seen to change hands four times or more within the last ten minutes.',
    (now, kind) => now.flapping(kind),
  );
  return {
    tracked: new Gauge({
      name: 'lockwarden_tracked_locks',
      help: 'Locks of which this replica holds observations.',
      labelNames,
      registers,
    }),
    watchLagSeconds: new Histogram({
      name: 'lockwarden_watch_lag_seconds',
      help: "How much later than it was stored a write was seen on the watch, at least, by the API server's stamps.",
      labelNames,
      buckets: lagBuckets,
      registers,
    }),
    follow: (followed) => {
      counts = followed;
    },
  };
}
