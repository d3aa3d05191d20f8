/** Time that passes when a test says so. */
import { monotonicMs, type MonotonicMs } from '../../../src/core/time.ts';
import type { Sleep } from '../../../src/kube/ports.ts';

interface Sleeper {
  readonly ms: number;
  readonly until: number;
  readonly wake: () => void;
}

export class ManualTime {
  #nowMs = 1_000_000;
  #sleepers: Sleeper[] = [];
  #waiters: (() => void)[] = [];
  /** Every delay that was asked for. */
  readonly slept: number[] = [];

  monotonicMs(): MonotonicMs {
    return monotonicMs(this.#nowMs);
  }

  readonly sleep: Sleep = (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) {
        resolve();
        return;
      }
      const sleeper: Sleeper = {
        ms,
        until: this.#nowMs + ms,
        wake: (): void => {
          this.#sleepers = this.#sleepers.filter((each) => each !== sleeper);
          resolve();
        },
      };
      signal.addEventListener('abort', sleeper.wake, { once: true });
      this.#sleepers.push(sleeper);
      this.slept.push(ms);
      for (const waiter of this.#waiters.splice(0)) waiter();
    });

  /** Lets `ms` pass and wakes who is due. */
  advance(ms: number): void {
    this.#nowMs += ms;
    for (const each of this.#sleepers.filter((one) => one.until <= this.#nowMs)) each.wake();
  }

  /** Resolves with the delay of a sleeper between the bounds, as soon as there is one. */
  async asleep(minMs: number, maxMs: number): Promise<number> {
    for (;;) {
      const found = this.#sleepers.find((each) => each.ms >= minMs && each.ms <= maxMs);
      if (found !== undefined) return found.ms;
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }
}
