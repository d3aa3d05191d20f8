/**
 * Keeps a sink in step with one collection: list, then watch from the list's version, for as long as it takes.
 *
 * What is seen by list and what by watch must not be confused. An event is one write: the stamps in it were made by
 * that write or an earlier one, so they bound the time of the write from both sides. A list shows what is left of any
 * number of writes: its stamps bound from above only. And what is missing from a list was deleted by somebody, in a
 * state that nobody here has seen. So the sink has a method for each.
 *
 * Objects that do not pass the resource's filter are dropped as they are parsed. What is remembered of those that pass
 * is a key and a uid, not the object.
 */
import type { MonotonicMs } from '../core/time.ts';
import { Backoff, type BackoffOptions } from './backoff.ts';
import { answerBytesMax, type KubeClient, type KubeStream } from './client.ts';
import { errorOfEvent, KubeError } from './errors.ts';
import { isObject, objectAt, stringAt } from './json.ts';
import { jsonLines } from './json-lines.ts';
import { listPages } from './list.ts';
import { timerSleep, type Logger, type MonotonicClock, type Sleep } from './ports.ts';
import {
  acceptFor,
  selectorsOf,
  watchedObject,
  type VanishedObject,
  type WatchedObject,
  type WatchedResource,
} from './resource.ts';
import { Tracked } from './tracked.ts';

/**
 * Who is told. Calls come one at a time, in the order of the resource versions. An object that passed the filter
 * before and passes no longer is delivered once more, as it then is, and forgotten.
 */
export interface WatchSink {
  /** Found in a list: a page of it. The state may be the result of several writes that were not seen. */
  listed(objects: readonly WatchedObject[]): void;
  /** Everything that exists has been listed; what has vanished since the list before has been reported. */
  synced(): void;
  /** A live event: one write, its result in full. */
  added(object: WatchedObject): void;
  /** A live event: one write, its result in full. */
  modified(object: WatchedObject): void;
  /** A live event; `object` is the state that was deleted. */
  deleted(object: WatchedObject): void;
  /** A list no longer has the object (or has another of its name): deleted at some time, in an unknown state. */
  deletedUnseen(object: VanishedObject): void;
  /** The watch runs, for the first time or after an interruption. */
  connected(): void;
  /** The watch or list failed; the next attempt comes in `retryInMs`. Called for each failed attempt. */
  disconnected(error: KubeError, retryInMs: number): void;
}

/** Who only wants to know that something may have changed. */
export function changeSink(look: () => void, disconnected: WatchSink['disconnected']): WatchSink {
  const ignore = (): void => undefined;
  return {
    listed: ignore,
    synced: look,
    added: look,
    modified: look,
    deleted: look,
    deletedUnseen: look,
    connected: ignore,
    disconnected,
  };
}

/** Surroundings and limits of a watch; all but `clock` and `logger` have defaults. */
export interface WatchOptions {
  readonly clock: MonotonicClock;
  readonly logger: Logger;
  readonly sleep?: Sleep;
  readonly backoff?: BackoffOptions;
  /** Silence after which a connection counts as dead. */
  readonly idleMs?: number;
  readonly random?: () => number;
}

/** What a watch is doing, for metrics and readiness. */
export interface WatchStatus {
  readonly phase: 'idle' | 'listing' | 'watching' | 'waiting' | 'stopped';
  /** A first list has been delivered in full. */
  readonly synced: boolean;
  /** Since when the present connection stands, or null. */
  readonly connectedSince: MonotonicMs | null;
  /** When the last event or bookmark arrived, or null. */
  readonly lastEventAt: MonotonicMs | null;
  /** Lists completed. */
  readonly lists: number;
  /** Connections made after the first. */
  readonly restarts: number;
  /** Objects that pass the filter. */
  readonly tracked: number;
}

/**
 * LIMIT: client-go's five to ten minutes, drawn at random so that watches do not end together.
 * SOURCE: https://github.com/kubernetes/client-go/blob/master/tools/cache/reflector.go (defaultMinWatchTimeout)
 */
