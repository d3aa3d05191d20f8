/**
 * What the metrics add to a decision: `node bench/decision.ts [decisions]`. Default: 20,000 of each kind, a refused takeover and an
 * allowed one, over a thousand locks. `plain` counts nothing, `counted` is as `serve` runs it; both take turns in rounds, so that
 * whatever else the machine does befalls them alike. The last line is what Prometheus gets, and what a scrape costs.
 */
import { createHandler } from '../src/admission/handler.ts';
import { Judge } from '../src/admission/judge.ts';
import { LockMemories } from '../src/admission/lock-memories.ts';
import type { AdmissionRequest } from '../src/admission/review.ts';
import { systemClock } from '../src/clock.ts';
import { builtInSettings } from '../src/policy/built-in.ts';
import { createMetrics } from '../src/server/metrics.ts';
import { quantile } from './support/figures.ts';

const [decisions = 20_000] = process.argv.slice(2).map(Number);
const locks = 1_000;
const rounds = 20;
const clock = systemClock();
const metrics = createMetrics(clock, { processMetrics: true });

const handlers = { plain: handlerWith(false), counted: handlerWith(true) };

function handlerWith(counts: boolean): ReturnType<typeof createHandler> {
  const { decisions: counters } = metrics;
  const judge = new Judge({
    memories: new LockMemories(),
    monotonicNow: () => clock.monotonicMs(),
    settingsFor: (lock) => builtInSettings(lock, 'lockwarden-system'),
    podState: () => Promise.resolve('unknown'),
    ...(counts && {
      onJudged: (...judged) => {
        counters.judged(...judged);
      },
    }),
  });
  const ignore = (): void => undefined;
  const countDecision = counts ? counters.countDecision : ignore;
  return createHandler({ judge, countDecision });
}

function lease(name: string, holder: string, renewTime: string): object {
  const fieldsV1 = { 'f:spec': { 'f:renewTime': {}, 'f:holderIdentity': {} } };
  const entry = { manager: holder, operation: 'Update', time: `${renewTime.slice(0, 19)}Z`, fieldsV1 };
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name, namespace: 'team', uid: `uid-${name}`, managedFields: [entry] },
    spec: {
      ...{ holderIdentity: holder, leaseDurationSeconds: 15, renewTime, acquireTime: renewTime },
      leaseTransitions: 1,
    },
  };
}

/** Taken three seconds after its last renewal, or a minute. */
function takeover(index: number, isEarly: boolean): AdmissionRequest {
  const name = `lock-${String(index % locks)}`;
  const takenAt = isEarly ? '2026-03-01T12:00:03.250000Z' : '2026-03-01T12:01:00.250000Z';
  return {
    uid: `review-${String(index)}`,
    kind: { group: 'coordination.k8s.io', version: 'v1', kind: 'Lease' },
    resource: { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' },
    subResource: '',
    ...{ namespace: 'team', name, operation: 'UPDATE', dryRun: false, fieldManager: null },
    userInfo: { username: 'system:serviceaccount:team:candidate', groups: [], extra: {} },
    oldObject: lease(name, 'a', '2026-03-01T12:00:00.250000Z'),
    object: lease(name, 'b', takenAt),
  };
}

async function timed(handle: ReturnType<typeof createHandler>, isEarly: boolean): Promise<number[]> {
  const times: number[] = [];
  for (let index = 0; index < decisions / rounds; index += 1) {
    const request = takeover(index, isEarly);
    const began = process.hrtime.bigint();
    const { response } = await handle(request);
    times.push(Number(process.hrtime.bigint() - began) / 1_000);
    if (response.allowed === isEarly) throw new Error(`${request.uid} was judged otherwise`);
  }
  return times;
}

function report(what: string, times: number[]): void {
  const at = (share: number): string => quantile(times, share).toFixed(1);
  process.stdout.write(`${what.padEnd(17)} median ${at(0.5)} us, p90 ${at(0.9)} us, p99 ${at(0.99)} us\n`);
}

for (const isEarly of [true, false]) {
  const times = { plain: [] as number[], counted: [] as number[] };
  for (const handle of Object.values(handlers)) await timed(handle, isEarly);
  for (let round = 0; round < rounds; round += 1)
    for (const way of ['plain', 'counted'] as const)
      times[way].push(...(await timed(handlers[way], isEarly)));
  for (const way of ['plain', 'counted'] as const)
    report(`${isEarly ? 'refused' : 'allowed'} ${way}`, times[way]);
}
const began = performance.now();
const text = await metrics.registry.metrics();
const series = text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
process.stdout.write(`${String(series)} series, scraped in ${(performance.now() - began).toFixed(1)} ms\n`);
