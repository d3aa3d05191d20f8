/** Tests played offline: what passes, what fails and why, and that the code behind it is the webhook's own. */
import { describe, expect, it } from 'vitest';
import { describeOutcome } from '../../src/suite/outcome.ts';
import type { TestResult } from '../../src/suite/test-run.ts';
import { resultOf, stepsText } from './suites.ts';

const got = ({ steps }: TestResult): readonly string[] =>
  steps.map(({ outcome }) => describeOutcome(outcome));

const clusterPolicy = (spec: string, name = 'p'): string =>
  `policies:\n  - { apiVersion: lockwarden.dev/v1alpha1, kind: ClusterLockPolicy, metadata: { name: ${name} }, spec: ${spec} }\n`;

describe('a whole election', () => {
  it.each(['Lease', 'ConfigMap', 'Endpoints'])('on a %s is judged as on a cluster', async (kind) => {
    const text = stepsText(
      [
        ['5s', 'b', 'takeOver', '{ deny: PrematureTakeover }'],
        ['10s', 'a', 'renew', 'allow'],
        ['12s', 'b', 'takeOver', '{ deny: PrematureTakeover }'],
        ['26s', 'b', 'takeOver', 'allow'],
        ['28s', 'a', 'release', '{ deny: ForeignRelease }'],
        ['30s', 'b', 'release', 'allow'],
        ['31s', 'a', 'acquire', 'allow'],
        ['33s', 'b', 'delete', '{ audit: LiveLockDeleted }'],
        ['34s', 'b', 'recreate', '{ deny: PrematureRecreation }'],
        ['35s', 'a', 'recreate', 'allow'],
      ],
      `lock: { kind: ${kind} }\n`,
    );
    expect(await resultOf(text.replace('lock: { start', `lock: { kind: ${kind}, start`))).toMatchObject({
      passed: true,
      why: null,
    });
  });

  it('is judged without lockwarden being asked about plain renewals', async () => {
    const { steps } = await resultOf(
      stepsText([
        ['5s', 'a', 'renew', 'allow'],
        ['25s', 'b', 'takeOver', 'allow'],
      ]),
    );
    expect(steps.map(({ outcome }) => outcome)).toEqual([
      { kind: 'allow', asked: false },
      { kind: 'allow', asked: true },
    ]);
  });

  it('is judged with renewals where a policy has them inspected', async () => {
    const { steps } = await resultOf(
      stepsText([['5s', 'a', 'renew', 'allow']], clusterPolicy('{ inspectRenewals: true }')),
    );
    expect(steps.map(({ outcome }) => outcome)).toEqual([{ kind: 'allow', asked: true }]);
  });
});

describe('what is expected', () => {
  it.each<[string, string, string]>([
    ['warn', '{ enforcement: Warn }', '{ warn: PrematureTakeover }'],
    ['audit', '{ enforcement: Audit }', '{ audit: PrematureTakeover }'],
    ['audit, whatever for', '{ enforcement: Audit }', 'audit'],
    ['deny', '{ deletion: Deny }', '{ deny: PrematureTakeover }'],
  ])('may be %s', async (_, spec, expected) => {
    const text = stepsText([['5s', 'b', 'takeOver', expected]], clusterPolicy(spec));
    expect(await resultOf(text)).toMatchObject({ passed: true, coveredBy: ['clusterlockpolicy/p'] });
  });

  it('is compared with what came of it, and what follows is not played', async () => {
    const result = await resultOf(
      stepsText([
        ['1s', 'b', 'takeOver', 'allow'],
        ['2s', 'a', 'renew', 'allow'],
      ]),
    );
    expect(result).toMatchObject({ passed: false, why: null });
    expect(result.steps).toHaveLength(1);
    expect(result.steps[0]?.outcome).toMatchObject({
      kind: 'deny',
      reason: 'PrematureTakeover',
      message: expect.stringMatching(
        /^lease\/locktest\/lock: .* held by `a` for 15 s .*\[lockwarden U15 PrematureTakeover, built-in defaults\]$/,
      ) as string,
    });
  });

  it.each<[string, string, string]>([
    ['allow', '{ enforcement: Warn }', 'warn PrematureTakeover'],
    ['allow', '{ enforcement: Audit }', 'audit PrematureTakeover'],
    ['{ deny: PrematureTakeover }', '{ enforcement: Warn }', 'warn PrematureTakeover'],
    ['{ warn: UncertainExpiry }', '{ enforcement: Warn }', 'warn PrematureTakeover'],
    ['{ deny: StaleRenewTime }', '{ enforcement: Deny }', 'deny PrematureTakeover'],
    ['{ audit: StaleRenewTime }', '{ enforcement: Audit }', 'audit PrematureTakeover'],
  ])('as %s is not met under %s', async (expected, spec, outcome) => {
    const result = await resultOf(stepsText([['5s', 'b', 'takeOver', expected]], clusterPolicy(spec)));
    expect(result.passed).toBe(false);
    expect(got(result)).toEqual([outcome]);
  });
});

