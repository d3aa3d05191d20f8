/** Tests on a cluster that was too slow for them. */
import { lateMs as roomMs } from '../scale.ts';
import type { TestResult } from '../test-run.ts';

/** What came of a test on a cluster. `lateMs`: how long after its time a write was answered, at most, in milliseconds. */
export interface LiveResult extends TestResult {
  readonly lateMs: number;
}

/** Whether a test failed, and may have done so only because writes came too late. */
export function isTooLate(result: LiveResult | undefined): boolean {
  return result?.passed === false && result.lateMs > roomMs;
}

/** The same, and that the cluster was too slow for it, all the times that it was played. */
export function toldAsLate(result: LiveResult, times: number): TestResult {
  if (!isTooLate(result)) return result;
  const late = `the cluster is too slow for this test: a write was answered ${String(Math.round(result.lateMs))} ms after its time, and it was played ${String(times)} times`;
  return { ...result, why: result.why === null ? late : `${result.why}; ${late}` };
}
