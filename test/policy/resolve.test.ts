import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LockRef } from '../../src/core/lock.ts';
import { compatible, strict, type Enforcement } from '../../src/core/reasons.ts';
import { builtInDefaults } from '../../src/core/settings.ts';
import type { Policy } from '../../src/policy/policy.ts';
import type { Effective } from '../../src/policy/effective.ts';
import { resolve } from '../../src/policy/resolve.ts';
import { cluster, local } from './policies.ts';

const lock: LockRef = { kind: 'Lease', namespace: 'team', name: 'orders' };

function effective(policies: readonly Policy[], about: Partial<LockRef> = {}, labels = {}): Effective | null {
  return resolve({
    lock: { ...lock, ...about },
    namespaceLabels: labels,
    policies,
    ownNamespace: 'lockwarden-system',
  });
}

function covered(policies: readonly Policy[], about: Partial<LockRef> = {}, labels = {}): Effective {
  const found = effective(policies, about, labels);
  if (found === null) throw new Error('the lock is not judged');
  return found;
}

describe('without a policy', () => {
  it('the built-in defaults hold', () => {
    expect(effective([])).toEqual({
      settings: builtInDefaults,
      renewals: 'skip',
      failurePolicy: 'Ignore',
      policies: [],
      sources: new Map(),
      conflicts: [],
    });
  });

  it('a policy that covers other locks changes nothing', () => {
    const others = [
      local('team', 'name', { match: { names: ['billing'] }, enforcement: 'Audit' }),
      local('team', 'kind', { match: { kinds: ['ConfigMap'] }, enforcement: 'Audit' }),
      local('team', 'excluded', { match: { excludeNames: ['ord*'] }, enforcement: 'Audit' }),
      local('other', 'namespace', { enforcement: 'Audit' }),
      cluster('namespace', { match: { namespaces: ['o*'] }, enforcement: 'Audit' }),
      cluster('excluded', { match: { excludeNamespaces: ['team'] }, enforcement: 'Audit' }),
      cluster('labels', {
        match: { namespaceSelector: { matchLabels: { tier: 'gold' } } },
        enforcement: 'Audit',
      }),
    ];
    expect(covered(others).policies).toEqual([]);
    expect(covered(others).settings).toEqual(builtInDefaults);
  });
});

describe('the table of namespaces', () => {
  const everywhere = cluster('everywhere', {
    enforcement: 'Audit',
    inspectRenewals: true,
    failurePolicy: 'Fail',
  });
  const named = cluster('named', {
    match: { namespaces: ['kube-system', 'kube-node-lease', 'lockwarden-system'] },
    inspectRenewals: true,
    failurePolicy: 'Fail',
  });

  it('any other namespace: as the policy says', () => {
    expect(covered([everywhere])).toMatchObject({ renewals: 'inspect', failurePolicy: 'Fail' });
  });

  it.each(['kube-system', 'kube-public', 'kube-node-lease', 'longhorn-system'])(
    '%s: not for the asking of all',
    (namespace) => {
      expect(effective([], { namespace })).toBeNull();
      expect(effective([everywhere], { namespace })).toBeNull();
      expect(effective([cluster('pattern', { match: { namespaces: ['*'] } })], { namespace })).toBeNull();
      expect(effective([local(namespace, 'own', {})], { namespace })).toBeNull();
    },
  );

  it.each(['kube-system', 'kube-node-lease'])(
    '%s, named by a ClusterLockPolicy: judged, but never made to wait',
    (namespace) => {
      expect(covered([named], { namespace })).toMatchObject({ renewals: 'skip', failurePolicy: 'Ignore' });
    },
  );

  it('lockwarden’s own: never', () => {
    const namespace = 'lockwarden-system';
    expect(effective([named, everywhere, local(namespace, 'own', {})], { namespace })).toBeNull();
  });

  it('known non-locks: only by name', () => {
    const nonLock = { namespace: 'kyverno', name: 'kyverno-health' };
    expect(effective([everywhere], nonLock)).toBeNull();
    expect(
      covered([local('kyverno', 'named', { match: { names: ['kyverno-*'] } })], nonLock).policies,
    ).toHaveLength(1);
  });

  it('known stealers: a warning, unless they are named', () => {
    const stealer = { namespace: 'istio-system', name: 'istio-leader' };
    const deny = { enforcement: 'Deny' } as const;
    expect(covered([cluster('all', deny)], stealer).settings.enforcement.PrematureTakeover).toBe('Warn');
    const byName = cluster('named', { match: { names: ['istio-leader'] }, ...deny });
    expect(covered([byName], stealer).settings.enforcement.PrematureTakeover).toBe('Deny');
  });
});

