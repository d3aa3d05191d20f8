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

/** Keeps count of changes of holder. */
export class ChangePace {
  readonly #limits: ChangeLimits;
  readonly #inAll: Allowance;
  /** In the order in which the locks last changed hands. */
  readonly #perLock = new Map<string, Allowance>();

  constructor(limits: ChangeLimits = changeLimits) {
    this.#limits = limits;
    this.#inAll = new Allowance(limits.inAll);
  }

  /** Whether a change of the lock that is called `key` may be told. */
  may(key: string, now: MonotonicMs): boolean {
    const ofLock = this.#perLock.get(key) ?? new Allowance(this.#limits.perLock);
    this.#perLock.delete(key);
    this.#perLock.set(key, ofLock);
    this.#trim(now);
    return ofLock.take(now) && this.#inAll.take(now);
  }

  /** NB: the oldest is whole unless thousands change hands within minutes; then the bound of all holds. */
  #trim(now: MonotonicMs): void {
    for (const [key, allowance] of this.#perLock) {
      if (this.#perLock.size <= this.#limits.locksMax && !allowance.isWhole(now)) return;
      if (this.#perLock.size <= 1) return;
      this.#perLock.delete(key);
    }
  }
}
