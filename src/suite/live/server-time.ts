/** The API server's time, as writers whose clocks are right know it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../clock.ts';
import { sampleDate, serverTimeAt, unknownClock, type ServerClock } from '../../core/server-clock.ts';
import { serverMs } from '../../core/time.ts';
import type { KubeClient } from '../../kube/client.ts';
import { sampleServerTime } from '../../kube/server-time.ts';

/** LIMIT: `Date` headers have whole seconds; eight of them, spread over a second, leave an eighth of one open. */
const samples = 8;
const apartMs = 130;

/** A clock that runs with the API server's. */
export class ServerTime {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #known: ServerClock = unknownClock;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** Takes its bearings, which takes a second. */
  async measure(client: KubeClient, signal: AbortSignal): Promise<void> {
    for (let taken = 0; taken < samples; taken += 1) {
      const sample = await sampleServerTime(client, this.#clock, { signal });
      if (sample !== null)
        this.#known = sampleDate(this.#known, sample.sentAt, sample.receivedAt, serverMs(sample.dateMs));
      await sleep(apartMs, undefined, { signal });
    }
  }

  /** Unix milliseconds. */
  nowMs(): number {
    const now = serverTimeAt(this.#known, this.#clock.monotonicMs());
    if (now === null) throw new Error('the API server’s time has not been measured');
    return (now.min + now.max) / 2;
  }
}
