import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { LockState } from '../../src/core/lock.ts';
import { explain, type Explanation } from '../../src/explain/explanation.ts';
import { render } from '../../src/explain/render.ts';
import type { Policy } from '../../src/policy/policy.ts';
import { resolve } from '../../src/policy/resolve.ts';
import { cluster, local } from '../policy/policies.ts';
import { at, lock, record, stored, t0 } from '../support/locks.ts';

const held = stored(record({ holder: 'a' }), t0, 'a');

function explained(
  policies: readonly Policy[],
  {
    state = held,
    afterMs = 2_000,
    namespace = lock.namespace,
  }: { state?: LockState | null; afterMs?: number; namespace?: string } = {},
): Explanation {
  const about = { ...lock, namespace };
  const effective = resolve({
    lock: about,
    namespaceLabels: {},
    policies,
    ownNamespace: 'lockwarden-system',
  });
  const now = at(t0 + afterMs);
  if (now === null) throw new Error('a present is needed');
  return explain({ lock: about, state, effective, now, whileDown: 'Switch' });
}

describe('explain', () => {
  it('says in a word what guards the lock while lockwarden is down', () => {
    const told = explained([]);
    expect(told.whileDown).toBe('Switch');
    const words = [
      'Switch, the API server refuses',
      'Closed, a policy fails closed',
      'Nothing, whoever may',
      'Unknown.',
    ];
    for (const [index, whileDown] of (['Switch', 'Closed', 'Nothing', 'Unknown'] as const).entries())
      expect(render({ ...told, whileDown }, 'table')).toContain(
        `While lockwarden is down: ${words[index] ?? ''}`,
      );
  });

  it('names the source of each value and each rule', () => {
    const policies = [
      cluster('wide', { deletion: 'Deny', rules: [{ reason: 'StaleRenewTime', enforcement: 'Warn' }] }),
      local('team', 'narrow', { tolerance: '500ms', leaseDuration: { max: '30s' } }),
    ];
    const { values, rules, policies: covering } = explained(policies);
    expect(covering).toEqual(['clusterlockpolicy/wide', 'lockpolicy/team/narrow']);
    expect(values).toContainEqual({ name: 'tolerance', value: '0.5s', from: 'lockpolicy/team/narrow' });
    expect(values).toContainEqual({
      name: 'leaseDuration',
      value: 'at most 30s',
      from: 'lockpolicy/team/narrow',
    });
    expect(values).toContainEqual({ name: 'deletion', value: 'Deny', from: 'clusterlockpolicy/wide' });
    expect(values).toContainEqual({ name: 'failurePolicy', value: 'Ignore', from: 'built-in defaults' });
    expect(rules).toContainEqual({
      reason: 'StaleRenewTime',
      enforcement: 'Warn',
      from: 'clusterlockpolicy/wide',
    });
    expect(rules).toContainEqual({
      reason: 'PrematureTakeover',
      enforcement: 'Deny',
      from: 'built-in defaults',
    });
  });

  it('says which floor raised a rule, and which policies disagree', () => {
    const policies = [
      cluster('floor', { floor: { enforcement: 'Warn' } }),
      local('team', 'a', { enforcement: 'Audit', tolerance: '1s' }),
      local('team', 'b', { tolerance: '2s' }),
    ];
    const { rules, conflicts } = explained(policies);
    expect(rules).toContainEqual({
      reason: 'PrematureTakeover',
      enforcement: 'Warn',
      from: 'floor of clusterlockpolicy/floor',
    });
    expect(conflicts).toEqual([
      'tolerance: lockpolicy/team/a and lockpolicy/team/b disagree; what lockpolicy/team/a says holds',
    ]);
  });

  it.each([
    ['refused while the lease runs', 2_000, [], 'Deny'],
    ['let pass once it has run out', 20_000, [], 'Allow'],
    ['let pass with a warning where the stamps leave it open', 14_200, [], 'Warn'],
    [
      'let pass with a warning where a policy only warns',
      2_000,
      [local('team', 'p', { enforcement: 'Warn' })],
      'Warn',
    ],
    ['let pass where a policy only records', 2_000, [local('team', 'p', { enforcement: 'Audit' })], 'Allow'],
  ])('a takeover is %s', (_, afterMs, policies, outcome) => {
    expect(explained(policies, { afterMs }).takeover?.outcome).toBe(outcome);
  });

  it('of a lock that nobody holds, or that is not there, knows of nothing to take over', () => {
    const freed = stored(record({ holder: null }), t0, 'a');
    expect(explained([], { state: freed })).toMatchObject({
      exists: true,
      holder: null,
      takeover: { outcome: 'Free' },
    });
    expect(explained([], { state: null })).toMatchObject({ exists: false, takeover: { outcome: 'Free' } });
  });

  it('says when a lock is not judged at all', () => {
    const explanation = explained([], { namespace: 'kube-system' });
    expect(explanation).toMatchObject({ guarded: false, values: [], takeover: null });
    expect(render(explanation, 'table')).toBe(
      'lease/kube-system/election is not guarded: neither the built-in defaults nor a policy covers it.\n',
    );
  });
});

describe('render', () => {
  const explanation = explained([local('team', 'p', { message: 'ask the storage team' })]);

  it('draws a table under sentences', () => {
    const text = render(explanation, 'table');
    const [first, second] = text.split('\n');
    expect(first).toBe('lease/team/election: held by `a`.');
    expect(second).toBe('A takeover now would be refused:');
    expect(text).toMatch(
      /\n {2}lease\/team\/election: another identity takes the lock .*; ask the storage team; \[lockwarden U15/,
    );
    expect(text).toMatch(/\nSETTING {2,}VALUE {2,}FROM\n/);
    expect(text).toMatch(/\nmessage {2,}ask the storage team {2,}lockpolicy\/team\/p\n/);
    expect(text.split('\n').every((line) => line === line.trimEnd())).toBe(true);
  });

  it('prints the same as JSON and as YAML', () => {
    expect(JSON.parse(render(explanation, 'json'))).toEqual(explanation);
    expect(parse(render(explanation, 'yaml'))).toEqual(explanation);
  });
});
