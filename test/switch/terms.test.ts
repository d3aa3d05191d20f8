/** For which locks the switch stands in, as policies come to it. */
import { describe, expect, it } from 'vitest';
import { builtInDefaults } from '../../src/core/settings.ts';
import type { PolicyRef } from '../../src/policy/policy-ref.ts';
import { PolicyStore } from '../../src/policy/store.ts';
import { standsInFor, switchScope, type SwitchScope } from '../../src/switch/terms.ts';

const own = 'lockwarden-system';
const system = ['kube-node-lease', 'kube-public', 'kube-system', own, 'longhorn-system'];
const ofTeam = (name: string): PolicyRef => ({ kind: 'LockPolicy', namespace: 'team', name });
const ofCluster = (name: string): PolicyRef => ({ kind: 'ClusterLockPolicy', namespace: '', name });

const byDefault = {
  toleranceMs: builtInDefaults.toleranceMs,
  names: null,
  excludeNames: [],
  exempt: { usernames: [], groups: [] },
  shortening: true,
  stamps: true,
};

/** The classes that policies ask for, without those that are there for what is built in. */
const asked = ({ classes }: SwitchScope): SwitchScope['classes'] =>
  classes.filter(({ namespaces }) => !['istio-system', 'kyverno'].includes(namespaces.join()));

function scopeWith(...policies: readonly [PolicyRef, object][]): SwitchScope {
  const store = new PolicyStore(own);
  for (const [ref, spec] of policies) {
    const parsed = store.put({ ref, generation: 1, spec });
    if (!parsed.ok) throw new Error(parsed.faults.map(({ field, why }) => `${field}: ${why}`).join('; '));
  }
  return switchScope(store, own);
}

/** What holds in a namespace that is in no list. */
const others = (...policies: readonly [PolicyRef, object][]): SwitchScope['others'] =>
  scopeWith(...policies).others;

/** What holds in `team`. */
function inTeam(scope: SwitchScope): SwitchScope['others'] {
  if (scope.unguarded.includes('team')) return null;
  return scope.classes.find(({ namespaces }) => namespaces.includes('team'))?.terms ?? scope.others;
}

describe('the scope of the switch', () => {
  it('is, without policies, every namespace but the system’s and lockwarden’s own', () => {
    const scope = scopeWith();
    expect(scope).toMatchObject({ unguarded: system, others: byDefault });
    expect(asked(scope)).toEqual([]);
  });

  it('is the same for equal policies in another order', () => {
    const policies: readonly [PolicyRef, object][] = [
      [ofTeam('a'), { match: { names: ['a-*'] }, enforcement: 'Audit' }],
      [ofTeam('b'), { match: { names: ['b-*'] }, enforcement: 'Warn' }],
      [ofCluster('c'), { tolerance: '3s' }],
      [ofCluster('d'), { match: { namespaces: ['x', 'y'] }, tolerance: '5s' }],
    ];
    const scope = scopeWith(...policies);
    expect(scopeWith(...policies.toReversed())).toEqual(scope);
    expect(JSON.stringify(scopeWith(...policies.toReversed()))).toBe(JSON.stringify(scope));
  });

  it('leaves a namespace out whose policy only records', () => {
    const scope = scopeWith([ofTeam('p'), { enforcement: 'Audit' }]);
    expect(scope.unguarded).toContain('team');
    expect(scope.others).toEqual(byDefault);
  });

  it('is nothing where a policy of the cluster only records', () => {
    expect(scopeWith([ofCluster('p'), { enforcement: 'Warn' }])).toEqual({
      unguarded: system,
      others: null,
      classes: [],
    });
  });

  it('is a namespace alone whose policy refuses where the cluster’s only records', () => {
    const scope = scopeWith(
      [ofCluster('p'), { enforcement: 'Audit' }],
      [ofTeam('q'), { enforcement: 'Deny' }],
    );
    expect(scope.others).toBeNull();
    expect(scope.classes).toEqual([{ terms: byDefault, namespaces: ['team'] }]);
  });

  it('says of a namespace that nobody has seen what policies for all namespaces say', () => {
    expect(others([ofCluster('p'), { tolerance: '3s' }])).toEqual({ ...byDefault, toleranceMs: 3_000 });
    expect(others([ofCluster('p'), { match: { namespaces: ['team'] }, tolerance: '3s' }])).toEqual(byDefault);
  });

  it('goes by the rule on premature takeovers, whatever the others are', () => {
    const only = (reason: string): object => ({
      enforcement: 'Audit',
      rules: [{ reason, enforcement: 'Deny' }],
    });
    expect(others([ofCluster('p'), only('PrematureTakeover')])).toEqual({
      ...byDefault,
      ...{ shortening: false, stamps: false },
    });
    expect(others([ofCluster('p'), only('TransitionsOdd')])).toBeNull();
  });

  it('takes in a namespace of the system only where a policy gives its name', () => {
    expect(scopeWith([ofCluster('p'), { enforcement: 'Deny' }]).unguarded).toEqual(system);
    const named = scopeWith([
      ofCluster('p'),
      { match: { namespaces: ['kube-system'] }, enforcement: 'Deny' },
    ]);
    expect(named.unguarded).not.toContain('kube-system');
    expect(asked(named)).toEqual([{ terms: byDefault, namespaces: ['kube-system'] }]);
  });

  it('takes it in where nothing is refused anywhere else, too', () => {
    const scope = scopeWith(
      [ofCluster('p'), { enforcement: 'Audit' }],
      [ofCluster('q'), { match: { namespaces: ['kube-system'] }, enforcement: 'Deny' }],
    );
    expect(scope.others).toBeNull();
    expect(scope.unguarded).not.toContain('kube-system');
    expect(standsInFor(scope, { kind: 'Lease', namespace: 'kube-system', name: 'orders' })).toBe(true);
  });

  it('never takes in lockwarden’s own namespace', () => {
    const scope = scopeWith([ofCluster('p'), { match: { namespaces: [own] }, enforcement: 'Deny' }]);
    expect(scope.unguarded).toContain(own);
    expect(JSON.stringify(scope.classes)).not.toContain(own);
  });

  it('puts namespaces together for which the same holds', () => {
    const scope = scopeWith([ofCluster('p'), { match: { namespaces: ['b', 'a'] }, tolerance: '5s' }]);
    // Namespaces are known by their policies, or when they are seen.
    expect(asked(scope)).toEqual([]);
    const store = new PolicyStore(own);
    store.put({
      ref: ofCluster('p'),
      generation: 1,
      spec: { match: { namespaces: ['b', 'a'] }, tolerance: '5s' },
    });
    for (const name of ['b', 'a', 'c']) store.putNamespace(name, {});
    expect(asked(switchScope(store, own))).toEqual([
      { terms: { ...byDefault, toleranceMs: 5_000 }, namespaces: ['a', 'b'] },
    ]);
  });
});