const watchSecondsMin = 300;
/**
 * LIMIT: the API server sends a bookmark about every minute, up to a quarter later; two and a half minutes without any
 * means that two in a row were lost. A false alarm costs one reconnection.
 * SOURCE: https://github.com/kubernetes/apiserver/blob/master/pkg/storage/cacher/cacher.go (defaultBookmarkFrequency)
 */
const idleMsDefault = 150_000;
/** LIMIT: a watch that lived for ten seconds was healthy; one that ends sooner without an event is a failing server. */
const stableMs = 10_000;
/** LIMIT: three refusals in a row of one resource version: it may lie in the future of an etcd restored from a backup. */
const refusalsMax = 3;

/** A list and watch of one collection. */
export class Watch {
  readonly #client: KubeClient;
  readonly #resource: WatchedResource;
  readonly #sink: WatchSink;
  readonly #clock: MonotonicClock;
  readonly #logger: Logger;
  readonly #sleep: Sleep;
  readonly #random: () => number;
  readonly #idleMs: number;
  readonly #backoff: Backoff;
  readonly #tracked: Tracked;
  readonly #stopping = new AbortController();
  #running: Promise<void> | null = null;
  #version: string | null = null;
  #refusals = 0;
  #events = 0;
  #connections = 0;
  #status: Omit<WatchStatus, 'tracked'> = {
    phase: 'idle',
    synced: false,
    connectedSince: null,
    lastEventAt: null,
    lists: 0,
    restarts: 0,
  };

  constructor(client: KubeClient, resource: WatchedResource, sink: WatchSink, options: WatchOptions) {
    this.#client = client;
    this.#resource = resource;
    this.#sink = sink;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#sleep = options.sleep ?? timerSleep;
    this.#random = options.random ?? Math.random;
    this.#idleMs = options.idleMs ?? idleMsDefault;
    this.#backoff = new Backoff({ ...options.backoff, random: this.#random });
    this.#tracked = new Tracked(resource.passes ?? (() => true));
  }

  /** Begins. The API server need not be there yet. */
  start(): void {
    this.#running ??= this.#run(this.#stopping.signal);
  }

  /** Ends; resolves when the sink will not be called any more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    this.#update({ phase: 'stopped', connectedSince: null });
  }

  /** The present state. */
  status(): WatchStatus {
    return { ...this.#status, tracked: this.#tracked.size };
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (;;) {
      const error = await this.#once(signal);
      if (signal.aborted) return;
      if (error === null) continue;
      const retryInMs = this.#backoff.nextMs(error.retryAfterMs);
      this.#update({ phase: 'waiting' });
      this.#report(error, retryInMs);
      await this.#sleep(retryInMs, signal);
    }
  }

  /** One list, where there is no version to watch from, and one watch. Null where the server ended it in good order. */
  async #once(signal: AbortSignal): Promise<KubeError | null> {
    try {
      this.#version ??= await this.#list(signal);
      await this.#watchFrom(this.#version, signal);
      return null;
    } catch (error) {
      const failure = this.#failureOf(error);
      this.#refusals += 1;
      // Garbage and failures of the sink leave in doubt what has been delivered: only a list tells.
      const inDoubt = failure.kind === 'malformed' || failure.kind === 'too-large';
      if (failure.kind === 'gone' || inDoubt || this.#refusals >= refusalsMax) this.#version = null;
      return failure;
    } finally {
      this.#update({ connectedSince: null });
    }
  }

  #report(error: KubeError, retryInMs: number): void {
    try {
      this.#sink.disconnected(error, retryInMs);
    } catch (defect) {
      this.#failureOf(defect);
    }
  }

  #failureOf(error: unknown): KubeError {
    if (error instanceof KubeError) return error;
    this.#logger.error({ err: error, path: this.#resource.path }, 'a watch event could not be taken in');
    return new KubeError('malformed', 'a watch event could not be taken in', { cause: error });
  }

  async #list(signal: AbortSignal): Promise<string> {
    this.#update({ phase: 'listing' });
    this.#tracked.listBegins();
    const take = (objects: readonly WatchedObject[]): void => {
      this.#takePage(objects);
    };
    const version = await listPages(this.#client, this.#resource, take, signal);
    for (const object of this.#tracked.listEnds()) this.#sink.deletedUnseen(object);
    this.#refusals = 0;
    this.#update({ lists: this.#status.lists + 1, synced: true });
    this.#sink.synced();
    return version;
  }

  #takePage(objects: readonly WatchedObject[]): void {
    const wanted = objects.filter((object) => {
      const replaced = this.#tracked.replacedBy(object);
      if (replaced !== null) this.#sink.deletedUnseen(replaced);
      return this.#tracked.note(object);
    });
    if (wanted.length > 0) this.#sink.listed(wanted);
  }

  async #watchFrom(version: string, signal: AbortSignal): Promise<void> {
    const stream = await this.#client.stream({
      method: 'GET',
      path: this.#resource.path,
      accept: acceptFor(this.#resource, 'watch'),
      query: this.#watchQuery(version),
      signal,
    });
    const connectedAt = this.#connected();
    const eventsBefore = this.#events;
    const progressed = (): boolean =>
      this.#events > eventsBefore || this.#clock.monotonicMs() - connectedAt >= stableMs;
    try {
      await this.#readEvents(stream);
    } finally {
      if (progressed()) {
        this.#refusals = 0;
        this.#backoff.reset();
      }
    }
    // The server's own timeout, the orderly end, comes minutes after the beginning.
    if (!progressed()) throw new KubeError('unreachable', 'the watch ended as soon as it had begun');
  }

  async #readEvents(stream: KubeStream): Promise<void> {
    const over = new AbortController();
    const silent = this.#closeWhenSilent(stream, over.signal);
    try {
      for await (const value of jsonLines(stream.chunks, answerBytesMax)) this.#take(value);
    } catch (error) {
      over.abort();
      if (!(await silent)) throw error;
      throw new KubeError('timeout', `the watch was silent for ${this.#idleMs} ms`, { cause: error });
    } finally {
      over.abort();
      stream.close();
      await silent;
    }
  }

  /** Resolves with whether it had to close the stream. */
  async #closeWhenSilent(stream: KubeStream, over: AbortSignal): Promise<boolean> {
    for (;;) {
      const heardAt = Math.max(this.#status.connectedSince ?? 0, this.#status.lastEventAt ?? 0);
      const leftMs = heardAt + this.#idleMs - this.#clock.monotonicMs();
      if (leftMs <= 0) break;
      await this.#sleep(leftMs, over);
      if (over.aborted) return false;
    }
    stream.close();
    return true;
  }

  #take(value: unknown): void {
    this.#events += 1;
    this.#update({ lastEventAt: this.#clock.monotonicMs() });
    const type = stringAt(value, 'type');
    const payload = isObject(value) ? value['object'] : undefined;
    if (type === 'ERROR') throw errorOfEvent(payload);
    if (type === 'BOOKMARK') {
      this.#version = stringAt(objectAt(payload, 'metadata'), 'resourceVersion') || this.#version;
      return;
    }
    const object = watchedObject(payload);
    if (object === null) throw new KubeError('malformed', 'a watch event has no object');
    this.#deliver(type, object);
    // INVARIANT: the version moves on only past what the sink has been told.
    this.#version = object.resourceVersion;
  }

  #deliver(type: string, object: WatchedObject): void {
    switch (type) {
      case 'ADDED':
        if (this.#tracked.note(object)) this.#sink.added(object);
        return;
      case 'MODIFIED':
        if (this.#tracked.note(object)) this.#sink.modified(object);
        return;
      case 'DELETED':
        if (this.#tracked.forget(object)) this.#sink.deleted(object);
        return;
      default:
        throw new KubeError('malformed', `a watch event has the unknown type \`${type}\``);
    }
  }

  #connected(): MonotonicMs {
    const now = this.#clock.monotonicMs();
    const restarts = this.#connections === 0 ? 0 : this.#status.restarts + 1;
    this.#connections += 1;
    this.#update({ phase: 'watching', connectedSince: now, restarts });
    this.#sink.connected();
    return now;
  }

  #update(change: Partial<Omit<WatchStatus, 'tracked'>>): void {
    this.#status = { ...this.#status, ...change };
  }

  #watchQuery(version: string): Readonly<Record<string, string>> {
    return {
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: version,
      timeoutSeconds: String(Math.round(watchSecondsMin * (1 + this.#random()))),
      ...selectorsOf(this.#resource),
    };
  }
}
