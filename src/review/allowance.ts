/** How much of something may be: a burst after a pause, and so much a second for ever. Pure: time is handed in. */
import type { MonotonicMs } from '../core/time.ts';

/** Bounds of an allowance. */
export interface AllowanceLimits {
  readonly burst: number;
  readonly perSecond: number;
}

/** Keeps count of what was taken. */
export class Allowance {
  readonly #limits: AllowanceLimits;
  #left: number;
  #countedAt: MonotonicMs | null = null;

  constructor(limits: AllowanceLimits) {
    this.#limits = limits;
    this.#left = limits.burst;
  }

  /** Whether `amount` more may be, and takes it; nothing where there is less. */
  take(now: MonotonicMs, amount = 1): boolean {
    const { burst, perSecond } = this.#limits;
    const earned = this.#countedAt === null ? 0 : (Math.max(0, now - this.#countedAt) / 1000) * perSecond;
    this.#left = Math.min(burst, this.#left + earned);
    this.#countedAt = now;
    if (this.#left < amount) return false;
    this.#left -= amount;
    return true;
  }
}
