/** The edges of what is known of a promise's age. */
import { describe, expect, it } from 'vitest';
import { expiryOf } from '../../src/core/expiry.ts';
import { serverMs } from '../../src/core/time.ts';
import { entry, observedFor, record, stored, t0, withEntries } from '../support/locks.ts';

const toleranceMs = 1000;
const now = (ms: number) => ({ min: t0 + ms, max: t0 + ms });

/** A lock of `a` that was stamped at `t0` with a renew time `offsetMs` from it. */
const stampedAt0 = (offsetMs: number) =>
  withEntries(stored(record({ holder: 'a', renewed: t0 + offsetMs }), t0), [
    entry('a', t0, { renewTime: true }),
  ]);

describe('a renew time and its stamp', () => {
  it.each([
    [-1000, 6000],
    [-999, 5999],
    [0, 5000],
    [2000, 5000],
  ])('agree where they are %d ms apart: the promise is at most %d ms old', (offsetMs, max) => {
    expect(expiryOf(stampedAt0(offsetMs), null, now(5000), toleranceMs)).toMatchObject({
      verdict: 'live',
      ageMs: { min: 4000, max },
      source: 'stamped',
    });
  });

  it.each([-1001, 2001])('do not where they are %d ms apart: nothing bounds the age', (offsetMs) => {
    expect(expiryOf(stampedAt0(offsetMs), null, now(5000), toleranceMs)).toMatchObject({
      verdict: 'doubt',
      ageMs: { min: 4000, max: Infinity },
    });
  });

  it('do not where the text names no instant', () => {
    const state = stampedAt0(0);
    const reading = {
      kind: 'record',
      record: { ...record({ holder: 'a' }), renewTime: { raw: '2026-03-01 12:00:00', at: null } },
    } as const;
    expect(expiryOf({ ...state, reading }, null, now(5000), toleranceMs).verdict).toBe('doubt');
  });
});

describe('the evidence of an age', () => {
  it('is the record alone where the stamp cannot be set beside the API server’s time', () => {
    expect(expiryOf(stampedAt0(0), null, null, toleranceMs)).toMatchObject({
      verdict: 'doubt',
      ageMs: { min: 0, max: Infinity },
      source: 'recorded',
    });
  });

  it('is what was observed, whether or not there is a stamp', () => {
    expect(expiryOf(stampedAt0(0), observedFor(5000), now(5000), toleranceMs)).toMatchObject({
      source: 'observed',
    });
    const listed = { ageMs: { min: 0, max: Infinity }, stampedAt: serverMs(t0) };
    expect(expiryOf(stampedAt0(0), listed, null, toleranceMs)).toMatchObject({
      verdict: 'doubt',
      source: 'observed',
    });
  });

  it('is what lies between where a stamp and an observation miss each other by the tolerance, and no more', () => {
    const age = (observedMs: number) =>
      expiryOf(stampedAt0(-60_000), observedFor(observedMs), now(6000), toleranceMs);
    expect(age(4000)).toMatchObject({ verdict: 'live', ageMs: { min: 4000, max: 5000 } });
    expect(age(3999)).toMatchObject({ verdict: 'doubt', ageMs: { min: 3999, max: Infinity } });
  });

  it('turns at the tolerance before the end, to the millisecond', () => {
    const untracked = stored(record({ holder: 'a' }), t0, null);
    const verdict = (min: number, max: number) =>
      expiryOf(untracked, { ageMs: { min, max }, stampedAt: null }, null, toleranceMs).verdict;
    expect(verdict(0, 14_000)).toBe('live');
    expect(verdict(0, 14_001)).toBe('doubt');
    expect(verdict(13_999, 14_001)).toBe('doubt');
    expect(verdict(14_000, 14_001)).toBe('expired');
  });
});
