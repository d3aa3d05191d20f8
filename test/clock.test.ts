import { describe, expect, it } from 'vitest';
import { systemClock } from '../src/clock.ts';

/** A machine whose clocks are set by hand. */
class Machine {
  runningMs = 1_000;
  bootMs = 500_000;
  wallMs = 1_700_000_000_000;

  clock = (): ReturnType<typeof systemClock> =>
    systemClock({ runningMs: () => this.runningMs, bootMs: () => this.bootMs, wallMs: () => this.wallMs });

  run(ms: number): void {
    this.runningMs += ms;
    this.bootMs += ms;
    this.wallMs += ms;
  }

  sleep(ms: number): void {
    this.bootMs += ms;
    this.wallMs += ms;
  }
}

describe('the monotonic clock', () => {
  it('runs with the machine', () => {
    const machine = new Machine();
    const clock = machine.clock();
    const start = clock.monotonicMs();
    machine.run(1234);
    expect(clock.monotonicMs() - start).toBe(1234);
  });

  it('counts the time that the machine was suspended, each time', () => {
    const machine = new Machine();
    const clock = machine.clock();
    const start = clock.monotonicMs();
    machine.sleep(60_000);
    expect(clock.monotonicMs() - start).toBe(60_000);
    machine.run(10);
    machine.sleep(5_000);
    machine.run(10);
    expect(clock.monotonicMs() - start).toBe(65_020);
  });

  it.each([3_600_000, -3_600_000, 70])('does not follow the wall clock when it is set by %i ms', (step) => {
    const machine = new Machine();
    const clock = machine.clock();
    const start = clock.monotonicMs();
    machine.wallMs += step;
    machine.run(100);
    expect(clock.monotonicMs() - start).toBe(100);
    expect(clock.wallMs()).toBe(machine.wallMs);
  });

  it('never goes backwards, whatever the boot clock says', () => {
    const machine = new Machine();
    const clock = machine.clock();
    machine.sleep(60_000);
    const after = clock.monotonicMs();
    machine.bootMs = 0;
    machine.wallMs += 10_000;
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(after);
  });

  it('is near the raw clocks on this machine', () => {
    const clock = systemClock();
    expect(Math.abs(clock.monotonicMs() - performance.now())).toBeLessThan(50);
    expect(Math.abs(clock.wallMs() - Date.now())).toBeLessThan(50);
  });
});
