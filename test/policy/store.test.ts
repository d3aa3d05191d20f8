import { describe, expect, it } from 'vitest';
import type { LockRef } from '../../src/core/lock.ts';
import { builtInDefaults } from '../../src/core/settings.ts';
import { callClasses, namesLeasesOf, unnamedNotLocks } from '../../src/policy/classes.ts';
import type { PolicyRef } from '../../src/policy/policy-ref.ts';
import { PolicyStore } from '../../src/policy/store.ts';

const own = 'lockwarden-system';
const lock: LockRef = { kind: 'Lease', namespace: 'team', name: 'orders' };
const ofTeam: PolicyRef = { kind: 'LockPolicy', namespace: 'team', name: 'p' };
const ofCluster = (name: string): PolicyRef => ({ kind: 'ClusterLockPolicy', namespace: '', name });

function storeWith(...policies: readonly [PolicyRef, object][]): PolicyStore {
  const store = new PolicyStore(own);
  for (const [ref, spec] of policies) store.put({ ref, generation: 1, spec });
  return store;
}

function takeover(store: PolicyStore, about: Partial<LockRef> = {}): string | undefined {
  return store.effectiveFor({ ...lock, ...about })?.settings.enforcement.PrematureTakeover;
}

describe('PolicyStore', () => {
  it('has the built-in defaults without policies', () => {
    expect(storeWith().effectiveFor(lock)?.settings).toEqual(builtInDefaults);
  });

  it('follows every change at once', () => {
    const store = storeWith([ofTeam, { enforcement: 'Warn' }]);
    expect(takeover(store)).toBe('Warn');
    store.put({ ref: ofTeam, generation: 2, spec: { enforcement: 'Audit' } });
    expect(takeover(store)).toBe('Audit');
    store.delete(ofTeam);
    expect(takeover(store)).toBe('Deny');
  });

  it('goes by the labels of namespaces, as they are now', () => {
    const store = storeWith([
      ofCluster('gold'),
      { match: { namespaceSelector: { matchLabels: { tier: 'gold' } } }, enforcement: 'Warn' },
    ]);
    expect(takeover(store)).toBe('Deny');
    store.putNamespace('team', { tier: 'gold' });
    expect(takeover(store)).toBe('Warn');
    store.putNamespace('team', {});
    expect(takeover(store)).toBe('Deny');
    store.putNamespace('team', { tier: 'gold' });
    store.deleteNamespace('team');
    expect(takeover(store)).toBe('Deny');
  });

  it('knows a namespace by its name before it has been seen', () => {
    const matchLabels = { 'kubernetes.io/metadata.name': 'team' };
    expect(
      takeover(
        storeWith([ofCluster('c'), { match: { namespaceSelector: { matchLabels } }, enforcement: 'Warn' }]),
      ),
    ).toBe('Warn');
  });

  it('keeps the last good state of a policy that turns invalid', () => {
    const store = storeWith([ofTeam, { enforcement: 'Warn' }]);
    expect(store.put({ ref: ofTeam, generation: 2, spec: { enforcement: 'Nothing' } }).ok).toBe(false);
    expect(takeover(store)).toBe('Warn');
    expect([...store.policies]).toMatchObject([
      { generation: 2, inForce: { generation: 1 }, faults: [{ field: 'spec.enforcement' }] },
    ]);
    store.put({ ref: ofTeam, generation: 3, spec: {} });
    expect(takeover(store)).toBe('Deny');
    expect([...store.policies]).toMatchObject([{ generation: 3, faults: [] }]);
  });

  it('gives no say to one that never was valid', () => {
    const store = storeWith([ofTeam, { enforcement: 'Nothing' }]);
    expect(takeover(store)).toBe('Deny');
    expect([...store.policies]).toMatchObject([{ inForce: null }]);
    store.delete(ofTeam);
    expect([...store.policies]).toEqual([]);
  });

  it('forgets all of a kind with their CRD', () => {
    const store = storeWith([ofTeam, { enforcement: 'Warn' }], [ofCluster('c'), { tolerance: '2s' }]);
    expect(store.deleteAll('LockPolicy')).toBe(1);
    expect(store.effectiveFor(lock)).toMatchObject({
      policies: [ofCluster('c')],
      settings: { toleranceMs: 2_000 },
    });
  });

  it('grows its version with what changes, and only then', () => {
    const store = storeWith();
    store.putNamespace('team', { a: 'b' });
    const { version } = store;
    store.putNamespace('team', { a: 'b' });
    store.deleteNamespace('other');
    store.delete(ofTeam);
    expect(store.version).toBe(version);
    store.put({ ref: ofTeam, generation: 1, spec: {} });
    expect(store.version).toBeGreaterThan(version);
  });

  it('remembers more locks than it keeps resolved', () => {
    const store = storeWith([ofTeam, { match: { names: ['n7'] }, enforcement: 'Audit' }]);
    for (let index = 0; index < 100_010; index += 1) takeover(store, { name: `n${String(index)}` });
    expect(takeover(store, { name: 'n7' })).toBe('Audit');
    expect(takeover(store, { name: 'n100009' })).toBe('Deny');
  });

  it('has one object for all locks that the same policies say the same of', () => {
    const store = storeWith([ofTeam, { match: { names: ['a*'] }, enforcement: 'Audit' }]);
    const of = (name: string, namespace = 'team'): unknown =>
      store.effectiveFor({ kind: 'Lease', namespace, name });
    expect(of('a1')).toBe(of('a2'));
    expect(of('b')).not.toEqual(of('a1'));
    expect(of('istio-leader', 'istio-system')).not.toEqual(of('a1', 'istio-system'));
    store.put({ ref: ofTeam, generation: 2, spec: { match: { names: ['a*'] }, enforcement: 'Warn' } });
    expect(takeover(store, { name: 'a1' })).toBe('Warn');
  });
});

