/** bench/stress.ts: what lockwarden holds, at rest and not. */
import { setTimeout as sleep } from 'node:timers/promises';

import type { Vitals } from '../peers/vitals.ts';
import { latenciesOf } from './attack.ts';
import { bodies } from './bodies.ts';
import type { WatchedPeer } from './peer.ts';
import { forgetPeakOf, peakResidentMiBOf, residentMiBOf } from './processes.ts';
import { memoryLimitMiB } from './production.ts';

/** What it holds at one moment, in MiB; the peak is that since the moment before. */
export interface Level extends Pick<Vitals, 'heapUsedMiB' | 'externalMiB'> {
  readonly when: string;
  readonly residentMiB: number;
  readonly peakResidentMiB: number;
}

/** LIMIT: as direct.ts does it; more at once are more than lockwarden takes in, and get a 503. */
const largeConnections = 16;

/** A row of levels, printed as they are taken. */
export class Levels {
  readonly taken: Level[] = [];
  readonly #peer: WatchedPeer;

  constructor(peer: WatchedPeer) {
    this.#peer = peer;
  }

  async take(when: string): Promise<void> {
    const { pid } = this.#peer;
    const { heapUsedMiB, externalMiB } = await this.#peer.vitals();
    const [residentMiB, peakResidentMiB] = [await residentMiBOf(pid), await peakResidentMiBOf(pid)];
    await forgetPeakOf(pid);
    this.taken.push({ when, residentMiB, peakResidentMiB, heapUsedMiB, externalMiB });
    const [resident, peak, heap, external] = [residentMiB, peakResidentMiB, heapUsedMiB, externalMiB].map(
      (mebibytes) => mebibytes.toFixed(0).padStart(3),
    );
    process.stdout.write(
      `${when.padEnd(42)} resident ${resident} MiB, at most ${peak} since, of a limit of ${String(memoryLimitMiB())}; heap ${heap}, external ${external}\n`,
    );
  }
}

/** LIMIT: what grows with each of so many cannot be taken for what the first few of them leave behind. */
const bursts = 6;

/** As many large objects as it can answer, and peace after them, again and again: what goes on growing is a leak. */
export async function stressMemory(
  peer: WatchedPeer,
  levels: Levels,
  { seconds, restSeconds }: { readonly seconds: number; readonly restSeconds: number },
): Promise<void> {
  for (let burst = 1; burst <= bursts; burst += 1) {
    const { text, isAllowed } = bodies()['ConfigMap of 1 MiB']();
    const load = { body: text, isAllowed, connections: largeConnections, seconds, rate: null };
    const answered = await latenciesOf(peer, load);
    const rate = (answered.length / seconds).toFixed(0);
    await levels.take(`${rate} large objects a second, burst ${String(burst)}`);
    await sleep(restSeconds * 1_000);
    await levels.take(`${String(restSeconds)} s later`);
  }
}
