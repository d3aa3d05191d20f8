import { describe, expect, it } from 'vitest';
import { readSuite } from '../../src/suite/read.ts';
import { faultsIn, suiteOf } from './suites.ts';

const step = '{ actor: b, action: acquire, expect: allow }';

describe('a suite', () => {
  it('needs no more than a name, an actor, an action and an expectation', () => {
    const suite = suiteOf(`tests:\n  - name: t\n    steps:\n      - ${step}\n`);
    expect(suite).toMatchObject({ name: 'orders', policies: [], path: '/suites/orders.locktest.yaml' });
    expect(suite.tests).toEqual([
      {
        name: 't',
        line: 4,
        lock: { kind: 'Lease', namespace: 'locktest', name: 'lock' },
        start: null,
        coveredBy: null,
        steps: [
          {
            line: 6,
            atMs: 0,
            actor: {
              name: 'b',
              as: { kind: 'account', namespace: 'locktest', name: 'candidate', pod: 'b' },
              identity: 'b',
              clockMs: 0,
              leaseDurationMs: 15_000,
              fieldManager: 'candidate',
            },
            action: { kind: 'acquire', holder: 'b', leaseDurationMs: 15_000 },
            expect: 'allow',
          },
        ],
      },
    ]);
  });

  it('is called after its folder when its file is called after nothing', () => {
    const text = `apiVersion: lockwarden.dev/v1alpha1\nkind: LockTest\ntests: [{ name: t, steps: [${step}] }]\n`;
    const nameAt = (path: string): unknown => {
      const read = readSuite(path, text, () => ({ why: '' }));
      return read.ok && read.suite.name;
    };
    expect(nameAt('policies/audit-only/suite.locktest.yaml')).toBe('audit-only');
    expect(nameAt('policies/x/orders.locktest.yml')).toBe('orders');
  });

  it('says things once for all tests, and each test may say them otherwise', () => {
    const { tests } = suiteOf(`
lock: { name: orders, namespace: shop, leaseDuration: 6s, start: { holder: a, renewed: 2s } }
actors:
  a: { serviceAccount: orders }
  b: { pod: null, clock: -20s }
tests:
  - name: first
    steps: [{ at: 1s, actor: a, action: renew, expect: allow }, { actor: b, action: takeOver, expect: allow }]
  - name: second
    lock: { kind: ConfigMap, start: null }
    actors: { b: { user: jane, groups: [ops], identity: jane-1, leaseDuration: 1m } }
    steps: [{ actor: b, action: acquire, expect: allow }]
`);
    const [first, second] = tests;
    expect(first).toMatchObject({
      lock: { kind: 'Lease', namespace: 'shop', name: 'orders' },
      start: { held: true, leaseDurationMs: 6_000, renewedMs: 2_000, transitions: 0, by: { name: 'a' } },
    });
    expect(first?.steps.map(({ atMs }) => atMs)).toEqual([1_000, 1_000]);
    expect(first?.steps[1]?.actor).toMatchObject({
      as: { kind: 'account', namespace: 'shop', name: 'candidate', pod: null },
      identity: 'b',
      clockMs: -20_000,
      leaseDurationMs: 6_000,
    });
    expect(second).toMatchObject({ lock: { kind: 'ConfigMap', name: 'orders' }, start: null });
    expect(second?.steps[0]?.actor).toMatchObject({
      as: { kind: 'user', name: 'jane', groups: ['ops'] },
      identity: 'jane-1',
      leaseDurationMs: 60_000,
      fieldManager: 'jane',
    });
  });

  it('takes policies from files beside it, and as they are', () => {
    const policy = 'apiVersion: lockwarden.dev/v1alpha1\nkind: LockPolicy\nmetadata: { name: local }\n';
    const suite = suiteOf(
      `policies:
  - ../policy.yaml
  - { apiVersion: lockwarden.dev/v1alpha1, kind: ClusterLockPolicy, metadata: { name: all }, spec: { enforcement: Warn } }
tests: [{ name: t, steps: [${step}] }]
`,
      (path) => (path === '/policy.yaml' ? { text: policy } : { why: path }),
    );
    expect(suite.policies).toEqual([
      { ref: { kind: 'LockPolicy', namespace: 'locktest', name: 'local' }, named: false, spec: {} },
      {
        ref: { kind: 'ClusterLockPolicy', namespace: '', name: 'all' },
        named: false,
        spec: { enforcement: 'Warn' },
      },
    ]);
    expect(suite.files).toEqual(['/suites/orders.locktest.yaml', '/policy.yaml']);
  });
});

