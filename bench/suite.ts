/**
 * How fast suites run offline: `node bench/suite.ts [steps]`. Default: 1,000 steps, in tests of ten, as the shipped suites have them: a
 * holder that renews, candidates that are refused and succeed, releases, deletions.
 */
import { readSuite } from '../src/suite/read.ts';
import { countOf, runSuiteOffline } from '../src/suite/suite-run.ts';
import { writeResult } from './support/result.ts';

const [steps = 1_000] = process.argv.slice(2).map(Number);
const stepsEach = 10;

const election = `
    lock: { start: { holder: a } }
    steps:
      - { at: 5s, actor: b, action: takeOver, expect: { deny: PrematureTakeover } }
      - { at: 10s, actor: a, action: renew, expect: allow }
      - { at: 12s, actor: b, action: takeOver, expect: { deny: PrematureTakeover } }
      - { at: 26s, actor: b, action: takeOver, expect: allow }
      - { at: 28s, actor: a, action: release, expect: { deny: ForeignRelease } }
      - { at: 30s, actor: b, action: release, expect: allow }
      - { at: 31s, actor: a, action: acquire, expect: allow }
      - { at: 33s, actor: b, action: delete, expect: { audit: LiveLockDeleted } }
      - { at: 34s, actor: b, action: recreate, expect: { deny: PrematureRecreation } }
      - { at: 35s, actor: a, action: recreate, expect: allow }`;

const policy = `{ apiVersion: lockwarden.dev/v1alpha1, kind: ClusterLockPolicy, metadata: { name: guard }, spec: { enforcement: Deny } }`;
const tests = Array.from(
  { length: Math.ceil(steps / stepsEach) },
  (_, index) => `  - name: election ${String(index)}${election}`,
);
const text = `apiVersion: lockwarden.dev/v1alpha1
kind: LockTest
policies: [${policy}]
tests:
${tests.join('\n')}
`;

const begunMs = performance.now();
const read = readSuite('bench.locktest.yaml', text, () => ({ why: 'there are no files' }));
if (!read.ok) throw new Error(JSON.stringify(read.faults));
const readMs = performance.now() - begunMs;
const result = await runSuiteOffline(
  read.suite,
  () => true,
  () => performance.now(),
);
const playedMs = performance.now() - begunMs - readMs;

const { passed, failed } = countOf([result]);
const played = result.tests.reduce((sum, test) => sum + test.steps.length, 0);
console.log(
  `${played} steps in ${passed + failed} tests (${failed} failed): played in ${playedMs.toFixed(0)} ms, each step twice; read in ${readMs.toFixed(0)} ms`,
);
await writeResult('suite', { steps: played, tests: passed + failed, readMs, playedMs });
if (failed > 0) process.exitCode = 1;
