/**
 * Records Events in the cluster, off every path: `record` returns at once, one request is under way at a time, and what finds no room or
 * cannot be written is dropped and counted. What happens again soon is counted in the Event that is there, and not told anew.
 */
import { randomBytes } from 'node:crypto';
import { Backoff, type BackoffOptions } from './backoff.ts';
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import { eventName, eventOf, eventsPath, keyOf, seriesOf, type Happening, type Series } from './event.ts';
import { timerSleep, type Logger, type MonotonicClock, type Sleep } from './ports.ts';

/** What a recorder needs. */
export interface EventRecorderOptions {
  /** Name of the replica. */
  readonly instance: string;
  readonly clock: MonotonicClock;
  /** Unix milliseconds; the API server's time where it is known. */
  readonly nowMs: () => number;
  readonly logger: Logger;
  /** Called for each happening that is not told of: there was no room, or the API server did not take it. */
  readonly onDrop?: (why: 'noRoom' | 'notWritten') => void;
  readonly sleep?: Sleep;
  readonly backoff?: BackoffOptions;
  /** Sixteen characters that tell one Event from another. Default: random. */
  readonly suffix?: () => string;
}

/** LIMIT: a happening is some 1 KiB, and elections and rotations come one at a time; more are a storm. */
const seriesMax = 256;
/** SOURCE: https://github.com/kubernetes/client-go/blob/v0.36.3/tools/events/event_broadcaster.go (finishTime): as long do clients count on */
const foldMs = 360_000;
/** LIMIT: a count that is half a minute old misleads nobody, and a storm costs two requests a minute for each kind of happening. */
const recountMs = 30_000;
/** LIMIT: an API server that is away for longer than a few seconds has others to tell of it. */
const attemptsMax = 4;
const timeoutMs = 5_000;
/** LIMIT: the end of a process waits for its last words no longer than a person notices. */
const flushMs = 1_000;

/** What is known of one happening. */
interface Kept extends Series {
  /** When it was last seen, on the monotonic clock. */
  readonly seenAt: number;
  /** How much of `count` the API server has been told; 0: the Event is not there yet. */
  readonly told: number;
  /** When what is not told is to be. */
  readonly dueAt: number;
}

/** The recorder. No method throws or rejects. */
export class EventRecorder {
  readonly #client: KubeClient;
  readonly #options: EventRecorderOptions;
  readonly #sleep: Sleep;
  /** In the order in which they were last seen. */
  readonly #kept = new Map<string, Kept>();
  readonly #stopping = new AbortController();
  #closed = false;
  #running: Promise<void> | null = null;
  /** Ends the present wait for what is due. */
  #waking = new AbortController();
  /** Whether the log has told of the failure that lasts. */
  #toldOfFailure = false;

  constructor(client: KubeClient, options: EventRecorderOptions) {
    this.#client = client;
    this.#options = options;
    this.#sleep = options.sleep ?? timerSleep;
  }

  /** Tells of a happening, or of so many at once, soon. */
  record(happening: Happening, times = 1): void {
    const { clock, nowMs, suffix = randomSuffix } = this.#options;
    const now = clock.monotonicMs();
    const key = keyOf(happening);
    const known = this.#kept.get(key);
    if (this.#closed || (known === undefined && !this.#makeRoom(now))) {
      this.#drop('noRoom', times);
      return;
    }
    const atMs = nowMs();
    const kept: Kept =
      known !== undefined && now - known.seenAt < foldMs
        ? { ...known, count: known.count + times, lastMs: atMs, seenAt: now }
        : {
            happening,
            name: eventName(happening, suffix()),
            count: times,
            firstMs: atMs,
            lastMs: atMs,
            seenAt: now,
            told: 0,
            dueAt: now,
          };
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    this.#waking.abort();
    this.#running ??= this.#run(this.#stopping.signal);
  }

