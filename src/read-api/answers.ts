/** Answers of the API server, remembered for a while, in bounded number; one question serves all who ask the same meanwhile. */
import type { MonotonicMs } from '../core/time.ts';

/** An answer, and how long it counts from when it was asked for. 0: not at all. */
export interface Kept<T> {
  readonly value: T;
  readonly keepMs: number;
}

interface Remembered<T> {
  readonly value: T;
  readonly untilMs: number;
}

/** Remembers. */
export class Answers<T> {
  readonly #max: number;
  readonly #monotonicNow: () => MonotonicMs;
  readonly #remembered = new Map<string, Remembered<T>>();
  readonly #asking = new Map<string, Promise<T>>();

  constructor(max: number, monotonicNow: () => MonotonicMs) {
    this.#max = max;
    this.#monotonicNow = monotonicNow;
  }

  /** What is remembered; undefined: nothing that still counts. */
  known(key: string): T | undefined {
    const found = this.#remembered.get(key);
    if (found === undefined) return undefined;
    if (this.#monotonicNow() < found.untilMs) return found.value;
    this.#remembered.delete(key);
    return undefined;
  }

  /** What is remembered, or what `ask` finds. What it throws is thrown to all who wait, and not remembered. */
  async of(key: string, ask: () => Promise<Kept<T>>): Promise<T> {
    const known = this.known(key);
    if (known !== undefined) return known;
    const shared = this.#asking.get(key);
    if (shared !== undefined) return shared;
    const asked = this.#ask(key, ask).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asked);
    return asked;
  }

  /** Forgets, so that the next who asks has it asked anew. */
  forget(key: string): void {
    this.#remembered.delete(key);
  }

  async #ask(key: string, ask: () => Promise<Kept<T>>): Promise<T> {
    // INVARIANT: counted from before the question, since the answer was true at some moment after it.
    const askedAt = this.#monotonicNow();
    const { value, keepMs } = await ask();
    this.#remembered.delete(key);
    if (keepMs > 0) this.#remembered.set(key, { value, untilMs: askedAt + keepMs });
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size > this.#max && oldest !== undefined) this.#remembered.delete(oldest);
    return value;
  }
}
