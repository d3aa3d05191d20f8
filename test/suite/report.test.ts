import { describe, expect, it } from 'vitest';
import { jsonOf } from '../../src/suite/report/json.ts';
import { junitOf } from '../../src/suite/report/junit.ts';
import { treeOf } from '../../src/suite/report/tree.ts';
import { runSuiteOffline, type SuiteResult } from '../../src/suite/suite-run.ts';
import { suiteOf } from './suites.ts';

const suite = suiteOf(
  `policies:
  - { apiVersion: lockwarden.dev/v1alpha1, kind: ClusterLockPolicy, metadata: { name: p }, spec: { deletion: Deny } }
lock: { start: { holder: a } }
tests:
  - name: an early takeover is refused
    steps:
      - { at: 5s, actor: b, action: takeOver, expect: { deny: PrematureTakeover } }
      - { at: 6s, actor: a, action: renew, expect: allow }
  - name: a <wrong> "expectation"
    steps:
      - { at: 1m5s, actor: b, action: takeOver, expect: { deny: PrematureTakeover } }
      - { at: 66s, actor: b, action: renew, expect: allow }
  - name: a refusal
    steps: [{ at: 250ms, actor: b, action: delete, expect: allow }]
  - name: nothing
    lock: { namespace: kube-system }
    steps: [{ actor: b, action: takeOver, expect: allow }]
`.replace('1m5s', '65s'),
);

const results = async (): Promise<readonly SuiteResult[]> => [
  await runSuiteOffline(
    suite,
    () => true,
    () => 0,
  ),
];

const sentence =
  'lease/locktest/lock: a live lock is deleted by another than its holder; held by `a` for 15 s at a time; last renewed 0.3 s ago (as lockwarden observed); free in at most 15 s; [lockwarden D4 LiveLockDeleted, clusterlockpolicy/p]';

describe('a report', () => {
  it('is a tree for people, with what was expected and what came', async () => {
    expect(treeOf(await results(), { colour: false, tookMs: 12 })).toBe(`orders /suites/orders.locktest.yaml
├─ ok an early takeover is refused (clusterlockpolicy/p)
│         5s  b takeOver  deny PrematureTakeover
│         6s  a renew     allow (lockwarden is not asked)
├─ FAILED a <wrong> "expectation" (clusterlockpolicy/p)
│       1m5s  b takeOver  not as expected
│             - expected: deny PrematureTakeover
│             + got:      allow
│             at /suites/orders.locktest.yaml:13
│     1 more not played
├─ FAILED a refusal (clusterlockpolicy/p)
│      250ms  b delete  not as expected
│             - expected: allow
│             + got:      deny LiveLockDeleted
│             ${sentence}
│             at /suites/orders.locktest.yaml:16
└─ FAILED nothing (not guarded)
          0s  b takeOver  allow (lockwarden is not asked)
      lockwarden does not guard lease/kube-system/lock: nothing is tested (say \`coveredBy: []\` if that is meant)
      at /suites/orders.locktest.yaml:17

3 failed, 1 passed in 12 ms
`);
  });

  it('is coloured where that is asked for', async () => {
    const tree = treeOf(await results(), { colour: true, tookMs: 1_250 });
    expect(tree).toContain('\u001b[31mFAILED\u001b[39m');
    expect(tree).toContain('\u001b[31m3 failed\u001b[39m, 1 passed in 1.3 s');
  });

  it('is JSON for programs', async () => {
    const report = JSON.parse(jsonOf(await results(), 12.3)) as unknown;
    expect(report).toMatchObject({
      apiVersion: 'lockwarden.dev/v1alpha1',
      kind: 'LockTestReport',
      passed: 1,
      failed: 3,
      tookMs: 12,
      suites: [{ name: 'orders', path: '/suites/orders.locktest.yaml' }],
    });
    expect(report).toHaveProperty('suites.0.tests.1', {
      name: 'a <wrong> "expectation"',
      line: 11,
      passed: false,
      why: null,
      lock: { kind: 'Lease', namespace: 'locktest', name: 'lock' },
      coveredBy: ['clusterlockpolicy/p'],
      scale: 1,
      tookMs: 0,
      steps: [
        {
          line: 13,
          atMs: 65_000,
          actor: 'b',
          action: 'takeOver',
          expected: 'deny PrematureTakeover',
          got: 'allow',
          passed: false,
          message: null,
        },
        {
          line: 14,
          atMs: 66_000,
          actor: 'b',
          action: 'renew',
          expected: 'allow',
          got: null,
          passed: null,
          message: null,
        },
      ],
    });
  });

  it('is JUnit for CI systems, with everything escaped', async () => {
    const file = '/suites/orders.locktest.yaml';
    expect(junitOf(await results(), 12)).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="lockwarden" tests="4" failures="3" time="0.012">
  <testsuite name="orders" file="${file}" tests="4" failures="3" time="0.000">
    <testcase name="an early takeover is refused" classname="orders" file="${file}" line="7" time="0.000"/>
    <testcase name="a &lt;wrong&gt; &quot;expectation&quot;" classname="orders" file="${file}" line="11" time="0.000">
      <failure message="1m5s b takeOver: expected deny PrematureTakeover, got allow">at ${file}:13</failure>
    </testcase>
    <testcase name="a refusal" classname="orders" file="${file}" line="15" time="0.000">
      <failure message="250ms b delete: expected allow, got deny LiveLockDeleted">${sentence}
at ${file}:16</failure>
    </testcase>
    <testcase name="nothing" classname="orders" file="${file}" line="17" time="0.000">
      <failure message="lockwarden does not guard lease/kube-system/lock: nothing is tested (say \`coveredBy: []\` if that is meant)">at ${file}:17</failure>
    </testcase>
  </testsuite>
</testsuites>
`);
  });
});
