/** Plays one test on a cluster: its starting state, then one step after the other, until one comes out otherwise than expected. */
import type { TestCluster } from './cluster.ts';
import { newLock } from './lock-object.ts';
import { meets, outcomeOf, type Outcome } from './outcome.ts';
import { plan } from './requests.ts';
import type { Action, Actor, Step, Test } from './suite.ts';

/** What came of a step. */
export interface StepResult {
  readonly step: Step;
  readonly outcome: Outcome;
  readonly passed: boolean;
}

/** What came of a test: the steps that were played, of which only the last can have failed, or why none was. */
export interface Play {
  readonly steps: readonly StepResult[];
  /** Why the starting state could not be made; null: it was. */
  readonly startFailed: string | null;
}

/** How a test is played. */
export interface PlayOptions {
  readonly cluster: TestCluster;
  /** Whether what is only recorded can be seen on the cluster. */
  readonly seesAudit: boolean;
  /** Told of each step when it has been played. */
  readonly onStep?: (result: StepResult) => void;
}

/** Plays a test. Rejects only on what no test can cause. */
export async function play(test: Test, { cluster, seesAudit, onStep }: PlayOptions): Promise<Play> {
  const begunMs = cluster.nowMs();
  const zeroMs = begunMs + (test.start?.renewedMs ?? 0);
  await cluster.until(begunMs);
  const startFailed = await makeStart(test, cluster);
  if (startFailed !== null) return { steps: [], startFailed };
  const steps: StepResult[] = [];
  let wasDeleted = false;
  for (const step of test.steps) {
    await cluster.until(zeroMs + step.atMs);
    const outcome = await act(step.action, step.actor, { test, cluster, wasDeleted });
    const result = { step, outcome, passed: meets(outcome, step.expect, seesAudit) };
    steps.push(result);
    onStep?.(result);
    if (!result.passed) break;
    wasDeleted ||= step.action.kind === 'delete' && outcome.kind !== 'deny';
  }
  return { steps, startFailed: null };
}

interface Surroundings {
  readonly test: Test;
  readonly cluster: TestCluster;
  readonly wasDeleted: boolean;
}

async function act(
  action: Action,
  actor: Actor,
  { test, cluster, wasDeleted }: Surroundings,
): Promise<Outcome> {
  const object = await cluster.read();
  const planned = plan(action, { lock: test.lock, actor, object, wasDeleted, nowMs: cluster.nowMs() });
  if ('impossible' in planned) return { kind: 'failed', message: planned.impossible };
  return outcomeOf(await cluster.write(actor, planned));
}

/** The starting state is made by its holder, as any other write, so that it is evidence like any other. */
async function makeStart({ start, lock }: Test, cluster: TestCluster): Promise<string | null> {
  if (start === null) return null;
  const { by, held, leaseDurationMs, transitions } = start;
  const nowMs = cluster.nowMs() + by.clockMs;
  const record = { holder: by.identity, leaseDurationMs, acquiredMs: nowMs, renewedMs: nowMs, transitions };
  const object = newLock(lock, held ? record : null);
  const outcome = outcomeOf(await cluster.write(by, { verb: 'create', object }));
  const isRefused = outcome.kind === 'deny' || outcome.kind === 'failed';
  return isRefused ? `the starting state is refused: ${outcome.message}` : null;
}
