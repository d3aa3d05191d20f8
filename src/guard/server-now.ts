/** What time it is at the API server, as a guard knows it. */
import type { LockMemories } from '../admission/lock-memories.ts';
import type { Clock } from '../clock.ts';
import { serverMs, type Interval } from '../core/time.ts';
import type { KubeClient } from '../kube/client.ts';
import { sampleServerTime, ServerTimeSamples, type ServerTimeSample } from '../kube/server-time.ts';

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
      onSample: (sample) => {
        this.#take(sample);
      },
    });
  }

  /** Learns it, before anything begins. @throws KubeError */
  async learn(signal: AbortSignal): Promise<void> {
    const sample = await sampleServerTime(this.#client, this.#clock, { signal });
    if (sample === null) this.#isUndated = true;
    else this.#take(sample);
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

  #take({ sentAt, receivedAt, dateMs }: ServerTimeSample): void {
    this.#memories.dated(sentAt, receivedAt, serverMs(dateMs));
  }
}