/** A test of one step, whose text begins on line 6. */
const oneStep = (text: string): string => `tests:\n  - name: t\n    steps:\n      - ${text}\n`;

describe('what is wrong with a suite is told with its line', () => {
  it.each<[string, string, string]>([
    ['a field that is not known', 'tets: []\n', '3: the field `tets` is not known; did you mean `tests`?'],
    [
      'a field that is not known, deep inside',
      oneStep('{ actor: b, action: acquire, expct: allow }'),
      '6: the field `expct` is not known; did you mean `expect`?',
    ],
    ['a step without an expectation', oneStep('{ actor: b, action: acquire }'), '6: `expect` is missing'],
    [
      'a reason that there is not',
      oneStep('{ actor: b, action: takeOver, expect: { deny: PrematureTakover } }'),
      '6: `deny` does not take `PrematureTakover`; did you mean `PrematureTakeover`?',
    ],
    [
      'an expectation that there is not',
      oneStep('{ actor: b, action: takeOver, expect: denied }'),
      '6: `expect` `denied`: give `allow`, `audit`, `{ deny: REASON }`, `{ warn: REASON }` or `{ audit: REASON }`',
    ],
    [
      'an outcome that there is not',
      oneStep('{ actor: b, action: takeOver, expect: { dney: PrematureTakeover } }'),
      '6: the field `dney` is not known; did you mean `deny`?',
    ],
    [
      'an action that there is not',
      oneStep('{ actor: b, action: takeover, expect: allow }'),
      '6: `action` does not take `takeover`; did you mean `takeOver`?',
    ],
    [
      'a time without a unit',
      oneStep('{ at: 5, actor: b, action: acquire, expect: allow }'),
      '6: `at` does not take `5`: give a text',
    ],
    [
      'a time that is none',
      oneStep('{ at: 5sec, actor: b, action: acquire, expect: allow }'),
      '6: `at` does not take `5sec`: give a number with a unit, such as `500ms`, `15s` or `1m`',
    ],
    [
      'a lease of fractions of a second',
      oneStep('{ actor: b, action: acquire, expect: allow, leaseDuration: 500ms }'),
      '6: `leaseDuration` does not take `500ms`: give whole seconds, minutes or hours, such as `15s`',
    ],
    [
      'a step before the one above',
      `${oneStep('{ at: 5s, actor: b, action: acquire, expect: allow }')}      - { at: 4s, actor: b, action: renew, expect: allow }\n`,
      '7: `at` is before the step above',
    ],
    [
      'an actor that is not listed',
      `actors: { leader: {} }\n${oneStep('{ actor: leadr, action: acquire, expect: allow }')}`,
      '7: there is no actor `leadr`; did you mean `leader`?',
    ],
    [
      'a user with a pod',
      `actors: { jane: { user: jane, pod: web-0 } }\n${oneStep('{ actor: jane, action: acquire, expect: allow }')}`,
      '7: `jane` is a user, and so has no serviceAccount, namespace or pod',
    ],
    [
      'a ServiceAccount with groups',
      `actors: { a: { groups: [x] } }\n${oneStep('{ actor: a, action: acquire, expect: allow }')}`,
      '7: `a` has groups, which only a user can have: those of a ServiceAccount are given',
    ],
    [
      'a patch of nothing',
      oneStep('{ actor: b, action: patch, expect: allow }'),
      '6: `patch` is missing: the JSON merge patch to send',
    ],
    [
      'a patch beside another action',
      oneStep('{ actor: b, action: renew, expect: allow, patch: {} }'),
      '6: `patch` has no meaning for `renew`',
    ],
    ['no tests', 'tests: []\n', '3: `tests` is empty'],
    [
      'two tests of one name',
      `${oneStep(step)}  - { name: t, steps: [${step}] }\n`,
      '7: the name `t` stands twice',
    ],
    [
      'a policy file that is not there',
      `policies: [policy.yml]\n${oneStep(step)}`,
      '3: `policy.yml` cannot be read: there is no /suites/policy.yml',
    ],
    [
      'broken YAML',
      'tests: [\n',
      '4: flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    ['a key that stands twice', 'tests: []\ntests: []\n', '4: the key `tests` stands twice'],
  ])('%s', (_, text, told) => {
    expect(faultsIn(text)).toContain(told);
  });

  it('a file that is something else', () => {
    const read = readSuite('x.locktest.yaml', 'kind: Pod\napiVersion: v1\n', () => ({ why: '' }));
    expect(read.ok ? [] : read.faults.map(({ line, message }) => `${String(line)}: ${message}`)).toEqual([
      '1: `kind` does not take `Pod`; give `LockTest`',
      '1: `tests` is missing',
      '2: `apiVersion` does not take `v1`; give `lockwarden.dev/v1alpha1`',
    ]);
  });

  it.each(['', '---\n', '# nothing\n'])('an empty file %j', (text) => {
    expect(readSuite('x', text, () => ({ why: '' }))).toMatchObject({
      ok: false,
      faults: [{ line: 1, message: 'the file is empty' }],
    });
  });

  it('two suites in one file', () => {
    expect(faultsIn(`${oneStep(step)}---\nkind: LockTest\n`)).toEqual([
      '8: a file holds one suite; put this one into its own',
    ]);
  });

  it('an alias that unfolds without end', () => {
    const lines = Array.from(
      { length: 9 },
      (_, index) => `a${index + 1}: &a${index + 1} [${`*a${index},`.repeat(9)}]`,
    );
    expect(faultsIn(`a0: &a0 [x]\n${lines.join('\n')}\n`)).toEqual([
      '1: excessive alias count indicates a resource exhaustion attack',
    ]);
  });
});

describe('what is wrong with a policy of a suite', () => {
  const policyOf = (spec: string): string =>
    `policies:\n  - apiVersion: lockwarden.dev/v1alpha1\n    kind: ClusterLockPolicy\n    metadata: { name: p }\n    spec:\n${spec}\n${oneStep(step)}`;

  it.each<[string, string, string]>([
    [
      'a field that is not known',
      '      enforcment: Warn',
      '8: the field `enforcment` is not known; did you mean `enforcement`?',
    ],
    [
      'a value that is not known',
      '      enforcement: Warning',
      '8: spec.enforcement: Invalid option: expected one of "Deny"|"Warn"|"Audit"',
    ],
    [
      'an expression that does not type-check',
      '      conditions:\n        - name: x\n          expression: lease.stat == "live"',
      '10: spec.conditions[0].expression: No such key: stat',
    ],
  ])('%s', (_, spec, told) => {
    expect(faultsIn(policyOf(spec))).toEqual([told]);
  });

  it('in a file of its own is told with that file', () => {
    const policy =
      'apiVersion: lockwarden.dev/v1alpha1\nkind: LockPolicy\nmetadata: { name: p }\nspec:\n  tolerance: 1x\n';
    expect(faultsIn(`policies: [p.yaml]\n${oneStep(step)}`, () => ({ text: policy }))).toEqual([
      expect.stringContaining('/suites/p.yaml:5: spec.tolerance: Invalid string'),
    ]);
  });

  it.each([
    ['kind: LockPolcy', '1: `LockPolcy` is no kind of policy; did you mean `LockPolicy`?'],
    ['kind: LockPolicy', '1: the apiVersion is not `lockwarden.dev/v1alpha1`'],
    ['', '1: there is no policy in it'],
  ])('a file that holds %j', (text, told) => {
    expect(faultsIn(`policies: [p.yaml]\n${oneStep(step)}`, () => ({ text }))).toEqual([
      `/suites/p.yaml:${told}`,
    ]);
  });
});