describe('what is more specific wins', () => {
  /** Each is more specific than those before it. */
  const ladder: readonly [string, (enforcement: Enforcement) => Policy][] = [
    ['all locks of the cluster', (enforcement) => cluster('all', { enforcement })],
    ['a kind', (enforcement) => cluster('kind', { match: { kinds: ['Lease'] }, enforcement })],
    ['a pattern of names', (enforcement) => cluster('pattern', { match: { names: ['o*'] }, enforcement })],
    ['a longer pattern', (enforcement) => cluster('longer', { match: { names: ['ord*'] }, enforcement })],
    ['a name', (enforcement) => cluster('name', { match: { names: ['orders'] }, enforcement })],
    [
      'a selector of namespaces',
      (enforcement) =>
        cluster('labels', { match: { namespaceSelector: { matchLabels: { tier: 'gold' } } }, enforcement }),
    ],
    [
      'a pattern of namespaces',
      (enforcement) => cluster('namespaces', { match: { namespaces: ['t*'] }, enforcement }),
    ],
    ['a namespace', (enforcement) => cluster('namespace', { match: { namespaces: ['team'] }, enforcement })],
    ['the namespace’s own', (enforcement) => local('team', 'all', { enforcement })],
    [
      'the namespace’s own, a name',
      (enforcement) => local('team', 'name', { match: { names: ['orders'] }, enforcement }),
    ],
  ];

  it.each(ladder.map(([name], index) => [name, index] as const).slice(1))(
    '%s over what is wider',
    (_, index) => {
      const rungs = ladder
        .slice(0, index + 1)
        .map(([, make], rung) => make(rung === index ? 'Audit' : 'Warn'));
      const { settings, sources, policies } = covered(rungs.toReversed(), {}, { tier: 'gold' });
      expect(settings.enforcement.PrematureTakeover).toBe('Audit');
      expect(policies).toEqual(rungs.map(({ ref }) => ref));
      expect(settings.policy).toBe(sources.get('enforcement'));
    },
  );

  it('field by field: each comes from the most specific policy that sets it', () => {
    const wide = cluster('wide', {
      profile: 'Strict',
      tolerance: '2s',
      deletion: 'Deny',
      exempt: { groups: ['oncall'] },
      leaseDuration: { min: '5s' },
      candidates: { holder: 'PodName', serviceAccounts: ['team/orders'] },
      message: 'ask the platform team',
      inspectRenewals: true,
      failurePolicy: 'Fail',
    });
    const { settings, sources, renewals, failurePolicy } = covered([
      wide,
      local('team', 'narrow', { tolerance: '500ms' }),
    ]);
    expect(settings).toMatchObject({
      policy: 'lockpolicy/team/narrow',
      toleranceMs: 500,
      deletion: 'Deny',
      exempt: { usernames: [], groups: ['oncall'] },
      leaseDurationMs: { min: 5_000, max: null },
      candidates: { usernames: ['system:serviceaccount:team:orders'], holder: 'PodName' },
      note: 'ask the platform team',
      enforcement: strict,
    });
    expect({ renewals, failurePolicy }).toEqual({ renewals: 'inspect', failurePolicy: 'Fail' });
    expect(sources.get('tolerance')).toBe('lockpolicy/team/narrow');
    expect(sources.get('deletion')).toBe('clusterlockpolicy/wide');
    expect(sources.has('enforcement')).toBe(false);
  });

  it('a ServiceAccount without a namespace is one of the policy’s', () => {
    const { settings } = covered([
      local('team', 'p', { candidates: { serviceAccounts: ['orders', 'ops/deployer'] } }),
    ]);
    expect(settings.candidates.usernames).toEqual([
      'system:serviceaccount:team:orders',
      'system:serviceaccount:ops:deployer',
    ]);
  });

  it('conditions of all policies add up', () => {
    const one = (name: string) => ({ conditions: [{ name, expression: 'true' }] });
    const { settings, sources } = covered([cluster('wide', one('a')), local('team', 'narrow', one('b'))]);
    expect(settings.conditions.map(({ name }) => name)).toEqual([
      'clusterlockpolicy/wide: a',
      'lockpolicy/team/narrow: b',
    ]);
    expect(sources.get('conditions')).toBe('clusterlockpolicy/wide, lockpolicy/team/narrow');
  });
});

