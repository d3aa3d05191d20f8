/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- client-node declares its models as classes and takes plain objects */
/**
 * A takeover that client-go attempted and lockwarden refused, found by one record in every place that tells of it; and ten thousand
 * more, which fill neither the log nor the memory, and leave elections alone.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, expect, inject, test, vi } from 'vitest';

import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { arrayAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { happeningOf } from '../../src/guard/happening.ts';
import { changeMessage, rejectionMessage } from '../../src/review/record.ts';
import { rejectionRecordSchema, type RejectionRecord } from '../../src/review/record-schema.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { freePorts } from '../../src/sandbox/free-port.ts';
import type { Elector, ElectorOptions } from '../../src/scene/elector.ts';
import { createTestNamespace, type TestNamespace } from '../support/identities.ts';
import { createCandidate } from './support/candidate.ts';
import { collectedHeapMiB, inspectable } from './support/heap.ts';
import { startElector } from './support/pod-elector.ts';
import { issueToken, publishedBundle, readApi } from './support/read-api.ts';
import {
  onAnyPort,
  runLockwarden,
  startServe,
  untilCalled,
  type LogLine,
  type ServeProcess,
} from './support/serve-process.ts';

/** LIMIT: what takes seconds on an idle machine takes ten times that on one that runs everything else too. */
const patience = { timeout: 60_000, interval: 250 };

let controlPlane: ControlPlane;
let client: KubeClient;
let namespace: TestNamespace;
let lockwarden: ServeProcess;
let inspectPort: number;
let folder: string;
let electors: Elector[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockwarden-records-'));
  controlPlane = await startControlPlane({ binaries: inject('binaries') });
  client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  namespace = await createTestNamespace(controlPlane.kubeconfig, 'records');
  await namespace.serviceAccount('candidate');
  const rule = { apiGroups: ['review.lockwarden.dev'], resources: ['rejections'], verbs: ['list'] };
  await namespace.serviceAccount('reader', [rule]);
  [inspectPort = 0] = await freePorts(1);
  lockwarden = startServe({
    kubeconfig: controlPlane.kubeconfig,
    args: [...onAnyPort, '--read-port=0'],
    env: { NODE_OPTIONS: inspectable(inspectPort).join(' ') },
  });
  await untilCalled(client);
});

afterEach(async () => {
  await Promise.all(electors.map((each) => each.kill()));
  electors = [];
});

afterAll(async () => {
  await lockwarden.kill();
  client.close();
  await controlPlane.stop();
  await rm(folder, { recursive: true });
});

/** What the read API has of the namespace. */
async function toldByApi(): Promise<readonly unknown[]> {
  const { readPort } = await lockwarden.untilLine('read API listening');
  const audiences = ['lockwarden-review'];
  const token = await issueToken(client, { namespace: namespace.name, name: 'reader', audiences });
  const api = { port: Number(readPort), ca: await publishedBundle(client) };
  const { body } = await readApi(api, `/apis/review/v1/rejections?namespace=${namespace.name}`, token);
  return arrayAt(body, 'items');
}

/** A candidate of client-go's that speaks for a pod of its name. */
async function start(name: string, identity: string, options: Partial<ElectorOptions>): Promise<Elector> {
  const elector = await startElector(namespace, name, identity, options);
  electors.push(elector);
  return elector;
}

/** The record in a line of the log, checked against its schema: nothing else is in it but what the log adds. */
function recordIn({ level, time, msg, ...record }: LogLine): RejectionRecord {
  expect([level, msg]).toEqual(['warn', rejectionMessage]);
  expect(Date.parse(time)).not.toBeNaN();
  return rejectionRecordSchema.parse(record);
}

const recordsOf = (lock: string): readonly RejectionRecord[] =>
  lockwarden
    .rejections()
    .filter(({ name }) => name === lock)
    .map(recordIn);

/** As `kubectl describe` asks. */
async function eventsOn({
  lockKind,
  namespace: inNamespace,
  name,
  lockUid,
}: RejectionRecord): Promise<readonly JsonObject[]> {
  const about = { kind: lockKind, namespace: inNamespace, name, uid: lockUid };
  const fieldSelector = Object.entries(about)
    .map(([field, value]) => `involvedObject.${field}=${value}`)
    .join(',');
  const { body } = await client.request({
    method: 'GET',
    path: `/api/v1/namespaces/${inNamespace}/events`,
    query: { fieldSelector },
  });
  return arrayAt(body, 'items') as readonly JsonObject[];
}

