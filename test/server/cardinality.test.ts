/** Nobody who writes locks, or reaches the port, can make the number of series grow. */
import { describe, expect, it } from 'vitest';
import { createHandler } from '../../src/admission/handler.ts';
import { Judge } from '../../src/admission/judge.ts';
import { LockMemories } from '../../src/admission/lock-memories.ts';
import { parseReview } from '../../src/admission/review.ts';
import { monotonicMs, serverMs } from '../../src/core/time.ts';
import { LockTally } from '../../src/guard/lock-tally.ts';
import { readLock } from '../../src/locks/registry.ts';
import { builtInSettings } from '../../src/policy/built-in.ts';
import { createMetrics } from '../../src/server/metrics.ts';

const clock = { monotonicMs: () => monotonicMs(1_000), wallMs: () => 0 };
/** What ends up in text of one's own making: quotes, line breaks, label syntax, and lengths that add up. */
const hostile = (index: number): string =>
  `evil-${String(index)}"} 1\nlockwarden_ready{x="\\${'é'.repeat(index % 50)}\u202e`;
const groups = ['coordination.k8s.io', '', 'evil.example', 'apps'];
const kinds = ['Lease', 'ConfigMap', 'Endpoints', 'Evil'];
const operations = ['CREATE', 'UPDATE', 'DELETE'];
const t0 = Date.parse('2026-03-01T12:00:00.000Z');

function objectOf(index: number, holder: string): Record<string, unknown> {
  const renewTime = new Date(t0 + (index % 90) * 1_000).toISOString();
  const leaseDurationSeconds = [15, 0, -1, null, 'evil', 1e9][index % 6];
  const record = { holderIdentity: holder, leaseDurationSeconds, renewTime, acquireTime: renewTime };
  const owned = { 'f:spec': { 'f:renewTime': {}, 'f:holderIdentity': {} } };
  const time = '2026-03-01T12:00:00Z';
  const managedFields = [{ manager: holder, operation: 'Update', time, fieldsV1: owned }];
  const annotations = { 'control-plane.alpha.kubernetes.io/leader': JSON.stringify(record) };
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name: hostile(index),
      namespace: hostile(index),
      uid: hostile(index),
      resourceVersion: String(index + 1),
      ...{ annotations, managedFields },
    },
    spec: { ...record, leaseTransitions: index },
  };
}

function reviewOf(index: number): Buffer {
  const kind = { group: groups[index % 4], version: 'v1', kind: kinds[(index >> 1) % 4] };
  const operation = operations[index % 3];
  const request = {
    uid: hostile(index),
    kind,
    resource: { ...kind, resource: hostile(index) },
    namespace: hostile(index),
    name: hostile(index),
    operation,
    userInfo: { username: hostile(index), groups: [hostile(index)], extra: { [hostile(index)]: ['x'] } },
    oldObject: operation === 'CREATE' ? null : objectOf(index, hostile(index)),
    object: operation === 'DELETE' ? null : objectOf(index + 7, hostile(index + 1)),
    dryRun: index % 5 === 0,
  };
  return Buffer.from(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request }));
}

function replica() {
  const metrics = createMetrics(clock, { processMetrics: false });
  const memories = new LockMemories({
    onShown: (...shown) => {
      tally.shown(...shown);
    },
  });
  const tally = new LockTally({
    monotonicNow: () => clock.monotonicMs(),
    serverNow: () => memories.serverTimeAt(clock.monotonicMs()),
    onLag: (kind, seconds) => {
      metrics.locks.watchLagSeconds.observe({ kind }, seconds);
    },
  });
  metrics.locks.follow(tally);
  memories.dated(monotonicMs(0), monotonicMs(0), serverMs(t0));
  const judge = new Judge({
    memories,
    monotonicNow: () => clock.monotonicMs(),
    settingsFor: (lock) => builtInSettings(lock, 'lockwarden-system'),
    podState: () => Promise.resolve('unknown'),
    onJudged: (...judged) => {
      metrics.decisions.judged(...judged);
    },
  });
  const { countDecision } = metrics.decisions;
  return { metrics, memories, handle: createHandler({ judge, countDecision }) };
}

async function attack({ memories, handle }: ReturnType<typeof replica>, from: number, to: number) {
  let judged = 0;
  for (let index = from; index < to; index += 1) {
    const parsed = parseReview(reviewOf(index));
    if (parsed.ok) {
      await handle(parsed.request);
      judged += 1;
    }
    const ref = { namespace: hostile(index), name: hostile(index) };
    for (const kind of ['Lease', 'ConfigMap', 'Endpoints'] as const)
      for (const holder of [hostile(index), hostile(index + 1)])
        memories.stored({ kind, ...ref }, readLock(kind, objectOf(index, holder)), clock.monotonicMs(), true);
  }
  return judged;
}

const seriesIn = (text: string): readonly string[] =>
  text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

describe('the number of series', () => {
  it('does not grow with hostile names, namespaces, identities, requesters and kinds', async () => {
    const target = replica();
    const before = seriesIn(await target.metrics.registry.metrics()).length;
    // As long as it takes for each kind, operation, duration and age to have come by.
    expect(await attack(target, 0, 500)).toBeGreaterThan(400);
    const after = seriesIn(await target.metrics.registry.metrics());
    await attack(target, 500, 3_000);
    const text = await target.metrics.registry.metrics();
    expect(text).not.toMatch(/evil|\u202e|lockwarden-system/u);
    expect(seriesIn(text).map(nameOf)).toEqual(after.map(nameOf));
    // What an attack adds: outcomes that had no series yet, and histograms by kind.
    expect(after.length - before).toBeGreaterThan(20);
    expect(after.length).toBeLessThan(300);
    expect(text).toMatch(/lockwarden_held_locks\{kind="Lease"\} 3000/u);
  });
});

function nameOf(line: string): string {
  return line.slice(0, line.lastIndexOf(' '));
}
