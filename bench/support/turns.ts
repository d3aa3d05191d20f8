/** Writes in several ways, taken in turns: one by one for the time, and by the hundred for the CPU time of other processes. */
import { setTimeout as sleep } from 'node:timers/promises';

import { inAnyOrder } from './order.ts';
import { cpuSecondsOf } from './processes.ts';
import type { Write } from './writes.ts';

/** A way of writing, and whose CPU time it costs. */
export interface Way {
  readonly write: Write;
  /** Process IDs by what they are called. */
  readonly processes: Readonly<Record<string, number>>;
}

/** What writes in one way took. */
export interface Measured {
  /** Milliseconds of each that was measured by itself. */
  readonly tookMs: readonly number[];
  /** CPU time of the processes for each write, in milliseconds. */
  readonly cpuMs: Readonly<Record<string, number>>;
  /** All writes there were, those that were not measured among them. */
  readonly writes: number;
}

export interface TurnsOptions {
  readonly rounds: number;
  /** Writes of each way one by one, and as many again in a row. Default: 100. */
  readonly perRound?: number;
  /** Rounds before the first that counts. Default: 4. */
  readonly warmUp?: number;
  /** What a row leaves behind to be done later, and is to be counted for it. Default: nothing. */
  readonly settleMs?: number;
  readonly beforeRound?: () => Promise<void>;
}

/** Measures ways beside one another. What comes out is in the order of `ways`. */
export async function takeTurns<Name>(
  ways: ReadonlyMap<Name, Way>,
  { rounds, perRound = 100, warmUp = 4, settleMs = 0, beforeRound }: TurnsOptions,
): Promise<ReadonlyMap<Name, Measured>> {
  const tallies = [...ways].map(([name, way]) => new Tally(name, way));
  for (let round = -warmUp; round < rounds; round += 1) {
    const counts = round >= 0;
    await beforeRound?.();
    for (let index = 0; index < perRound; index += 1)
      for (const tally of inAnyOrder(tallies)) await tally.writeOne(counts);
    for (const tally of inAnyOrder(tallies)) await tally.writeRow(perRound, settleMs, counts);
  }
  return new Map(tallies.map((tally) => [tally.name, tally.measured(rounds * perRound)]));
}

/** What has been measured of one way. */
class Tally<Name> {
  readonly name: Name;
  readonly #way: Way;
  readonly #tookMs: number[] = [];
  readonly #spent: Map<string, number>;
  #writes = 0;

  constructor(name: Name, way: Way) {
    this.name = name;
    this.#way = way;
    this.#spent = new Map(Object.keys(way.processes).map((process) => [process, 0]));
  }

  async writeOne(counts: boolean): Promise<void> {
    this.#writes += 1;
    const tookMs = await this.#way.write();
    if (counts) this.#tookMs.push(tookMs);
  }

  async writeRow(length: number, settleMs: number, counts: boolean): Promise<void> {
    const before = await this.#spentSoFar();
    for (let index = 0; index < length; index += 1) await this.#way.write();
    this.#writes += length;
    if (settleMs > 0) await sleep(settleMs);
    const after = await this.#spentSoFar();
    if (!counts) return;
    for (const [process, seconds] of this.#spent)
      this.#spent.set(process, seconds + (after.get(process) ?? NaN) - (before.get(process) ?? NaN));
  }

  measured(writesInRows: number): Measured {
    const cpuMs: Readonly<Record<string, number>> = Object.fromEntries(
      [...this.#spent].map(([process, seconds]) => [process, (seconds * 1_000) / writesInRows] as const),
    );
    return { tookMs: this.#tookMs, cpuMs, writes: this.#writes };
  }

  async #spentSoFar(): Promise<ReadonlyMap<string, number>> {
    const processes = Object.entries(this.#way.processes);
    return new Map(
      await Promise.all(processes.map(async ([name, pid]) => [name, await cpuSecondsOf(pid)] as const)),
    );
  }
}
