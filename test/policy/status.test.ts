import { describe, expect, it } from 'vitest';
import { clusterLockPolicy, type PolicyStatus } from '../../src/policy/api.ts';
import type { PolicyRef } from '../../src/policy/policy-ref.ts';
import { statusOf, statusPath, type StatusFacts } from '../../src/policy/status.ts';
import { local } from './policies.ts';

const ref: PolicyRef = { kind: 'LockPolicy', namespace: 'team', name: 'p' };
const other: PolicyRef = { ...ref, name: 'q' };
const good: StatusFacts = {
  policy: { ref, generation: 2, inForce: local('team', 'p', {}), faults: [] },
  locksMatched: 3,
  rejections: 1,
  conflicts: [],
  whileDown: { Switch: 3 },
};
const faults = [{ field: 'spec.tolerance', why: 'at most 10s' }];
const earlier = '2026-01-01T00:00:00Z';
const now = '2026-01-02T00:00:00Z';

function conditions(facts: StatusFacts, before: PolicyStatus = {}): Record<string, string> {
  const status = statusOf(facts, before, now);
  return Object.fromEntries(
    (status.conditions ?? []).map((each) => [each.type, `${each.status} ${each.reason}`]),
  );
}

describe('statusOf', () => {
  it('tells a policy that is in force', () => {
    expect(conditions(good)).toEqual({
      Ready: 'True InForce',
      Invalid: 'False Valid',
      Conflicted: 'False Undisputed',
      StandIn: 'True Switch',
    });
    expect(statusOf(good, {}, now)).toMatchObject({ observedGeneration: 2, locksMatched: 3, rejections: 1 });
  });

  it('tells one that has turned invalid, with the field, and which generation is in force', () => {
    const status = statusOf({ ...good, policy: { ...good.policy, faults } }, {}, now);
    expect(status.conditions).toMatchObject([
      {
        type: 'Ready',
        status: 'False',
        reason: 'LastGoodInForce',
        message: 'generation 1 stays in force until the policy is corrected',
      },
      { type: 'Invalid', status: 'True', reason: 'FieldInvalid', message: 'spec.tolerance: at most 10s' },
      { type: 'Conflicted', status: 'False' },
      { type: 'StandIn', status: 'True' },
    ]);
  });

  it('tells one that never was valid', () => {
    expect(conditions({ ...good, policy: { ...good.policy, inForce: null, faults } })).toMatchObject({
      Ready: 'False Invalid',
    });
  });

  it.each([
    [{ Closed: 2 }, 'True Closed', 'while lockwarden is down, its locks are guarded by: Closed for 2'],
    [{ Nothing: 1 }, 'False Nothing', 'while lockwarden is down, its locks are guarded by: Nothing for 1'],
    [
      { Switch: 2, Nothing: 1 },
      'False Mixed',
      'while lockwarden is down, its locks are guarded by: Nothing for 1, Switch for 2',
    ],
    [{}, 'Unknown NoLocks', 'there is no lock that the policy covers'],
  ])('tells in a word what guards its locks while lockwarden is down: %j', (whileDown, word, message) => {
    const facts = { ...good, whileDown };
    expect(conditions(facts)).toMatchObject({ StandIn: word });
    const standIn = statusOf(facts, {}, now).conditions?.find(({ type }) => type === 'StandIn');
    expect(standIn?.message).toBe(message);
  });

  it('tells both of two that disagree, and which holds', () => {
    const conflicts = [{ field: 'tolerance', between: [ref, other], winner: other } as const];
    const [, , conflicted] = statusOf({ ...good, conflicts }, {}, now).conditions ?? [];
    expect(conflicted).toMatchObject({
      status: 'True',
      reason: 'EquallySpecific',
      message: 'tolerance: lockpolicy/team/q is as specific and disagrees; what lockpolicy/team/q says holds',
    });
  });

  it('keeps the time of a condition that has not changed', () => {
    const before = statusOf(good, {}, earlier);
    const after = statusOf({ ...good, policy: { ...good.policy, faults } }, before, now);
    const times = Object.fromEntries(
      (after.conditions ?? []).map((each) => [each.type, each.lastTransitionTime]),
    );
    expect(times).toEqual({ Ready: now, Invalid: now, Conflicted: earlier, StandIn: earlier });
  });

  it('is what the schema says', () => {
    expect(clusterLockPolicy.status.parse(statusOf(good, {}, now))).toEqual(statusOf(good, {}, now));
  });
});

describe('statusPath', () => {
  it('leads to the status of either kind', () => {
    expect(statusPath(good.policy)).toBe(
      '/apis/lockwarden.dev/v1alpha1/namespaces/team/lockpolicies/p/status',
    );
    const cluster: PolicyRef = { kind: 'ClusterLockPolicy', namespace: '', name: 'c' };
    expect(statusPath({ ...good.policy, ref: cluster })).toBe(
      '/apis/lockwarden.dev/v1alpha1/clusterlockpolicies/c/status',
    );
  });
});
