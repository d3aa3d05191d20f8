import { describe, expect, it } from 'vitest';
import { decide } from '../../src/core/decide.ts';
import type { LockState } from '../../src/core/lock.ts';
import { builtInDefaults } from '../../src/core/settings.ts';
import {
  create,
  entry,
  facts,
  observedFor,
  record,
  stored,
  t0,
  update,
  user,
  withEntries,
} from '../support/locks.ts';

const owner = entry('a', t0, { renewTime: true, holder: true });
const heldByA = withEntries(stored(record({ holder: 'a' }), t0, 'a'), [owner]);
const live = facts({ observation: observedFor(5000) });

const judge = (before: LockState, after: LockState, known = live) =>
  decide(update(before, after, user()), known, builtInDefaults).violations.map(
    (each) => `${each.clause} ${each.reason} ${each.enforcement}`,
  );

describe('U18: the stamps of a live lock stay as the API server wrote them', () => {
  it('U18: a reset is refused', () => {
    expect(judge(heldByA, withEntries(heldByA, []))).toEqual(['U18 EvidenceTampered Deny']);
  });

  it('U18: a reset beside a renewal is refused too', () => {
    const after = withEntries(
      stored(record({ holder: 'a', renewed: t0 + 5000, acquired: t0 }), t0 + 5000),
      [],
    );
    expect(judge(heldByA, after)).toEqual(['U18 EvidenceTampered Deny']);
  });

  it('U18: moving the stamp back is refused', () => {
    expect(judge(heldByA, withEntries(heldByA, [entry('a', t0 - 60_000, { renewTime: true })]))).toEqual([
      'U18 EvidenceTampered Deny',
    ]);
  });

  it('U18: by less than API servers’ clocks differ it is no tampering', () => {
    expect(judge(heldByA, withEntries(heldByA, [entry('a', t0 - 2000, { renewTime: true })]))).toEqual([]);
  });

  it('U18: renaming the entry that owns the renew time is refused', () => {
    expect(judge(heldByA, withEntries(heldByA, [entry('x', t0, { renewTime: true })]))).toEqual([
      'U18 EvidenceTampered Deny',
    ]);
  });

  it('U18: back-dating under cover of a label under another name is refused', () => {
    const labelled = [entry('a', t0 - 60_000, { renewTime: true }), entry('kubectl', t0 + 5000)];
    expect(judge(heldByA, withEntries(heldByA, labelled))).toContain('U18 EvidenceTampered Deny');
  });

  it('U18: when the lease has run out nobody is hurt', () => {
    expect(judge(heldByA, withEntries(heldByA, []), facts({ observation: observedFor(15_000) }))).toEqual([]);
  });

  it('U18: refused in doubt as well, since no honest client does it', () => {
    expect(judge(heldByA, withEntries(heldByA, []), facts())).toEqual(['U18 EvidenceTampered Deny']);
  });

  for (const [what, entries] of [
    ['a label by another manager', [owner, entry('kubectl', t0 + 5000)]],
    ['the holder’s manager writes another field', [entry('a', t0 + 5000, { renewTime: true, holder: true })]],
    ['an identical forced apply adds an owner', [owner, entry('ssa', t0 + 5000, { renewTime: true })]],
    ['that owner carries no time', [owner, entry('ssa', null, { renewTime: true })]],
    [
      'old entries are merged',
      [entry('ancient-changes', t0, { renewTime: true, holder: true }), entry('kubectl', t0 + 5000)],
    ],
    [
      'the first apply adopts what was there',
      [owner, entry('before-first-apply', t0 + 5000), entry('ssa', t0 + 5000)],
    ],
  ] as const) {
    it(`U18: ${what}: allowed`, () => {
      expect(judge(heldByA, withEntries(heldByA, entries))).toEqual([]);
    });
  }

  it('U18: merged entries do not cover a stamp that moved back', () => {
    expect(
      judge(
        heldByA,
        withEntries(heldByA, [owner, entry('ancient-changes', t0 - 60_000, { renewTime: true })]),
      ),
    ).toEqual(['U18 EvidenceTampered Deny']);
  });

  it('U18: a release that nulls every field it owned empties the list: allowed', () => {
    const after = withEntries(
      stored(record({ holder: null, durationS: null, renewed: null }), t0 + 5000),
      [],
    );
    expect(judge(heldByA, after)).toEqual([]);
  });

  it('U18: an entry forged beside a renewal is refused, though no stamp moves back', () => {
    const label = entry('kubectl', t0 - 60_000);
    const before = withEntries(heldByA, [owner, label]);
    const renewed = stored(record({ holder: 'a', renewed: t0 + 5000, acquired: t0 }), t0 + 5000);
    const mine = entry('a', t0 + 5000, { renewTime: true, holder: true });
    expect(judge(before, withEntries(renewed, [mine, label]))).toEqual([]);
    expect(judge(before, withEntries(renewed, [mine, entry('kubectl', t0 + 60_000)]))).toEqual([
      'U18 EvidenceTampered Deny',
    ]);
  });

  it('U18: moving the stamp to an entry that has long been there is refused', () => {
    const before = withEntries(heldByA, [owner, entry('kubectl', t0)]);
    const after = withEntries(heldByA, [
      entry('a', t0, { holder: true }),
      entry('kubectl', t0, { renewTime: true }),
    ]);
    expect(judge(before, after)).toEqual(['U18 EvidenceTampered Deny']);
  });

  it('U18: an untracked lock has no stamps to lose', () => {
    const untracked = withEntries(heldByA, []);
    expect(judge(untracked, untracked)).toEqual([]);
  });
});

