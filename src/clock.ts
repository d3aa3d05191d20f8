/**
 * The only place that reads a clock. Everything else is handed instants, or this port.
 *
 * `performance.now()` stands still while the machine is suspended or its virtual machine paused, and a lease runs out
 * all the same: a promise observed before a suspend would look alive after it. So the time spent suspended is added,
 * taken from the kernel's boot clock, which counts it. Reading that clock costs some 15 us (a file in /proc), so it is
 * read only when wall clock and monotonic clock have moved apart; the wall clock itself is never believed.
 * SOURCE: https://github.com/nodejs/node/issues/47724 (performance.now() does not count suspend)
 */
import { uptime } from 'node:os';
import { monotonicMs, type MonotonicMs } from './core/time.ts';

/** Reads the time. Tests have a manual one. */
export interface Clock {
  /** Milliseconds since an arbitrary start; counts suspend; never goes backwards. */
  monotonicMs(): MonotonicMs;
  /** Milliseconds since the Unix epoch, by this machine's clock. For display and certificates only: it may be wrong, and may step. */
  wallMs(): number;
}

/** The raw clocks that `systemClock` combines, in milliseconds. */
export interface ClockSources {
  /** Stands still during suspend. */
  runningMs(): number;
  /** Counts suspend; coarse. */
  bootMs(): number;
  wallMs(): number;
}

const machineClocks: ClockSources = {
  runningMs: () => performance.now(),
  bootMs: () => uptime() * 1000,
  wallMs: () => Date.now(),
};

/** LIMIT: five times the boot clock's resolution (10 ms on Linux); a suspend takes longer than this to enter and leave. */
const suspendMinMs = 50;

/** The clock of this machine. */
export function systemClock(sources: ClockSources = machineClocks): Clock {
  const bootLeadMs = sources.bootMs() - sources.runningMs();
  let wallLeadMs = sources.wallMs() - sources.runningMs();
  let suspendedMs = 0;
  return {
    monotonicMs: () => {
      const runningMs = sources.runningMs();
      const leadMs = sources.wallMs() - runningMs;
      if (Math.abs(leadMs - wallLeadMs) >= suspendMinMs) {
        // Either the wall clock was set, or the machine slept: the boot clock knows which.
        wallLeadMs = leadMs;
        const sleptMs = sources.bootMs() - runningMs - bootLeadMs;
        // INVARIANT: `suspendedMs` only grows, so the sum never goes backwards.
        if (sleptMs - suspendedMs >= suspendMinMs) suspendedMs = sleptMs;
      }
      return monotonicMs(runningMs + suspendedMs);
    },
    wallMs: () => sources.wallMs(),
  };
}
