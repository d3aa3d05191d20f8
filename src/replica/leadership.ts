/**
 * Stands for election, again and again, for as long as the replica lives: losing the lease ends a term and its duties,
 * and nothing else, because a replica that does not lead serves all the same.
 */
import type { KubeConfig } from '@kubernetes/client-node';
import type { Clock } from '../clock.ts';
import {
  Elector,
  leaseLock,
  type ElectionEvent,
  type ElectionMetrics,
  type Term,
} from '../election/elector.ts';
import { Backoff } from '../kube/backoff.ts';
import { timerSleep, type Logger, type Sleep } from '../kube/ports.ts';

/** Name of the election, and of its Lease in lockwarden's namespace. */
export const electionName = 'lockwarden';

/** What a leadership needs. Times in milliseconds, with client-go's meaning. */
export interface LeadershipOptions {
  readonly kubeconfig: KubeConfig;
  readonly namespace: string;
  /** Unique among all processes there ever were. */
  readonly identity: string;
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
  /** The duties: begin with the term, end with its signal. */
  readonly onTerm: (term: Term) => Promise<void>;
  readonly onLeader: (identity: string | null) => void;
  readonly metrics: ElectionMetrics;
  readonly recordEvent: (event: ElectionEvent) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly sleep?: Sleep;
}

/** LIMIT: as long as the usual pause between two attempts to acquire, so that a lost lease is stood for again at once. */
const restMs = 2_000;

/** The leadership of one replica. */
export class Leadership {
  readonly #options: LeadershipOptions;
  readonly #stopping = new AbortController();
  #elector: Elector | null = null;
  #running: Promise<void> | null = null;

  constructor(options: LeadershipOptions) {
    this.#options = options;
  }

  /** Whether this replica leads now. */
  get leads(): boolean {
    return this.#elector?.isLeader ?? false;
  }

  start(): void {
    this.#running ??= this.#run(this.#stopping.signal);
  }

  /** Ends the term in good order and gives the lease back. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { sleep = timerSleep, logger } = this.#options;
    const backoff = new Backoff({ baseMs: restMs });
    while (!signal.aborted) {
      try {
        this.#elector = this.#stand();
        if ((await this.#elector.run(signal)) === 'lost') backoff.reset();
      } catch (error) {
        logger.error({ err: error }, 'election failed');
      }
      await sleep(backoff.nextMs(), signal);
    }
  }

  #stand(): Elector {
    const { kubeconfig: api, namespace, identity, onTerm, onLeader, clock, logger } = this.#options;
    const { leaseDurationMs, renewDeadlineMs, retryPeriodMs, metrics, recordEvent } = this.#options;
    return new Elector({
      lock: leaseLock({ api, namespace, name: electionName, identity, userAgent: 'lockwarden' }),
      leaseDurationMs,
      renewDeadlineMs,
      retryPeriodMs,
      onStartedLeading: onTerm,
      onStoppedLeading: () => undefined,
      onNewLeader: onLeader,
      onError: (error) => {
        logger.error({ err: error }, 'election callback failed');
      },
      metrics,
      recordEvent,
      clock,
      log: logger,
    });
  }
}
