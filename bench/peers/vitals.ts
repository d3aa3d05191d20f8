/**
 * Tells the parent process how this one is, whenever it asks: `node --import bench/peers/vitals.ts PROGRAM`, with a channel to the
 * parent. The event loop's delay is that since it was asked last.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** How a process is. */
export interface Vitals {
  readonly heapUsedMiB: number;
  readonly externalMiB: number;
  /** How much later than it should a timer came, in milliseconds: what anything has to wait for its turn. */
  readonly loopP50Ms: number;
  readonly loopP99Ms: number;
  readonly loopMaxMs: number;
}

/** LIMIT: fine enough to see what a small review takes, and no work worth speaking of. */
const resolutionMs = 1;

const delay = monitorEventLoopDelay({ resolution: resolutionMs });
delay.enable();

process.on('message', () => {
  process.send?.(vitals());
  delay.reset();
});
// Or the channel alone would keep the process.
process.channel?.unref();

function vitals(): Vitals {
  const { heapUsed, external } = process.memoryUsage();
  // NB: what is recorded is the time from one timer to the next, so with the resolution in it.
  const inMs = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - resolutionMs);
  return {
    heapUsedMiB: heapUsed / 1024 ** 2,
    externalMiB: external / 1024 ** 2,
    ...{ loopP50Ms: inMs(delay.percentile(50)), loopP99Ms: inMs(delay.percentile(99)) },
    loopMaxMs: inMs(delay.max),
  };
}
