/** Delays between attempts that fail. */

/** Bounds of a back-off, and where its randomness comes from. */
export interface BackoffOptions {
  /** The longest first delay, in milliseconds. */
  readonly baseMs?: number;
  /** No delay is longer. */
  readonly capMs?: number;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

/** LIMIT: shorter than a person notices, long enough that a refused connection does not spin. */
const baseMsDefault = 500;
/** LIMIT: an API server that returns after an outage is noticed within half of the usual lease (15 s). */
const capMsDefault = 10_000;

/**
 * Exponential back-off with a cap. Each delay is drawn from the upper half of its step, so replicas that lost the same
 * API server do not return to it at once, and none returns immediately.
 */
export class Backoff {
  readonly #baseMs: number;
  readonly #capMs: number;
  readonly #random: () => number;
  #attempts = 0;

  constructor(options: BackoffOptions = {}) {
    this.#baseMs = options.baseMs ?? baseMsDefault;
    this.#capMs = options.capMs ?? capMsDefault;
    this.#random = options.random ?? Math.random;
  }

  /** How many delays were taken since the last reset. */
  get attempts(): number {
    return this.#attempts;
  }

  /** The next delay in whole milliseconds, never below `atLeastMs` (a server's `Retry-After`). */
  nextMs(atLeastMs = 0): number {
    // NB: 2 ** attempts overflows to Infinity after a thousand attempts; the cap holds all the same.
    const stepMs = Math.min(this.#capMs, this.#baseMs * 2 ** this.#attempts);
    this.#attempts += 1;
    return Math.max(atLeastMs, Math.round(stepMs * (0.5 + this.#random() / 2)));
  }

  /** Starts over: what was tried has worked. */
  reset(): void {
    this.#attempts = 0;
  }
}
