/** Runs the tests of a suite offline, and says what came of a suite wherever it was run. */
import { guardedBy } from './guarded.ts';
import type { Suite, Test } from './suite.ts';
import { runOffline, type TestResult } from './test-run.ts';

/** What came of a suite. */
export interface SuiteResult {
  readonly suite: Suite;
  /** Those that were run. */
  readonly tests: readonly TestResult[];
}

/** Runs those tests of a suite that `wanted` picks. `nowMs` reads a clock, for how long they took. */
export async function runSuiteOffline(
  suite: Suite,
  wanted: (test: Test) => boolean,
  nowMs: () => number,
): Promise<SuiteResult> {
  const guarded = guardedBy(suite);
  const tests: TestResult[] = [];
  for (const test of suite.tests.filter(wanted)) tests.push(await runOffline(test, suite, guarded, nowMs));
  return { suite, tests };
}

/** How many tests passed, and how many failed. */
export function countOf(results: readonly SuiteResult[]): {
  readonly passed: number;
  readonly failed: number;
} {
  const tests = results.flatMap((result) => result.tests);
  const passed = tests.filter((test) => test.passed).length;
  return { passed, failed: tests.length - passed };
}
