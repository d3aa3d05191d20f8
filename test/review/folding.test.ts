/** Loops of clients, and storms of many: what is told, when, and what is lost. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { monotonicMs } from '../../src/core/time.ts';
import { Allowance } from '../../src/review/allowance.ts';
import { Folding, foldingLimits } from '../../src/review/folding.ts';
import type { RejectionRecord } from '../../src/review/record-schema.ts';
import { record } from './support/records.ts';

const t0 = Date.parse('2026-03-01T03:12:00.000Z');
const at = (ms: number): string => new Date(t0 + ms).toISOString();

/** A write `ms` after the beginning. */
function seen(ms: number, more: Partial<RejectionRecord> = {}): RejectionRecord {
  return record({ reviewUid: `review-${String(ms)}`, firstSeen: at(ms), lastSeen: at(ms), ...more });
}

/** Adds it at its own time. */
function add(folding: Folding, ms: number, more: Partial<RejectionRecord> = {}) {
  return folding.add(seen(ms, more), monotonicMs(ms));
}

describe('writes that differ in nothing but their moment', () => {
  it('are told of at once, then in numbers, less and less often', () => {
    const folding = new Folding();
    const told: RejectionRecord[] = [];
    expect(add(folding, 0)).toBe('new');
    for (let ms = 1_000; ms <= 3_600_000; ms += 1_000) {
      expect(add(folding, ms)).toBe('folded');
      told.push(...folding.due(monotonicMs(ms)));
    }
    // After 10 s, 20 s more, 40 s, 80 s, 160 s, and then every 5 minutes.
    expect(told.map(({ count }) => count).slice(0, 7)).toEqual([10, 20, 40, 80, 160, 300, 300]);
    expect(told).toHaveLength(15);
    expect(told[0]).toEqual(seen(0, { count: 10, firstSeen: at(1_000), lastSeen: at(10_000) }));
    expect(told.every(({ reviewUid }) => reviewUid === 'review-0')).toBe(true);
  });

  it('are all accounted for at the end', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 200_000 }), { maxLength: 200 }), (gapsMs) => {
        const folding = new Folding();
        let now = 0;
        let told = 0;
        for (const gapMs of gapsMs) {
          now += gapMs;
          if (add(folding, now) === 'new') told += 1;
          for (const { count } of folding.due(monotonicMs(now))) told += count;
        }
        for (const { count } of folding.flush()) told += count;
        expect(folding.flush()).toEqual([]);
        expect(told).toBe(gapsMs.length);
      }),
    );
  });

  it('are a new story after ten minutes of quiet', () => {
    const folding = new Folding();
    add(folding, 0);
    expect(folding.due(monotonicMs(599_999))).toEqual([]);
    expect(folding.size).toBe(1);
    folding.due(monotonicMs(600_000));
    expect(folding.size).toBe(0);
    expect(add(folding, 600_001)).toBe('new');
  });

  it.each([
    ['another lock', { name: 'other' }],
    ['a lock made anew', { lockUid: 'other' }],
    ['another would-be holder', { wouldBeHolder: 'other' }],
    ['another pod of the same name', { podUid: 'other' }],
    ['another requester', { requester: 'other' }],
    ['another rule', { rule: 'U16', reason: 'StaleRenewTime' }],
    ['another enforcement', { enforcement: 'Warn' }],
    ['another policy', { policy: 'other' }],
    ['a dry run', { dryRun: true }],
  ] as const)('do not include %s', (_what, more) => {
    const folding = new Folding();
    add(folding, 0);
    expect(add(folding, 1, more)).toBe('new');
    expect(add(folding, 2, { elapsedMinMs: 7, remainingMaxMs: 3, detail: 'other' })).toBe('folded');
  });
});

describe('a storm', () => {
  it('on one lock is told of by its first sixteen kinds', () => {
    const folding = new Folding();
    const outcomes = Array.from({ length: 40 }, (_, each) =>
      add(folding, each, { wouldBeHolder: `thief-${String(each)}` }),
    );
    expect(outcomes.filter((each) => each === 'new')).toHaveLength(16);
    expect(outcomes.slice(16).every((each) => each === 'dropped')).toBe(true);
    expect(add(folding, 41, { name: 'other' })).toBe('new');
    // Room again once what was kept is forgotten.
    folding.due(monotonicMs(700_000));
    expect(add(folding, 700_001, { wouldBeHolder: 'thief-39' })).toBe('new');
  });

  it('over many locks is told of in a burst, then no faster than ten a second, in bounded memory', () => {
    const folding = new Folding();
    let told = 0;
    for (let each = 0; each < 60_000; each += 1) {
      if (add(folding, each, { name: `lock-${String(each)}` }) === 'new') told += 1;
      expect(folding.size).toBeLessThanOrEqual(foldingLimits.seriesMax);
    }
    expect(told).toBeGreaterThanOrEqual(foldingLimits.burst + 59 * foldingLimits.perSecond);
    expect(told).toBeLessThanOrEqual(foldingLimits.burst + 60 * foldingLimits.perSecond);
  });

  it('pushes out what was seen longest ago, not what began first', () => {
    const folding = new Folding({ seriesMax: 2, perLockMax: 2, burst: 100, perSecond: 0 });
    add(folding, 0, { name: 'a' });
    add(folding, 1, { name: 'b' });
    add(folding, 2, { name: 'a' });
    expect(folding.due(monotonicMs(20_000)).map(({ name }) => name)).toEqual(['a']);
    expect(add(folding, 20_001, { name: 'c' })).toBe('new');
    expect(add(folding, 20_002, { name: 'a' })).toBe('folded');
    expect(add(folding, 20_003, { name: 'b' })).toBe('new');
  });

  it('never pushes out what is still to be told', () => {
    const folding = new Folding({ seriesMax: 2, perLockMax: 2, burst: 100, perSecond: 0 });
    add(folding, 0, { name: 'a' });
    add(folding, 1, { name: 'b' });
    add(folding, 2, { name: 'a' });
    expect(add(folding, 3, { name: 'c' })).toBe('new');
    add(folding, 4, { name: 'c' });
    expect(add(folding, 5, { name: 'd' })).toBe('dropped');
    expect(folding.flush().map(({ name, count }) => [name, count])).toEqual([
      ['a', 1],
      ['c', 1],
    ]);
  });
});

describe('an allowance', () => {
  it('is a burst, and then what time brings, and no more than the burst ever', () => {
    const allowance = new Allowance({ burst: 2, perSecond: 1 });
    const take = (ms: number): boolean => allowance.take(monotonicMs(ms));
    expect([take(0), take(0), take(0), take(999), take(1_000), take(1_001)]).toEqual([
      ...[true, true, false, false, true, false],
    ]);
    expect([take(100_000), take(100_000), take(100_000)]).toEqual([true, true, false]);
  });

  it('gains nothing by a clock that goes back', () => {
    const allowance = new Allowance({ burst: 1, perSecond: 1 });
    expect([10_000, 0, 500].map((ms) => allowance.take(monotonicMs(ms)))).toEqual([true, false, false]);
  });
});
