/**
 * What this replica has seen of every lock: the one mutable thing on the admission path. Events of admission, of the
 * watch and of the server's clock go in; facts for a decision come out, synchronously.
 */
import type { Effect } from '../core/decision.ts';
import type { Facts } from '../core/facts.ts';
import {
  afterAdmission,
  afterDeleted,
  afterStored,
  blank,
  factsFor,
  type LockMemory,
} from '../core/lock-memory.ts';
import { describeLock, type LockKind, type LockRef, type LockState, type LockWrite } from '../core/lock.ts';
import { sampleDate, serverTimeAt, unknownClock, type ServerClock } from '../core/server-clock.ts';
import type { Interval, MonotonicMs, ServerMs } from '../core/time.ts';

/**
 * LIMIT: 100,000 locks are a cluster of 5,000 nodes with twenty elections a node; at some 2 KiB each they take 200 MiB.
 * Beyond it the lock that has been quiet for longest is forgotten, which costs certainty about it, never correctness.
 */
const locksMax = 100_000;

/** The memories of all locks, and the API server's clock as far as it is known. */
export class LockMemories {
  readonly #memories = new Map<string, LockMemory>();
  readonly #locksMax: number;
  #clock: ServerClock = unknownClock;

  constructor(options: { readonly locksMax?: number } = {}) {
    this.#locksMax = options.locksMax ?? locksMax;
  }

  /** How many locks are remembered, deleted ones that are still guarded included. */
  get size(): number {
    return this.#memories.size;
  }

  /** Every lock that exists as far as is known. */
  *locks(): Iterable<LockRef> {
    for (const [key, memory] of this.#memories) {
      if (memory.stored !== null) yield refOf(key);
    }
  }

  /** What is known about a write that has arrived at `at`. */
  factsFor(write: LockWrite, at: MonotonicMs): Facts {
    const memory = this.#memories.get(describeLock(write.lock)) ?? blank;
    return factsFor(memory, write, at, serverTimeAt(this.#clock, at), this.#clock.steppedAt);
  }

  /** An allowed write's effect, as of the moment the write arrived. */
  admitted(lock: LockRef, effect: Effect, at: MonotonicMs): void {
    this.#change(lock, (memory) => afterAdmission(memory, effect, at));
  }

  /** A state shown by the watch: `live` for the event of a write, not for what a list found. */
  stored(lock: LockRef, state: LockState, at: MonotonicMs, live: boolean): void {
    this.#change(lock, (memory) => afterStored(memory, state, at, live));
  }

  /** The lock's object is gone; `state` is its last one, or null where only its absence was noticed. */
  deleted(lock: LockRef, state: LockState | null, at: MonotonicMs): void {
    const memory = afterDeleted(this.#memories.get(describeLock(lock)) ?? blank, state, at);
    if (memory.buried === null && memory.pending.length === 0) this.#memories.delete(describeLock(lock));
    else this.#memories.set(describeLock(lock), memory);
  }

  /** A response of the API server, for its clock. */
  dated(sentAt: MonotonicMs, receivedAt: MonotonicMs, date: ServerMs): void {
    this.#clock = sampleDate(this.#clock, sentAt, receivedAt, date);
  }

  /** Bounds on the API server's time, in Unix milliseconds, or null before anything is known. */
  serverTimeAt(at: MonotonicMs): Interval | null {
    return serverTimeAt(this.#clock, at);
  }

  /** Forgets deleted locks whose lease must have run out by now. Cheap enough for once a minute. */
  sweep(at: MonotonicMs): void {
    for (const [key, memory] of this.#memories) {
      if (memory.stored === null && memory.deletion === null && isSpent(memory, at))
        this.#memories.delete(key);
    }
  }

  #change(lock: LockRef, change: (memory: LockMemory) => LockMemory): void {
    const key = describeLock(lock);
    const memory = this.#memories.get(key);
    // Re-inserting moves the key to the end: a Map iterates in order of insertion, so its first key is the quietest.
    this.#memories.delete(key);
    this.#memories.set(key, change(memory ?? blank));
    if (this.#memories.size <= this.#locksMax) return;
    const [quietest] = this.#memories.keys();
    if (quietest !== undefined) this.#memories.delete(quietest);
  }
}

const kinds: Readonly<Record<string, LockKind>> = {
  lease: 'Lease',
  configmap: 'ConfigMap',
  endpoints: 'Endpoints',
};

/** The inverse of `describeLock`: neither namespaces nor names contain a slash. */
function refOf(key: string): LockRef {
  const [kind = '', namespace = '', name = ''] = key.split('/');
  return { kind: kinds[kind] ?? 'Lease', namespace, name };
}

/** A tombstone guards for one lease duration at most; a memory without one has nothing to say. */
function isSpent(memory: LockMemory, at: MonotonicMs): boolean {
  if (memory.buried === null) return true;
  const { state, since } = memory.buried.stored;
  const durationMs = state.reading.kind === 'record' ? state.reading.record.leaseDurationMs : null;
  return durationMs === null || at - since.max >= durationMs;
}
