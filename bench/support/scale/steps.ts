/** Growth, step by step: each with a lockwarden of its own, which has seen nothing of the steps before. */
import { setTimeout as sleep } from 'node:timers/promises';

import { collectedHeapMiB } from '../../../test/conformance/support/heap.ts';
import { median } from '../figures.ts';
import { metricOf, stopReplica } from '../replica.ts';
import type { Ground, Watched } from './ground.ts';
import { arePoliciesInForce, growPolicies, type Locks } from './locks.ts';
import * as measures from './measures.ts';

/** How much is measured. */
export interface Effort {
  readonly starts: number;
  readonly idleSeconds: number;
  readonly takeovers: number;
  readonly eventSeconds: number;
}

/** What one step came to. */
export interface Row {
  /** Leases that lockwarden says it tracks, the control plane's own among them. */
  readonly watched: number;
  readonly policies: number;
  /** From the start of the process; medians. */
  readonly readyMs: number;
  readonly warmMs: number;
  readonly readyProcessorMs: number;
  /** What it had received of the API server by then, every list among it. */
  readonly receivedKiB: number;
  readonly idle: measures.Idle;
  readonly heapMiB: number;
  readonly takeovers: measures.Takeovers;
  readonly watches: number;
  readonly cut: measures.Storm;
  /** Null: not measured. */
  readonly restart: measures.Storm | null;
}

/** What one policy costs among many locks. */
export interface Counting {
  readonly watched: number;
  /** Of a processor: what it takes more while nothing happens, to count for the policy's status. */
  readonly busy: number;
  readonly heapMiB: number;
}

/** What is measured once, of the greatest number of locks. */
export interface AtMost {
  readonly events: measures.Events;
  readonly counting: Counting;
}

/** Measures a number of locks or policies that is there. `andThen` gets the process before it ends. */
export async function measureStep<T>(
  ground: Ground,
  locks: Locks,
  policies: number,
  effort: Effort,
  options: {
    readonly restarts: boolean;
    readonly andThen: (replica: Watched, idle: measures.Idle) => Promise<T>;
  },
): Promise<readonly [row: Row, more: T]> {
  await settle(ground, policies);
  const starts: Watched[] = [];
  for (let start = 1; start < effort.starts; start += 1) {
    const replica = await ground.start();
    starts.push(replica);
    await stopReplica(replica, 'SIGTERM');
  }
  const before = await ground.asked();
  const replica = await ground.start();
  starts.push(replica);
  const of = (figure: 'readyMs' | 'warmMs' | 'processorMs' | 'receivedKiB'): number =>
    median(starts.map((each) => each[figure]));
  const idle = await measures.idle(replica, effort.idleSeconds);
  const watches = (await ground.asked()).watches - before.watches;
  const takeovers = await measures.takeovers(replica, locks, effort.takeovers);
  const cut = await measures.cutStorm(ground, replica, locks, watches);
  const restart = options.restarts ? await measures.restartStorm(ground, replica, watches) : null;
  const heapMiB = await collectedHeapMiB(replica.pid, replica.inspectPort);
  const watched = await metricOf(replica, 'lockwarden_tracked_locks', 'kind="Lease"');
  const more = await options.andThen(replica, idle);
  await stopReplica(replica, 'SIGTERM');
  return [
    {
      ...{
        watched,
        policies,
        readyMs: of('readyMs'),
        warmMs: of('warmMs'),
        readyProcessorMs: of('processorMs'),
        receivedKiB: of('receivedKiB'),
      },
      ...{ idle, heapMiB, takeovers, watches, cut, restart },
    },
    more,
  ];
}

/** The first process after a change has things to write: its authority, and what the policies' statuses say. */
async function settle(ground: Ground, policies: number): Promise<void> {
  const replica = await ground.start();
  while (!(await arePoliciesInForce(ground.client, policies))) await sleep(200);
  await stopReplica(replica, 'SIGTERM');
}

/** LIMIT: statuses are counted for every five seconds: of a shorter rest it depends on chance how often. */
const countedSeconds = 10;

/** Of a process that is in step: what an event costs it, and what the first policy does. */
export async function measureAtMost(
  ground: Ground,
  replica: Watched,
  locks: Locks,
  { busy, seconds }: { readonly busy: number; readonly seconds: number },
): Promise<AtMost> {
  const events = await measures.events(ground, replica, locks, { seconds, busy });
  const heapOf = (): Promise<number> => collectedHeapMiB(replica.pid, replica.inspectPort);
  const [before, heapBefore] = [await measures.idle(replica, countedSeconds), await heapOf()];
  await growPolicies(ground.client, 0, 1);
  while (!(await arePoliciesInForce(ground.client, 1))) await sleep(200);
  const [after, heapAfter] = [await measures.idle(replica, countedSeconds), await heapOf()];
  const watched = await metricOf(replica, 'lockwarden_tracked_locks', 'kind="Lease"');
  return {
    events,
    counting: { watched, busy: after.busy - before.busy, heapMiB: heapAfter - heapBefore },
  };
}
