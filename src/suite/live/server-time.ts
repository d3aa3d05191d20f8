/** The API server's time, as writers whose clocks are right know it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../clock.ts';
import { sampleDate, serverTimeAt, unknownClock, type ServerClock } from '../../core/server-clock.ts';
import { serverMs } from '../../core/time.ts';
import type { KubeClient } from '../../kube/client.ts';

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
      const sentAt = this.#clock.monotonicMs();
      const { dateMs } = await client.request({ method: 'GET', path: '/version', signal });
      const receivedAt = this.#clock.monotonicMs();
      if (dateMs !== null) this.#known = sampleDate(this.#known, sentAt, receivedAt, serverMs(dateMs));
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
