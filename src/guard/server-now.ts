/** What time it is at the API server, as a guard knows it. */
import type { LockMemories } from '../admission/lock-memories.ts';
import type { Clock } from '../clock.ts';
import { serverMs, type Interval } from '../core/time.ts';
import type { KubeClient } from '../kube/client.ts';
import { ServerTimeSamples } from '../kube/server-time.ts';

/** Samples the API server's clock for the memories, which know how far it can be trusted. */
export class ServerNow {
  readonly #client: KubeClient;
  readonly #memories: LockMemories;
  readonly #clock: Clock;
  readonly #samples: ServerTimeSamples;
  /** An API server that dates nothing is taken at this machine's word, for certificates only. */
  #isUndated = false;

  constructor(client: KubeClient, memories: LockMemories, clock: Clock) {
    this.#client = client;
    this.#memories = memories;
    this.#clock = clock;
    this.#samples = new ServerTimeSamples(client, {
      clock,
      onSample: ({ sentAt, receivedAt, dateMs }) => {
        memories.dated(sentAt, receivedAt, serverMs(dateMs));
      },
    });
  }

  /** Learns it, before anything begins. @throws KubeError */
  async learn(signal: AbortSignal): Promise<void> {
    const sentAt = this.#clock.monotonicMs();
    const { dateMs } = await this.#client.request({ method: 'GET', path: '/version', signal });
    if (dateMs === null) this.#isUndated = true;
    else this.#memories.dated(sentAt, this.#clock.monotonicMs(), serverMs(dateMs));
  }

  /** Goes on learning it. */
  start(): void {
    this.#samples.start();
  }

  stop(): Promise<void> {
    return this.#samples.stop();
  }

  /** Bounds on it, in Unix milliseconds; null: not known. */
  get bounds(): Interval | null {
    return this.#memories.serverTimeAt(this.#clock.monotonicMs());
  }

  /** It, never later than it really is; null: not known. */
  get atLeastMs(): number | null {
    return this.bounds?.min ?? (this.#isUndated ? this.#clock.wallMs() : null);
  }

  /** The same, or this machine's word, for what is only told. */
  get toldMs(): number {
    return this.atLeastMs ?? this.#clock.wallMs();
  }
}
