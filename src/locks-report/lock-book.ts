/**
 * What has been seen of each lock, by a list or a watch: its last state, when its promise was made, who asserted its holder, how
 * often it changed hands. It has no clock and reads nothing.
 */
import type { Observation, PodRef } from '../core/facts.ts';
import { flappingWindowMs } from '../core/flapping.ts';
import { describeLock, type LockKind, type LockRef } from '../core/lock.ts';
import { afterDeleted, afterFacts, afterStored, blank, type LockMemory } from '../core/lock-memory.ts';
import type { LockFacts } from '../core/shared-facts.ts';
import { sampleDate, serverTimeAt, unknownClock, type ServerClock } from '../core/server-clock.ts';
import { authorsOf, lastPod, observationOf } from '../core/stored.ts';
import type { Interval, MonotonicMs, ServerMs } from '../core/time.ts';
import { carriesRecord } from '../locks/annotation.ts';
import type { JsonObject } from '../locks/json.ts';
import { readLock } from '../locks/registry.ts';
import type { SeenWrite } from '../audit-log/seen.ts';
import { Tally } from '../preflight/tally.ts';

/** LIMIT: as many as the memory of a replica: more than a cluster of 5,000 nodes has. */
const locksMax = 100_000;
/** LIMIT: more than what makes a lock flap is not counted. */
const changesMax = 64;

/** One lock. */
export interface SeenLock {
  readonly lock: LockRef;
  readonly tally: Tally;
  /** About its present promise; null: nothing is stored. */
  readonly observation: Observation | null;
  /** The pod that lockwarden saw assert its holder, by what replicas have told; null: nobody knows. */
  readonly judgedPod: PodRef | null;
  /** Changes of holder that were seen within `flappingWindowMs`. */
  readonly recentChanges: number;
}

interface Entry {
  readonly tally: Tally;
  memory: LockMemory;
  changedAt: readonly MonotonicMs[];
}

/** All locks. */
export class LockBook {
  readonly #entries = new Map<string, Entry>();
  /** Keys that a list has told since the one before was complete. */
  readonly #found = new Set<string>();
  #clock: ServerClock = unknownClock;
  #leftOut = 0;

  /** Locks beyond the bound, of which nothing is known. */
  get leftOut(): number {
    return this.#leftOut;
  }

  /** A response of the API server, for its clock. */
  dated(sentAt: MonotonicMs, receivedAt: MonotonicMs, date: ServerMs): void {
    this.#clock = sampleDate(this.#clock, sentAt, receivedAt, date);
  }

  /** Bounds on the API server's time, or null before the first date. */
  serverTimeAt(at: MonotonicMs): Interval | null {
    return serverTimeAt(this.#clock, at);
  }

  /** A lock as a list has it. */
  found(lock: LockRef, object: JsonObject, at: MonotonicMs): void {
    this.#found.add(describeLock(lock));
    this.#change(lock, at, (entry) => {
      entry.tally.found(object);
      entry.memory = afterStored(entry.memory, readLock(lock.kind, object), at, false);
    });
  }

  /** A list of a kind is complete: what it does not have is gone, whichever list it was found in. */
  listed(kind: LockKind, at: MonotonicMs): void {
    for (const [key, { tally }] of this.#entries) {
      if (tally.lock.kind !== kind || this.#found.delete(key) || tally.state === null) continue;
      this.#gone(tally.lock, at, false);
    }
  }

  /** One write that a watch shows. */
  wrote(seen: SeenWrite): void {
    const { lock, object, storedAt } = seen;
    const known = this.#entries.has(describeLock(lock));
    // The watch shows an object that is no lock any more once; then it is gone for whoever looks at locks.
    if (object === null || (lock.kind !== 'Lease' && !carriesRecord(object))) {
      if (known) this.#gone(lock, storedAt, true);
      return;
    }
    this.#change(lock, storedAt, (entry) => {
      const state = readLock(lock.kind, object);
      entry.tally.wrote(seen.operation === 'CREATE' ? null : entry.tally.state, { object, state }, seen);
      entry.memory = afterStored(entry.memory, state, storedAt, true);
    });
  }

  /** A lock is gone, and nobody saw it go. */
  vanished(lock: LockRef, at: MonotonicMs): void {
    if (this.#entries.has(describeLock(lock))) this.#gone(lock, at, false);
  }

  /** What replicas have told of a lock. */
  told(lock: LockRef, facts: LockFacts, at: MonotonicMs): void {
    const entry = this.#entries.get(describeLock(lock));
    if (entry !== undefined) entry.memory = afterFacts(entry.memory, facts, at);
  }

  /** Every lock that exists. */
  *locksAt(at: MonotonicMs): Iterable<SeenLock> {
    for (const { tally, memory, changedAt } of this.#entries.values()) {
      if (tally.state === null) continue;
      const { stored, known } = memory;
      yield {
        lock: tally.lock,
        tally,
        observation: stored === null ? null : observationOf(stored, at, this.#clock.steppedAt),
        judgedPod: stored === null ? null : lastPod(authorsOf(stored, known.asserted)),
        recentChanges: changedAt.filter((each) => at - each <= flappingWindowMs).length,
      };
    }
  }

  #gone(lock: LockRef, at: MonotonicMs, seen: boolean): void {
    this.#change(lock, at, (entry) => {
      entry.tally.gone(seen);
      entry.memory = afterDeleted(entry.memory, null, at);
    });
  }

  #change(lock: LockRef, at: MonotonicMs, change: (entry: Entry) => void): void {
    const entry = this.#entryOf(lock);
    if (entry === null) return;
    const before = entry.tally.holderChanges;
    change(entry);
    if (entry.tally.holderChanges > before) entry.changedAt = [...entry.changedAt, at].slice(-changesMax);
  }

  #entryOf(lock: LockRef): Entry | null {
    const key = describeLock(lock);
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    if (this.#entries.size >= locksMax) {
      this.#leftOut += 1;
      return null;
    }
    const entry = { tally: new Tally(lock), memory: blank, changedAt: [] };
    this.#entries.set(key, entry);
    return entry;
  }
}
