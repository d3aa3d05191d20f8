/** How often a holder renews. */

/** LIMIT: the typical gap of the last 128 is that of the present holder, whatever came before it. */
const gapsMax = 128;

/** Gaps between renewals that followed each other without anything unseen between them. Milliseconds. */
export interface CadenceSummary {
  readonly renewals: number;
  /** Null before the second renewal. */
  readonly typicalMs: number | null;
  readonly longestMs: number | null;
}

/** Counts renewals, and measures the gaps between them. */
export class Cadence {
  readonly #gapsMs: number[] = [];
  #renewals = 0;
  #lastMs: number | null = null;
  #longestMs: number | null = null;

  /** The holder has taken the lock, or been found with it, at a time that is known: the first gap begins. */
  begun(atMs: number): void {
    this.#lastMs = atMs;
  }

  /** The holder has renewed. */
  renewed(atMs: number): void {
    this.#renewals += 1;
    if (this.#lastMs !== null) {
      const gapMs = Math.max(0, atMs - this.#lastMs);
      this.#gapsMs.push(gapMs);
      if (this.#gapsMs.length > gapsMax) this.#gapsMs.shift();
      this.#longestMs = Math.max(this.#longestMs ?? 0, gapMs);
    }
    this.#lastMs = atMs;
  }

  /** Somebody else holds, or nobody, or something has passed unseen: the next gap says nothing. */
  broken(): void {
    this.#lastMs = null;
  }

  summary(): CadenceSummary {
    const sorted = this.#gapsMs.toSorted((a, b) => a - b);
    const typicalMs = sorted[Math.floor(sorted.length / 2)] ?? null;
    return { renewals: this.#renewals, typicalMs, longestMs: this.#longestMs };
  }
}
