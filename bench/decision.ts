/**
 * What a decision takes: `node bench/decision.ts [decisions]`, of each kind; 20,000 unless told otherwise.
 *
 *   parse     JSON.parse of the review, which no webhook of JavaScript can do without: what the others are measured by
 *   decide    the decision alone, and what it allocates
 *   plain     from the parsed review to the answer, and nothing is counted
 *   counted   the same as `serve` runs it, with metrics
 *
 * Each by the hundred, since one takes less than a clock can tell, and in any order; whatever else the machine does befalls them alike. The
 * last line is what Prometheus gets, and what a scrape costs.
 */
import { createHandler } from '../src/admission/handler.ts';
import { Judge } from '../src/admission/judge.ts';
import { LockMemories } from '../src/admission/lock-memories.ts';
import { parseReview, type AdmissionRequest } from '../src/admission/review.ts';
import { systemClock } from '../src/clock.ts';
import { decide } from '../src/core/decide.ts';
import type { LockWrite } from '../src/core/lock.ts';
import { toLockWrite } from '../src/locks/write.ts';
import { builtInSettings } from '../src/policy/built-in.ts';
import { createMetrics } from '../src/server/metrics.ts';
import { bodies, type Body } from './support/bodies.ts';
import { median, quantile } from './support/figures.ts';
import { inAnyOrder } from './support/order.ts';
import { writeResult } from './support/result.ts';

const [decisions = 20_000] = process.argv.slice(2).map(Number);
const batch = 100;
const namespace = 'lockwarden-system';
const clock = systemClock();
const metrics = createMetrics(clock, { processMetrics: true });

/** What one review is put to, by name. */
type Steps = Readonly<Record<'parse' | 'decide' | 'plain' | 'counted', () => unknown>>;

/** What a step takes, in microseconds, and how many bytes of the heap. */
interface Row {
  readonly review: string;
  readonly step: string;
  readonly medianUs: number;
  readonly p99Us: number;
  readonly bytes: number;
}

function handlerWith(memories: LockMemories, counts: boolean): ReturnType<typeof createHandler> {
  const { decisions: counters } = metrics;
  const judge = new Judge({
    memories,
    monotonicNow: () => clock.monotonicMs(),
    settingsFor: (lock) => builtInSettings(lock, namespace),
    podState: () => Promise.resolve('unknown'),
    ...(counts && {
      onJudged: (...judged) => {
        counters.judged(...judged);
      },
    }),
  });
  const ignore = (): void => undefined;
  return createHandler({ judge, countDecision: counts ? counters.countDecision : ignore });
}

function requestIn(text: string): AdmissionRequest {
  const parsed = parseReview(text);
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.request;
}

function writeOf(request: AdmissionRequest): LockWrite {
  const write = toLockWrite(request);
  if ('notALock' in write) throw new Error(write.notALock);
  return write;
}

/** As a replica that has seen the promise stored judges it: that is most to go by. */
function stepsOf({ text, isAllowed }: Body): Steps {
  const request = requestIn(text);
  const write = writeOf(request);
  const memories = new LockMemories();
  if (write.before !== null) memories.stored(write.lock, write.before, clock.monotonicMs(), true);
  const facts = memories.factsFor(write, clock.monotonicMs());
  const settings = builtInSettings(write.lock, namespace);
  if (settings === null) throw new Error('the lock is not guarded');
  const expected = isAllowed ? 'Allow' : 'Deny';
  const plain = handlerWith(memories, false);
  const counted = handlerWith(memories, true);
  return {
    parse: (): unknown => JSON.parse(text),
    decide: () => {
      const { outcome } = decide(write, facts, settings);
      if (outcome !== expected) throw new Error(`decided ${outcome}`);
    },
    plain: () => plain(request),
    counted: () => counted(request),
  };
}

/** Resolves to what a call takes on average, in microseconds. */
async function timed(step: () => unknown): Promise<number> {
  const began = process.hrtime.bigint();
  for (let call = 0; call < batch; call += 1) await step();
  return Number(process.hrtime.bigint() - began) / 1_000 / batch;
}

/** The same without a turn of the event loop for each call: for what answers at once. */
function timedAtOnce(step: () => unknown): number {
  const began = process.hrtime.bigint();
  for (let call = 0; call < batch; call += 1) step();
  return Number(process.hrtime.bigint() - began) / 1_000 / batch;
}

/** Bytes that a call leaves to the collector; median of many, since now and then it collects meanwhile. */
async function allocatedBy(step: () => unknown): Promise<number> {
  const samples: number[] = [];
  for (let sample = 0; sample < 50; sample += 1) {
    const before = process.memoryUsage().heapUsed;
    for (let call = 0; call < batch; call += 1) {
      const result = step();
      if (result instanceof Promise) await result;
    }
    samples.push((process.memoryUsage().heapUsed - before) / batch);
  }
  return median(samples.filter((bytes) => bytes > 0));
}

async function measured(review: string, body: Body): Promise<readonly Row[]> {
  const steps = stepsOf(body);
  const names = Object.keys(steps) as (keyof Steps)[];
  const times = new Map(names.map((name) => [name, [] as number[]]));
  const rounds = Math.ceil(decisions / batch);
  for (let round = -rounds / 4; round < rounds; round += 1) {
    for (const name of inAnyOrder(names)) {
      const isAtOnce = name === 'parse' || name === 'decide';
      const tookUs = isAtOnce ? timedAtOnce(steps[name]) : await timed(steps[name]);
      if (round >= 0) times.get(name)?.push(tookUs);
    }
  }
  const rows: Row[] = [];
  for (const [step, list] of times) {
    const figures = { medianUs: median(list), p99Us: quantile(list, 0.99) };
    rows.push({ review, step, ...figures, bytes: await allocatedBy(steps[step]) });
  }
  return rows;
}

const rows: Row[] = [];
for (const review of ['renewal', 'takeover', 'theft'] as const)
  rows.push(...(await measured(review, bodies()[review]())));
for (const { review, step, medianUs, p99Us, bytes } of rows) {
  const parsing = rows.find((row) => row.review === review && row.step === 'parse')?.medianUs ?? NaN;
  process.stdout.write(
    `${review.padEnd(9)} ${step.padEnd(8)} median ${medianUs.toFixed(2).padStart(6)} us (${(medianUs / parsing).toFixed(2)} of parsing), p99 ${p99Us.toFixed(2).padStart(6)} us, ${(bytes / 1_024).toFixed(1)} KiB\n`,
  );
}
const began = performance.now();
const text = await metrics.registry.metrics();
const scrapeMs = performance.now() - began;
const series = text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
process.stdout.write(`${String(series)} series, scraped in ${scrapeMs.toFixed(1)} ms\n`);
await writeResult('decision', { decisions, rows, series, scrapeMs });
