/** Which changes of holder the log may tell of: all, unless a lock changes hands in a loop, or very many do at once. Pure. */
import type { MonotonicMs } from '../core/time.ts';
import { Allowance, type AllowanceLimits } from './allowance.ts';

/** Bounds of the lines about changes of holder. */
export interface ChangeLimits {
  readonly perLock: AllowanceLimits;
  readonly inAll: AllowanceLimits;
  /** How many locks are told apart; of more, only `inAll` holds. */
  readonly locksMax: number;
}

/**
 * LIMIT: an election takes seconds, so a lock that changes hands more often than every ten seconds is not well, which its first twenty
 * lines show; the loss of a zone may hand over ten thousand locks within a minute, and all of that is to be told.
 */
export const changeLimits: ChangeLimits = {
  perLock: { burst: 20, perSecond: 0.1 },
  inAll: { burst: 20_000, perSecond: 50 },
  locksMax: 10_000,
};

/**
 * Keeps count of changes of holder, in two generations: a lock that changes hands is of the young one, and where that is full or as old as
 * an allowance takes to be whole again, it becomes the old one and what was old is forgotten. NB: so nothing is ever put in order, which
 * for thousands of locks took longer than the rest of the count (docs/performance.md).
 */
export class ChangePace {
  readonly #limits: ChangeLimits;
  readonly #inAll: Allowance;
  readonly #generationMs: number;
  #young = new Map<string, Allowance>();
  #old = new Map<string, Allowance>();
  #bornAt: MonotonicMs | null = null;

  constructor(limits: ChangeLimits = changeLimits) {
    this.#limits = limits;
    this.#inAll = new Allowance(limits.inAll);
    this.#generationMs = (limits.perLock.burst / limits.perLock.perSecond) * 1_000;
  }

  /** How many locks are told apart at present. */
  get size(): number {
    return new Set([...this.#young.keys(), ...this.#old.keys()]).size;
  }

  /** Whether a change of the lock that is called `key` may be told. */
  may(key: string, now: MonotonicMs): boolean {
    const ofLock = this.#young.get(key) ?? this.#rejuvenate(key, now);
    return ofLock.take(now) && this.#inAll.take(now);
  }

  #rejuvenate(key: string, now: MonotonicMs): Allowance {
    const ofLock = this.#old.get(key) ?? new Allowance(this.#limits.perLock);
    this.#bornAt ??= now;
    if (this.#young.size >= this.#limits.locksMax / 2 || now - this.#bornAt >= this.#generationMs) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#bornAt = now;
    }
    this.#young.set(key, ofLock);
    return ofLock;
  }
}