describe('an action that cannot be done fails its test', () => {
  it.each<[string, string, string]>([
    ['acquire', 'b', '`a` holds the lock: `takeOver` takes it from its holder'],
    ['takeOver', 'a', '`a` holds the lock already'],
    ['renew', 'b', '`a` holds the lock, not `b`'],
    ['recreate', 'a', 'the lock exists'],
  ])('%s by %s', async (action, actor, message) => {
    const { passed, steps } = await resultOf(stepsText([['1s', actor, action, 'allow']]));
    expect([passed, steps[0]?.outcome]).toEqual([false, { kind: 'failed', message }]);
  });

  it.each<[string, string]>([
    ['takeOver', 'there is no lock'],
    ['renew', 'there is no lock'],
    ['release', 'there is no lock'],
    ['delete', 'there is no lock'],
    ['recreate', 'the lock was not deleted before: `acquire` creates it'],
  ])('%s of nothing', async (action, message) => {
    const { steps } = await resultOf(
      `tests: [{ name: t, steps: [{ actor: a, action: ${action}, expect: allow }] }]`,
    );
    expect(steps[0]?.outcome).toEqual({ kind: 'failed', message });
  });

  it.each<[string, string]>([
    ['takeOver', 'nobody holds the lock: `acquire` takes it'],
    ['renew', 'nobody holds the lock, not `b`'],
    ['release', 'nobody holds the lock'],
  ])('%s of what nobody holds', async (action, message) => {
    const text = `tests: [{ name: t, lock: { start: {} }, steps: [{ actor: b, action: ${action}, expect: allow }] }]`;
    expect((await resultOf(text)).steps[0]?.outcome).toEqual({ kind: 'failed', message });
  });

  it('a patch that the API server itself refuses', async () => {
    const patch = 'patch: { spec: { leaseDurationSeconds: 0 } }';
    const { steps } = await resultOf(stepsText([['1s', 'a', 'patch', 'allow', patch]]));
    expect(steps[0]?.outcome).toEqual({
      kind: 'failed',
      message: 'the API server refused it (422): spec.leaseDurationSeconds: must be at least 1',
    });
  });
});

describe('actors', () => {
  it('may have clocks that are off', async () => {
    const text = `
actors: { late: { clock: -20s }, early: { clock: +2m } }
tests:
  - name: t
    steps:
      - { actor: late, action: acquire, expect: { deny: StaleRenewTime } }
      - { actor: early, action: acquire, expect: { warn: RenewTimeSkewed } }
`;
    expect(await resultOf(text)).toMatchObject({ passed: true });
  });

  it('are known by the pods of their tokens, or are not', async () => {
    const foreign = (actor: string): string => `
actors: { a: {}, b: { identity: b }, unbound: { pod: null } }
tests:
  - name: t
    lock: { start: { holder: ${actor === 'unbound' ? 'unbound' : 'a'} } }
    steps: [{ at: 1s, actor: b, action: release, expect: ${actor === 'unbound' ? 'allow' : '{ deny: ForeignRelease }'} }]
`;
    expect(await resultOf(foreign('a'))).toMatchObject({ passed: true });
    expect(await resultOf(foreign('unbound'))).toMatchObject({ passed: true });
  });

  it('are who policies let them be', async () => {
    const spec = `{ candidates: { serviceAccounts: [locktest/orders], holder: PodNamePrefix }, exempt: { groups: [ops] } }`;
    const text = `${clusterPolicy(spec)}
actors:
  ours: { serviceAccount: orders, pod: orders-0, identity: orders-0_abc }
  named: { serviceAccount: orders, pod: orders-1, identity: someone }
  theirs: { serviceAccount: other }
  jane: { user: jane, groups: [ops] }
tests:
  - name: t
    steps:
      - { actor: theirs, action: acquire, expect: { deny: CandidateNotAllowed } }
      - { actor: named, action: acquire, expect: { deny: HolderMismatch } }
      - { actor: ours, action: acquire, expect: allow }
      - { at: 2s, actor: jane, action: takeOver, expect: { warn: PrematureTakeover } }
`;
    expect(await resultOf(text)).toMatchObject({ passed: true });
  });
});

