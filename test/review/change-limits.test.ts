/** Locks that change hands in a loop, and very many that do at once: what the log tells of. */
import { describe, expect, it } from 'vitest';

import { monotonicMs } from '../../src/core/time.ts';
import { changeLimits, ChangePace } from '../../src/review/change-limits.ts';

describe('changes of holder', () => {
  it('of a lock in a loop are told twenty times, then every ten seconds', () => {
    const pace = new ChangePace();
    let told = 0;
    for (let ms = 0; ms < 100_000; ms += 100) if (pace.may('a', monotonicMs(ms))) told += 1;
    expect(told).toBe(29);
    expect(pace.may('b', monotonicMs(100_000))).toBe(true);
  });

  it('of ten thousand locks within a minute are all told', () => {
    const pace = new ChangePace();
    const told = Array.from({ length: 10_000 }, (_, each) => pace.may(String(each), monotonicMs(each * 6)));
    expect(told.every(Boolean)).toBe(true);
  });

  it('of more locks than can be told apart are bounded in all', () => {
    const limits = { perLock: { burst: 1, perSecond: 0 }, inAll: { burst: 5, perSecond: 0 }, locksMax: 2 };
    const pace = new ChangePace(limits);
    const told = Array.from({ length: 10 }, (_, each) => pace.may(String(each), monotonicMs(0)));
    expect(told.filter(Boolean)).toHaveLength(5);
  });

  it('of a lock in a loop are told no more often for all the others that change hands meanwhile', () => {
    const limits = { perLock: { burst: 2, perSecond: 0.1 }, inAll: changeLimits.inAll, locksMax: 8 };
    const pace = new ChangePace(limits);
    const told: number[] = [];
    for (let each = 0; each < 100; each += 1) {
      if (pace.may('loop', monotonicMs(each))) told.push(each);
      for (const other of ['w', 'x', 'y', 'z']) pace.may(`${other}${String(each)}`, monotonicMs(each));
    }
    expect(told).toEqual([0, 1]);
  });

  it('are kept for no more locks than can be told apart, whenever they were', () => {
    const pace = new ChangePace({ ...changeLimits, locksMax: 100 });
    const sizes: number[] = [];
    for (let each = 0; each < 1_000; each += 1) {
      pace.may(String(each), monotonicMs(each));
      sizes.push(pace.size);
    }
    expect(Math.max(...sizes)).toBe(100);
  });

  it('are forgotten once they say nothing of a lock any more, which is not before it may be told of a burst again', () => {
    const pace = new ChangePace();
    const wholeMs = 200_000;
    const burst = (atMs: number): number => {
      const told = Array.from({ length: 21 }, () => pace.may('loop', monotonicMs(atMs)));
      return told.filter(Boolean).length;
    };
    const others = (fromMs: number, toMs: number): void => {
      for (let ms = fromMs; ms < toMs; ms += 1_000) pace.may(String(ms), monotonicMs(ms));
    };
    // The loop is seen just before its generation gets old, so that it is forgotten as early as can be.
    others(0, wholeMs);
    expect(burst(wholeMs - 1)).toBe(20);
    others(wholeMs, 2 * wholeMs - 10_002);
    expect(burst(2 * wholeMs - 10_002)).toBe(18);
    pace.may('a', monotonicMs(3 * wholeMs));
    pace.may('b', monotonicMs(4 * wholeMs));
    expect(pace.size).toBe(2);
  });
});
