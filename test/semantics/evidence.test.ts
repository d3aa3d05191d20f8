import { describe, expect, it } from 'vitest';
import { decide } from '../../src/core/decide.ts';
import { expiryOf, timeOfWrite } from '../../src/core/expiry.ts';
import type { LockState } from '../../src/core/lock.ts';
import { builtInDefaults } from '../../src/core/settings.ts';
import { serverMs } from '../../src/core/time.ts';
import { at, entry, facts, observedFor, record, stored, t0, update, withEntries } from '../support/locks.ts';

const tolerance = 1000;
const now = (ms: number) => ({ min: t0 + ms, max: t0 + ms });
const stampedNow = (ms: number) => timeOfWrite(serverMs(t0 + ms), null);
const heldByA = stored(record({ holder: 'a' }), t0, 'a');
const untracked = stored(record({ holder: 'a' }), t0, null);

describe('E1: an observed age is judged exactly', () => {
  const verdict = (ageMs: number) => expiryOf(untracked, observedFor(ageMs), null, tolerance).verdict;

  it('E1: live up to the tolerance before the end, expired from there on', () => {
    expect(verdict(0)).toBe('live');
    expect(verdict(13_900)).toBe('live');
    expect(verdict(14_001)).toBe('expired');
    expect(verdict(15_000)).toBe('expired');
  });

  it('E1: a lease no longer than the tolerance is never live', () => {
    const short = stored(record({ holder: 'a', durationS: 1 }), t0, null);
    expect(expiryOf(short, observedFor(1), null, tolerance).verdict).toBe('expired');
  });

  it('E1: observed bounds that reach across the end are doubt', () => {
    const observation = { ageMs: { min: 10_000, max: 20_000 }, stampedAt: null };
    expect(expiryOf(untracked, observation, null, tolerance)).toMatchObject({
      verdict: 'doubt',
      source: 'observed',
    });
  });

  it('E1: a stamp seen as it was written bounds the age on both sides', () => {
    const observation = { ageMs: { min: 0, max: Infinity }, stampedAt: serverMs(t0) };
    const moved = withEntries(untracked, [entry('a', t0 + 9000, { renewTime: true })]);
    expect(expiryOf(moved, observation, stampedNow(13_000), tolerance)).toMatchObject({
      verdict: 'live',
      ageMs: { min: 12_000, max: 14_000 },
    });
    expect(expiryOf(moved, observation, stampedNow(15_000), tolerance).verdict).toBe('expired');
  });
});

describe('E2: a stamp bounds the age from below, and from above where the renew time agrees', () => {
  const verdict = (state: LockState, ms: number) => expiryOf(state, null, stampedNow(ms), tolerance).verdict;

  it('E2: agreement: D - 2 s is live, D - 1 s is doubt, D is expired', () => {
    expect(verdict(heldByA, 13_000)).toBe('live');
    expect(verdict(heldByA, 14_000)).toBe('doubt');
    expect(verdict(heldByA, 15_000)).toBe('expired');
  });

  it('E2: a renew time that was written up to the tolerance before its stamp still agrees, and lengthens the age', () => {
    const late = withEntries(stored(record({ holder: 'a', renewed: t0 - 900 }), t0), [
      entry('a', t0, { renewTime: true }),
    ]);
    expect(expiryOf(late, null, stampedNow(12_000), tolerance)).toMatchObject({
      ageMs: { min: 11_000, max: 13_900 },
    });
  });

  for (const [what, renewed] of [
    ['the holder’s clock is a minute fast', t0 + 60_000],
    ['the holder’s clock is a minute slow', t0 - 60_000],
    ['the stamp moved 5 s later than the renewal', t0 - 5000],
  ] as const) {
    it(`E2: without agreement nothing is certain before the end (${what})`, () => {
      const state = withEntries(stored(record({ holder: 'a', renewed }), t0), [
        entry('a', t0, { renewTime: true }),
      ]);
      expect(verdict(state, 1000)).toBe('doubt');
      expect(verdict(state, 15_000)).toBe('expired');
    });
  }

  it('E2: of several owners the earliest counts, and owners without a time are ignored', () => {
    const owners = [
      entry('x', null, { renewTime: true }),
      entry('y', t0 + 9000, { renewTime: true }),
      entry('a', t0, { renewTime: true }),
    ];
    expect(expiryOf(withEntries(heldByA, owners), null, stampedNow(12_000), tolerance)).toMatchObject({
      ageMs: { min: 11_000, max: 13_000 },
    });
  });

  it('E2: entries that do not own the renew time say nothing', () => {
    const state = withEntries(heldByA, [entry('labels', t0 + 9000), entry('a', t0, { renewTime: true })]);
    expect(verdict(state, 15_000)).toBe('expired');
  });
});

