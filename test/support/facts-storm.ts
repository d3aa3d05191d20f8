/** Many locks that change hands at once: what one replica has to tell of it, and what it costs to tell another. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Registry } from 'prom-client';

import { systemClock } from '../../src/clock.ts';
import type { LockRef } from '../../src/core/lock.ts';
import { serverMs } from '../../src/core/time.ts';
import { SharedFacts } from '../../src/guard/shared-facts.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { createMetrics } from '../../src/server/metrics.ts';

/** What a storm came to. Times in milliseconds. */
export interface Storm {
  readonly locks: number;
  readonly tookMs: number;
  readonly received: number;
  readonly dropped: number;
  readonly failures: number;
  readonly writes: number;
  readonly bytes: number;
  /** From `publish` at one replica to `onFacts` at the other: median, 99th percentile, longest. */
  readonly lagMs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Of this process, with both replicas in it, in seconds. */
  readonly cpuS: number;
}

const clock = systemClock();
const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const tickMs = 20;
/** LIMIT: several times what the last of ten thousand takes. */
const patienceMs = 60_000;

/** Has `locks` locks change hands at one replica, evenly at `perSecond`, and waits until another knows of all. */
export async function storm(
  client: KubeClient,
  namespace: string,
  { locks, perSecond }: { readonly locks: number; readonly perSecond: number },
): Promise<Storm> {
  const since = new Map<string, number>();
  const lags: number[] = [];
  const hear = (lock: LockRef): void => {
    const from = since.get(lock.name);
    if (from === undefined) return;
    since.delete(lock.name);
    lags.push(performance.now() - from);
  };
  const [one, other] = [replica(client, namespace, () => undefined), replica(client, namespace, hear)];
  one.shared.start();
  other.shared.start();
  await Promise.all([one.synced, other.synced]);
  const cpu = process.cpuUsage();
  const begunMs = performance.now();
  for (let index = 0; index < locks;) {
    const due = Math.min(locks, Math.ceil(((performance.now() - begunMs) / 1000) * perSecond));
    for (; index < due; index += 1) {
      const lock = lockAt(index);
      since.set(lock.name, performance.now());
      one.shared.publish(lock, factsOf(index));
    }
    await sleep(tickMs);
  }
  const deadline = performance.now() + patienceMs;
  while (lags.length < locks && performance.now() < deadline) await sleep(tickMs);
  const tookMs = performance.now() - begunMs;
  const { user, system } = process.cpuUsage(cpu);
  await Promise.all([one.shared.stop(), other.shared.stop()]);
  const sorted = lags.sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? NaN;
  return {
    ...{ locks, tookMs, received: lags.length, cpuS: (user + system) / 1_000_000 },
    dropped: await sumOf(one.registry, 'lockwarden_shared_facts_dropped_total'),
    failures: await sumOf(one.registry, 'lockwarden_shared_facts_write_failures_total'),
    writes: await sumOf(one.registry, 'lockwarden_shared_facts_writes_total'),
    bytes: await sumOf(one.registry, 'lockwarden_shared_facts_written_bytes_total'),
    lagMs: { p50: at(0.5), p99: at(0.99), max: at(1) },
  };
}

/** One line for people. */
export function describeStorm({
  locks,
  tookMs,
  received,
  dropped,
  failures,
  writes,
  bytes,
  lagMs,
  cpuS,
}: Storm): string {
  const seconds = tookMs / 1000;
  return (
    `${String(locks)} locks changed hands in ${seconds.toFixed(1)} s: ${String(received)} known to the other replica, ` +
    `${String(dropped)} dropped, ${String(failures)} failed writes; ${(writes / seconds).toFixed(1)} writes/s, ` +
    `${(bytes / seconds / 1024).toFixed(0)} KiB/s; lag median ${lagMs.p50.toFixed(0)} ms, p99 ${lagMs.p99.toFixed(0)} ms, ` +
    `longest ${lagMs.max.toFixed(0)} ms; ${((cpuS / seconds) * 100).toFixed(0)} % of a core for both replicas`
  );
}

function replica(
  client: KubeClient,
  namespace: string,
  onFacts: (lock: LockRef) => void,
): { readonly shared: SharedFacts; readonly registry: Registry; readonly synced: Promise<unknown> } {
  const { promise: synced, resolve } = Promise.withResolvers<undefined>();
  const { registry, sharedFacts: metrics } = createMetrics(clock, { processMetrics: false });
  const shared = new SharedFacts({
    ...{ client, namespace, clock, logger: log, metrics, onFacts },
    onSynced: () => {
      resolve(undefined);
    },
    isGone: () => false,
    serverNow: () => ({ min: Date.now(), max: Date.now() + 1000 }),
  });
  return { shared, registry, synced };
}

function lockAt(index: number): LockRef {
  return { kind: 'Lease', namespace: `team-${String(index % 200)}`, name: `operator-${String(index)}` };
}

function factsOf(index: number) {
  const name = `operator-${String(index)}-7d4b9c6f5-x2x7k`;
  const pod = { namespace: `team-${String(index % 200)}`, name, uid: randomUUID() };
  const acquireTime = `${new Date(serverMs(Date.now())).toISOString().slice(0, -1)}000Z`;
  const assertion = { uid: randomUUID(), version: 1_000 + index, holder: `${name}_${randomUUID()}` };
  return { asserted: [{ ...assertion, pod, acquireTime, transitions: 1 }], deleted: null };
}

async function sumOf(registry: Registry, name: string): Promise<number> {
  const metric = await registry.getSingleMetric(name)?.get();
  return metric?.values.reduce((sum, { value }) => sum + value, 0) ?? 0;
}
