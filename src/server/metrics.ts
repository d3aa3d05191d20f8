/**
 * What lockwarden tells Prometheus. Names, labels and their values are stable across versions; base units; every label
 * has a closed set of values, so that no lock, namespace or requester can make the number of series grow.
 */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { Clock } from '../clock.ts';
import type { MonotonicMs } from '../core/time.ts';
import { createDecisionMetrics, type DecisionMetrics } from './decision-metrics.ts';
import { createLockMetrics, type LockMetrics } from './lock-metrics.ts';
import { createReadApiMetrics, type ReadApiMetrics } from './read-api-metrics.ts';
import { createReplicaMetrics, type ReplicaMetrics } from './replica-metrics.ts';

/** Why a request was not a review that could be judged. */
export type MalformedCause =
  'method' | 'path' | 'contentType' | 'review' | 'size' | 'slow' | 'overload' | 'gone' | 'http';

/** What the HTTPS edge counts. */
export interface EdgeMetrics {
  readonly inFlight: Gauge;
  readonly durationSeconds: Histogram;
  readonly malformed: Counter<'cause'>;
  readonly unjudged: Counter<'cause'>;
  readonly handshakeFailures: Counter;
  readonly connectionsRefused: Counter;
}

/** What the watch on locks tells. */
export interface WatchMetrics {
  readonly connected: Gauge<'kind'>;
  readonly restarts: Counter<'kind'>;
  /** Says where to look up, at each scrape, when the watch on `kind` last delivered something (null: never yet). */
  follow(kind: string, lastEventAt: () => MonotonicMs | null): void;
}

/** What the canary tells. */
export interface CanaryMetrics {
  /** 1 while the last attempt was refused as it must be. */
  readonly proven: Gauge;
  /** By outcome: `proven`, or the cause for which it was not. */
  readonly attempts: Counter<'outcome'>;
  readonly durationSeconds: Histogram;
  /** Attempts on the canary that this replica was asked about, by whichever replica they were made. */
  readonly reviews: Counter<'outcome'>;
  /** Says where to look up, at each scrape, when the last proof was obtained (null: never yet). */
  follow(lastProofAt: () => MonotonicMs | null): void;
}

/** What is told of the guard Lease. */
export interface GuardLeaseMetrics {
  readonly renewals: Counter;
  readonly failures: Counter;
}

/** Why a fact was not shared. */
export type FactDropCause = 'size' | 'queue' | 'room' | 'refused' | 'unavailable' | 'stopped';

/** What replicas tell one another. */
export interface SharedFactsMetrics {
  readonly published: Counter;
  readonly received: Counter;
  readonly dropped: Counter<'cause'>;
  readonly writes: Counter;
  readonly writeFailures: Counter;
  readonly bytesWritten: Counter;
  readonly windowSeconds: Histogram;
}

/** All metrics of a process, on a registry of their own. */
export interface Metrics {
  readonly registry: Registry;
  readonly edge: EdgeMetrics;
  readonly watch: WatchMetrics;
  readonly canary: CanaryMetrics;
  readonly guardLease: GuardLeaseMetrics;
  readonly replica: ReplicaMetrics;
  readonly sharedFacts: SharedFactsMetrics;
  readonly decisions: DecisionMetrics;
  readonly readApi: ReadApiMetrics;
  readonly locks: LockMetrics;
  /** Set to the width of the interval in which the API server's present time is known to lie, in seconds. */
  readonly serverClockWidthSeconds: Gauge;
  /** Log lines that could not be written. */
  readonly logLinesDropped: Counter;
  /** Happenings that no Event tells of. */
  readonly eventsDropped: Counter<'cause'>;
  /** Violations and changes of holder that only the other metrics tell of. */
  readonly reviewsDropped: Counter<'record'>;
  /** Says where to look up, at each scrape, whether this replica is ready. */
  followReadiness(isReady: () => boolean): void;
}

/**
 * LIMIT: from a tenth of a millisecond, which a plain decision takes, to the longest time that lockwarden asks an API
 * server to wait (`timeoutSeconds: 2`).
 */
const durationBuckets = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2,
];

/** LIMIT: from what one write and its event take to what a storm of changes may make of it. */
const windowBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/**
 * Creates the metrics.
 *
 * @param processMetrics whether to add prom-client's own about process, event loop and garbage collection; they cannot
 *   be taken back, so a process asks for them once
 */
