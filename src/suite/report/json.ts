/** Results as JSON for programs. */
import { apiVersion } from '../../policy/api.ts';
import { describeExpectation, describeOutcome } from '../outcome.ts';
import { countOf, type SuiteResult } from '../suite-run.ts';

/** The report, with a line end. Times are in milliseconds, lines are those of the suite's file. */
export function jsonOf(results: readonly SuiteResult[], tookMs: number): string {
  const report = {
    apiVersion,
    kind: 'LockTestReport',
    ...countOf(results),
    tookMs: Math.round(tookMs),
    suites: results.map(({ suite, tests }) => ({
      name: suite.name,
      path: suite.path,
      tests: tests.map(({ test, passed, why, steps, coveredBy, scale, tookMs: tested }) => ({
        name: test.name,
        line: test.line,
        passed,
        why,
        lock: test.lock,
        coveredBy,
        scale,
        tookMs: Math.round(tested),
        steps: test.steps.map((step, index) => {
          const played = steps[index];
          return {
            line: step.line,
            atMs: step.atMs,
            actor: step.actor.name,
            action: step.action.kind,
            expected: describeExpectation(step.expect),
            got: played === undefined ? null : describeOutcome(played.outcome),
            passed: played?.passed ?? null,
            message: played !== undefined && 'message' in played.outcome ? played.outcome.message : null,
          };
        }),
      })),
    })),
  };
  return `${JSON.stringify(report, null, 2)}\n`;
}
