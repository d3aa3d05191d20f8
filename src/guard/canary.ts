/**
 * lockwarden's proof to itself that the API server asks it: every few seconds it tries to steal a lock of its own, through the API server and
 * in a dry run, and must be refused. So the webhook configuration, its bundle, the Service, the network between and the certificate are
 * known to be in effect, and when they are not, it is known why.
 *
 * Every replica does it for itself: each has its own connection to an API server, and none has to wait for another to lead.
 */
import { serverMs, type MonotonicMs, type ServerMs } from '../core/time.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { timerSleep, type Logger, type MonotonicClock, type Sleep } from '../kube/ports.ts';
import { CanaryLease, type CanaryReading } from './canary-lease.ts';
import { outcomeOfFailure, outcomeOfPass, remedies, type CanaryOutcome } from './canary-outcome.ts';
import { afterAttempt, canaryBegun, type CanaryState, type CanaryTale } from './canary-state.ts';

/**
 * A proof: at some moment after `serverAt` the API server asked lockwarden and passed its refusal on. Both instants are of before the
 * attempt was sent, so neither is ever later than what it proves; `serverAt` is the API server's time, in whole seconds, rounded down.
 */
export interface CanaryProof {
  readonly serverAt: ServerMs;
  readonly sentAt: MonotonicMs;
}

/** What a canary needs. */
export interface CanaryOptions {
  readonly client: KubeClient;
  /** lockwarden's own. */
  readonly namespace: string;
  readonly clock: MonotonicClock;
  readonly logger: Logger;
  readonly sleep?: Sleep;
  /** From one attempt to the next. Default: `intervalMsDefault`. */
  readonly intervalMs?: number;
  /** Told of each attempt; `durationMs` from its sending to its answer. */
  readonly onAttempt: (outcome: CanaryOutcome, durationMs: number) => void;
  /** Told of each proof, for what hangs on it. */
  readonly onProof?: (proof: CanaryProof) => void;
  /** Has the registration looked at and put back: called when it may be what keeps the API server from asking. */
  readonly mend: () => void;
}

/**
 * LIMIT: what breaks is to be found within ten seconds. At worst it breaks right after a proof: then three seconds pass, the Lease is
 * read, and the attempt is given up after three.
 */
const intervalMsDefault = 3_000;
/** LIMIT: who mends something should see it soon; an attempt that fails costs the API server no more than one that does not. */
const retryMs = 1_000;
/** LIMIT: the API server itself waits two seconds for the webhook, and must then have time to say so. */
const timeoutMs = 3_000;
/** LIMIT: a conflict means that another replica has written the Lease, once in half an hour. */
const conflictsMax = 2;

/** The canary of one replica. */
export class Canary {
  readonly #options: CanaryOptions;
  readonly #lease: CanaryLease;
  readonly #stopping = new AbortController();
  #state: CanaryState;
  #lastProof: CanaryProof | null = null;
  #running: Promise<void> | null = null;

  constructor(options: CanaryOptions) {
    this.#options = options;
    this.#lease = new CanaryLease(options.client, options.namespace, timeoutMs);
    this.#state = canaryBegun(options.clock.monotonicMs());
  }

  /** What is known so far. */
  get state(): CanaryState {
    return this.#state;
  }

  /** The last proof, or null when there never was one. */
  get lastProof(): CanaryProof | null {
    return this.#lastProof;
  }

  /** Begins with an attempt at once. */
  start(): void {
    if (this.#running !== null) return;
    this.#state = canaryBegun(this.#options.clock.monotonicMs());
    this.#running = this.#run(this.#stopping.signal);
  }

  /** Ends; nobody is told anything once it has resolved. The Lease stays: it is nobody's, and harms nobody. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { sleep = timerSleep, intervalMs = intervalMsDefault } = this.#options;
    while (!signal.aborted) {
      const outcome = await this.#attempt(signal);
      if (outcome === null) return;
      await sleep(outcome.kind === 'proven' ? intervalMs : Math.min(retryMs, intervalMs), signal);
    }
  }

  /** One attempt and what follows from it; null when it was called off. */
  async #attempt(signal: AbortSignal): Promise<CanaryOutcome | null> {
    const { clock, onAttempt, onProof, mend } = this.#options;
    const { outcome, reading, sentAt } = await this.#ask(signal);
    if (signal.aborted) return null;
    const now = clock.monotonicMs();
    onAttempt(outcome, now - sentAt);
    const { state, tale } = afterAttempt(this.#state, outcome, now);
    this.#state = state;
    if (tale !== null) this.#tell(tale);
    if (outcome.kind === 'proven' && reading !== null) {
      this.#lastProof = { serverAt: serverMs(reading.serverMs), sentAt };
      onProof?.(this.#lastProof);
    }
    if (outcome.kind === 'unproven' && (outcome.cause === 'allowed' || outcome.cause === 'untrusted')) mend();
    return outcome;
  }

  async #ask(signal: AbortSignal): Promise<{
    readonly outcome: CanaryOutcome;
    readonly reading: CanaryReading | null;
    readonly sentAt: MonotonicMs;
  }> {
    const { clock } = this.#options;
    for (let conflicts = 0; ; conflicts += 1) {
      let reading: CanaryReading | null = null;
      let sentAt = clock.monotonicMs();
      try {
        reading = await this.#lease.keep(signal);
        sentAt = clock.monotonicMs();
        return { outcome: outcomeOfPass(await this.#lease.attempt(reading, signal)), reading, sentAt };
      } catch (error) {
        if (!(error instanceof KubeError)) throw error;
        if (racedKinds.includes(error.kind) && conflicts < conflictsMax) continue;
        return { outcome: outcomeOfFailure(error), reading, sentAt };
      }
    }
  }

  #tell(tale: CanaryTale): void {
    const { logger } = this.#options;
    if (tale.kind === 'proven') {
      const { unprovenForMs } = tale;
      logger.info(
        unprovenForMs === null ? {} : { unprovenForMs: Math.round(unprovenForMs) },
        'canary proven',
      );
      return;
    }
    const { cause, detail } = tale;
    const fields = { cause, remedy: remedies[cause], detail };
    // Where no attempt could be made, lockwarden may well be asked.
    if (cause === 'unreachable' || cause === 'notPossible') logger.warn(fields, 'canary not proven');
    else logger.error(fields, 'canary not proven');
  }
}

const racedKinds: readonly KubeError['kind'][] = ['conflict', 'already-exists', 'not-found'];