  /** Takes nothing more, tells what is still to be told, and gives up what takes too long. */
  async stop(): Promise<void> {
    this.#closed = true;
    this.#waking.abort();
    const running = this.#running ?? Promise.resolve();
    const flushed = new AbortController();
    await Promise.race([running, this.#sleep(flushMs, flushed.signal)]);
    flushed.abort();
    this.#stopping.abort();
    await running;
  }

  /** Forgets what is told and over, and else what is told and oldest; false where all is still to be told. */
  #makeRoom(now: number): boolean {
    for (const [key, { seenAt, told, count }] of this.#kept) {
      const isFull = this.#kept.size >= seriesMax;
      if (told === count && (isFull || now - seenAt >= foldMs)) this.#kept.delete(key);
    }
    return this.#kept.size < seriesMax;
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (let next = this.#next(); next !== null && !signal.aborted; next = this.#next()) {
      const waitMs = this.#closed ? 0 : next[1].dueAt - this.#options.clock.monotonicMs();
      if (waitMs > 0) await this.#wait(waitMs, signal);
      else await this.#tell(...next, signal);
    }
    // INVARIANT: no `await` between the last look and here, so whoever records next starts a run of its own.
    this.#running = null;
  }

  async #wait(ms: number, signal: AbortSignal): Promise<void> {
    this.#waking = new AbortController();
    await this.#sleep(ms, AbortSignal.any([signal, this.#waking.signal]));
  }

  /** What is to be told first. */
  #next(): readonly [string, Kept] | null {
    let next: readonly [string, Kept] | null = null;
    for (const entry of this.#kept) {
      const [, { told, count, dueAt }] = entry;
      if (told < count && (next === null || dueAt < next[1].dueAt)) next = entry;
    }
    return next;
  }

  async #tell(key: string, kept: Kept, signal: AbortSignal): Promise<void> {
    const written = await this.#write(kept, signal);
    if (!written) this.#drop('notWritten', kept.count - kept.told);
    const present = this.#kept.get(key);
    // Another may have begun in its place meanwhile.
    if (present?.name !== kept.name) return;
    if (!written && kept.told === 0) {
      if (present.count === kept.count) this.#kept.delete(key);
      else this.#kept.set(key, { ...present, count: present.count - kept.count });
      return;
    }
    this.#kept.set(key, {
      ...present,
      told: kept.count,
      dueAt: this.#options.clock.monotonicMs() + recountMs,
    });
  }

  /** Whether the API server has taken it. */
  async #write(kept: Kept, signal: AbortSignal): Promise<boolean> {
    const backoff = new Backoff(this.#options.backoff);
    while (!signal.aborted) {
      try {
        await this.#request(kept, signal);
        this.#toldOfFailure = false;
        return true;
      } catch (error) {
        if (!(error instanceof KubeError) || error.kind === 'aborted') return false;
        if (passing.includes(error.kind) && backoff.attempts + 1 < attemptsMax) {
          await this.#sleep(backoff.nextMs(error.retryAfterMs), signal);
        } else {
          this.#warn(error);
          return false;
        }
      }
    }
    return false;
  }

  async #request(kept: Kept, signal: AbortSignal): Promise<void> {
    const path = eventsPath(kept.happening);
    const query = { fieldManager: 'lockwarden' };
    if (kept.told > 0) {
      try {
        await this.#client.request({
          method: 'PATCH',
          path: `${path}/${kept.name}`,
          query,
          contentType: 'application/merge-patch+json',
          body: seriesOf(kept),
          timeoutMs,
          signal,
        });
        return;
      } catch (error) {
        // Events are kept for an hour, and may be deleted before.
        if (!(error instanceof KubeError) || error.kind !== 'not-found') throw error;
      }
    }
    const body = eventOf(kept, this.#options.instance);
    try {
      await this.#client.request({ method: 'POST', path, query, body, timeoutMs, signal });
    } catch (error) {
      // An attempt that went unanswered was carried out all the same.
      if (!(error instanceof KubeError) || error.kind !== 'already-exists') throw error;
    }
  }

  #drop(why: 'noRoom' | 'notWritten', count: number): void {
    for (let dropped = 0; dropped < count; dropped += 1) this.#options.onDrop?.(why);
  }

  #warn(error: KubeError): void {
    if (this.#toldOfFailure) return;
    this.#toldOfFailure = true;
    this.#options.logger.warn({ reason: error.message }, 'events not written');
  }
}

/** Failures that are over soon. */
const passing: readonly KubeError['kind'][] = ['unreachable', 'timeout', 'throttled', 'server-error'];

function randomSuffix(): string {
  return randomBytes(8).toString('hex');
}
