/**
 * What has to be known before reviews are answered: all of it, for a moment; then what nobody can do without.
 *
 * Without policies a lock would be judged that a policy exempts, so they are waited for as long as it takes. Without the history of
 * a kind of lock its reviews are judged by the stamps alone, as a process does that has just started.
 */

/** Whether enough is known; `why` is a clause for people. */
export interface CachesState {
  readonly ready: boolean;
  readonly why: string;
}

/** LIMIT: lists take a second or two; a kind that may not be listed must not keep the rest unguarded. In milliseconds. */
export const usefulPatienceMs = 10_000;

/** The caches of one process, by the names of what they hold. */
export class Caches {
  readonly #needed: Set<string>;
  readonly #useful: Set<string>;
  #hasWaited = false;

  constructor(options: { readonly needed: Iterable<string>; readonly useful: Iterable<string> }) {
    this.#needed = new Set(options.needed);
    this.#useful = new Set(options.useful);
  }

  /** Something more is useful. It is waited for only where the rest still is: who is ready stays so. */
  alsoUseful(name: string): void {
    if (this.state.ready) this.#hasWaited = true;
    this.#useful.add(name);
  }

  /** What is only useful has been waited for long enough: `usefulPatienceMs`. */
  waited(): void {
    this.#hasWaited = true;
  }

  /** It has been listed, or is known not to exist. */
  filled(name: string): void {
    this.#needed.delete(name);
    this.#useful.delete(name);
  }

  get state(): CachesState {
    const missing = [...this.#useful, ...this.#needed].join(', ');
    if (missing === '') return { ready: true, why: 'ok' };
    const ready = this.#needed.size === 0 && this.#hasWaited;
    return { ready, why: ready ? `going on without ${missing}` : `waiting for ${missing}` };
  }
}
