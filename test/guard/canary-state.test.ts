import { describe, expect, test } from 'vitest';
import { monotonicMs } from '../../src/core/time.ts';
import type { CanaryCause, CanaryOutcome } from '../../src/guard/canary-outcome.ts';
import { afterAttempt, canaryBegun, type CanaryState } from '../../src/guard/canary-state.ts';

const proven: CanaryOutcome = { kind: 'proven' };
const not = (cause: CanaryCause): CanaryOutcome => ({ kind: 'unproven', cause, detail: `because ${cause}` });

type Attempt = readonly [seconds: number, outcome: CanaryOutcome];

/** What is told of attempts: `3 timeout`, `9 proven after 6`. */
function told(...attempts: readonly Attempt[]): {
  readonly lines: readonly string[];
  readonly state: CanaryState;
} {
  const lines: string[] = [];
  let state = canaryBegun(monotonicMs(0));
  for (const [seconds, outcome] of attempts) {
    const after = afterAttempt(state, outcome, monotonicMs(seconds * 1000));
    state = after.state;
    if (after.tale?.kind === 'unproven') lines.push(`${String(seconds)} ${after.tale.cause}`);
    if (after.tale?.kind === 'proven') {
      const ms = after.tale.unprovenForMs;
      lines.push(`${String(seconds)} proven${ms === null ? '' : ` after ${String(ms / 1000)}`}`);
    }
  }
  return { lines, state };
}

describe('the log', () => {
  test.for<[string, readonly Attempt[], readonly string[]]>([
    [
      'the first proof, and no other',
      [
        [0, proven],
        [3, proven],
        [6, proven],
      ],
      ['0 proven'],
    ],
    [
      'nothing of what an API server still has to take in',
      [
        [0, not('allowed')],
        [1, not('allowed')],
        [2, proven],
      ],
      ['2 proven'],
    ],
    [
      'a registration that is never taken in',
      [
        [0, not('allowed')],
        [4, not('allowed')],
      ],
      ['4 allowed'],
    ],
    [
      'what lockwarden lacks, at once',
      [
        [0, not('notPossible')],
        [3, not('notPossible')],
      ],
      ['0 notPossible'],
    ],
    [
      'a failure after a proof at once, and once, and its end with how long nothing was proven',
      [
        [0, proven],
        [3, not('timeout')],
        [6, not('timeout')],
        [9, not('timeout')],
        [12, proven],
        [15, proven],
      ],
      ['0 proven', '3 timeout', '12 proven after 12'],
    ],
    [
      'another cause not before half a minute has passed',
      [
        [0, proven],
        [3, not('timeout')],
        [6, not('refused')],
        [32, not('refused')],
        [33, not('refused')],
        [36, not('refused')],
      ],
      ['0 proven', '3 timeout', '33 refused'],
    ],
    [
      'a second failure like the first',
      [
        [0, proven],
        [3, not('timeout')],
        [6, proven],
        [9, not('timeout')],
      ],
      ['0 proven', '3 timeout', '6 proven after 6', '9 timeout'],
    ],
  ])('tells %s', ([, attempts, lines]) => {
    expect(told(...attempts).lines).toEqual(lines);
  });
});

test('the state says how many attempts have failed, since when, and why', () => {
  const { state } = told([0, proven], [3, not('timeout')], [6, not('refused')]);
  expect(state).toMatchObject({ provenAt: 0, failures: 2, failingSince: 3_000, cause: 'refused' });
  expect(afterAttempt(state, proven, monotonicMs(9_000)).state).toEqual({
    ...canaryBegun(monotonicMs(0)),
    provenAt: 9_000,
  });
});