describe('E3: the record alone proves nothing', () => {
  it('E3: an untracked, unobserved lock is in doubt however its record looks', () => {
    for (const ms of [0, 14_000, 60_000, -60_000]) {
      expect(expiryOf(untracked, null, now(ms), tolerance)).toMatchObject({
        verdict: 'doubt',
        source: 'recorded',
      });
    }
  });
});

describe('E4: the API server’s time of a write', () => {
  it('E4: is the second of its stamp', () => {
    expect(timeOfWrite(serverMs(t0), null)).toEqual({ min: t0, max: t0 + 1000 });
  });

  it('E4: sharpened by the replica’s estimate', () => {
    expect(timeOfWrite(serverMs(t0), { min: t0 + 200, max: t0 + 300 })).toEqual({ min: t0, max: t0 + 300 });
  });

  it('E4: widened where the two disagree', () => {
    expect(timeOfWrite(serverMs(t0), { min: t0 + 5000, max: t0 + 5100 })).toEqual({
      min: t0,
      max: t0 + 5100,
    });
    expect(timeOfWrite(serverMs(t0), { min: t0 - 5000, max: t0 - 4900 })).toEqual({
      min: t0 - 5000,
      max: t0 + 1000,
    });
  });

  it('E4: the estimate alone for a write that carries no stamp, nothing where there is none', () => {
    expect(timeOfWrite(null, { min: 1, max: 2 })).toEqual({ min: 1, max: 2 });
    expect(timeOfWrite(null, null)).toBeNull();
  });
});

describe('E5: contradicting evidence widens', () => {
  it('E5: a monotonic clock that stood still against stamps that went on is doubt, never a refusal', () => {
    const after = stored(
      record({ holder: 'b', renewed: t0 + 60_000, transitions: 1 }),
      t0 + 60_000,
      'b',
      heldByA,
    );
    const decision = decide(
      update(heldByA, after),
      facts({ observation: observedFor(2000) }),
      builtInDefaults,
    );
    expect(decision.outcome).toBe('Allow');
    expect(decision.expiry).toMatchObject({ verdict: 'doubt', ageMs: { min: 2000 } });
    expect(decision.violations).toMatchObject([{ reason: 'UncertainExpiry', enforcement: 'Warn' }]);
  });
});

describe('E5: latency is no contradiction', () => {
  // Stamped at the end of a second, seen by the replica in the next one.
  const seen = (lateMs: number, ageMs: number) => {
    const storedAt = t0 + 990;
    const state = stored(record({ holder: 'a', renewed: storedAt - 60_000 }), storedAt, 'a');
    const observation = observedFor(ageMs - lateMs);
    return expiryOf(state, observation, stampedNow(990 + ageMs - ((990 + ageMs) % 1000)), tolerance);
  };

  it('E5: a promise that the replica saw some time after its stamp stays live, whatever the holder’s clock', () => {
    expect(seen(0, 2010)).toMatchObject({ verdict: 'live', ageMs: { min: 2010, max: 2010 } });
    expect(seen(400, 2010)).toMatchObject({ verdict: 'live', ageMs: { min: 1610, max: 2000 } });
  });

  it('E5: it expires by what the replica saw', () => {
    expect(seen(400, 14_400)).toMatchObject({ verdict: 'live', ageMs: { max: 14_000 } });
    expect(seen(400, 14_401).verdict).toBe('expired');
  });

  it('E5: beyond the tolerance it is doubt', () => {
    expect(seen(1000, 2010).verdict).toBe('live');
    expect(seen(1011, 2010)).toMatchObject({ verdict: 'doubt', ageMs: { max: Infinity } });
  });
});

describe('E6: no promise', () => {
  it('E6: nobody holds it: free; no duration or no renew time: untimed', () => {
    expect(expiryOf(null, null, null, tolerance).verdict).toBe('free');
    expect(expiryOf(stored(record({ holder: null }), t0), null, null, tolerance).verdict).toBe('free');
    expect(expiryOf(stored(record({ durationS: null }), t0), null, null, tolerance).verdict).toBe('untimed');
    expect(expiryOf(stored(record({ renewed: null }), t0), null, null, tolerance).verdict).toBe('untimed');
  });
});

