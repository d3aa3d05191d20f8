/**
 * Playing a test in less than its time: every duration that it names shrinks, what lockwarden and the API server do in their own time does
 * not. So a test is shortened only as far as it still comes out as in its full time.
 */
import type { Guarded } from './guarded.ts';
import type { Action, Actor, Step, Test } from './suite.ts';
import { isSteady } from './test-run.ts';

/** LIMIT: a Lease holds whole seconds, and none is shorter. */
const leaseMinMs = 1_000;
/** LIMIT: on a busy cluster a request takes as long; a shortened test has less room for it. A test comes out the same if none takes longer. */
export const lateMs = 500;
/** How much slower is tried next. */
const slower = 1.25;

/** The test with every duration times `factor`; a lease is rounded to whole seconds, and lasts one at least. */
export function scaled(test: Test, factor: number): Test {
  if (factor === 1) return test;
  const { start } = test;
  return {
    ...test,
    start:
      start === null
        ? null
        : {
            ...start,
            by: scaledActor(start.by, factor),
            leaseDurationMs: scaledLease(start.leaseDurationMs, factor),
            renewedMs: start.renewedMs * factor,
          },
    steps: test.steps.map((step) => scaledStep(step, factor)),
  };
}

/** The smallest scale, `wanted` or more, at which the test comes out as in its full time. */
export async function fittingScale(test: Test, guarded: Guarded, wanted: number): Promise<number> {
  for (let factor = wanted; factor < 1; factor *= slower) {
    if (await isSteady(scaled(test, factor), guarded, lateMs)) return factor;
  }
  return 1;
}

/** How long a test takes to be played, from its starting state to its last step. */
export function durationOf({ start, steps }: Test): number {
  return (start?.renewedMs ?? 0) + (steps.at(-1)?.atMs ?? 0);
}

function scaledStep(step: Step, factor: number): Step {
  const { actor, action, atMs } = step;
  return {
    ...step,
    atMs: atMs * factor,
    actor: scaledActor(actor, factor),
    action: scaledAction(action, factor),
  };
}

function scaledActor(actor: Actor, factor: number): Actor {
  return { ...actor, clockMs: actor.clockMs * factor };
}

function scaledAction(action: Action, factor: number): Action {
  if (!('leaseDurationMs' in action) || action.leaseDurationMs === null) return action;
  return { ...action, leaseDurationMs: scaledLease(action.leaseDurationMs, factor) };
}

function scaledLease(ms: number, factor: number): number {
  return Math.max(leaseMinMs, Math.round((ms * factor) / 1_000) * 1_000);
}
