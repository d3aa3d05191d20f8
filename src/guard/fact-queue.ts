/**
 * Which shard is written next: the one that has waited longest, but first those that wait for a namespace in which little happens. Whoever
 * has thousands of locks of his own change hands makes others wait for one write, not for all of his.
 */
import type { MonotonicMs } from '../core/time.ts';
import type { FactShard } from './fact-shard.ts';

/** LIMIT: as long as a usual lease: who comes later than that is late anyway. */
const windowMs = 15_000;
/** LIMIT: a namespace's whole set of controllers, restarted together, twice. */
const calmMax = 64;
/** LIMIT: more namespaces than that within a window are not calm, whatever they are. */
const namespacesMax = 10_000;

/** Shards that are to be written. */
export class FactQueue {
  /** In the order of their coming; what is in both is to be written once. */
  readonly #calm = new Set<FactShard>();
  readonly #all = new Set<FactShard>();
  readonly #changes = new Map<string, number>();
  #since: MonotonicMs | null = null;

  get isEmpty(): boolean {
    return this.#all.size === 0;
  }

  /** Whether little has happened in a namespace of late. */
  isCalm(namespace: string): boolean {
    return this.#changes.size < namespacesMax && (this.#changes.get(namespace) ?? 0) < calmMax;
  }

  /** A change of a lock in `namespace` waits in a shard. */
  add(shard: FactShard, namespace: string, at: MonotonicMs): void {
    if (this.#since === null || at - this.#since >= windowMs) {
      this.#since = at;
      this.#changes.clear();
    }
    this.#all.add(shard);
    if (!this.isCalm(namespace)) return;
    this.#changes.set(namespace, (this.#changes.get(namespace) ?? 0) + 1);
    this.#calm.add(shard);
  }

  /** A shard is to be written for no lock in particular. */
  addLast(shard: FactShard): void {
    this.#all.add(shard);
  }

  /** Takes out the next one, or null. */
  take(): FactShard | null {
    const [first] = this.#calm.size > 0 ? this.#calm : this.#all;
    if (first === undefined) return null;
    this.#calm.delete(first);
    this.#all.delete(first);
    return first;
  }

  /** Takes out all. */
  clear(): readonly FactShard[] {
    const all = [...this.#all];
    this.#all.clear();
    this.#calm.clear();
    return all;
  }
}