describe('enforcement', () => {
  it('is a ceiling: what only warns goes on warning', () => {
    expect(covered([local('team', 'p', { enforcement: 'Deny' })]).settings.enforcement).toEqual(compatible);
    const { enforcement } = covered([local('team', 'p', { enforcement: 'Audit' })]).settings;
    expect(new Set(Object.values(enforcement))).toEqual(new Set(['Audit']));
  });

  it('of a rule stands over it', () => {
    const rules = [{ reason: 'StaleRenewTime', enforcement: 'Deny' } as const];
    const { settings, sources } = covered([local('team', 'p', { enforcement: 'Audit', rules })]);
    expect(settings.enforcement).toMatchObject({ StaleRenewTime: 'Deny', PrematureTakeover: 'Audit' });
    expect(sources.get('rules[StaleRenewTime]')).toBe('lockpolicy/team/p');
  });

  it('of a wider policy’s rules is over once a narrower one starts over', () => {
    const wide = cluster('wide', { rules: [{ reason: 'StaleRenewTime', enforcement: 'Warn' }] });
    expect(covered([wide, local('team', 'p', { tolerance: '1s' })]).settings.enforcement.StaleRenewTime).toBe(
      'Warn',
    );
    const { settings, sources } = covered([wide, local('team', 'p', { enforcement: 'Deny' })]);
    expect(settings.enforcement.StaleRenewTime).toBe('Deny');
    expect(sources.has('rules[StaleRenewTime]')).toBe(false);
  });
});

describe('two that are equally specific', () => {
  it('and agree are no conflict', () => {
    const same = [local('team', 'a', { tolerance: '2s' }), local('team', 'b', { tolerance: '2000ms' })];
    expect(covered(same).conflicts).toEqual([]);
  });

  it.each([
    [
      'enforcement',
      { enforcement: 'Warn' },
      { enforcement: 'Deny' },
      (s: Effective) => s.settings.enforcement.PrematureTakeover,
      'Deny',
    ],
    [
      'profile',
      { profile: 'Compatible' },
      { profile: 'Strict' },
      (s: Effective) => s.settings.enforcement.TransitionsOdd,
      'Deny',
    ],
    ['tolerance', { tolerance: '2s' }, { tolerance: '1s' }, (s: Effective) => s.settings.toleranceMs, 1_000],
    [
      'deletion',
      { deletion: 'Tombstone' },
      { deletion: 'Deny' },
      (s: Effective) => s.settings.deletion,
      'Deny',
    ],
    [
      'inspectRenewals',
      { inspectRenewals: false },
      { inspectRenewals: true },
      (s: Effective) => s.renewals,
      'inspect',
    ],
    [
      'failurePolicy',
      { failurePolicy: 'Fail' },
      { failurePolicy: 'Ignore' },
      (s: Effective) => s.failurePolicy,
      'Ignore',
    ],
    ['message', { message: 'b' }, { message: 'a' }, (s: Effective) => s.settings.note, 'b'],
  ] as const)(
    'and disagree about %s: the one that is told to win holds, in any order',
    (field, a, b, valueOf, value) => {
      const pair = [local('team', 'a', a), local('team', 'b', b)];
      for (const policies of [pair, pair.toReversed()]) {
        const found = covered(policies);
        expect(valueOf(found)).toBe(value);
        expect(found.conflicts).toHaveLength(1);
        expect(found.conflicts[0]).toMatchObject({ field, between: pair.map(({ ref }) => ref) });
        expect(found.sources.get(field)).toBe(`lockpolicy/team/${found.conflicts[0]?.winner.name ?? ''}`);
      }
    },
  );
});

