/**
 * What replicas tell one another, through a fixed number of ConfigMaps in lockwarden's own namespace: facts are written there
 * after the answer and off the admission path, and watched by all. So they outlive restarts, too.
 *
 * Nothing waits for this. A fact that is late or lost leaves the others not knowing, and what is not known refuses
 * nothing. Many changes of one shard are one write; writes follow one another at a pace that the API server's store can
 * take for ever; what waits is bounded.
 */
import type { LockRef } from '../core/lock.ts';
import type { LockFacts } from '../core/shared-facts.ts';
import { monotonicMs, type Interval, type MonotonicMs } from '../core/time.ts';
import { Backoff } from '../kube/backoff.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { timerSleep, type Logger, type MonotonicClock, type Sleep } from '../kube/ports.ts';
import { watchedObject, type WatchedObject } from '../kube/resource.ts';
import { Watch, type WatchSink } from '../kube/watch.ts';
import type { FactDropCause, SharedFactsMetrics } from '../server/metrics.ts';
import { Echoes } from './fact-echoes.ts';
import { fitting } from './fact-entry.ts';
import { FactQueue } from './fact-queue.ts';
import {
  FactShard,
  shardLabels,
  shardNamed,
  shardOf,
  shardsMax,
  type Surroundings,
  type Waiting,
} from './fact-shard.ts';
import { Pace } from './pace.ts';

/** What the sharing of facts needs. */
export interface SharedFactsOptions {
  readonly client: KubeClient;
  /** lockwarden's own. Whoever may write ConfigMaps there is believed. */
  readonly namespace: string;
  readonly clock: MonotonicClock;
  readonly logger: Logger;
  readonly metrics: SharedFactsMetrics;
  /** Called with what others have told; also, at times, with what was published here. */
  readonly onFacts: (lock: LockRef, facts: LockFacts) => void;
  /** Called once: what there is has been told, or cannot be had. */
  readonly onSynced: () => void;
  readonly isGone: (lock: LockRef) => boolean;
  /** Bounds on the API server's time, or null. */
  readonly serverNow: () => Interval | null;
  readonly sleep?: Sleep;
  readonly random?: () => number;
}

/** LIMIT: what belongs together (a deletion and a creation, a burst of one controller) comes within milliseconds. */
const settleMs = 10;
/**
 * LIMIT: 40 writes a second are less than the renewals of a hundred elections. An etcd that keeps ten minutes of history
 * keeps 182 MiB of a replica that writes 256 KiB a second without end, of a quota of 2 GiB; a minute in which 10,000 locks
 * change hands fits into the burst.
 */
const paceLimits = { gapMs: 25, bytesPerSecond: 256 * 1024, burstBytes: 32 * 1024 * 1024 };
/** LIMIT: twice the 10,000 locks that may change hands in a minute; at a kilobyte each, 20 MiB. */
const waitingMax = 20_000;
/** LIMIT: a quarter for namespaces in which little happens, so that those in which much does cannot fill all. */
const busyWaitingMax = 15_000;
/** LIMIT: replicas that race for a shard: each attempt but one is somebody's success. */
const racesMax = 5;
/** LIMIT: one request a minute to find out whether the namespace has come, or the permission. */
const restMs = 60_000;
/** LIMIT: what a stopping process may take, of the thirty seconds that Kubernetes grants a pod. */
const flushMs = 1_500;
/** LIMIT: litter costs its bytes and nothing else. */
const sweepMs = 300_000;
/** LIMIT: some twenty times what a write takes. */
const writeTimeoutMs = 5_000;

const fieldManager = 'lockwarden';
const cannotWrite =
  'shared facts cannot be written, so other replicas and a restart do not know what this one saw';

/** Shares facts. `start` it, `stop` it. */
export class SharedFacts {
  readonly #options: SharedFactsOptions;
  readonly #path: string;
  readonly #sleep: Sleep;
  readonly #shards = Array.from({ length: shardsMax }, (_, index) => new FactShard(index));
  readonly #echoes: Echoes;
  readonly #queue = new FactQueue();
  readonly #pace = new Pace(paceLimits);
  readonly #backoff: Backoff;
  readonly #watch: Watch;
  /** Aborted as the end begins: from then on nothing is waited for. */
  readonly #stopping = new AbortController();
  /** Aborted when the end has taken long enough. */
  readonly #abandoning = new AbortController();
  #running: Promise<unknown> | null = null;
  #wake: () => void = () => undefined;
  #waiting = 0;
  #failures = 0;
  #restsUntil: MonotonicMs | null = null;
  #isRested = true;
  #isSynced = false;

