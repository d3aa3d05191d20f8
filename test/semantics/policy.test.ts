import { describe, expect, it } from 'vitest';
import { decide } from '../../src/core/decide.ts';
import type { Facts } from '../../src/core/facts.ts';
import type { LockWrite } from '../../src/core/lock.ts';
import { builtInDefaults, type Condition, type Settings } from '../../src/core/settings.ts';
import { strict } from '../../src/core/reasons.ts';
import type { DecisionView } from '../../src/core/view.ts';
import {
  at,
  create,
  facts,
  observedFor,
  pod,
  record,
  remove,
  stored,
  t0,
  update,
  user,
  type RecordOptions,
} from '../support/locks.ts';

const heldByA = stored(record({ holder: 'a' }), t0, 'a');
const freed = stored(record({ holder: null, durationS: 1 }), t0, 'a');
/** Long after the lease of `a` has run out. */
const expired = facts({ observation: observedFor(20_000), serverNow: at(t0 + 20_000) });
const live = facts({ observation: observedFor(1_000), serverNow: at(t0 + 1_000) });

function settings(change: Partial<Settings>): Settings {
  return { ...builtInDefaults, policy: 'lockpolicy/team/p', ...change };
}

function candidates(change: Partial<Settings['candidates']>): Settings {
  return settings({ candidates: { ...builtInDefaults.candidates, ...change } });
}

function taken(options: RecordOptions = {}, requester = pod('b')): LockWrite {
  const next = record({
    holder: 'b',
    renewed: t0 + 20_000,
    acquired: t0 + 20_000,
    transitions: 1,
    ...options,
  });
  return update(heldByA, stored(next, t0 + 20_000, 'b', heldByA), requester);
}

function judged(write: LockWrite, under: Settings, known: Facts = expired): readonly string[] {
  return decide(write, known, under).violations.map(
    (each) => `${each.clause} ${each.reason} ${each.enforcement}`,
  );
}

function condition(holds: (view: DecisionView) => boolean | null): Condition {
  return { name: 'lockpolicy/team/p: test', message: 'that must be so', holds };
}

const renewal = update(
  heldByA,
  stored(record({ holder: 'a', renewed: t0 + 1_000, acquired: t0 }), t0 + 1_000, 'a', heldByA),
  pod('a'),
);

describe('P1: bounds on the lease duration', () => {
  const bounded = settings({ leaseDurationMs: { min: 10_000, max: 30_000 } });

  it.each([
    ['shorter than the minimum', 9, ['P1 LeaseDurationOutOfBounds Deny']],
    ['the minimum', 10, []],
    ['the maximum', 30, []],
    ['longer than the maximum', 31, ['P1 LeaseDurationOutOfBounds Deny']],
    ['absent', null, []],
  ])('P1: %s', (_, durationS, violations) => {
    expect(judged(taken({ durationS }), bounded)).toEqual(violations);
  });

  it('P1: is asked at creation, acquisition and where a holder lengthens its lease, not of renewals or releases', () => {
    const long = stored(record({ holder: 'b', durationS: 60, renewed: t0 + 20_000 }), t0 + 20_000, 'b');
    expect(judged(create(long), bounded)).toEqual(['P1 LeaseDurationOutOfBounds Deny']);
    expect(judged(update(freed, long), bounded)).toContain('P1 LeaseDurationOutOfBounds Deny');
    const lengthened = stored(
      record({ holder: 'a', durationS: 60, renewed: t0 + 1_000, acquired: t0 }),
      t0 + 1_000,
      'a',
      heldByA,
    );
    expect(judged(update(heldByA, lengthened, pod('a')), bounded, live)).toEqual([
      'P1 LeaseDurationOutOfBounds Deny',
    ]);
    const tight = settings({ leaseDurationMs: { min: null, max: 5_000 } });
    expect(judged(renewal, tight, live)).toEqual([]);
    expect(
      judged(
        update(heldByA, stored(record({ holder: 'a', durationS: 1 }), t0, 'a', heldByA), pod('a')),
        bounded,
        live,
      ),
    ).toEqual([]);
  });

  it('P1: says by how much', () => {
    const [violation] = decide(taken({ durationS: 9 }), expired, bounded).violations;
    expect(violation?.message).toContain('than the policy allows (9 s is less than 10 s)');
  });
});

describe('P2: who may be a candidate', () => {
  const only = candidates({ usernames: ['system:serviceaccount:team:candidate'] });

  it('P2: a ServiceAccount that is listed takes the lock', () => {
    expect(judged(taken(), only)).toEqual([]);
  });

  it('P2: any other user does not', () => {
    const decision = decide(taken({}, user()), expired, only);
    expect(decision.violations[0]).toMatchObject({
      clause: 'P2',
      reason: 'CandidateNotAllowed',
      enforcement: 'Deny',
    });
    expect(decision.violations[0]?.message).toContain('(it is `jane`)');
  });

  it('P2: is not asked of who releases or deletes', () => {
    const release = update(heldByA, stored(record({ holder: null }), t0 + 1_000, 'jane', heldByA), user());
    expect(judged(release, only)).toEqual([]);
    expect(judged(remove(heldByA, user()), only)).toEqual([]);
  });
});

