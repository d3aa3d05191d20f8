/**
 * What this replica has seen of every lock: the one mutable thing on the admission path. Events of admission, of the
 * watch and of the server's clock go in; facts for a decision come out, synchronously.
 */
import type { Effect } from '../core/decision.ts';
import type { Facts, Observation } from '../core/facts.ts';
import {
  afterAdmission,
  afterDeleted,
  afterFacts,
  afterStored,
  blank,
  factsFor,
  type LockMemory,
} from '../core/lock-memory.ts';
import { describeLock, type LockKind, type LockRef, type LockState, type LockWrite } from '../core/lock.ts';
import type { LockFacts } from '../core/shared-facts.ts';
import { sampleDate, serverTimeAt, unknownClock, type ServerClock } from '../core/server-clock.ts';
import { observationOf, type Stored } from '../core/stored.ts';
import type { Interval, MonotonicMs, ServerMs } from '../core/time.ts';

/**
 * LIMIT: 100,000 locks are a cluster of 5,000 nodes with twenty elections a node; at some 2 KiB each they take 200 MiB.
 * Beyond it the lock that has been quiet for longest is forgotten, which costs certainty about it, never correctness.
 */
const locksMax = 100_000;
/**
 * LIMIT: what replicas tell and what the watch shows reach a replica by different ways, which may be seconds apart; an
 * API server that does not answer for a minute has the watch begin anew.
 */
const strangerMs = 60_000;

/** What the memories can be given. */
export interface LockMemoriesOptions {
  readonly locksMax?: number;
  /** Which locks are listed apart from the others of their kind, and perhaps never. */
  readonly isApart?: (lock: LockRef) => boolean;
  /** Told when something that was judged here has come about: all of the kind that is known of the lock. */
  readonly onFacts?: (lock: LockRef, facts: LockFacts) => void;
  /** Told what was known of a lock and what is known now, whenever that changes; null: nothing. Must be quick: each renewal comes by. */
  readonly onShown?: (lock: LockRef, before: Stored | null, after: Stored | null) => void;
}

/** A lock as it is stored, and how old its promise is by what was seen. */
export interface Shown {
  readonly state: LockState;
  readonly observation: Observation;
}

/** The memories of all locks, and the API server's clock as far as it is known. */
export class LockMemories {
  readonly #memories = new Map<string, LockMemory>();
  readonly #locksMax: number;
  readonly #onFacts: (lock: LockRef, facts: LockFacts) => void;
  readonly #onShown: (lock: LockRef, before: Stored | null, after: Stored | null) => void;
  readonly #isApart: (lock: LockRef) => boolean;
  readonly #listed = new Set<LockKind>();
  #isApartListed = false;
  /** Locks that were forgotten for want of room, and of which nothing has been seen since: they may well exist. */
  readonly #forgotten = new Set<string>();
  /** Key of what is at the end already, where that is known. */
  #latest = '';
  #clock: ServerClock = unknownClock;

  constructor(options: LockMemoriesOptions = {}) {
    this.#locksMax = options.locksMax ?? locksMax;
    this.#isApart = options.isApart ?? ((): boolean => false);
    this.#onFacts = options.onFacts ?? ((): void => undefined);
    this.#onShown = options.onShown ?? ((): void => undefined);
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

  /** What is stored of a lock, and what was seen of it; null: it does not exist, as far as is known. */
  shown(lock: LockRef, at: MonotonicMs): Shown | null {
    const stored = this.#memories.get(describeLock(lock))?.stored ?? null;
    if (stored === null) return null;
    return { state: stored.state, observation: observationOf(stored, at, this.#clock.steppedAt) };
  }

  /** Every lock of a kind as it is stored, as far as is known; null until all of them have been shown, but for those that are listed apart. */
  states(kind: LockKind): readonly (readonly [LockRef, LockState])[] | null {
    if (!this.#listed.has(kind)) return null;
    return [...this.#memories].flatMap(([key, { stored }]) => {
      const lock = refOf(key);
      return stored !== null && lock.kind === kind ? [[lock, stored.state] as const] : [];
    });
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
    const key = describeLock(lock);
    this.#forgotten.delete(key);
    const before = this.#memories.get(key) ?? blank;
    const memory = afterDeleted(before, state, at, this.serverTimeAt(at));
    if (memory.buried === null && memory.pending.length === 0 && memory.learntAt === null)
      this.#memories.delete(key);
    else {
      this.#memories.set(key, memory);
      this.#latest = '';
    }
    this.#tell(lock, before, memory);
  }

  /** What another replica has told, or this one in an earlier life. */
  told(lock: LockRef, facts: LockFacts, at: MonotonicMs): void {
    this.#change(lock, (memory) => afterFacts(memory, facts, at));
  }

  /** All locks of a kind that exist have been shown, but for those that are listed apart. */
  listed(kind: LockKind): void {
    this.#listed.add(kind);
  }

  /** All locks that are listed apart have been shown. */
  listedApart(): void {
    this.#isApartListed = true;
  }

  /** Whether a lock is known not to exist. One that had to be forgotten is not. */
  isGone(lock: LockRef): boolean {
    const key = describeLock(lock);
    const isListed = this.#isApart(lock) ? this.#isApartListed : this.#listed.has(lock.kind);
    if (!isListed || this.#forgotten.has(key)) return false;
    return (this.#memories.get(key)?.stored ?? null) === null;
  }

  /** A response of the API server, for its clock. */
  dated(sentAt: MonotonicMs, receivedAt: MonotonicMs, date: ServerMs): void {
    this.#clock = sampleDate(this.#clock, sentAt, receivedAt, date);
  }

  /** Bounds on the API server's time, in Unix milliseconds, or null before anything is known. */
  serverTimeAt(at: MonotonicMs): Interval | null {
    return serverTimeAt(this.#clock, at);
  }

  /** Forgets deleted locks whose lease must have run out by now, a minute after the last news. Cheap enough for once a minute. */
  sweep(at: MonotonicMs): void {
    for (const [key, memory] of this.#memories) {
      if (memory.stored !== null || memory.deletion !== null || !isSpent(memory, at)) continue;
      const isSettled = this.isGone(refOf(key)) && at - (memory.learntAt ?? at) >= strangerMs;
      if (memory.learntAt === null || isSettled) this.#memories.delete(key);
    }
  }

  #change(lock: LockRef, change: (memory: LockMemory) => LockMemory): void {
    const key = describeLock(lock);
    const before = this.#memories.get(key) ?? blank;
    const memory = change(before);
    // Re-inserting moves the key to the end: a Map iterates in order of insertion, so its first key is the quietest.
    if (key !== this.#latest) this.#memories.delete(key);
    this.#latest = key;
    this.#memories.set(key, memory);
    if (memory.stored !== null) this.#forgotten.delete(key);
    this.#tell(lock, before, memory);
    if (this.#memories.size <= this.#locksMax) return;
    const [quietest] = this.#memories;
    if (quietest === undefined) return;
    const [forgotten, { stored }] = quietest;
    this.#memories.delete(forgotten);
    if (stored === null) return;
    this.#forgotten.add(forgotten);
    this.#onShown(refOf(forgotten), stored, null);
  }

  #tell(lock: LockRef, before: LockMemory, after: LockMemory): void {
    if (after.own !== before.own) this.#onFacts(lock, after.own);
    if (after.stored !== before.stored) this.#onShown(lock, before.stored, after.stored);
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
