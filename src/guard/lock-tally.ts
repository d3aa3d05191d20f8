/**
 * What is told of all locks together, kept up to date with each state that the watch shows, so that a scrape looks
 * through nothing: how many are held, by how many, which of them are flapping, and how late the watch is.
 */
import { flappingWindowMs, handedTo, isFlapping, type Hands } from '../core/flapping.ts';
import { describeLock, type LockKind, type LockRef } from '../core/lock.ts';
import { samePair, type Stored } from '../core/stored.ts';
import { stampResolutionMs, type Interval, type MonotonicMs } from '../core/time.ts';
import type { LockCounts } from '../server/lock-metrics.ts';

/** LIMIT: hands are kept only of locks that changed theirs within the window; a storm of more is told of by less. Some 300 bytes each. */
const handsMax = 10_000;

/** What a tally needs. */
export interface LockTallyOptions {
  readonly monotonicNow: () => MonotonicMs;
  /** Bounds on the API server's time, in Unix milliseconds; null: not known. */
  readonly serverNow: () => Interval | null;
  /** Told how late a write was seen, at least, in seconds. */
  readonly onLag: (kind: LockKind, seconds: number) => void;
  readonly handsMax?: number;
}

interface Kept {
  readonly kind: LockKind;
  readonly hands: Hands;
  readonly at: MonotonicMs;
}

/** The tally. */
export class LockTally implements LockCounts {
  readonly #options: LockTallyOptions;
  /** How many locks each identity holds. */
  readonly #holders: Readonly<Record<LockKind, Map<string, number>>> = {
    Lease: new Map(),
    ConfigMap: new Map(),
    Endpoints: new Map(),
  };
  readonly #held: Record<LockKind, number> = { Lease: 0, ConfigMap: 0, Endpoints: 0 };
  /** In the order in which holders came or went, so the first has been left alone for longest. */
  readonly #hands = new Map<string, Kept>();

  constructor(options: LockTallyOptions) {
    this.#options = options;
  }

  /** A lock as it was known, and as it is known now; null: not at all. */
  shown(lock: LockRef, before: Stored | null, after: Stored | null): void {
    if (before !== null && after !== null && samePair(before, after)) return;
    this.#measureLag(lock.kind, after);
    const left = before?.holder ?? null;
    const holder = after?.holder ?? null;
    if (left === holder) return;
    if (left !== null) this.#leave(lock.kind, left);
    if (holder !== null) this.#enter(lock.kind, holder);
    this.#handOver(lock, left, holder);
  }

  held(kind: LockKind): number {
    return this.#held[kind];
  }

  holders(kind: LockKind): number {
    return this.#holders[kind].size;
  }

  flapping(kind: LockKind): number {
    const now = this.#options.monotonicNow();
    this.#forget(now);
    let count = 0;
    for (const kept of this.#hands.values()) if (kept.kind === kind && isFlapping(kept.hands, now)) count++;
    return count;
  }

  /** NB: stamps are of whole seconds, and the second is given to the watch: what is told is what it was late for certain. */
  #measureLag(kind: LockKind, after: Stored | null): void {
    const stamp = after?.stampedAt ?? null;
    const serverNow = stamp === null ? null : this.#options.serverNow();
    if (stamp === null || serverNow === null) return;
    this.#options.onLag(kind, Math.max(0, serverNow.min - stamp - stampResolutionMs) / 1000);
  }

  #enter(kind: LockKind, holder: string): void {
    const holders = this.#holders[kind];
    holders.set(holder, (holders.get(holder) ?? 0) + 1);
    this.#held[kind]++;
  }

  #leave(kind: LockKind, holder: string): void {
    const holders = this.#holders[kind];
    const left = (holders.get(holder) ?? 1) - 1;
    if (left > 0) holders.set(holder, left);
    else holders.delete(holder);
    this.#held[kind]--;
  }

  #handOver(lock: LockRef, left: string | null, holder: string | null): void {
    const key = describeLock(lock);
    const last = left ?? this.#hands.get(key)?.hands.last;
    // A lock that is seen for the first time has changed from nobody's hands.
    if (last === undefined) return;
    const at = this.#options.monotonicNow();
    const hands = this.#hands.get(key)?.hands ?? { last, changedAt: [] };
    this.#hands.delete(key);
    this.#hands.set(key, {
      kind: lock.kind,
      at,
      hands: holder === null ? hands : handedTo(hands, holder, at),
    });
    this.#forget(at);
  }

  #forget(now: MonotonicMs): void {
    const { handsMax: max = handsMax } = this.#options;
    for (const [key, { at }] of this.#hands) {
      if (now - at < flappingWindowMs && this.#hands.size <= max) return;
      this.#hands.delete(key);
    }
  }
}
