/** What both drawings of a timeline share: lanes for holders, and a scale of round times. */
import { span as spanOf } from '../core/span.ts';
import type { Span, Timeline } from '../review-report/timeline.ts';

/** One row of a drawing. */
export interface Lane {
  readonly label: string;
  readonly kind: Span['kind'];
  readonly spans: readonly Span[];
}

/** LIMIT: more rows are no picture; a lock that flaps between more holders shows in the list. */
const lanesMax = 12;

/** Holders by their first appearance, the rest of many together, then times that were free and times of which nothing is known. */
export function lanesOf({ spans }: Timeline): readonly Lane[] {
  const holders = new Map<string, Span[]>();
  for (const span of spans) {
    if (span.kind !== 'held' || span.holder === null) continue;
    const own = holders.get(span.holder);
    if (own === undefined) holders.set(span.holder, [span]);
    else own.push(span);
  }
  const byTime = [...holders].map(([label, own]) => ({ label, kind: 'held', spans: own }) as const);
  const longest = byTime.toSorted((a, b) => heldMs(b.spans) - heldMs(a.spans)).slice(0, lanesMax);
  const others = byTime.filter((lane) => !longest.includes(lane));
  const rest: Lane = {
    label: `${String(others.length)} others`,
    kind: 'held',
    spans: others.flatMap((lane) => lane.spans),
  };
  const of = (kind: 'free' | 'unknown', label: string): Lane => ({
    label,
    kind,
    spans: spans.filter((span) => span.kind === kind),
  });
  return [
    ...byTime.filter((lane) => longest.includes(lane)),
    rest,
    of('free', 'nobody'),
    of('unknown', 'not known'),
  ].filter((lane) => lane.spans.length > 0);
}

function heldMs(spans: readonly Span[]): number {
  return spans.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
}

const [second, minute, hour, day] = [1_000, 60_000, 3_600_000, 86_400_000] as const;
const steps = [
  ...[1, 2, 5, 10, 15, 30].map((each) => each * second),
  ...[1, 2, 5, 10, 15, 30].map((each) => each * minute),
  ...[1, 2, 3, 6, 12].map((each) => each * hour),
  ...[1, 2, 7, 14, 30, 90].map((each) => each * day),
];

/** A mark on the scale. */
export interface Tick {
  readonly atMs: number;
  readonly label: string;
}

/** Round times (UTC) within the bounds, at most `countMax` of them. */
export function ticksOf(
  { fromMs, toMs }: Pick<Timeline, 'fromMs' | 'toMs'>,
  countMax: number,
): readonly Tick[] {
  const lengthMs = toMs - fromMs;
  const stepMs =
    steps.find((each) => lengthMs / each <= countMax) ?? Math.ceil(lengthMs / countMax / day) * day;
  const ticks: Tick[] = [];
  for (let atMs = Math.ceil(fromMs / stepMs) * stepMs; atMs <= toMs; atMs += stepMs) {
    const text = new Date(atMs).toISOString();
    const label =
      stepMs >= day ? text.slice(5, 10) : stepMs >= minute ? text.slice(11, 16) : text.slice(11, 19);
    ticks.push({ atMs, label });
  }
  return ticks;
}

/** What a timeline comes to, in one sentence. */
export function summaryOf(timeline: Timeline): string {
  const { spans, rejections, fromMs, toMs } = timeline;
  const held = new Set(spans.filter(({ kind }) => kind === 'held').map(({ holder }) => holder)).size;
  const free = heldMs(spans.filter(({ kind }) => kind === 'free'));
  const unknown = heldMs(spans.filter(({ kind }) => kind === 'unknown'));
  const refused = rejections
    .filter(({ record }) => record.enforcement === 'Deny')
    .reduce((sum, { record }) => sum + record.count, 0);
  return [
    spanOf(toMs - fromMs),
    held === 1 ? '1 holder' : `${String(held)} holders`,
    `${String(refused)} refused`,
    ...(free > 0 ? [`free for ${spanOf(free)}`] : []),
    ...(unknown > 0 ? [`not known for ${spanOf(unknown)}`] : []),
  ].join(', ');
}