describe('namesLeasesOf', () => {
  const nodes = 'kube-node-lease';
  const policies: readonly (readonly [string, object, boolean])[] = [
    ['gives the name of the namespace', { match: { namespaces: [nodes] } }, true],
    ['gives it for Leases', { match: { namespaces: ['team', nodes], kinds: ['Lease'] } }, true],
    ['gives it for another kind alone', { match: { namespaces: [nodes], kinds: ['ConfigMap'] } }, false],
    ['gives a pattern', { match: { namespaces: ['kube-*'] } }, false],
    ['is for all', {}, false],
  ];

  it.each(policies)('a policy that %s', (_what, spec, expected) => {
    expect(namesLeasesOf(storeWith([ofCluster('c'), spec]), nodes)).toBe(expected);
  });

  it('no policy', () => {
    expect(namesLeasesOf(storeWith(), nodes)).toBe(false);
  });
});

describe('callClasses', () => {
  const unguarded = ['kube-node-lease', 'kube-public', 'kube-system', own, 'longhorn-system'];

  it('calls plainly where no policy asks for more', () => {
    const store = storeWith([ofTeam, { enforcement: 'Warn' }]);
    store.putNamespace('other', {});
    expect(callClasses(store, ['Lease'], own)).toEqual({ unguarded, special: [] });
  });

  it('groups namespaces by what their policies ask for', () => {
    const store = storeWith(
      [{ ...ofTeam, namespace: 'b' }, { failurePolicy: 'Fail' }],
      [{ ...ofTeam, namespace: 'a' }, { failurePolicy: 'Fail' }],
      [{ ...ofTeam, namespace: 'c' }, { inspectRenewals: true }],
      [
        { ...ofTeam, namespace: 'd' },
        { inspectRenewals: true, failurePolicy: 'Fail' },
      ],
    );
    expect(callClasses(store, ['Lease'], own).special).toEqual(
      [
        { renewals: 'inspect', failurePolicy: 'Fail', namespaces: ['d'] },
        { renewals: 'skip', failurePolicy: 'Fail', namespaces: ['a', 'b'] },
        { renewals: 'inspect', failurePolicy: 'Ignore', namespaces: ['c'] },
      ].sort((a, b) => (`${a.failurePolicy} ${a.renewals}` < `${b.failurePolicy} ${b.renewals}` ? -1 : 1)),
    );
  });

  it('goes by the kinds that a policy covers', () => {
    const store = storeWith([ofTeam, { match: { kinds: ['ConfigMap'] }, failurePolicy: 'Fail' }]);
    expect(callClasses(store, ['Lease'], own).special).toEqual([]);
    expect(callClasses(store, ['ConfigMap', 'Endpoints'], own).special).toHaveLength(1);
  });

  it('lets a namespace’s own policy take back what the cluster’s asks for, but not one over some of its locks', () => {
    const failing: [PolicyRef, object] = [ofCluster('c'), { failurePolicy: 'Fail', inspectRenewals: true }];
    const takingBack = { failurePolicy: 'Ignore', inspectRenewals: false };
    const classesOf = (spec: object) => {
      const store = storeWith(failing, [ofTeam, spec]);
      store.putNamespace('team', {});
      return callClasses(store, ['Lease'], own).special;
    };
    expect(classesOf({})).toHaveLength(1);
    expect(classesOf(takingBack)).toEqual([]);
    expect(classesOf({ match: { names: ['orders'] }, ...takingBack })).toHaveLength(1);
  });

  it('guards what a ClusterLockPolicy names, never more than plainly, and never its own namespace', () => {
    const match = { namespaces: ['kube-system', own] };
    const store = storeWith([ofCluster('system'), { match, failurePolicy: 'Fail', inspectRenewals: true }]);
    store.putNamespace('kube-system', {});
    store.putNamespace(own, {});
    expect(callClasses(store, ['Lease'], own)).toEqual({
      unguarded: unguarded.filter((each) => each !== 'kube-system'),
      special: [],
    });
  });

  it('sends a known non-lock only once a policy names it', () => {
    expect(unnamedNotLocks(storeWith([ofCluster('all'), {}]))).toHaveLength(2);
    const named = storeWith([{ ...ofTeam, namespace: 'kyverno' }, { match: { names: ['kyverno-health'] } }]);
    expect(unnamedNotLocks(named).map(({ name }) => name)).toEqual(['kyvernopre-lock']);
  });
});