export function createMetrics(
  clock: Clock,
  { processMetrics }: { readonly processMetrics: boolean },
): Metrics {
  const registry = new Registry();
  if (processMetrics) collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    edge: createEdgeMetrics(registry),
    watch: createWatchMetrics(registry, clock),
    canary: createCanaryMetrics(registry, clock),
    guardLease: createGuardLeaseMetrics(registry),
    replica: createReplicaMetrics(registry),
    sharedFacts: createSharedFactsMetrics(registry),
    decisions: createDecisionMetrics(registry),
    readApi: createReadApiMetrics(registry),
    locks: createLockMetrics(registry),
    serverClockWidthSeconds: new Gauge({
      name: 'lockwarden_server_clock_width_seconds',
      help: "Width of the interval in which the API server's present time is known to lie.",
      registers,
    }),
    logLinesDropped: new Counter({
      name: 'lockwarden_log_lines_dropped_total',
      help: 'Log lines that could not be written.',
      registers,
    }),
    eventsDropped: createEventsDropped(registry),
    reviewsDropped: createReviewsDropped(registry),
    followReadiness: createReadinessMetric(registry),
  };
}

function createEventsDropped(registry: Registry): Counter<'cause'> {
  const dropped = new Counter({
    name: 'lockwarden_events_dropped_total',
    help: 'Happenings that no Event tells of, by cause: no room to keep them, or the API server did not take them.',
    labelNames: ['cause'] as const,
    registers: [registry],
  });
  for (const cause of ['noRoom', 'notWritten']) dropped.inc({ cause }, 0);
  return dropped;
}

function createReviewsDropped(registry: Registry): Counter<'record'> {
  const dropped = new Counter({
    name: 'lockwarden_reviews_dropped_total',
    help: 'Violations and changes of holder that neither log nor Event tells of, since there were too many, by record.',
    labelNames: ['record'] as const,
    registers: [registry],
  });
  for (const record of ['violation', 'change']) dropped.inc({ record }, 0);
  return dropped;
}

function createReadinessMetric(registry: Registry): Metrics['followReadiness'] {
  let isReady = (): boolean => false;
  const gauge: Gauge = new Gauge({
    name: 'lockwarden_ready',
    help: 'Whether this replica may be asked (1) or not (0); /readyz?verbose says why not.',
    registers: [registry],
    collect: () => {
      gauge.set(isReady() ? 1 : 0);
    },
  });
  return (followed) => {
    isReady = followed;
  };
}

function createEdgeMetrics(registry: Registry): EdgeMetrics {
  const registers = [registry];
  return {
    inFlight: new Gauge({
      name: 'lockwarden_admission_requests_in_flight',
      help: 'Admission requests that are being read or judged.',
      registers,
    }),
    durationSeconds: new Histogram({
      name: 'lockwarden_admission_duration_seconds',
      help: 'Time from the headers of an admission request to its answer.',
      buckets: durationBuckets,
      registers,
    }),
    malformed: new Counter({
      name: 'lockwarden_admission_malformed_total',
      help: 'Requests that were not a review which could be judged, by cause.',
      labelNames: ['cause'] as const,
      registers,
    }),
    unjudged: createUnjudged(registry),
    handshakeFailures: new Counter({
      name: 'lockwarden_tls_handshake_failures_total',
      help: 'TLS handshakes that did not complete.',
      registers,
    }),
    connectionsRefused: new Counter({
      name: 'lockwarden_connections_refused_total',
      help: 'Connections refused because too many were open.',
      registers,
    }),
  };
}

function createUnjudged(registry: Registry): Counter<'cause'> {
  const unjudged = new Counter({
    name: 'lockwarden_admission_unjudged_total',
    help: 'Reviews that were let pass because judging them failed or took too long.',
    labelNames: ['cause'] as const,
    registers: [registry],
  });
  // So that the first is an increase.
  for (const cause of ['failed', 'late']) unjudged.inc({ cause }, 0);
  return unjudged;
}