describe('U19: no entries but the one that the API server writes', () => {
  it('U19: planting beside one’s own entry is refused, whatever the lock’s state', () => {
    const planted = [owner, entry('kubectl', t0 + 5000), entry('x1', t0 + 5000)];
    expect(judge(heldByA, withEntries(heldByA, planted))).toContain('U19 EvidenceTampered Deny');
    const free = withEntries(stored(record({ holder: null }), t0), [owner]);
    expect(judge(free, withEntries(free, planted))).toEqual(['U19 EvidenceTampered Deny']);
  });

  it('U19: a list that passes 64 entries is refused; one that was longer before is left alone', () => {
    const long = (count: number): LockState => ({ ...heldByA, stamps: { entries: [owner], count } });
    expect(judge(long(64), long(65))).toEqual(['U19 EvidenceTampered Deny']);
    expect(judge(long(65), long(66))).toEqual(['U19 EvidenceTampered Deny']);
    expect(judge(long(65), long(65))).toEqual([]);
    expect(judge(long(1), long(64))).toEqual([]);
  });

  it('U19: planting one entry beside a renewal in the second of the one before is refused', () => {
    const renewed = stored(record({ holder: 'a', renewed: t0 + 500, acquired: t0 }), t0 + 500);
    expect(judge(heldByA, withEntries(renewed, [owner]))).toEqual([]);
    expect(judge(heldByA, withEntries(renewed, [owner, entry('x', t0)]))).toContain(
      'U19 EvidenceTampered Deny',
    );
  });

  it('U19: entries that were there are not planted, whatever their times', () => {
    const free = withEntries(stored(record({ holder: null }), t0), [entry('x', t0), entry('y', t0)]);
    expect(judge(free, withEntries(free, [entry('x', t0 + 5000), entry('y', t0 + 5000)]))).toEqual([]);
  });

  it('U19: a lock is not created with more than 64 entries', () => {
    const created = (count: number) => create({ ...heldByA, stamps: { entries: [owner], count } }, user());
    expect(decide(created(64), facts(), builtInDefaults).violations).toEqual([]);
    expect(decide(created(65), facts(), builtInDefaults).violations).toMatchObject([{ clause: 'U19' }]);
  });

  it('U19: nor with planted ones, be it without a holder', () => {
    const free = withEntries(stored(record({ holder: null }), t0), [entry('x', t0), entry('y', t0)]);
    expect(decide(create(free), facts(), builtInDefaults)).toMatchObject({
      outcome: 'Deny',
      transition: 'create-free',
      violations: [{ clause: 'U19', reason: 'EvidenceTampered' }],
    });
  });

  it('U19: a forged present beside a takeover does not make a live lock look expired', () => {
    const taken = stored(
      record({ holder: 'b', renewed: t0 + 2000, transitions: 1 }),
      t0 + 2000,
      'b',
      heldByA,
    );
    const forged = withEntries(taken, [...taken.stamps.entries, entry('x', t0 + 3_600_000)]);
    const violations = judge(heldByA, forged, facts());
    expect(violations).toContain('U15 PrematureTakeover Deny');
    expect(violations).toContain('U19 EvidenceTampered Deny');
  });
});
