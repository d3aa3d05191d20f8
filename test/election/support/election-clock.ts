/** Both clocks of a machine, which pass, and step, when a test says so. */
import type { MonotonicMs } from '../../../src/core/time.ts';
import type { Sleep } from '../../../src/kube/ports.ts';
import { ManualTime } from '../../kube/support/manual-time.ts';

/** What the wall clock shows at the beginning. */
export const wallStartMs = Date.parse('2026-03-01T12:00:00.000Z');

export class ElectionClock {
  readonly #time = new ManualTime();
  readonly #startMs = this.#time.monotonicMs();
  #wallOffsetMs = 0;

  monotonicMs(): MonotonicMs {
    return this.#time.monotonicMs();
  }

  wallMs(): number {
    return wallStartMs + (this.#time.monotonicMs() - this.#startMs) + this.#wallOffsetMs;
  }

  readonly sleep: Sleep = (ms, signal) => this.#time.sleep(ms, signal);

  /** Somebody sets the wall clock. */
  stepWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  /** Time passes; timers that are due fire, and what follows from them has happened. */
  async advance(ms: number): Promise<void> {
    this.#time.advance(ms);
    await settle();
  }

  /** As `advance`, but the process does not get to run: its timers are still to fire. */
  stall(ms: number): void {
    // NB: sleepers wake by microtasks, which run only once the test awaits something.
    this.#time.advance(ms);
  }

  /** As `advance`, in steps. */
  async pass(ms: number, stepMs = 100): Promise<void> {
    for (let passedMs = 0; passedMs < ms; passedMs += stepMs)
      await this.advance(Math.min(stepMs, ms - passedMs));
  }
}

/** Lets every promise that can go on go on. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 30; round += 1) await Promise.resolve();
}