describe('a floor', () => {
  const floor = cluster('floor', {
    floor: {
      enforcement: 'Warn',
      rules: [{ reason: 'PrematureTakeover', enforcement: 'Deny' }],
      toleranceMax: '2s',
    },
  });

  it('holds up what a namespace takes down', () => {
    const { settings, sources } = covered([
      floor,
      local('team', 'p', { enforcement: 'Audit', tolerance: '5s' }),
    ]);
    expect(settings.enforcement).toMatchObject({
      PrematureTakeover: 'Deny',
      ForeignRelease: 'Warn',
      TransitionsOdd: 'Warn',
    });
    expect(settings.toleranceMs).toBe(2_000);
    expect(sources.get('rules[PrematureTakeover]')).toBe('floor of clusterlockpolicy/floor');
    expect(sources.get('tolerance')).toBe('floor of clusterlockpolicy/floor');
  });

  it('never takes anything down', () => {
    const above = local('team', 'p', { profile: 'Strict', tolerance: '0s' });
    const { settings } = covered([floor, above]);
    expect(settings).toMatchObject({ enforcement: strict, toleranceMs: 0 });
  });

  it('does not bind the cluster’s own policies', () => {
    expect(
      covered([floor, cluster('audit', { match: { namespaces: ['team'] }, enforcement: 'Audit' })]).settings
        .enforcement.PrematureTakeover,
    ).toBe('Audit');
  });

  it('raises nothing that the cluster’s own policies have taken down, once a namespace has a say', () => {
    const audit = cluster('audit', {
      match: { namespaces: ['team'] },
      enforcement: 'Audit',
      tolerance: '5s',
    });
    const { settings } = covered([floor, audit, local('team', 'p', { message: 'ask us' })]);
    expect(settings.enforcement.PrematureTakeover).toBe('Audit');
    expect(settings.toleranceMs).toBe(5_000);
  });

  it('is the highest of several', () => {
    const rules = (enforcement: Enforcement) => [{ reason: 'TransitionsOdd', enforcement } as const];
    const floors = [
      cluster('a', { floor: { rules: rules('Warn') } }),
      cluster('b', { floor: { rules: rules('Deny') } }),
    ];
    const { settings, sources } = covered([...floors, local('team', 'p', { rules: rules('Audit') })]);
    expect(settings.enforcement.TransitionsOdd).toBe('Deny');
    expect(sources.get('rules[TransitionsOdd]')).toBe('floor of clusterlockpolicy/b');
  });

  it('takes back exemptions of a namespace, but not of the cluster, unless it allows them', () => {
    const exempting = local('team', 'p', { exempt: { users: ['jane'] } });
    const oncall = cluster('oncall', { match: { namespaces: ['team'] }, exempt: { groups: ['oncall'] } });
    expect(covered([floor, exempting]).settings.exempt).toEqual({ usernames: [], groups: [] });
    expect(covered([floor, oncall, exempting]).settings.exempt).toEqual({
      usernames: [],
      groups: ['oncall'],
    });
    const allowing = cluster('floor', { floor: { exemptions: 'Allowed' } });
    expect(covered([allowing, exempting]).settings.exempt).toEqual({ usernames: ['jane'], groups: [] });
  });

  it('holds whatever policies there are', () => {
    const enforcement = fc.constantFrom<Enforcement>('Deny', 'Warn', 'Audit');
    const severity = { Deny: 2, Warn: 1, Audit: 0 };
    fc.assert(
      fc.property(enforcement, fc.array(enforcement, { minLength: 1, maxLength: 4 }), (least, asked) => {
        const policies = asked.map((each, index) =>
          local('team', `p${String(index)}`, { enforcement: each }),
        );
        const { settings } = covered([cluster('f', { floor: { enforcement: least } }), ...policies]);
        const floorOf =
          severity[compatible.PrematureTakeover] < severity[least] ? compatible.PrematureTakeover : least;
        expect(severity[settings.enforcement.PrematureTakeover]).toBeGreaterThanOrEqual(severity[floorOf]);
      }),
    );
  });
});

describe('resolution', () => {
  it('does not hang on the order of the policies', () => {
    const policies = [
      cluster('a', { enforcement: 'Warn', exempt: { users: ['a'] } }),
      cluster('b', { enforcement: 'Deny', exempt: { users: ['b'] } }),
      local('team', 'c', { tolerance: '3s', message: 'c' }),
      local('team', 'd', { tolerance: '2s', message: 'd' }),
      cluster('floor', { floor: { enforcement: 'Deny' } }),
    ];
    const plain = (order: readonly Policy[]) =>
      JSON.stringify({ ...covered(order), sources: [...covered(order).sources].sort() });
    const expected = plain(policies);
    fc.assert(
      fc.property(fc.shuffledSubarray(policies, { minLength: policies.length }), (order) => {
        expect(plain(order)).toBe(expected);
      }),
    );
  });
});
