/**
 * Runs a test offline. It is played several times, each at another fraction of a second and with requests that take their time: what
 * then comes out otherwise would come out one way or the other on a cluster too, and no test may hang on it.
 */
import { describeLock } from '../core/lock.ts';
import { describePolicy } from '../policy/policy-ref.ts';
import type { Guarded } from './guarded.ts';
import { OfflineCluster, type Variation } from './offline.ts';
import { describeOutcome } from './outcome.ts';
import { play, type Play, type StepResult } from './run.ts';
import type { Suite, Test } from './suite.ts';

/** What came of a test. */
export interface TestResult {
  readonly test: Test;
  readonly passed: boolean;
  /** Why it failed, where that is not one of its steps. */
  readonly why: string | null;
  /** The steps that were played; only the last can have failed. */
  readonly steps: readonly StepResult[];
  /** The policies that cover the lock; null: lockwarden does not guard it. */
  readonly coveredBy: readonly string[] | null;
  readonly tookMs: number;
}

/** LIMIT: what a request takes on a busy cluster, its retries included. */
const lateMs = 250;

const plain: Variation = { phaseMs: 500, lateMs: () => 0 };
const variations: readonly Variation[] = [
  { phaseMs: 0, lateMs: (index) => (index % 2 === 1 ? lateMs : 0) },
  { phaseMs: 990, lateMs: (index) => (index % 2 === 0 ? lateMs : 0) },
];

/** Runs a test. `nowMs` reads a clock, for how long it took. */
export async function runOffline(
  test: Test,
  suite: Suite,
  guarded: Guarded,
  nowMs: () => number,
): Promise<TestResult> {
  const begunMs = nowMs();
  const covering = coverageOf(test, guarded);
  const played = await playOnce(test, guarded, plain);
  const why =
    uncovered(test, suite, covering) ?? played.startFailed ?? (await unsteady(test, guarded, played));
  const passed = why === null && played.steps.every((step) => step.passed);
  return { test, passed, why, steps: played.steps, coveredBy: covering, tookMs: nowMs() - begunMs };
}

/** Whether every playing of a test comes out as expected. */
export async function isSteady(test: Test, guarded: Guarded): Promise<boolean> {
  for (const variation of [plain, ...variations]) {
    const { steps, startFailed } = await playOnce(test, guarded, variation);
    if (startFailed !== null || steps.some(({ passed }) => !passed)) return false;
  }
  return true;
}

/** The policies that cover the lock of a test; null: lockwarden does not guard it. */
export function coverageOf({ lock }: Test, { store }: Guarded): readonly string[] | null {
  return store.effectiveFor(lock)?.policies.map(describePolicy) ?? null;
}

/** Why a test proves nothing, or not what it claims: its lock is covered by no policy, or by others. */
export function uncovered(test: Test, suite: Suite, covering: readonly string[] | null): string | null {
  const found = covering ?? [];
  if (test.coveredBy !== null) {
    const same = [...test.coveredBy].sort().join() === [...found].sort().join();
    return same ? null : `it should be covered by ${listed(test.coveredBy)}, and is by ${listed(found)}`;
  }
  const lock = describeLock(test.lock);
  if (covering === null)
    return `lockwarden does not guard ${lock}: nothing is tested (say \`coveredBy: []\` if that is meant)`;
  if (suite.policies.length > 0 && found.length === 0) {
    return `no policy of the suite covers ${lock}: nothing of them is tested (say \`coveredBy: []\` if that is meant)`;
  }
  return null;
}

function playOnce(test: Test, guarded: Guarded, variation: Variation): Promise<Play> {
  return play(test, { cluster: new OfflineCluster(test.lock, guarded, variation), seesAudit: true });
}

/** The step that comes out otherwise when times differ by fractions of a second; null: none does. */
async function unsteady(test: Test, guarded: Guarded, played: Play): Promise<string | null> {
  if (played.steps.some(({ passed }) => !passed)) return null;
  for (const variation of variations) {
    const { steps } = await playOnce(test, guarded, variation);
    const other = steps.findIndex(({ passed }) => !passed);
    if (other < 0) continue;
    const [usual, once] = [played.steps[other], steps[other]].map((each) =>
      each === undefined ? '' : describeOutcome(each.outcome),
    );
    return `step ${String(other + 1)} hangs on fractions of a second: ${usual ?? ''}, or ${once ?? ''}; move it by a second or two`;
  }
  return null;
}

function listed(policies: readonly string[]): string {
  return policies.length === 0 ? 'no policy' : policies.join(', ');
}