  constructor(options: SharedFactsOptions) {
    const { client, namespace, clock, logger, sleep = timerSleep, random = Math.random } = options;
    this.#options = options;
    this.#sleep = sleep;
    this.#path = `/api/v1/namespaces/${namespace}/configmaps`;
    this.#echoes = new Echoes((ms) => {
      options.metrics.windowSeconds.observe(ms / 1000);
    });
    this.#backoff = new Backoff({ random });
    const labelSelector = Object.entries(shardLabels)
      .map((each) => each.join('='))
      .join(',');
    const resource = { path: this.#path, labelSelector };
    this.#watch = new Watch(client, resource, this.#sink(), { clock, logger, sleep, random });
  }

  start(): void {
    this.#watch.start();
    this.#running ??= Promise.all([this.#run(), this.#sweep()]);
  }

  /** Writes what waits, within a second or two, and ends. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake();
    const over = new AbortController();
    const late = this.#sleep(flushMs, over.signal).then(() => {
      this.#abandoning.abort();
    });
    await this.#running;
    over.abort();
    await Promise.all([late, this.#watch.stop()]);
    this.#drop('stopped', this.#waiting);
  }

  /** Tells the other replicas, soon. Never waits, never throws. */
  publish(lock: LockRef, all: LockFacts): void {
    const { clock, metrics } = this.#options;
    const { facts, dropped } = fitting(all);
    this.#drop('size', dropped);
    if (facts.asserted.length === 0 && facts.deleted === null) return;
    const since = clock.monotonicMs();
    if (this.#stopping.signal.aborted) this.#drop('stopped', 1);
    else if (this.#restsUntil !== null && since < this.#restsUntil) this.#drop('unavailable', 1);
    else if (this.#waiting >= this.#roomFor(lock)) this.#drop('queue', 1);
    else {
      metrics.published.inc();
      this.#enqueue({ lock, facts, since });
      this.#wake();
    }
  }

  #roomFor({ namespace }: LockRef): number {
    return this.#queue.isCalm(namespace) ? waitingMax : busyWaitingMax;
  }

  #enqueue(each: Waiting): void {
    const shard = this.#shardAt(shardOf(each.lock));
    if (shard.add(each)) this.#waiting += 1;
    this.#queue.add(shard, each.lock.namespace, this.#options.clock.monotonicMs());
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    await this.#probe();
    while (!signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      this.#wake = (): void => {
        resolve(undefined);
      };
      if (this.#queue.isEmpty) await promise;
      await this.#sleep(settleMs, signal);
      await this.#writeAll();
    }
    await this.#writeAll();
  }

  /** Finds out whether anything can be written, so that the log says so at the start, and not some day. */
  async #probe(): Promise<void> {
    const { client, namespace } = this.#options;
    const query = { fieldManager, dryRun: 'All' };
    const body = new FactShard(0).contentWith([], namespace, this.#around()).object;
    try {
      const signal = this.#stopping.signal;
      await client.request({
        method: 'POST',
        path: this.#path,
        query,
        body,
        timeoutMs: writeTimeoutMs,
        signal,
      });
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      // Of anything else the first write will tell, and an existing one is as good as none.
      if (isUnavailable(error)) this.#failed(error, []);
    }
  }

  async #writeAll(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    while (!this.#queue.isEmpty) {
      const delayMs = this.#pace.delayMs(clock.monotonicMs());
      if (delayMs > 0) await this.#sleep(delayMs, signal);
      // NB: out of the queue before it is written, so that what comes meanwhile puts it back.
      const shard = this.#queue.take();
      const error = shard === null ? null : await this.#write(shard);
      if (error === null) continue;
      if (signal.aborted) return;
      await this.#sleep(this.#backoff.nextMs(error.retryAfterMs), signal);
    }
  }

  /** Writes one shard; the failure if it is to be tried again. */
  async #write(shard: FactShard): Promise<KubeError | null> {
    const batch = shard.takeWaiting();
    this.#waiting -= batch.length;
    if (batch.length === 0 && !shard.isLittered(this.#around())) return null;
    try {
      await this.#put(shard, batch);
      this.#succeeded();
      return null;
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      this.#options.metrics.writeFailures.inc();
      return this.#failed(error, batch);
    }
  }

  async #put(shard: FactShard, batch: readonly Waiting[]): Promise<void> {
    for (let race = 1; ; race += 1) {
      try {
        await this.#putOnce(shard, batch);
        return;
      } catch (error) {
        const isLost =
          error instanceof KubeError &&
          (error.kind === 'conflict' ||
            error.kind === 'already-exists' ||
            (error.kind === 'not-found' && shard.resourceVersion !== null));
        if (!isLost || race === racesMax) throw error;
        this.#options.metrics.writeFailures.inc();
        await this.#reread(shard);
      }
    }
  }

  async #putOnce(shard: FactShard, batch: readonly Waiting[]): Promise<void> {
    const { client, clock, metrics, namespace } = this.#options;
    const around = this.#around();
    const { object, bytes, dropped } = shard.contentWith(batch, namespace, around);
    const isNew = shard.resourceVersion === null;
    this.#pace.spend(bytes, around.at);
    const { body } = await client.request({
      method: isNew ? 'POST' : 'PUT',
      path: isNew ? this.#path : `${this.#path}/${shard.name}`,
      query: { fieldManager },
      body: object,
      timeoutMs: writeTimeoutMs,
      signal: this.#abandoning.signal,
    });
    metrics.writes.inc();
    metrics.bytesWritten.inc(bytes);
    this.#drop('room', dropped);
    const stored = watchedObject(body);
    if (stored === null)
      throw new KubeError('malformed', 'the answer to a write of shared facts is no object');
    this.#take(shard, stored);
    this.#echoes.expect(
      shard.name,
      stored.resourceVersion,
      batch.map(({ since }) => since),
      clock.monotonicMs(),
    );
  }

  async #reread(shard: FactShard): Promise<void> {
    const { client } = this.#options;
    try {
      const path = `${this.#path}/${shard.name}`;
      const signal = this.#abandoning.signal;
      const { body } = await client.request({ method: 'GET', path, timeoutMs: writeTimeoutMs, signal });
      const object = watchedObject(body);
      if (object !== null) this.#take(shard, object);
    } catch (error) {
      if (!(error instanceof KubeError) || error.kind !== 'not-found') throw error;
      shard.vanish();
    }
  }

  #succeeded(): void {
    this.#failures = 0;
    this.#backoff.reset();
    if (this.#isRested) return;
    this.#isRested = true;
    this.#options.logger.info({}, 'shared facts are written again');
  }

  /** What becomes of a batch that was not written; the error if it is to be tried again. */
  #failed(error: KubeError, batch: readonly Waiting[]): KubeError | null {
    const { logger, clock, namespace } = this.#options;
    const { kind, message: reason } = error;
    if (isUnavailable(error)) {
      this.#drop('unavailable', batch.length + this.#forget());
      this.#restsUntil = monotonicMs(clock.monotonicMs() + restMs);
      if (this.#isRested) logger.warn({ reason, namespace }, cannotWrite);
      this.#isRested = false;
      return null;
    }
    if (kind === 'invalid' || kind === 'too-large') {
      this.#drop('refused', batch.length);
      logger.warn({ reason, namespace }, 'shared facts refused by the API server');
      return null;
    }
    for (const each of batch) this.#enqueue(each);
    this.#failures += 1;
    if (this.#failures === 1 && kind !== 'aborted')
      logger.warn({ reason, namespace }, 'shared facts not written yet');
    return error;
  }

  /** Lets go of everything that waits, and says how much it was. */
  #forget(): number {
    const forgotten = this.#waiting;
    for (const shard of this.#queue.clear()) shard.takeWaiting();
    this.#waiting = 0;
    return forgotten;
  }

  async #sweep(): Promise<void> {
    const { random = Math.random } = this.#options;
    const { signal } = this.#stopping;
    for (;;) {
      // Replicas should not sweep at once: whoever comes second finds it done.
      await this.#sleep(sweepMs * (1 + random()), signal);
      if (signal.aborted) return;
      const around = this.#around();
      for (const shard of this.#shards) if (shard.isLittered(around)) this.#queue.addLast(shard);
      this.#wake();
    }
  }

  #sink(): WatchSink {
    const { clock, logger, namespace } = this.#options;
    let isTold = false;
    const take = (object: WatchedObject): void => {
      const index = shardNamed(object.name);
      if (index === null) return;
      this.#take(this.#shardAt(index), object);
      this.#echoes.arrived(object.name, object.resourceVersion, clock.monotonicMs());
    };
    const drop = ({ name }: { readonly name: string }): void => {
      const index = shardNamed(name);
      if (index !== null) this.#shardAt(index).vanish();
    };
    return {
      listed: (objects) => {
        objects.forEach(take);
      },
      synced: () => {
        this.#synced();
      },
      added: take,
      modified: take,
      deleted: drop,
      deletedUnseen: drop,
      connected: () => {
        isTold = false;
      },
      disconnected: ({ message: reason }) => {
        if (!isTold) logger.warn({ reason, namespace }, 'watch on shared facts interrupted');
        isTold = true;
        this.#synced();
      },
    };
  }

  #around(): Surroundings {
    const { clock, serverNow, isGone } = this.#options;
    return { at: clock.monotonicMs(), serverNow: serverNow(), isGone };
  }

  #synced(): void {
    if (this.#isSynced) return;
    this.#isSynced = true;
    this.#options.onSynced();
  }

  #take(shard: FactShard, object: WatchedObject): void {
    const { clock, logger, metrics, onFacts } = this.#options;
    const { told, broken } = shard.take(object, clock.monotonicMs());
    if (broken > 0)
      logger.warn({ configMap: shard.name, lines: broken }, 'shared facts that cannot be read are ignored');
    metrics.received.inc(told.length);
    for (const { lock, facts } of told) onFacts(lock, facts);
  }

  #drop(cause: FactDropCause, count: number): void {
    if (count > 0) this.#options.metrics.dropped.inc({ cause }, count);
  }

  #shardAt(index: number): FactShard {
    const shard = this.#shards[index];
    if (shard === undefined) throw new RangeError(`there is no shard ${String(index)}`);
    return shard;
  }
}

/** There is no such namespace, or no permission. */
function isUnavailable({ kind }: KubeError): boolean {
  return kind === 'forbidden' || kind === 'unauthorized' || kind === 'not-found';
}
