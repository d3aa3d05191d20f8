/** A cluster's locks and policies, told to whoever looks at them: once, or for as long as it is wanted. Nothing is written to the cluster. */
import { lockKinds, type LockKind, type LockRef } from '../core/lock.ts';
import { serverMs, type MonotonicMs, type ServerMs } from '../core/time.ts';
import type { Clock } from '../clock.ts';
import { lockResources } from '../guard/lock-watch.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import type { JsonObject } from '../kube/json.ts';
import { listPages } from '../kube/list.ts';
import type { Logger } from '../kube/ports.ts';
import { labelsOf, within, type WatchedObject, type WatchedResource } from '../kube/resource.ts';
import { sampleServerTime, ServerTimeSamples, type ServerTimeSample } from '../kube/server-time.ts';
import { Watch, type WatchSink } from '../kube/watch.ts';
import { apiGroup, clusterLockPolicy, lockPolicy } from '../policy/api.ts';
import { PolicyStore } from '../policy/store.ts';
import { counted } from '../preflight/conclusion.ts';
import { watchedWrite, type SeenWrite } from '../audit-log/seen.ts';
import { policiesInto } from './listed-policies.ts';

/** Who is told. */
export interface LockObserver {
  /** A response of the API server, for its clock. */
  dated(sentAt: MonotonicMs, receivedAt: MonotonicMs, date: ServerMs): void;
  /** A lock as a list has it, after any number of writes. */
  found(lock: LockRef, object: JsonObject, at: MonotonicMs): void;
  /** All locks of a kind that exist have been told. */
  listed?(kind: LockKind, at: MonotonicMs): void;
  /** One write. */
  wrote(seen: SeenWrite): void;
  /** A lock is gone that was there, and nobody saw it go. */
  vanished(lock: LockRef, at: MonotonicMs): void;
}

/** What is looked at. */
export interface LookOptions {
  readonly client: KubeClient;
  readonly observer: LockObserver;
  readonly clock: Clock;
  /** Null: all namespaces. */
  readonly namespace: string | null;
}

/** What is watched, and for how long. */
export interface WatchLocksOptions extends LookOptions {
  /** Resolves when it is enough. */
  readonly until: Promise<unknown>;
  /** Told at once of a kind that is not watched any more, in a sentence. */
  readonly onLimit?: (limit: string) => void;
}

/** How it went. */
export interface LocksSeen {
  readonly kinds: readonly LockKind[];
  /** What could not be looked at, or was missed, in sentences. */
  readonly limits: readonly string[];
}

/**
 * Watches until it is enough.
 *
 * @throws KubeError where no kind of lock can be watched at all
 */
export async function watchLocks(options: WatchLocksOptions): Promise<LocksSeen> {
  const { client, clock, observer, until } = options;
  const samples = new ServerTimeSamples(client, {
    clock,
    onSample: (sample) => {
      tellTime(observer, sample);
    },
  });
  samples.start();
  const watches = lockKinds.map((kind) => new KindWatch(kind, options));
  try {
    await Promise.race([Promise.all(watches.map((watch) => watch.failed)), until]);
    throwIfAll(watches.map((watch) => watch.failure));
    return {
      kinds: watches.filter((watch) => watch.isWatched).map((watch) => watch.kind),
      limits: watches.flatMap((watch) => watch.limits()),
    };
  } finally {
    await Promise.all([samples.stop(), ...watches.map((watch) => watch.stop())]);
  }
}

/**
 * Looks once.
 *
 * @throws KubeError where no kind of lock can be listed at all
 */
export async function listLocks({ client, clock, observer, namespace }: LookOptions): Promise<LocksSeen> {
  const list = async (kind: LockKind): Promise<KubeError | null> => {
    const take = (objects: readonly WatchedObject[]): void => {
      for (const { namespace: own, name, object } of objects) {
        if (lockResources[kind].passes?.(object) === false) continue;
        observer.found({ kind, namespace: own, name }, object, clock.monotonicMs());
      }
    };
    try {
      await listPages(client, within(lockResources[kind], namespace), take, new AbortController().signal);
      observer.listed?.(kind, clock.monotonicMs());
      return null;
    } catch (error) {
      if (error instanceof KubeError) return error;
      throw error;
    }
  };
  const failures = await Promise.all(lockKinds.map(list));
  throwIfAll(failures);
  const sample = await sampleServerTime(client, clock);
  if (sample !== null) tellTime(observer, sample);
  return {
    kinds: lockKinds.filter((_, index) => failures[index] === null),
    limits: lockKinds.flatMap((kind, index) => {
      const failure = failures[index] ?? null;
      return failure === null ? [] : [leftOut(kind, failure.message)];
    }),
  };
}

function throwIfAll(failures: readonly (KubeError | null)[]): void {
  const [first] = failures;
  if (first != null && failures.every((each) => each !== null)) throw first;
}

function tellTime(observer: LockObserver, { sentAt, receivedAt, dateMs }: ServerTimeSample): void {
  observer.dated(sentAt, receivedAt, serverMs(dateMs));
}

