/**
 * What the leader does, for one term: looks after certificates step by step, and has the webhook configuration carry the
 * bundle that each step needs. Steps come from the facts of the moment, so a leader that dies at any of them leaves
 * nothing that the next one would have to be told.
 */
import { NotLeading } from '../election/elector.ts';
import { messageOf } from '../errors.ts';
import { Backoff } from '../kube/backoff.ts';
import { KubeError } from '../kube/errors.ts';
import { timerSleep, type Logger, type Sleep } from '../kube/ports.ts';
import { ConfigurationMissing } from '../kube/webhook-registration.ts';
import type { Registrar } from './registrar.ts';

/** A leadership, as far as its duties are concerned. */
export interface Term {
  /** Aborted when it ends. */
  readonly signal: AbortSignal;
  /** Grows from term to term. */
  readonly fence: number;
  /** Throws unless there is time left to finish a write. */
  guard(): void;
  /** For how long it is certain from now, in milliseconds: a write may take no longer. */
  remainingMs(): number;
}

/** Looks after certificates. */
export interface Steward {
  /**
   * Does what is due now, and tells `publish` which bundle (PEM text) the configuration is to carry.
   *
   * @returns whether another step is due at once
   * @throws KubeError, or what `term.guard` throws
   */
  step(term: Term, publish: (caBundle: string) => Promise<void>): Promise<boolean>;
  /** Something has changed outside. */
  notice(): void;
}

/** What else a leader does, term after term. */
export interface Errand {
  /** Goes on until the term ends, and never rejects. */
  run(term: Term): Promise<void>;
  /** Something has changed: look now. */
  wake(): void;
}

/** What duties need. */
export interface DutiesOptions {
  /** Made anew for each term, so that no term goes by what another has read. */
  readonly steward: Steward;
  readonly registrar: Registrar;
  /** Whether this replica can answer calls, so that it makes sense to be called. */
  readonly mayRegister: () => boolean;
  readonly onFailure: () => void;
  /** Told why the configuration could not be written. */
  readonly onUnregistered: (reason: string) => void;
  readonly logger: Logger;
  readonly sleep?: Sleep;
  /** Longest pause between two looks, unless one has failed. */
  readonly tickMs?: number;
}

/** LIMIT: what is due by the clock is due within days; with lifetimes of seconds, as in tests, a second is still short. */
const tickMsDefault = 1_000;
/**
 * LIMIT: a failure that lasts is looked at as often as an operator who mends it would like to see it gone. What the API server
 * itself asks for may be longer.
 */
const backoffCapMs = 3_000;

/** The duties of one term. */
export class Duties {
  readonly #options: DutiesOptions;
  readonly #backoff = new Backoff({ baseMs: 200, capMs: backoffCapMs });
  #awake = new AbortController();

  constructor(options: DutiesOptions) {
    this.#options = options;
  }

  /** Something has changed: look now. */
  wake(): void {
    this.#options.steward.notice();
    this.#awake.abort();
  }

  /** Goes on until the term ends, and never rejects. */
  async run(term: Term): Promise<void> {
    const { sleep = timerSleep, tickMs = tickMsDefault, registrar } = this.#options;
    while (!term.signal.aborted) {
      // INVARIANT: a new controller before the look, so that no change falls between looking and sleeping.
      this.#awake = new AbortController();
      const next = await this.#once(term);
      if (next === 'idle') await sleep(tickMs, AbortSignal.any([this.#awake.signal, term.signal]));
      // Whatever has changed meanwhile waits too: an API server that is in trouble has much to tell, and is asked no sooner for it.
      else if (next !== 'more') await sleep(next.retryInMs, term.signal);
    }
    await registrar.stop();
  }

  async #once(term: Term): Promise<'more' | 'idle' | { readonly retryInMs: number }> {
    const { steward, registrar, mayRegister, onUnregistered } = this.#options;
    let message = 'a step of the leader failed';
    const publish = async (caBundle: string): Promise<void> => {
      if (!mayRegister()) return;
      try {
        await registrar.publish(caBundle);
      } catch (error) {
        message = 'webhook not registered';
        if (!isCalledOff(error)) onUnregistered(messageOf(error));
        // It has been told; all else goes on, and the watch wakes whoever waits for it.
        if (error instanceof ConfigurationMissing) return;
        throw error;
      }
    };
    try {
      const more = await steward.step(term, publish);
      this.#backoff.reset();
      return more ? 'more' : 'idle';
    } catch (error) {
      if (term.signal.aborted || isCalledOff(error)) return 'idle';
      return { retryInMs: this.#failed(error, message) };
    }
  }

  /** Tells of it. @returns when to look again, in milliseconds */
  #failed(error: unknown, message: string): number {
    const { onFailure, logger } = this.#options;
    const retryInMs = this.#backoff.nextMs(error instanceof KubeError ? error.retryAfterMs : 0);
    // A defect keeps its stack; whatever fails, the next look begins anew.
    const defect = error instanceof KubeError || error instanceof NotLeading ? {} : { err: error };
    logger.warn({ reason: messageOf(error), ...defect, retryInMs }, message);
    onFailure();
    return retryInMs;
  }
}

function isCalledOff(error: unknown): boolean {
  return error instanceof KubeError && error.kind === 'aborted';
}
