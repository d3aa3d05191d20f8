/** What an elector is made of: what it calls, and what it goes by where nothing is said. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import type { Logger, Sleep } from '../kube/ports.ts';
import type { ElectionLock } from './lease-lock.ts';
import type { Term } from './term.ts';
import type { Timing } from './timing.ts';

/** Numbers in client-go's manner: gauges and counters of the names given, with the election's name as label. */
export interface ElectionMetrics {
  /** `leader_election_master_status{name}` becomes 1. */
  leaderOn(name: string): void;
  /** `leader_election_master_status{name}` becomes 0; also once at the beginning. */
  leaderOff(name: string): void;
  /** `leader_election_slowpath_total{name}`: a renewal had to read the Lease first. */
  slowpathExercised(name: string): void;
}

/** What belongs into an Event on the Lease, of type Normal and reason `LeaderElection`, as client-go records it. */
export interface ElectionEvent {
  readonly type: 'Normal';
  readonly reason: 'LeaderElection';
  /** `<identity> became leader`, `<identity> stopped leading`. */
  readonly message: string;
  /** `involvedObject` of the Event. */
  readonly regarding: {
    readonly apiVersion: 'coordination.k8s.io/v1';
    readonly kind: 'Lease';
    readonly namespace: string;
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
  };
}

/** How an election ended: told to, the lease was lost, or a callback threw. */
export type ElectionEnd = 'stopped' | 'lost' | 'failed';

/**
 * What an elector needs. Callbacks may be asynchronous. One that throws is told to `onError`, and the candidacy, or
 * leadership, is given up in good order.
 */
export interface ElectorOptions extends Partial<Timing> {
  readonly lock: ElectionLock;
  /**
   * The work that the lease guards. It begins when leadership does, and should end soon after `term.signal` aborts: the
   * lease is given back only then. When it returns by itself, leadership goes on.
   */
  readonly onStartedLeading: (term: Term) => unknown;
  /** Always called once, when that work is over, also where there never was any; the lease is given back after it. */
  readonly onStoppedLeading: () => unknown;
  /** Called when another identity leads than was last known, this one's included; null: nobody. */
  readonly onNewLeader?: (identity: string | null) => unknown;
  /** Told what callbacks and ports threw. Default: a line in the log. */
  readonly onError?: (error: unknown) => void;
  /** Whether to give the lease back at the end, so that others need not wait for it to run out. Default: true. */
  readonly releaseOnStop?: boolean;
  /** For metrics and health. Default: the name of the lock. */
  readonly name?: string;
  readonly metrics?: ElectionMetrics;
  /** Records an Event. It is not waited for. */
  readonly recordEvent?: (event: ElectionEvent) => unknown;
  /** Default: warnings and errors become process warnings. */
  readonly log?: Logger;
  readonly clock?: Clock;
  /** NB: one that does not keep the process alive lets a program end that waits for nothing else. */
  readonly sleep?: Sleep;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

/** Says nothing but what is wrong. */
export const processLog: Logger = {
  info: () => undefined,
  warn: (fields, message) => {
    process.emitWarning(`${message}: ${JSON.stringify(fields)}`, 'ElectionWarning');
  },
  error: (fields, message) => {
    process.emitWarning(`${message}: ${JSON.stringify(fields)}`, 'ElectionWarning');
  },
};

/** LIMIT: Node's timers take 31 bits of milliseconds and fire at once beyond; coming back early is harmless. */
const sleepMaxMs = 2 ** 31 - 1;

/** Sleeps on a timer that keeps the process alive: an election that is waited for must not end it. */
export const timerSleep: Sleep = async (ms, signal) => {
  try {
    await delay(Math.min(ms, sleepMaxMs), undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
};

/** The durations that are given: one that is there and undefined is not. */
export function durationsIn({
  leaseDurationMs,
  renewDeadlineMs,
  retryPeriodMs,
}: Partial<Timing>): Partial<Timing> {
  return {
    ...(leaseDurationMs !== undefined && { leaseDurationMs }),
    ...(renewDeadlineMs !== undefined && { renewDeadlineMs }),
    ...(retryPeriodMs !== undefined && { retryPeriodMs }),
  };
}