describe('a policy on names', () => {
  it('that only records leaves those names out', () => {
    const scope = scopeWith([ofTeam('p'), { match: { names: ['orders', 'b-*'] }, enforcement: 'Audit' }]);
    expect(inTeam(scope)).toEqual({ ...byDefault, excludeNames: ['b-*', 'orders'] });
  });

  it('that refuses takes those names in, where all others are only recorded', () => {
    const scope = scopeWith(
      [ofCluster('p'), { enforcement: 'Audit' }],
      [ofTeam('q'), { match: { names: ['orders-*'], excludeNames: ['orders-dev'] }, enforcement: 'Deny' }],
    );
    expect(inTeam(scope)).toEqual({ ...byDefault, names: ['orders-*'], excludeNames: ['orders-dev'] });
  });

  it('leaves out what the policy that refuses leaves out, where only it refuses', () => {
    const rest: [PolicyRef, object] = [ofCluster('p'), { enforcement: 'Audit' }];
    const refusing = { match: { excludeNames: ['legacy', 'old-*'] }, enforcement: 'Deny' };
    const scope = scopeWith(rest, [ofTeam('q'), refusing]);
    expect(inTeam(scope)).toEqual({ ...byDefault, excludeNames: ['legacy', 'old-*'] });
    const both = scopeWith(
      rest,
      [ofTeam('q'), refusing],
      [ofTeam('r'), { match: { names: ['legacy'] }, enforcement: 'Deny', tolerance: '3s' }],
    );
    expect(inTeam(both)).toEqual({ ...byDefault, toleranceMs: 3_000, excludeNames: ['old-*'] });
  });

  it('that only records has no say in the terms of the other names', () => {
    const lenient = {
      match: { names: ['batch-*'] },
      enforcement: 'Audit',
      tolerance: '10s',
      exempt: { users: ['x'] },
    };
    expect(inTeam(scopeWith([ofTeam('p'), lenient]))).toEqual({ ...byDefault, excludeNames: ['batch-*'] });
  });

  it('of another kind of lock says nothing', () => {
    const match = { names: ['orders'], kinds: ['ConfigMap'] };
    expect(inTeam(scopeWith([ofTeam('p'), { match, enforcement: 'Audit' }]))).toEqual(byDefault);
  });

  it('that is more tolerant has the switch be as tolerant in its namespace', () => {
    const scope = scopeWith([ofTeam('p'), { match: { names: ['orders'] }, tolerance: '7s' }]);
    expect(inTeam(scope)).toEqual({ ...byDefault, toleranceMs: 7_000 });
  });
});

describe('the milder terms hold', () => {
  it('of a tolerance', () => {
    const scope = scopeWith([ofTeam('p'), { tolerance: '4s' }]);
    expect(inTeam(scope)?.toleranceMs).toBe(4_000);
    expect(scope.others).toEqual(byDefault);
  });

  it('of exemptions, which are those of any policy of the namespace', () => {
    const scope = scopeWith(
      [ofTeam('p'), { exempt: { groups: ['sre'], users: ['z'] } }],
      [ofTeam('q'), { match: { names: ['orders'] }, exempt: { users: ['a'] } }],
    );
    expect(inTeam(scope)?.exempt).toEqual({ usernames: ['a', 'z'], groups: ['sre'] });
  });

  it('that does not refuse a foreign release, or tampering, has the switch not refuse it either', () => {
    const only = (reason: string) => ({ rules: [{ reason, enforcement: 'Warn' }] });
    expect(inTeam(scopeWith([ofTeam('p'), only('ForeignRelease')]))).toMatchObject({
      shortening: false,
      stamps: true,
    });
    expect(inTeam(scopeWith([ofTeam('p'), only('StrippedTiming')]))).toMatchObject({
      shortening: true,
      stamps: false,
    });
    expect(inTeam(scopeWith([ofTeam('p'), only('EvidenceTampered')]))).toMatchObject({
      shortening: true,
      stamps: false,
    });
  });

  it('where something is built in: locks that are none, and Istio’s', () => {
    // Whether anybody has seen the namespaces yet or not.
    const { classes } = scopeWith();
    const excluded = Object.fromEntries(
      classes.map(({ namespaces, terms }) => [namespaces.join(), terms.excludeNames]),
    );
    expect(excluded).toEqual({
      kyverno: ['kyverno-health', 'kyvernopre-lock'],
      'istio-system': ['istio-*'],
    });
  });
});
