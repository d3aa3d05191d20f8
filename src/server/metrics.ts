/**
 * What lockwarden tells Prometheus. Names, labels and their values are stable across versions; base units; every label
 * has a closed set of values, so that no lock, namespace or requester can make the number of series grow.
 */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { Clock } from '../clock.ts';
import type { LockKind } from '../core/lock.ts';
import type { Reason } from '../core/reasons.ts';
import type { MonotonicMs } from '../core/time.ts';

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
  follow(kind: LockKind, lastEventAt: () => MonotonicMs | null): void;
}

/** All metrics of a process, on a registry of their own. */
export interface Metrics {
  readonly registry: Registry;
  readonly edge: EdgeMetrics;
  readonly watch: WatchMetrics;
  readonly trackedLocks: Gauge<'kind'>;
  /** Set to the width of the interval in which the API server's present time is known to lie, in seconds. */
  readonly serverClockWidthSeconds: Gauge;
  /** Log lines that could not be written. */
  readonly logLinesDropped: Counter;
  /** Counts one decision: `reason` is the first violation's, `None` where there is none. */
  countDecision(kind: LockKind | 'Other', outcome: 'Allow' | 'Warn' | 'Deny', reason: Reason | 'None'): void;
}

/**
 * LIMIT: from a tenth of a millisecond, which a plain decision takes, to the longest time that lockwarden asks an API
 * server to wait (`timeoutSeconds: 2`).
 */
const durationBuckets = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2,
];

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
  const decisions = new Counter({
    name: 'lockwarden_admission_decisions_total',
    help: 'Decisions about lock writes, by kind of lock, outcome (Allow, Warn, Deny) and reason.',
    labelNames: ['kind', 'outcome', 'reason'] as const,
    registers,
  });
  return {
    registry,
    edge: createEdgeMetrics(registry),
    watch: createWatchMetrics(registry, clock),
    trackedLocks: new Gauge({
      name: 'lockwarden_tracked_locks',
      help: 'Locks of which this replica holds observations.',
      labelNames: ['kind'] as const,
      registers,
    }),
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
    countDecision: (kind, outcome, reason) => {
      decisions.inc({ kind, outcome, reason });
    },
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
    unjudged: new Counter({
      name: 'lockwarden_admission_unjudged_total',
      help: 'Reviews that were let pass because judging them failed or took too long.',
      labelNames: ['cause'] as const,
      registers,
    }),
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

function createWatchMetrics(registry: Registry, clock: Clock): WatchMetrics {
  const registers = [registry];
  const lastEvents = new Map<LockKind, () => MonotonicMs | null>();
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
