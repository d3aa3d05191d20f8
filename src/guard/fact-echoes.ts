/**
 * The window: how long it takes from the moment a fact is confirmed until a watch shows it stored. Other replicas' watches show
 * it when this one's does, and their clocks cannot be compared with this one's; so it is measured here.
 */
import type { MonotonicMs } from '../core/time.ts';

/** LIMIT: a watch that is behind by more writes of one object than this is interrupted, and will not tell of them singly. */
const expectedMax = 64;

interface Expected {
  readonly version: number;
  readonly since: readonly MonotonicMs[];
}

/** What was written and not yet seen. */
export class Echoes {
  readonly #observe: (ms: number) => void;
  readonly #expected = new Map<string, Expected[]>();
  readonly #arrived = new Map<string, number>();

  constructor(observe: (ms: number) => void) {
    this.#observe = observe;
  }

  /** Facts that were confirmed at `since` have been written as `resourceVersion` of an object. */
  expect(name: string, resourceVersion: string, since: readonly MonotonicMs[], now: MonotonicMs): void {
    const version = Number(resourceVersion);
    // The event often comes before the answer to the write.
    if ((this.#arrived.get(name) ?? 0) >= version) {
      this.#tell(since, now);
      return;
    }
    const expected = [...(this.#expected.get(name) ?? []), { version, since }];
    this.#expected.set(name, expected.slice(-expectedMax));
  }

  /** The watch shows a version of an object. */
  arrived(name: string, resourceVersion: string, now: MonotonicMs): void {
    const version = Number(resourceVersion);
    this.#arrived.set(name, version);
    const expected = this.#expected.get(name) ?? [];
    for (const each of expected) if (each.version <= version) this.#tell(each.since, now);
    const left = expected.filter((each) => each.version > version);
    if (left.length > 0) this.#expected.set(name, left);
    else this.#expected.delete(name);
  }

  #tell(since: readonly MonotonicMs[], now: MonotonicMs): void {
    for (const each of since) this.#observe(now - each);
  }
}