describe('P3: the holder and the pod', () => {
  it.each([
    ['PodName', 'b', []],
    ['PodName', 'b_1234', ['P3 HolderMismatch Deny']],
    ['PodNamePrefix', 'b', []],
    ['PodNamePrefix', 'b_1234', []],
    ['PodNamePrefix', 'b1', ['P3 HolderMismatch Deny']],
    ['PodNamePrefix', 'c', ['P3 HolderMismatch Deny']],
    ['Any', 'c', []],
  ] as const)('P3: %s, holder %s', (rule, holder, violations) => {
    expect(judged(taken({ holder }), candidates({ holder: rule }))).toEqual(violations);
  });

  it('P3: a token that is bound to no pod agrees with nothing', () => {
    const [violation] = decide(taken({}, user()), expired, candidates({ holder: 'PodName' })).violations;
    expect(violation?.message).toContain('(the token is bound to no pod)');
  });

  it('P3: an expression decides', () => {
    const holderCondition = condition(({ after, requester }) => after.holder === requester.pod);
    expect(judged(taken(), candidates({ holderCondition }))).toEqual([]);
    expect(judged(taken({ holder: 'c' }), candidates({ holderCondition }))).toEqual([
      'P3 HolderMismatch Deny',
    ]);
  });
});

describe('P4: conditions', () => {
  it('P4: the first that is false refuses, with its message', () => {
    const conditions = [condition(() => true), condition(() => false), condition(() => null)];
    const { violations } = decide(taken(), expired, settings({ conditions }));
    expect(violations.map(({ clause, reason }) => [clause, reason])).toEqual([['P4', 'ConditionNotMet']]);
    expect(violations[0]?.message).toContain('(that must be so)');
  });

  it('P4: one that fails only warns', () => {
    expect(judged(taken(), settings({ conditions: [condition(() => null)] }))).toEqual([
      'P4 CouldNotJudge Warn',
    ]);
  });

  it.each<[string, LockWrite, boolean]>([
    ['creation', create(heldByA), true],
    ['creation without a holder', create(freed), true],
    ['acquisition', update(freed, heldByA), true],
    ['release', update(heldByA, freed, pod('a')), true],
    ['deletion', remove(heldByA, pod('a')), true],
    ['renewal', renewal, false],
    ['a write that changes no promise', update(heldByA, { ...heldByA }), false],
  ])('P4: %s', (_, write, asked) => {
    const conditions = [condition(() => false)];
    const violations = judged(write, settings({ conditions }), facts({ serverNow: at(t0 + 1_000) }));
    expect(violations.includes('P4 ConditionNotMet Deny')).toBe(asked);
  });

  it('P4: sees the write without a null in it', () => {
    let seen: DecisionView | null = null;
    const look = condition((view) => {
      seen = view;
      return true;
    });
    decide(taken(), expired, settings({ conditions: [look] }));
    expect(seen).toEqual({
      operation: 'UPDATE',
      transition: 'takeover',
      lock: { kind: 'Lease', namespace: 'team', name: 'election' },
      before: { held: true, holder: 'a', leaseDurationSeconds: 15, transitions: 0 },
      after: { held: true, holder: 'b', leaseDurationSeconds: 15, transitions: 1 },
      lease: { state: 'expired', elapsedSeconds: 20, remainingSeconds: 0 },
      requester: {
        username: 'system:serviceaccount:team:candidate',
        groups: ['system:serviceaccounts'],
        serviceAccount: 'team/candidate',
        pod: 'b',
      },
    });
    decide(remove(freed, user()), facts(), settings({ conditions: [look] }));
    expect(seen).toMatchObject({
      operation: 'DELETE',
      before: { held: false, holder: '', leaseDurationSeconds: 1 },
      after: { held: false, holder: '', leaseDurationSeconds: 0, transitions: 0 },
      lease: { state: 'free', elapsedSeconds: 0, remainingSeconds: 0 },
      requester: { username: 'jane', serviceAccount: '', pod: '' },
    });
  });
});

describe('the profile Strict', () => {
  it('refuses what client-go never writes, and nothing that it writes', () => {
    const strictly = settings({ enforcement: strict });
    expect(judged(taken({ transitions: 0 }), strictly)).toEqual(['W3 TransitionsOdd Deny']);
    expect(judged(taken(), strictly)).toEqual([]);
    expect(judged(renewal, strictly, live)).toEqual([]);
  });
});

describe('what a policy says besides', () => {
  it('stands in the denial, before the rule and the policy', () => {
    const noted = settings({ note: 'ask the storage team' });
    const [violation] = decide(taken({}, pod('b')), live, noted).violations;
    expect(violation?.message).toMatch(
      /; ask the storage team; \[lockwarden U15 PrematureTakeover, lockpolicy\/team\/p\]$/,
    );
  });
});
