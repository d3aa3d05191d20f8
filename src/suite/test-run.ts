/**
 * Runs a test offline. It is played at both ends of a second, with requests that take their time: what then comes out otherwise would
 * come out one way or the other on a cluster too, and no test may hang on it.
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
  /** In what part of its time it was played. */
  readonly scale: number;
  readonly tookMs: number;
}

/** LIMIT: what a request takes on a busy cluster, its retries included. */
const lateMs = 250;

/** In time to the millisecond: what a person has in mind who reads a test. */
const punctual: Variation = { phaseMs: 500, lateMs: () => 0 };

/**
 * Just before the end of a second, with every other request late and so in the next: a promise then looks as old, and as young, as the whole
 * seconds of stamps can make it look. What its age decides, it decides once and for all as time goes on, so what comes out alike at
 * both ends does so between them.
 */
const ends: readonly [Variation, Variation] = [
  { phaseMs: 990, lateMs: (index) => (index % 2 === 1 ? lateMs : 0) },
  { phaseMs: 990, lateMs: (index) => (index % 2 === 0 ? lateMs : 0) },
];

/**
 * For times that are no whole seconds: from one end of a second to the other, with each of two neighbours late, and each of two pairs; by
 * one replica, which has seen all, and by two.
 */
function* variationsOf(byMs: number): Generator<Variation> {
  for (const phaseMs of [0, 200, 400, 600, 800, 990]) {
    for (const size of [1, 2]) {
      for (const isLate of [0, 1]) {
        const lateMs = (index: number): number => (Math.floor(index / size) % 2 === isLate ? byMs : 0);
        yield { phaseMs, lateMs };
        yield { phaseMs, lateMs, isSplit: true };
      }
    }
  }
}

/** Runs a test. `nowMs` reads a clock, for how long it took. */
export async function runOffline(
  test: Test,
  suite: Suite,
  guarded: Guarded,
  nowMs: () => number,
): Promise<TestResult> {
  const begunMs = nowMs();
  const coveredBy = coverageOf(test, guarded);
  const { played, unsteady } = await playAtBothEnds(test, guarded);
  const why = uncovered(test, suite, coveredBy) ?? played.startFailed ?? unsteady;
  const passed = why === null && played.steps.every((step) => step.passed);
  return { test, passed, why, steps: played.steps, coveredBy, scale: 1, tookMs: nowMs() - begunMs };
}

/** Whether every playing of a test comes out as expected, with requests late by as much. */
export async function isSteady(test: Test, guarded: Guarded, byMs: number): Promise<boolean> {
  for (const variation of variationsOf(byMs)) {
    if (!hasPassed(await playOnce(test, guarded, variation))) return false;
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

interface Played {
  readonly played: Play;
  /** Why the test hangs on fractions of a second; null: it does not. */
  readonly unsteady: string | null;
}

/** Where both ends are as expected, so is what lies between; else the punctual playing is what a person wants to see. */
async function playAtBothEnds(test: Test, guarded: Guarded): Promise<Played> {
  const [early, late] = ends;
  const first = await playOnce(test, guarded, early);
  const wrong = hasPassed(first) ? await playOnce(test, guarded, late) : first;
  if (hasPassed(wrong)) return { played: first, unsteady: null };
  const played = await playOnce(test, guarded, punctual);
  return { played, unsteady: hasPassed(played) ? describeUnsteady(played, wrong) : null };
}

function playOnce(test: Test, guarded: Guarded, variation: Variation): Promise<Play> {
  return play(test, { cluster: new OfflineCluster(test.lock, guarded, variation), seesAudit: true });
}

function hasPassed({ steps, startFailed }: Play): boolean {
  return startFailed === null && steps.every(({ passed }) => passed);
}

/** The step that comes out otherwise when times differ by fractions of a second. */
function describeUnsteady(played: Play, other: Play): string {
  const index = other.steps.findIndex(({ passed }) => !passed);
  const [usual, once] = [played.steps[index], other.steps[index]].map((each) =>
    each === undefined ? 'nothing' : describeOutcome(each.outcome),
  );
  return `step ${String(index + 1)} hangs on fractions of a second: ${usual ?? ''}, or ${once ?? ''}; move it by a second or two`;
}

function listed(policies: readonly string[]): string {
  return policies.length === 0 ? 'no policy' : policies.join(', ');
}
