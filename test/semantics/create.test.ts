import { describe, expect, it } from 'vitest';
import { decide } from '../../src/core/decide.ts';
import type { Tombstone } from '../../src/core/facts.ts';
import { builtInDefaults } from '../../src/core/settings.ts';
import {
  create,
  facts,
  observedFor,
  pod,
  record,
  stored,
  t0,
  user,
  withEntries,
  entry,
} from '../support/locks.ts';

const judge = (write: Parameters<typeof decide>[0], known = facts()) => decide(write, known, builtInDefaults);
const reasonsOf = (decision: ReturnType<typeof decide>) =>
  decision.violations.map((each) => `${each.clause} ${each.reason} ${each.enforcement}`);

/** A lock of `a` that was deleted `ageMs` after its last renewal. */
function buried(ageMs: number, attribution: Tombstone['attribution'] = 'other'): Tombstone {
  return {
    state: stored(record({ holder: 'a' }), t0),
    observation: observedFor(ageMs),
    attribution,
    holderPod: null,
  };
}

describe('C1: creating a lock that nobody holds is free', () => {
  it('C1: an object without a record is created', () => {
    const empty = {
      ...stored(record({ holder: null, renewed: null, durationS: null }), t0),
      stamps: { entries: [], count: 0 },
    };
    expect(judge(create(empty))).toMatchObject({
      outcome: 'Allow',
      transition: 'create-free',
      violations: [],
      effect: null,
    });
  });

  it('C1: even under a live tombstone', () => {
    const empty = stored(record({ holder: null, renewed: null, durationS: null }), t0);
    expect(judge(create(empty), facts({ tombstone: buried(1000) })).violations).toEqual([]);
  });
});

describe('C2: creating a held lock is free when nothing was buried under its name', () => {
  it('C2: client-go creates with acquire time equal to renew time', () => {
    const decision = judge(create(stored(record({ holder: 'b' }), t0)));
    expect(decision).toMatchObject({ outcome: 'Allow', transition: 'create-held', violations: [] });
    expect(decision.effect).toEqual({
      kind: 'asserted',
      holder: 'b',
      renewTime: new Date(t0).toISOString(),
      pod: { namespace: 'team', name: 'b', uid: 'b' },
    });
  });

  it('C2: Patroni creates with seven transitions and an acquire time an hour old', () => {
    const after = stored(record({ holder: 'b', transitions: 7, acquired: t0 - 3_600_000 }), t0);
    expect(judge(create(after)).violations).toEqual([]);
  });

  it('C2: a first record without a duration is created', () => {
    expect(judge(create(stored(record({ holder: 'b', durationS: null }), t0))).outcome).toBe('Allow');
  });

  it('C2: the former holder takes its deleted lock back at once', () => {
    const after = stored(record({ holder: 'a' }), t0 + 1000);
    expect(judge(create(after, pod('a')), facts({ tombstone: buried(1000) })).violations).toEqual([]);
  });

  it('C2: anybody takes a deleted lock once its lease has run out', () => {
    const after = stored(record({ holder: 'b', renewed: t0 + 15_000 }), t0 + 15_000);
    expect(judge(create(after), facts({ tombstone: buried(15_000) })).violations).toEqual([]);
  });
});

describe('C3: a deleted live lock is not taken by another before its lease has run out', () => {
  const after = stored(record({ holder: 'b', renewed: t0 + 3000 }), t0 + 3000);

  it('C3: another identity is refused', () => {
    const decision = judge(create(after), facts({ tombstone: buried(3000) }));
    expect(decision.outcome).toBe('Deny');
    expect(reasonsOf(decision)).toEqual(['C3 PrematureRecreation Deny']);
    expect(decision.effect).toBeNull();
    expect(decision.expiry).toMatchObject({ verdict: 'live', holder: 'a' });
    expect(decision.violations[0]?.message).toContain('held by `a`');
  });

  it('C3: only warned when who deleted it is not known', () => {
    const decision = judge(create(after), facts({ tombstone: buried(3000, 'unknown') }));
    expect(decision.outcome).toBe('Allow');
    expect(reasonsOf(decision)).toEqual(['C3 PrematureRecreation Warn']);
  });

  it('C3: only warned when the age of the buried promise is in doubt', () => {
    const untracked = stored(record({ holder: 'a' }), t0, null);
    const observation = { ageMs: { min: 0, max: 20_000 }, stampedAt: null };
    const tombstone: Tombstone = { state: untracked, observation, attribution: 'other', holderPod: null };
    expect(reasonsOf(judge(create(after), facts({ tombstone })))).toEqual(['C3 UncertainExpiry Warn']);
  });

  it('C3: the stamps of the last state judge where nothing was observed', () => {
    const tombstone: Tombstone = { ...buried(0), observation: null };
    expect(reasonsOf(judge(create(after), facts({ tombstone })))).toEqual(['C3 PrematureRecreation Deny']);
  });
});

describe('C3: in the name of the holder that the deleted lock had', () => {
  const after = stored(record({ holder: 'a', renewed: t0 + 3000 }), t0 + 3000);
  const holderPod = { namespace: 'team', name: 'a', uid: 'a' };
  const runs = { holderPodState: 'exists' } as const;

  it('C3: refused while the pod that held it runs', () => {
    const known = facts({ tombstone: { ...buried(3000), holderPod }, bindings: runs });
    expect(reasonsOf(judge(create(after), known))).toEqual(['C3 PrematureRecreation Deny']);
    expect(judge(create(after, pod('a')), known).violations).toEqual([]);
  });

  it('C3: refused by a pod that went by another identity, whoever deleted the lock', () => {
    for (const attribution of ['other', 'unknown'] as const) {
      const known = facts({ tombstone: buried(3000, attribution), bindings: { requesterAsserted: 'b' } });
      expect(reasonsOf(judge(create(after), known))).toEqual(['C3 PrematureRecreation Deny']);
    }
  });

  it('C3: allowed in doubt, without a warning: nobody else takes it', () => {
    const untracked = stored(record({ holder: 'a' }), t0, null);
    const observation = { ageMs: { min: 0, max: 20_000 }, stampedAt: null };
    const tombstone: Tombstone = { state: untracked, observation, attribution: 'other', holderPod };
    expect(judge(create(after), facts({ tombstone, bindings: runs }))).toMatchObject({
      expiry: { verdict: 'doubt' },
      violations: [],
    });
  });
});

describe('U19 on creation', () => {
  it('U19: a lock is not created with entries of the creator’s making', () => {
    const after = withEntries(stored(record({ holder: 'b' }), t0), [
      entry('client', t0, { renewTime: true, holder: true }),
      entry('somebody', t0 - 60_000),
    ]);
    expect(reasonsOf(judge(create(after, user())))).toEqual(['U19 EvidenceTampered Deny']);
  });
});
