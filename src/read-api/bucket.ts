import type { Rate } from './limits.ts';

/** A bucket of tokens that fills with time. Pure but for its level: time is handed in. */
export class Bucket {
  readonly #rate: Rate;
  #level: number;
  #at: number;

  /** Full at first. @param nowMs on a monotonic clock */
  constructor(rate: Rate, nowMs: number) {
    this.#rate = rate;
    this.#level = rate.burst;
    this.#at = nowMs;
  }

  /** Takes `tokens`, or nothing where there are fewer. */
  take(nowMs: number, tokens = 1): boolean {
    const { perSecond, burst } = this.#rate;
    this.#level = Math.min(burst, this.#level + ((nowMs - this.#at) / 1_000) * perSecond);
    this.#at = nowMs;
    if (tokens > this.#level) return false;
    this.#level -= tokens;
    return true;
  }
}
