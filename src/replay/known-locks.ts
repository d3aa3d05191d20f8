/** How things stand with each lock after the last of its writes: what the next one meets. */
import { describeLock, type LockKind, type LockRef, type LockState } from '../core/lock.ts';
import { at, type JsonObject } from '../locks/json.ts';

/** A lock, as it was stored last. */
export interface KnownLock {
  readonly lock: LockRef;
  /** What of the object a lock is read from. */
  readonly object: JsonObject;
  readonly state: LockState;
  /** Only what was sent is known: without stamps, and without the version that it was stored at. */
  readonly isSent: boolean;
}

/** The locks, the quietest of which is forgotten when there are too many. */
export class KnownLocks {
  readonly #locks = new Map<string, KnownLock>();
  readonly #max: number;
  #forgotten = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#locks.size;
  }

  /** How often one was forgotten for want of room. */
  get forgotten(): number {
    return this.#forgotten;
  }

  get(lock: LockRef): KnownLock | null {
    return this.#locks.get(describeLock(lock)) ?? null;
  }

  set(known: KnownLock): void {
    const key = describeLock(known.lock);
    // Re-inserting moves the key to the end: a Map iterates in order of insertion, so its first key is the quietest.
    this.#locks.delete(key);
    this.#locks.set(key, known);
    if (this.#locks.size <= this.#max) return;
    const [quietest] = this.#locks.keys();
    if (quietest === undefined) return;
    this.#locks.delete(quietest);
    this.#forgotten += 1;
  }

  delete(lock: LockRef): void {
    this.#locks.delete(describeLock(lock));
  }

  /** Those that an event may be about which names a kind and a namespace only. */
  *within({ kind, namespace }: LockRef): Iterable<LockRef> {
    for (const { lock } of [...this.#locks.values()])
      if (lock.kind === kind && lock.namespace === namespace) yield lock;
  }
}

/** What of an object is kept: a ConfigMap may be a mebibyte of data, and none of it is the lock. */
export function keptOf(kind: LockKind, object: JsonObject): JsonObject {
  const metadata = at(object, 'metadata');
  return kind === 'Lease' ? { kind, metadata, spec: at(object, 'spec') } : { kind, metadata };
}
