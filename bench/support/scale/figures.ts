/** What the steps say together, and how one reads. */
import { lineThrough, type Line } from '../figures.ts';
import { countEverySeconds, type Figures } from './cost.ts';
import type { AtMost, Row } from './steps.ts';

/** What a lock more adds, and what else a calculation needs. */
export function figuresOf(rows: readonly Row[], { events, counting }: AtMost): Figures {
  const along = (of: (row: Row) => number): Line => lineThrough(rows.map((row) => [row.watched, of(row)]));
  return {
    heapMiB: along((row) => row.heapMiB),
    residentMiB: along((row) => row.idle.residentMiB),
    peakMiB: along((row) => row.idle.peakMiB),
    warmMs: along((row) => row.warmMs),
    listedKiB: along((row) => row.receivedKiB),
    ...{ eventProcessorMs: events.processorMs, eventBytes: events.receivedBytes },
    countProcessorMs: (counting.busy * 1_000 * countEverySeconds) / counting.watched,
  };
}

/** For people, on three lines. */
export function describeRow(row: Row): string {
  const { idle, takeovers, cut, restart } = row;
  const ms = (value: number): string => `${value.toFixed(value < 10 ? 2 : 0)} ms`;
  const mib = (value: number): string => `${value.toFixed(1)} MiB`;
  const storm = ({ syncedMs, lists, watches, receivedKiB, processorMs }: typeof cut): string =>
    `in step after ${ms(syncedMs)}: ${String(lists)} lists, ${String(watches)} watches, ` +
    `${receivedKiB.toFixed(0)} KiB, CPU ${ms(processorMs)}`;
  const meanwhile =
    cut.takeovers === null
      ? ''
      : `; ${String(cut.takeovers.count)} takeovers meanwhile, median ${ms(cut.takeovers.medianMs)}, p99 ${ms(cut.takeovers.p99Ms)}`;
  return [
    `${String(row.watched)} locks, ${String(row.policies)} policies: ready ${ms(row.readyMs)} (CPU ${ms(row.readyProcessorMs)}), warm ${ms(row.warmMs)}, ${row.receivedKiB.toFixed(0)} KiB; ` +
      `resident ${mib(idle.residentMiB)} (at most ${mib(idle.peakMiB)}), heap ${mib(row.heapMiB)}, busy ${(idle.busy * 100).toFixed(1)} %`,
    `  takeover: median ${ms(takeovers.guarded.medianMs)}, p99 ${ms(takeovers.guarded.p99Ms)}; not asked: median ${ms(takeovers.unasked.medianMs)}, p99 ${ms(takeovers.unasked.p99Ms)} (${String(takeovers.guarded.count)} of each)`,
    `  connections cut: all there after ${ms(cut.backMs)}, ${storm(cut)}${meanwhile}`,
    ...(restart === null ? [] : [`  API server crashed: ${storm(restart)}`]),
  ].join('\n');
}

/** What was measured of the most locks, for people. */
export function describeAtMost({ events, counting }: AtMost): string {
  return [
    `a watch event: CPU ${(events.processorMs * 1_000).toFixed(0)} us, ${events.receivedBytes.toFixed(0)} bytes ` +
      `(${String(events.events)} at ${events.perSecond.toFixed(0)}/s; the last was taken in ${events.lagMs.toFixed(0)} ms after it was stored)`,
    `the first policy over ${String(counting.watched)} locks: ${(counting.busy * 100).toFixed(1)} % of a processor, ${counting.heapMiB.toFixed(1)} MiB of heap`,
  ].join('\n');
}
