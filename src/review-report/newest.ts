/** The newest entries of logs of any length and in any order, each once, in bounded memory. */
import { entryKey, type Entry } from './entry.ts';

/** LIMIT: an entry takes a few KiB and twice as many may be held, so below 100 MiB; a night’s refusals of one cluster are a few hundred lines. */
export const keptMaxDefault = 10_000;

/** Keeps the newest entries. */
export class Newest<T extends Entry = Entry> {
  readonly #max: number;
  #kept = new Map<string, T>();
  /** Nothing older is taken any more. */
  #floorMs = -Infinity;
  #duplicates = 0;
  #leftOut = 0;

  /** @param max how many are kept at least, of the newest; twice as many may be held for a while */
  constructor(max = keptMaxDefault) {
    this.#max = max;
  }

  /** Lines that told what another had told. */
  get duplicates(): number {
    return this.#duplicates;
  }

  /** How many older entries found no room. Those that were told twice may count twice. */
  get leftOut(): number {
    return this.#leftOut;
  }

  add(entry: T): void {
    if (entry.lastMs < this.#floorMs) {
      this.#leftOut += 1;
      return;
    }
    const key = entryKey(entry);
    if (this.#kept.has(key)) {
      this.#duplicates += 1;
      return;
    }
    this.#kept.set(key, entry);
    if (this.#kept.size >= 2 * this.#max) this.#shrink();
  }

  /** Forgets what `keep` does not hold on to. */
  retain(keep: (entry: T) => boolean): void {
    for (const [key, entry] of this.#kept) if (!keep(entry)) this.#kept.delete(key);
  }

  /** The kept ones, by the time of the first write; of the same time in the order in which they were read. */
  entries(): readonly T[] {
    if (this.#kept.size > this.#max) this.#shrink();
    return [...this.#kept.values()].sort((a, b) => a.atMs - b.atMs);
  }

  #shrink(): void {
    const byTime = [...this.#kept].sort(([, a], [, b]) => b.lastMs - a.lastMs);
    const kept = byTime.slice(0, this.#max);
    this.#leftOut += byTime.length - kept.length;
    this.#floorMs = kept.at(-1)?.[1].lastMs ?? this.#floorMs;
    this.#kept = new Map(kept);
  }
}
