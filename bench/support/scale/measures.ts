/** What is measured of a lockwarden that watches many locks. */
import { setTimeout as sleep } from 'node:timers/promises';

import { ownNamespace } from '../../../test/conformance/support/switch.ts';
import { quantile, median } from '../figures.ts';
import { cpuSecondsOf, peakResidentMiBOf, residentMiBOf } from '../processes.ts';
import { metricOf } from '../replica.ts';
import type { Ground, Watched } from './ground.ts';
import { dueAfterMs, inParallel, Lock, type Locks } from './locks.ts';

/** LIMIT: ten times what it takes at worst: the back-off goes up to 10 s. */
const patienceMs = 100_000;
const pollMs = 20;
/** Of each kind, before any counts: the first ones open connections. */
const takeoversBefore = 20;

export interface Idle {
  /** Of a processor. */
  readonly busy: number;
  readonly residentMiB: number;
  readonly peakMiB: number;
}

/** LIMIT: one that has just become ready still compiles, proves that it is asked, and counts for the first time. */
const settleMs = 3_000;

/** What it holds and does while nothing happens. */
export async function idle({ pid }: Watched, seconds: number): Promise<Idle> {
  await sleep(settleMs);
  const before = await cpuSecondsOf(pid);
  await sleep(seconds * 1_000);
  const busy = ((await cpuSecondsOf(pid)) - before) / seconds;
  return { busy, residentMiB: await residentMiBOf(pid), peakMiB: await peakResidentMiBOf(pid) };
}

export interface Latency {
  readonly count: number;
  readonly medianMs: number;
  readonly p99Ms: number;
}

export interface Takeovers {
  /** Those that lockwarden was asked about. */
  readonly guarded: Latency;
  /** The same writes in lockwarden's own namespace, in turns with the others. */
  readonly unasked: Latency;
}

/** Lawful takeovers through the API server, one by one. */
export async function takeovers(replica: Watched, locks: Locks, count: number): Promise<Takeovers> {
  const took = { guarded: [] as number[], unasked: [] as number[] };
  const before = await decisionsOf(replica);
  while (took.guarded.length < count + takeoversBefore) {
    await sleep(dueAfterMs);
    for (const [guarded, own] of locks.due) {
      const takeGuarded = async (): Promise<void> => void took.guarded.push(await guarded.takeOver());
      const takeOwn = async (): Promise<void> => void took.unasked.push(await own.takeOver());
      // What comes first warms caches for what follows.
      const turns = Math.random() < 0.5 ? [takeGuarded, takeOwn] : [takeOwn, takeGuarded];
      for (const take of turns) await take();
    }
  }
  const asked = (await decisionsOf(replica)) - before;
  if (asked < took.guarded.length)
    throw new Error(
      `of ${String(took.guarded.length)} takeovers lockwarden was asked about ${String(asked)}`,
    );
  return { guarded: latencyOf(took.guarded), unasked: latencyOf(took.unasked) };
}

function decisionsOf(replica: Watched): Promise<number> {
  return metricOf(replica, 'lockwarden_admission_duration_seconds_count');
}

function latencyOf(took: readonly number[]): Latency {
  const counted = took.slice(takeoversBefore);
  return { count: counted.length, medianMs: median(counted), p99Ms: quantile(counted, 0.99) };
}

export interface Storm {
  /** Until it had taken in a Lease that was written right after the watches had broken. */
  readonly syncedMs: number;
  /** Until as many watches had been asked for as there had been. After a crash some are asked for twice, and it says little. */
  readonly backMs: number;
  readonly lists: number;
  readonly watches: number;
  readonly receivedKiB: number;
  readonly processorMs: number;
  /** Answered meanwhile; null: the API server was away. */
  readonly takeovers: Latency | null;
}

/** What it takes lockwarden to see again, after all its connections have been cut while the API server goes on. */
export async function cutStorm(
  ground: Ground,
  replica: Watched,
  locks: Locks,
  watches: number,
): Promise<Storm> {
  await sleep(dueAfterMs);
  const took: number[] = [];
  const over = new AbortController();
  const taking = async (): Promise<void> => {
    for (const [guarded] of locks.due) {
      if (over.signal.aborted) return;
      took.push(await guarded.takeOver());
    }
  };
  const watching = watched(ground, replica, watches, () => {
    ground.proxy.cut();
    return Promise.resolve();
  }).finally(() => {
    over.abort();
  });
  const [storm] = await Promise.all([watching, taking()]);
  const answered = { count: took.length, medianMs: median(took), p99Ms: quantile(took, 0.99) };
  return { ...storm, takeovers: answered };
}

