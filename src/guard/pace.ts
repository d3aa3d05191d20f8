/** How fast to write: at once after a pause, and then no faster than the API server's store can take for ever. */
import type { MonotonicMs } from '../core/time.ts';

/** Bounds of a pace. */
export interface PaceLimits {
  /** Between the beginnings of two writes. */
  readonly gapMs: number;
  /** For ever. */
  readonly bytesPerSecond: number;
  /** On top of that, after a pause. */
  readonly burstBytes: number;
}

/** Keeps count of what was written. */
export class Pace {
  readonly #limits: PaceLimits;
  #writtenAt = -Infinity;
  #left: number;
  #countedAt: MonotonicMs | null = null;

  constructor(limits: PaceLimits) {
    this.#limits = limits;
    this.#left = limits.burstBytes;
  }

  /** How long to wait before the next write, in milliseconds. */
  delayMs(now: MonotonicMs): number {
    this.#count(now);
    const { gapMs, bytesPerSecond } = this.#limits;
    const debtMs = this.#left >= 0 ? 0 : (-this.#left / bytesPerSecond) * 1000;
    return Math.ceil(Math.max(0, debtMs, this.#writtenAt + gapMs - now));
  }

  /** A write of so many bytes begins. */
  spend(bytes: number, now: MonotonicMs): void {
    this.#count(now);
    this.#left -= bytes;
    this.#writtenAt = now;
  }

  #count(now: MonotonicMs): void {
    const { bytesPerSecond, burstBytes } = this.#limits;
    const earned = this.#countedAt === null ? 0 : ((now - this.#countedAt) / 1000) * bytesPerSecond;
    this.#left = Math.min(burstBytes, this.#left + earned);
    this.#countedAt = now;
  }
}
