/**
 * `decide()` against the naive model, over every case of a small domain. A difference prints the case itself.
 */
import { describe, expect, it } from 'vitest';
import { decide } from '../../src/core/decide.ts';
import type { Facts, Observation } from '../../src/core/facts.ts';
import type { LockState, LockWrite, Requester } from '../../src/core/lock.ts';
import { builtInDefaults } from '../../src/core/settings.ts';
import { recordOf } from '../../src/core/stamps.ts';
import { entry, facts, lock, pod, record, stored, t0, user, withEntries } from '../support/locks.ts';
import { expected, type Carried, type Case } from './model.ts';

const ageMs: Readonly<Record<Case['age'], Observation>> = {
  live: { ageMs: { min: 2000, max: 2000 }, stampedAt: null },
  doubt: { ageMs: { min: 2000, max: 60_000 }, stampedAt: null },
  expired: { ageMs: { min: 60_000, max: 60_000 }, stampedAt: null },
};

// The recorded renew time disagrees with its stamp, so that the observation alone decides; and it stays within every
// bound of the rules that look at clocks.
const recordedAt = t0 - 2500;
const renewedAt = t0 + 2000;

function carry(carried: Carried, holder: string, renewed: boolean): LockState | null {
  const renew = { holder, renewed: renewed ? renewedAt : recordedAt, acquired: t0, transitions: null };
  switch (carried) {
    case 'absent':
      return null;
    case 'free':
      return stored(record({ ...renew, holder: null }), t0, 'holder');
    case 'held':
      return stored(record(renew), t0, 'holder');
    case 'held5':
      return stored(record({ ...renew, durationS: 5 }), t0, 'holder');
    case 'held30':
      return stored(record({ ...renew, durationS: 30 }), t0, 'holder');
    case 'noRenewTime':
      return stored(record({ ...renew, renewed: null }), t0, 'holder');
    case 'noDuration':
      return stored(record({ ...renew, durationS: null }), t0, 'holder');
    case 'unreadable':
      return { ...stored(record(renew), t0, 'holder'), reading: { kind: 'unreadable', why: 'odd' } };
    case 'noRecord':
      return { ...stored(record(renew), t0, 'holder'), reading: { kind: 'none' } };
  }
}

/** The stamps as the API server would leave them, then tampered with as the case says. */
function stampsAfter(c: Case, after: LockState, before: LockState | null): LockState {
  const [then, now] = [before === null ? null : recordOf(before), recordOf(after)];
  const renews = now?.renewTime != null && now.renewTime.raw !== then?.renewTime?.raw;
  const takes = now?.holder != null && now.holder !== then?.holder;
  const kept = (before?.stamps.entries ?? []).map((each) => ({
    ...each,
    ownsRenewTime: each.ownsRenewTime && now?.renewTime != null && !renews,
    ownsHolder: each.ownsHolder && !takes,
  }));
  const written = entry('requester', renewedAt, { renewTime: renews, holder: takes });
  const intact = renews || takes ? [...kept, written] : kept;
  switch (c.stamps) {
    case 'intact':
      return withEntries(after, intact);
    case 'reset':
      return withEntries(after, []);
    case 'planted':
      return withEntries(after, [...intact, entry('planted-1', renewedAt), entry('planted-2', renewedAt)]);
  }
}

function requesterOf(c: Case): { requester: Requester; bindings: Partial<Facts['bindings']> } {
  const holderPod = { namespace: 'team', name: 'a', uid: 'a' };
  switch (c.requester) {
    case 'own':
      return { requester: pod('a'), bindings: { holderPod } };
    case 'otherIdentity':
      return { requester: pod('z'), bindings: { requesterAsserted: 'somebody else' } };
    case 'boundPodRuns':
      return { requester: pod('z'), bindings: { holderPod, holderPodState: 'exists' } };
    case 'boundPodGone':
      return { requester: pod('z'), bindings: { holderPod, holderPodState: 'gone' } };
    case 'boundPodUnknown':
      return { requester: pod('z'), bindings: { holderPod, holderPodState: 'unknown' } };
    case 'noBinding':
      return { requester: user(), bindings: {} };
    case 'apiServer':
      return { requester: user('system:apiserver'), bindings: {} };
  }
}

function inputOf(c: Case): { write: LockWrite; known: Facts } {
  const before = carry(c.before, 'a', false);
  const carried = carry(c.after, c.sameHolder ? 'a' : 'b', c.renewed);
  const after = carried === null ? null : stampsAfter(c, { ...carried, uid: before?.uid ?? '' }, before);
  const { requester, bindings } = requesterOf(c);
  const buriedState = stored(record({ holder: 'a' }), t0, null);
  const known = facts({
    bindings,
    observation: ageMs[c.age],
    tombstone:
      c.tombstone === 'none'
        ? null
        : {
            state: buriedState,
            observation: ageMs[c.age],
            attribution: c.tombstone === 'byOther' ? 'other' : 'unknown',
            holderPod: bindings.holderPod ?? null,
          },
  });
  return { write: { operation: c.operation, lock, before, after, requester, dryRun: false }, known };
}

const carried: readonly Carried[] = [
  'free',
  'held',
  'held5',
  'held30',
  'noRenewTime',
  'noDuration',
  'unreadable',
  'noRecord',
];

function* cases(): Generator<Case> {
  const operations = [
    { operation: 'CREATE', befores: ['absent'], afters: carried },
    { operation: 'UPDATE', befores: carried, afters: carried },
    { operation: 'DELETE', befores: carried, afters: ['absent'] },
  ] as const;
  for (const { operation, befores, afters } of operations)
    for (const before of befores)
      for (const after of afters)
        for (const sameHolder of [true, false])
          for (const renewed of [true, false])
            for (const age of ['live', 'doubt', 'expired'] as const)
              for (const requester of [
                'own',
                'otherIdentity',
                'boundPodRuns',
                'boundPodGone',
                'boundPodUnknown',
                'noBinding',
                'apiServer',
              ] as const)
                for (const stamps of operation === 'DELETE'
                  ? (['intact'] as const)
                  : (['intact', 'reset', 'planted'] as const))
                  for (const tombstone of ['none', 'byOther', 'byUnknown'] as const)
                    yield {
                      operation,
                      before,
                      after,
                      sameHolder,
                      renewed,
                      age,
                      requester,
                      stamps,
                      tombstone,
                    };
}

describe('decide() agrees with the naive model', () => {
  it('over every case of a small domain', () => {
    let count = 0;
    for (const c of cases()) {
      const { write, known } = inputOf(c);
      const decision = decide(write, known, builtInDefaults);
      const found = decision.violations.map((each) => `${each.clause} ${each.enforcement}`).sort();
      const model = expected(c).sort();
      if (JSON.stringify(found) !== JSON.stringify(model))
        expect({ ...c, found }).toEqual({ ...c, found: model });
      expect(decision.outcome).toBe(model.some((each) => each.endsWith('Deny')) ? 'Deny' : 'Allow');
      if (decision.outcome === 'Deny') expect(decision.effect).toBeNull();
      count += 1;
    }
    expect(count).toBeGreaterThan(10_000);
  });
});