/** Refused decisions about Leases, as the metrics count them. */
const refusals = async (): Promise<number> =>
  (await lockwarden.metric('lockwarden_admission_decisions_total', {
    ...{ kind: 'Lease', outcome: 'Deny', reason: 'PrematureTakeover', enforcement: 'Deny' },
  })) ?? 0;

test('a takeover that client-go attempts is one record in the log, on the lock, in the read API, in reports and in metrics', async () => {
  const [holder, impatient] = ['holder-0', 'impatient-0'] as const;
  const before = await refusals();
  const leader = await start('orders', holder, {
    leaseDurationMs: 15_000,
    renewDeadlineMs: 10_000,
    retryPeriodMs: 3_000,
  });
  await leader.until('started-leading');
  const rival = await start('orders', impatient, { impatienceMs: 1_000 });
  await rival.until('error', ({ error }) => error?.includes('PrematureTakeover') === true);
  const line = await lockwarden.untilLine(rejectionMessage, ({ name }) => name === 'orders');
  // It tries again and again, and is told of in numbers.
  await vi.waitFor(() => {
    expect(recordsOf('orders').length).toBeGreaterThan(1);
  }, patience);
  await rival.stop();
  const first = recordIn(line);
  expect(first).toMatchObject({
    ...{ lockKind: 'Lease', namespace: namespace.name, name: 'orders', enforcement: 'Deny', rule: 'U15' },
    ...{
      reason: 'PrematureTakeover',
      holder,
      wouldBeHolder: impatient,
      pod: impatient,
      evidence: 'observed',
    },
    ...{ leaseDurationMs: 15_000, count: 1, dryRun: false, transition: 'takeover' },
  });

  const [event] = await vi.waitFor(async () => {
    const events = await eventsOn(first);
    expect(events).toHaveLength(1);
    return events;
  }, patience);
  const { reason, action, note, type } = happeningOf(first);
  expect(event).toMatchObject({ reason, action, type, message: note, reportingInstance: first.instance });
  expect(note).toContain(first.reviewUid);

  const refused = rival.events.filter(({ error }) => error?.includes('PrematureTakeover') === true).length;
  expect(refused).toBeGreaterThan(5);
  expect((await refusals()) - before).toBe(refused);

  const log = join(folder, 'replica.log');
  await writeFile(log, lockwarden.output);
  const { stdout } = await runLockwarden([
    'review',
    log,
    '-n',
    namespace.name,
    '--lock',
    'lease/orders',
    '-o',
    'json',
  ]);
  const { rejections } = JSON.parse(stdout) as { rejections: RejectionRecord[] };
  const told = recordsOf('orders').reduce((sum, { count }) => sum + count, 0);
  expect(rejections).toEqual([{ ...first, count: told, lastSeen: recordsOf('orders').at(-1)?.lastSeen }]);
  expect(told).toBeLessThanOrEqual(refused);
  expect(await toldByApi()).toEqual(rejections);

  // And the holder never noticed.
  expect(leader.events.filter(({ event: what }) => what === 'error' || what === 'stopped-leading')).toEqual(
    [],
  );
});

test('a change of holder is a line, with the evidence by which it was let pass', async () => {
  const alice = await createCandidate(namespace, 'candidate', 'alice');
  const bob = await createCandidate(namespace, 'candidate', 'bob');
  expect(await alice.create('handed', 1)).toBeNull();
  await vi.waitFor(async () => {
    expect(await bob.take('handed')).toBeNull();
  }, patience);
  await lockwarden.untilLine(changeMessage, ({ newHolder }) => newHolder === 'bob');
  const changes = lockwarden.lines.filter(({ msg, name }) => msg === changeMessage && name === 'handed');
  expect(changes).toMatchObject([
    { holder: null, newHolder: 'alice', transition: 'create-held', requester: alice.user, pod: 'alice' },
    {
      holder: 'alice',
      newHolder: 'bob',
      transition: 'takeover',
      evidence: 'observed',
      leaseDurationMs: 1_000,
      leaseTransitions: 1,
    },
  ]);
  expect(changes[1]?.['elapsedMinMs']).toBeGreaterThanOrEqual(0);
  for (const each of [alice, bob]) each.close();
});