function createWatchMetrics(registry: Registry, clock: Clock): WatchMetrics {
  const registers = [registry];
  const lastEvents = new Map<string, () => MonotonicMs | null>();
  const age = new Gauge({
    name: 'lockwarden_watch_last_event_age_seconds',
    help: 'Time since the watch last delivered anything, bookmarks included, by kind of lock.',
    labelNames: ['kind'] as const,
    registers,
    // NB: an age and not a time of day, because this machine's wall clock is nothing to go by.
    collect: () => {
      const nowMs = clock.monotonicMs();
      for (const [kind, lastEventAt] of lastEvents) {
        const atMs = lastEventAt();
        if (atMs !== null) age.set({ kind }, (nowMs - atMs) / 1000);
      }
    },
  });
  return {
    connected: new Gauge({
      name: 'lockwarden_watch_connected',
      help: 'Whether the watch is connected (1) or not (0), by kind of lock.',
      labelNames: ['kind'] as const,
      registers,
    }),
    restarts: new Counter({
      name: 'lockwarden_watch_restarts_total',
      help: 'How often the watch was started anew, by kind of lock.',
      labelNames: ['kind'] as const,
      registers,
    }),
    follow: (kind, lastEventAt) => {
      lastEvents.set(kind, lastEventAt);
    },
  };
}

function createCanaryMetrics(registry: Registry, clock: Clock): CanaryMetrics {
  const registers = [registry];
  let proofAt = (): MonotonicMs | null => null;
  const age = new Gauge({
    name: 'lockwarden_canary_last_proof_age_seconds',
    help: 'Time since the API server last refused an attempt on the canary as it must.',
    registers,
    collect: () => {
      const atMs = proofAt();
      // Or it would be 0, as if it had just been proven.
      if (atMs === null) age.remove();
      else age.set((clock.monotonicMs() - atMs) / 1000);
    },
  });
  return {
    proven: new Gauge({
      name: 'lockwarden_canary_proven',
      help: 'Whether the last attempt on the canary was refused as it must be (1) or not (0).',
      registers,
    }),
    attempts: new Counter({
      name: 'lockwarden_canary_attempts_total',
      help: 'Attempts on the canary, by outcome: proven, or the cause for which it was not.',
      labelNames: ['outcome'] as const,
      registers,
    }),
    durationSeconds: new Histogram({
      name: 'lockwarden_canary_duration_seconds',
      help: 'Time from an attempt on the canary to its refusal.',
      buckets: durationBuckets,
      registers,
    }),
    reviews: new Counter({
      name: 'lockwarden_canary_reviews_total',
      help: 'Attempts on the canary, by any replica, that this replica was asked about, by outcome (Deny, Allow).',
      labelNames: ['outcome'] as const,
      registers,
    }),
    follow: (lastProofAt) => {
      proofAt = lastProofAt;
    },
  };
}

function createGuardLeaseMetrics(registry: Registry): GuardLeaseMetrics {
  const registers = [registry];
  return {
    renewals: new Counter({
      name: 'lockwarden_guard_lease_renewals_total',
      help: 'Renewals of the guard Lease by this replica, each on a proof that the API server asks.',
      registers,
    }),
    failures: new Counter({
      name: 'lockwarden_guard_lease_failures_total',
      help: 'Attempts of this replica to keep the guard Lease that failed; each is tried again.',
      registers,
    }),
  };
}

function createSharedFactsMetrics(registry: Registry): SharedFactsMetrics {
  const registers = [registry];
  return {
    published: new Counter({
      name: 'lockwarden_shared_facts_published_total',
      help: 'Changes of holder and deletions, judged by this replica, that the others were to be told of.',
      registers,
    }),
    received: new Counter({
      name: 'lockwarden_shared_facts_received_total',
      help: 'Locks of which other replicas, or an earlier life of this one, have told something.',
      registers,
    }),
    dropped: new Counter({
      name: 'lockwarden_shared_facts_dropped_total',
      help: 'Facts that the others were not told of, by cause.',
      labelNames: ['cause'] as const,
      registers,
    }),
    writes: new Counter({
      name: 'lockwarden_shared_facts_writes_total',
      help: 'ConfigMaps of shared facts written.',
      registers,
    }),
    writeFailures: new Counter({
      name: 'lockwarden_shared_facts_write_failures_total',
      help: 'Attempts to write shared facts that failed, lost races between replicas included.',
      registers,
    }),
    bytesWritten: new Counter({
      name: 'lockwarden_shared_facts_written_bytes_total',
      help: 'Size of the shared facts written.',
      registers,
    }),
    windowSeconds: new Histogram({
      name: 'lockwarden_shared_facts_window_seconds',
      help: "Time from a fact's confirmation until this replica's watch shows it stored, as the others' then do.",
      buckets: windowBuckets,
      registers,
    }),
  };
}