describe('S: a new promise that is worth nothing', () => {
  const taken = (renewed: number, options = {}) =>
    stored(record({ holder: 'b', renewed, transitions: 1, ...options }), t0 + 15_000, 'b', heldByA);
  const judge = (after: LockState, storedRenewTimes: string[] = []) =>
    decide(
      update(heldByA, after),
      facts({ serverNow: at(t0 + 15_000), storedRenewTimes }),
      builtInDefaults,
    ).violations.map((each) => `${each.clause} ${each.enforcement}`);

  it('S1: a takeover whose own lease has already run out is refused', () => {
    expect(judge(taken(t0 - 1000))).toEqual(['S1 Deny']);
  });

  it('S1: also when a lock is created or acquired', () => {
    const stale = stored(record({ holder: 'b', renewed: t0 }), t0 + 60_000, 'b');
    const free = stored(record({ holder: null }), t0);
    const create = { ...update(free, stale), operation: 'CREATE', before: null } as const;
    for (const write of [
      create,
      update(free, stored(record({ holder: 'b', renewed: t0 - 1 }), t0 + 60_000, 'b', free)),
    ]) {
      expect(decide(write, facts(), builtInDefaults).violations[0]).toMatchObject({
        clause: 'S1',
        enforcement: 'Deny',
      });
    }
  });

  it('S1: within a lease and the tolerance it is allowed', () => {
    expect(judge(taken(t0 - 900))).toEqual([]);
  });

  it('S1: names the deviation of the clock', () => {
    const decision = decide(
      update(heldByA, taken(t0 - 20_000)),
      facts({ serverNow: at(t0 + 15_000) }),
      builtInDefaults,
    );
    expect(decision.violations[0]?.message).toContain(
      "the new renew time is 35 s behind the API server's clock, its duration only 15 s",
    );
  });

  it('S1: a record that promises no time is not stale', () => {
    expect(judge(taken(t0 - 40_000, { durationS: null }))).toEqual([]);
    expect(
      judge(stored(record({ holder: 'b', renewed: null, transitions: 1 }), t0 + 15_000, 'b', heldByA)),
    ).toEqual([]);
  });

  it('S2: a renew time that the same identity stored before is refused', () => {
    const raw = new Date(t0 + 5000).toISOString();
    expect(judge(taken(t0 + 5000), [raw])).toEqual(['S2 Deny']);
    expect(judge(taken(t0 + 5000), [new Date(t0 + 4000).toISOString()])).toEqual([]);
  });

  it('S2: release and acquisition within one second of whole-second times is no replay', () => {
    expect(judge(taken(t0 + 14_000), [new Date(t0 + 14_000).toISOString()])).toEqual([]);
  });
});

describe('W: what is only worth a warning', () => {
  const judge = (options: Parameters<typeof record>[0], serverNow = at(t0 + 2000)) =>
    decide(
      update(heldByA, stored(record({ holder: 'a', acquired: t0, ...options }), t0 + 2000, 'a', heldByA)),
      facts({ serverNow }),
      builtInDefaults,
    ).violations.map((each) => `${each.clause} ${each.reason} ${each.enforcement}`);

  it('W1: a renew time more than a minute ahead or behind', () => {
    expect(judge({ renewed: t0 + 63_000 })).toEqual(['W1 RenewTimeSkewed Warn']);
    expect(judge({ renewed: t0 + 61_000 })).toEqual([]);
    expect(judge({ renewed: t0 - 59_000 })).toEqual(['W1 RenewTimeSkewed Warn', 'W2 RenewTimeBackward Warn']);
  });

  it('W2: a renewal whose renew time goes back, as at a change to winter time', () => {
    expect(judge({ renewed: t0 - 1000 })).toEqual(['W2 RenewTimeBackward Warn']);
  });

  it('W3: transitions that change on a renewal, or do not grow by one on a takeover', () => {
    expect(judge({ renewed: t0 + 2000, transitions: 1 })).toEqual(['W3 TransitionsOdd Warn']);
    expect(judge({ renewed: t0 + 2000, transitions: null })).toEqual([]);
    const after = stored(
      record({ holder: 'b', renewed: t0 + 15_000, transitions: 0 }),
      t0 + 15_000,
      'b',
      heldByA,
    );
    expect(decide(update(heldByA, after), facts(), builtInDefaults).violations).toMatchObject([
      { clause: 'W3' },
    ]);
  });

  it('W4: an acquire time that changes on a renewal', () => {
    expect(judge({ renewed: t0 + 2000, acquired: t0 + 1 })).toEqual(['W4 AcquireTimeChanged Warn']);
  });
});
