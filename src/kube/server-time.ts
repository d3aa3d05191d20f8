/** Samples of the API server's clock, for whoever keeps track of it. */
import type { MonotonicMs } from '../core/time.ts';
import type { KubeClient, KubeRequest } from './client.ts';
import { timerSleep, type MonotonicClock, type Sleep } from './ports.ts';

/** A response's date (whole seconds, rounded down), written between two moments of the monotonic clock. */
export interface ServerTimeSample {
  readonly sentAt: MonotonicMs;
  readonly receivedAt: MonotonicMs;
  readonly dateMs: number;
}

/** Surroundings of the samples. */
export interface ServerTimeOptions {
  readonly clock: MonotonicClock;
  readonly onSample: (sample: ServerTimeSample) => void;
  /** From one sample to the next. Default: `intervalMsDefault`. */
  readonly intervalMs?: number;
  readonly sleep?: Sleep;
}

/** LIMIT: clocks that drift apart by 100 ppm move by 1 ms in ten seconds; the cost is six small requests a minute. */
const intervalMsDefault = 10_000;
/** LIMIT: a sample's uncertainty is its duration; one that took longer than this says little. */
const timeoutMs = 2_000;

/** One sample, by an answer that every user may have; null: the API server dates nothing. @throws KubeError */
export async function sampleServerTime(
  client: KubeClient,
  clock: MonotonicClock,
  patience: Pick<KubeRequest, 'signal' | 'timeoutMs'> = {},
): Promise<ServerTimeSample | null> {
  const sentAt = clock.monotonicMs();
  const { dateMs } = await client.request({ method: 'GET', path: '/version', ...patience });
  return dateMs === null ? null : { sentAt, receivedAt: clock.monotonicMs(), dateMs };
}

/** Asks the API server for something small, again and again, and passes on the date of each answer. */
export class ServerTimeSamples {
  readonly #client: KubeClient;
  readonly #options: ServerTimeOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | null = null;
  #taken = 0;
  #failed = 0;

  constructor(client: KubeClient, options: ServerTimeOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** How many samples were taken, and how many requests gave none. */
  get counts(): { readonly taken: number; readonly failed: number } {
    return { taken: this.#taken, failed: this.#failed };
  }

  /** Begins with a sample at once. */
  start(): void {
    this.#running ??= this.#run(this.#stopping.signal);
  }

  /** Ends; no sample is passed on once it has resolved. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const sleep = this.#options.sleep ?? timerSleep;
    for (;;) {
      const sample = await this.#sample(signal);
      if (signal.aborted) return;
      if (sample === null) this.#failed += 1;
      else {
        this.#taken += 1;
        this.#options.onSample(sample);
      }
      await sleep(this.#options.intervalMs ?? intervalMsDefault, signal);
    }
  }

  async #sample(signal: AbortSignal): Promise<ServerTimeSample | null> {
    try {
      return await sampleServerTime(this.#client, this.#options.clock, { timeoutMs, signal });
    } catch {
      return null;
    }
  }
}