describe('a patch', () => {
  it.each<[string, string]>([
    ['{ spec: { holderIdentity: b } }', '{ deny: PrematureTakeover }'],
    ['{ spec: { renewTime: null } }', '{ deny: StrippedTiming }'],
    ['{ metadata: { labels: { a: b } } }', 'allow'],
    ['{ metadata: { managedFields: [] } }', '{ deny: EvidenceTampered }'],
    ['{ spec: { renewTime: $(now-30s) } }', '{ warn: RenewTimeBackward }'],
    ['{ spec: { renewTime: $(now+20s) } }', 'allow'],
  ])('%s', async (patch, expected) => {
    const result = await resultOf(stepsText([['2s', 'b', 'patch', expected, `patch: ${patch}`]]));
    expect(got(result).join()).toBe(expected.replaceAll(/[{}:]/g, '').trim());
  });

  it('of a record in an annotation', async () => {
    const stripped =
      'patch: { metadata: { annotations: { control-plane.alpha.kubernetes.io/leader: null } } }';
    const text = stepsText([['2s', 'b', 'patch', '{ deny: StrippedRecord }', stripped]]);
    expect(await resultOf(text.replace('lock: {', 'lock: { kind: ConfigMap,'))).toMatchObject({
      passed: true,
    });
  });
});

describe('a test that tests nothing fails', () => {
  const early = [['5s', 'b', 'takeOver', 'allow']] as const;

  it('because lockwarden does not guard its lock', async () => {
    const text = stepsText(early).replace('lock: {', 'lock: { namespace: kube-system,');
    expect(await resultOf(text)).toMatchObject({
      passed: false,
      coveredBy: null,
      why: 'lockwarden does not guard lease/kube-system/lock: nothing is tested (say `coveredBy: []` if that is meant)',
    });
  });

  it('because no policy of its suite covers its lock', async () => {
    const text = stepsText(
      [['5s', 'b', 'takeOver', '{ deny: PrematureTakeover }']],
      clusterPolicy('{ match: { names: [other] } }'),
    );
    expect(await resultOf(text)).toMatchObject({
      passed: false,
      coveredBy: [],
      why: expect.stringContaining('no policy of the suite covers lease/locktest/lock') as string,
    });
  });

  it('because another policy covers it than it says', async () => {
    const text = stepsText(early, clusterPolicy('{ enforcement: Audit }')).replace(
      'allow }',
      'audit }\n    coveredBy: [clusterlockpolicy/q]',
    );
    expect(await resultOf(text)).toMatchObject({
      passed: false,
      why: 'it should be covered by clusterlockpolicy/q, and is by clusterlockpolicy/p',
    });
  });

  it('unless it says so', async () => {
    const text = stepsText(early).replace('lock: {', 'coveredBy: []\n    lock: { namespace: kube-system,');
    expect(await resultOf(text)).toMatchObject({ passed: true, coveredBy: null });
  });
});

describe('a test that hangs on fractions of a second fails', () => {
  it.each(['14s', '13900ms'])('such as a takeover after %s of a lease of fifteen', async (at) => {
    const result = await resultOf(
      stepsText([[at, 'b', 'takeOver', at === '14s' ? 'allow' : '{ deny: PrematureTakeover }']]),
    );
    expect(result.passed).toBe(false);
  });

  it('and is told so', async () => {
    const result = await resultOf(
      stepsText([
        ['5s', 'a', 'renew', 'allow'],
        ['18500ms', 'b', 'takeOver', '{ warn: UncertainExpiry }'],
      ]),
    );
    expect(result.why).toMatch(
      /^step 2 hangs on fractions of a second: warn UncertainExpiry, or deny PrematureTakeover; move it/,
    );
  });

  it('while a lease that has run out is steady', async () => {
    expect(await resultOf(stepsText([['15s', 'b', 'takeOver', 'allow']]))).toMatchObject({ passed: true });
  });
});

it('fails when its starting state is refused', async () => {
  const text = `${clusterPolicy('{ leaseDuration: { min: 30s } }')}tests: [{ name: t, lock: { start: { holder: a } }, steps: [{ actor: a, action: renew, expect: allow }] }]`;
  expect(await resultOf(text)).toMatchObject({
    passed: false,
    steps: [],
    why: expect.stringMatching(
      /^the starting state is refused: .* LeaseDurationOutOfBounds, clusterlockpolicy\/p\]$/,
    ) as string,
  });
});

it('puts a policy without a namespace where the lock is, and gives namespaces their labels', async () => {
  const policies = `policies:
  - { apiVersion: lockwarden.dev/v1alpha1, kind: LockPolicy, metadata: { name: local }, spec: { enforcement: Audit } }
  - { apiVersion: lockwarden.dev/v1alpha1, kind: ClusterLockPolicy, metadata: { name: prod }, spec: { match: { namespaceSelector: { matchLabels: { tier: prod } } }, enforcement: Warn } }
namespaces: [{ name: shop, labels: { tier: prod } }]
`;
  const text = stepsText([['5s', 'b', 'takeOver', 'audit']], policies);
  expect(await resultOf(text)).toMatchObject({ passed: true, coveredBy: ['lockpolicy/locktest/local'] });
  const inShop = text
    .replace('lock: {', 'lock: { namespace: shop,')
    .replace('audit }', '{ warn: PrematureTakeover } }');
  expect(await resultOf(inShop)).toMatchObject({ passed: true, coveredBy: ['clusterlockpolicy/prod'] });
});