/** Ten thousand refusals, over a thousand locks and by a name of its own each time, by as many writers as an API server serves at once. */
const storm = { refusals: 10_000, locks: 1_000, writers: 8 };

test(
  'ten thousand refusals leave memory flat, the log short, and renewals alone',
  { timeout: 300_000 },
  async () => {
    const leader = await start('steady', 'steady-0', {
      leaseDurationMs: 15_000,
      renewDeadlineMs: 10_000,
      retryPeriodMs: 1_000,
    });
    await leader.until('started-leading');
    const alice = await createCandidate(namespace, 'candidate', 'storm-holder');
    const rogue = await createCandidate(namespace, 'candidate', 'storm-rogue');
    const name = (index: number): string => `storm-${String(index % storm.locks)}`;
    await inParallel(storm.locks, async (index) => {
      expect(await alice.create(name(index), 3_600)).toBeNull();
    });
    const [refusedBefore, linesBefore] = [await refusals(), lockwarden.lines.length];
    const beganAt = performance.now();
    const memory = new MemorySamples();
    const half = storm.refusals / 2;
    for (const begin of [0, half]) {
      await inParallel(half, async (nth) => {
        const index = begin + nth;
        const failure = await rogue.take(name(index), `rogue-${String(index)}`);
        expect(failure).toMatchObject({ status: 403 });
        if (index % 200 === 199) await memory.take();
      });
      await memory.collect();
    }
    const tookMs = performance.now() - beganAt;
    const lines = lockwarden.lines.length - linesBefore;
    const dropped =
      (await lockwarden.metric('lockwarden_reviews_dropped_total', { record: 'violation' })) ?? 0;
    console.log(
      `${String(storm.refusals)} refusals in ${(tookMs / 1_000).toFixed(1)} s; ${memory.describe()}; ` +
        `${String(lines)} lines, ${String(dropped)} dropped`,
    );
    expect((await refusals()) - refusedBefore).toBe(storm.refusals);
    // Garbage is part of what is resident, and is left to lie while there is room. 512 MiB are the limit in the manifests.
    expect(memory.resident).toHaveLength(50);
    expect(Math.max(...memory.resident)).toBeLessThan(400);
    const [afterHalf = 0, afterAll = Infinity] = memory.collected;
    // Some 400 bytes for each of the second half.
    expect(afterAll - afterHalf).toBeLessThan(2);
    // The burst, and ten a second for as long as it took.
    expect(lines).toBeLessThan(700 + (tookMs / 1_000) * 12);
    expect(dropped).toBeGreaterThan(1_000);
    const [first] = recordsOf(name(0));
    const events = await eventsOn(first!);
    expect(events.length).toBeGreaterThan(0);
    expect(new Set(events.map((event) => stringAt(event, 'reason')))).toEqual(new Set(['PrematureTakeover']));
    expect(leader.events.filter(({ event }) => event === 'error' || event === 'stopped-leading')).toEqual([]);
    for (const each of [alice, rogue]) each.close();
  },
);

/** The memory of the process, in MiB. */
class MemorySamples {
  readonly resident: number[] = [];
  /** What it uses of its heap once garbage is collected. */
  readonly collected: number[] = [];

  async take(): Promise<void> {
    this.resident.push(((await lockwarden.metric('process_resident_memory_bytes')) ?? 0) / 2 ** 20);
  }

  async collect(): Promise<void> {
    this.collected.push(await collectedHeapMiB(lockwarden.pid, inspectPort));
  }

  describe(): string {
    const resident = this.resident.filter((_, index) => index % 5 === 4).map((mib) => mib.toFixed(0));
    const collected = this.collected.map((mib) => mib.toFixed(1));
    return `resident in MiB: ${resident.join(' ')}; heap without garbage: ${collected.join(', then ')}`;
  }
}

async function inParallel(count: number, act: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await act(next - 1);
    }
  };
  await Promise.all(Array.from({ length: storm.writers }, work));
}