export const silent: Logger = { info: () => undefined, warn: () => undefined, error: () => undefined };

const plurals: Readonly<Record<LockKind, string>> = {
  Lease: 'Leases',
  ConfigMap: 'ConfigMaps',
  Endpoints: 'Endpoints',
};

/** The watch on one kind of lock. A missing right ends it, and so does whatever goes wrong before it has begun; later it goes on by itself. */
class KindWatch {
  readonly kind: LockKind;
  readonly failed: Promise<void>;
  failure: KubeError | null = null;
  readonly #options: WatchLocksOptions;
  readonly #watch: Watch;
  readonly #end: () => void;
  #isBegun = false;
  #interruptions = 0;

  constructor(kind: LockKind, options: WatchLocksOptions) {
    this.kind = kind;
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.failed = promise;
    this.#end = () => {
      resolve(undefined);
    };
    const resource = within(lockResources[kind], options.namespace);
    const { client, clock } = options;
    this.#watch = new Watch(client, resource, this.#sink(), { clock, logger: silent });
    this.#watch.start();
  }

  /** Whether all locks of the kind that exist were listed. */
  get isWatched(): boolean {
    return this.#isBegun && this.failure === null;
  }

  stop(): Promise<void> {
    return this.#watch.stop();
  }

  limits(): readonly string[] {
    const what = plurals[this.kind];
    if (this.failure !== null) return [leftOut(this.kind, this.failure.message)];
    if (!this.#isBegun) return [leftOut(this.kind, 'the API server had not listed them in time')];
    if (this.#interruptions === 0) return [];
    return [
      `the watch on ${what} was interrupted (${counted(this.#interruptions, 'attempt', 'attempts')} failed): what was written to one lock meanwhile may count as one change, unjudged`,
    ];
  }

  #sink(): WatchSink {
    const { observer, clock } = this.#options;
    const refOf = ({ namespace, name }: Pick<WatchedObject, 'namespace' | 'name'>): LockRef => ({
      kind: this.kind,
      namespace,
      name,
    });
    const wrote =
      (operation: SeenWrite['operation']) =>
      (watched: WatchedObject): void => {
        observer.wrote(watchedWrite(refOf(watched), operation, watched.object, clock.monotonicMs()));
      };
    return {
      listed: (objects) => {
        for (const each of objects) observer.found(refOf(each), each.object, clock.monotonicMs());
      },
      synced: () => {
        this.#isBegun = true;
        observer.listed?.(this.kind, clock.monotonicMs());
      },
      added: wrote('CREATE'),
      modified: wrote('UPDATE'),
      deleted: wrote('DELETE'),
      deletedUnseen: (object) => {
        observer.vanished(refOf(object), clock.monotonicMs());
      },
      connected: () => undefined,
      disconnected: (error) => {
        if (this.#isBegun && error.kind !== 'forbidden') this.#interruptions += 1;
        else this.#fail(error);
      },
    };
  }

  /** NB: a watch cannot be waited for from its own sink. */
  #fail(error: KubeError): void {
    this.failure = error;
    this.#options.onLimit?.(leftOut(this.kind, error.message));
    this.#end();
    void this.#watch.stop();
  }
}

function leftOut(kind: LockKind, why: string): string {
  return `${plurals[kind]} are left out: ${why}`;
}

/** The policies of the cluster and the labels of its namespaces, as they are now; and what of them could not be read. */
export async function readPolicies(
  client: KubeClient,
  namespace: string | null,
  ownNamespace: string,
): Promise<{ readonly store: PolicyStore; readonly limits: readonly string[] }> {
  const store = new PolicyStore(ownNamespace);
  const api = `/apis/${apiGroup}/v1alpha1`;
  const namespaces = (objects: readonly WatchedObject[]): void => {
    for (const { name, object } of objects) store.putNamespace(name, labelsOf(object));
  };
  const limits = await Promise.all([
    listed(
      client,
      within({ path: `${api}/${lockPolicy.plural}` }, namespace),
      policiesInto(store, 'LockPolicy'),
    ),
    listed(client, { path: `${api}/${clusterLockPolicy.plural}` }, policiesInto(store, 'ClusterLockPolicy')),
    listed(client, { path: '/api/v1/namespaces', metadataOnly: true }, namespaces),
  ]);
  return { store, limits: limits.filter((limit) => limit !== null) };
}

/**
 * Lists what need not be there: where its kind is not served there is nothing of it. Without the right to read it, what is not known then is said.
 *
 * @returns that sentence, or null
 */
export async function listed(
  client: KubeClient,
  resource: WatchedResource,
  take: (objects: readonly WatchedObject[]) => void,
  unknown = 'what policies say is not complete',
): Promise<string | null> {
  try {
    await listPages(client, resource, take, new AbortController().signal);
    return null;
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    if (error.kind === 'not-found') return null;
    if (error.kind !== 'forbidden') throw error;
    return `${unknown}: ${error.message}`;
  }
}