/** The same after a crash of the API server, which has forgotten what it had; counted from its being ready again. */
export async function restartStorm(ground: Ground, replica: Watched, watches: number): Promise<Storm> {
  return { ...(await watched(ground, replica, watches, () => ground.restartApiserver())), takeovers: null };
}

async function watched(
  ground: Ground,
  replica: Watched,
  watches: number,
  breakThem: () => Promise<void>,
): Promise<Omit<Storm, 'takeovers'>> {
  const { proxy } = ground;
  const before = {
    asked: await ground.asked(),
    cpu: await cpuSecondsOf(replica.pid),
    received: proxy.received,
  };
  await breakThem();
  const begunMs = performance.now();
  const deadline = AbortSignal.timeout(patienceMs);
  const passed = async (what: string, holds: () => Promise<boolean>): Promise<number> => {
    while (!(await holds())) {
      if (deadline.aborted) throw new Error(`lockwarden ${what}`);
      await sleep(pollMs);
    }
    return performance.now() - begunMs;
  };
  const [syncedMs, backMs] = await Promise.all([
    untilSeen(ground, replica).then(() => performance.now() - begunMs),
    passed('does not watch all it had watched', async () => {
      return (await ground.asked()).watches - before.asked.watches >= watches;
    }),
  ]);
  const asked = await ground.asked();
  return {
    ...{ syncedMs, backMs: Math.max(syncedMs, backMs) },
    lists: asked.lists - before.asked.lists,
    watches: asked.watches - before.asked.watches,
    receivedKiB: (proxy.received - before.received) / 1_024,
    processorMs: ((await cpuSecondsOf(replica.pid)) - before.cpu) * 1_000,
  };
}

let marks = 0;

/** Resolves once lockwarden has taken in everything that was written to Leases before this call, and one Lease more. */
export async function untilSeen(ground: Ground, replica: Watched): Promise<void> {
  const held = (): Promise<number> => metricOf(replica, 'lockwarden_held_locks', 'kind="Lease"');
  const before = await held();
  marks += 1;
  await new Lock(ground.client, ownNamespace, `mark-${String(marks)}`).create();
  const deadline = AbortSignal.timeout(patienceMs);
  while ((await held()) <= before) {
    if (deadline.aborted) throw new Error('lockwarden does not see a Lease that is there');
    await sleep(pollMs);
  }
}

export interface Events {
  readonly events: number;
  readonly perSecond: number;
  /** Processor time of lockwarden for one, what it uses without any left out. */
  readonly processorMs: number;
  readonly receivedBytes: number;
  /** From the last one's being stored until lockwarden had taken it in. */
  readonly lagMs: number;
}

/** What a watch event costs: locks are renewed as fast as the control plane lets them. */
export async function events(
  ground: Ground,
  replica: Watched,
  locks: Locks,
  { seconds, busy }: { readonly seconds: number; readonly busy: number },
): Promise<Events> {
  await untilSeen(ground, replica);
  const [before, received] = [await cpuSecondsOf(replica.pid), ground.proxy.received];
  const begunMs = performance.now();
  let renewed = 0;
  const endMs = begunMs + seconds * 1_000;
  await inParallel(
    Infinity,
    async (index) => {
      await locks.guarded[index % locks.guarded.length]?.renew();
      renewed += 1;
    },
    () => performance.now() < endMs,
  );
  const renewingMs = performance.now() - begunMs;
  await untilSeen(ground, replica);
  const tookMs = performance.now() - begunMs;
  const cpuMs = ((await cpuSecondsOf(replica.pid)) - before) * 1_000 - busy * tookMs;
  return {
    ...{ events: renewed, perSecond: (renewed * 1_000) / renewingMs, processorMs: cpuMs / renewed },
    ...{ receivedBytes: (ground.proxy.received - received) / renewed, lagMs: tookMs - renewingMs },
  };
}
