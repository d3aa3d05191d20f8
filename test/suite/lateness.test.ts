import { describe, expect, it } from 'vitest';
import { isTooLate, toldAsLate, type LiveResult } from '../../src/suite/live/lateness.ts';
import { runSuiteOffline } from '../../src/suite/suite-run.ts';
import { suiteOf } from './suites.ts';

const suite = suiteOf(
  `lock: { start: { holder: a } }
tests:
  - name: a takeover
    steps: [{ at: 5s, actor: b, action: takeOver, expect: allow }]
`,
);

async function failedLate(lateMs: number): Promise<LiveResult> {
  const { tests } = await runSuiteOffline(
    suite,
    () => true,
    () => 0,
  );
  return { ...tests[0]!, passed: false, why: null, lateMs };
}

describe('a test on a cluster', () => {
  it('that fails in its time fails', async () => {
    const result = await failedLate(500);
    expect(isTooLate(result)).toBe(false);
    expect(toldAsLate(result, 3)).toBe(result);
  });

  it('that fails when a write was late says so', async () => {
    const result = await failedLate(812.4);
    expect(isTooLate(result)).toBe(true);
    expect(toldAsLate(result, 3).why).toBe(
      'the cluster is too slow for this test: a write was answered 812 ms after its time, and it was played 3 times',
    );
    const { why } = toldAsLate({ ...result, why: 'the starting state is refused: no' }, 3);
    expect(why).toMatch(/^the starting state is refused: no; the cluster is too slow for this test/);
  });

  it('that passes late passes', async () => {
    const result = { ...(await failedLate(5_000)), passed: true };
    expect(isTooLate(result)).toBe(false);
    expect(toldAsLate(result, 3).why).toBeNull();
  });
});
