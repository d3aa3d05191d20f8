/** What is around a cluster's locks: the pods that run, which pod took which lock, and whether lockwarden is asked at all. Nothing is written. */
import type { PodRef } from '../core/facts.ts';
import { monotonicMs } from '../core/time.ts';
import { shardLabels, shardNamed, FactShard } from '../guard/fact-shard.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import type { MonotonicClock } from '../kube/ports.ts';
import { within, type WatchedObject, type WatchedResource } from '../kube/resource.ts';
import { Watch } from '../kube/watch.ts';
import { configurationPath } from '../kube/webhook-configuration.ts';
import type { LockBook } from '../locks-report/lock-book.ts';
import { PodBook } from '../locks-report/pods.ts';
import { listed, silent } from './cluster-locks.ts';

/**
 * Pods that run: what has finished holds no lock, though its object is kept.
 * SOURCE: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase
 */
const runningPods: WatchedResource = {
  path: '/api/v1/pods',
  metadataOnly: true,
  fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed',
};

/** The pods that run in a namespace, or in all (null); or a sentence about what is not known. */
export async function readPods(client: KubeClient, namespace: string | null): Promise<PodBook | string> {
  const book = new PodBook(scopeOf(namespace));
  const take = (objects: readonly WatchedObject[]): void => {
    for (const pod of objects) book.put(pod);
  };
  const unknown = 'whether pods run is not known';
  return (await listed(client, within(runningPods, namespace), take, unknown)) ?? book;
}

function scopeOf(namespace: string | null): readonly string[] | null {
  return namespace === null ? null : [namespace];
}

/** Keeps a book of pods up to date. */
export class PodWatch {
  readonly #watch: Watch;
  #failure: KubeError | null = null;

  constructor(client: KubeClient, book: PodBook, clock: MonotonicClock) {
    const namespace = book.scope?.[0] ?? null;
    const put = (pod: WatchedObject): void => {
      book.put(pod);
    };
    const remove = (pod: { readonly namespace: string; readonly name: string }): void => {
      book.remove(pod);
    };
    // What was in the book before may be gone by now.
    let first: PodRef[] | null = [];
    const sink = {
      listed: (objects: readonly WatchedObject[]) => {
        if (first === null) objects.forEach(put);
        else for (const { namespace: own, name, uid } of objects) first.push({ namespace: own, name, uid });
      },
      synced: () => {
        if (first !== null) book.reset(first);
        first = null;
      },
      added: put,
      modified: put,
      deleted: remove,
      deletedUnseen: remove,
      connected: () => {
        this.#failure = null;
      },
      disconnected: (error: KubeError) => {
        this.#failure = error;
      },
    };
    this.#watch = new Watch(client, within(runningPods, namespace), sink, { clock, logger: silent });
  }

  start(): void {
    this.#watch.start();
  }

  stop(): Promise<void> {
    return this.#watch.stop();
  }

  /** What is not known at present, in a sentence; or null. */
  limit(): string | null {
    return this.#failure === null ? null : `pods are as they were a while ago: ${this.#failure.message}`;
  }
}

/** Tells a book which pod took which lock, as far as lockwarden's replicas have told. Returns a sentence about what is not known, or null. */
export async function readFacts(
  client: KubeClient,
  ownNamespace: string,
  book: LockBook,
  clock: MonotonicClock,
): Promise<string | null> {
  const at = clock.monotonicMs();
  const labelSelector = Object.entries(shardLabels)
    .map((each) => each.join('='))
    .join(',');
  const take = (objects: readonly WatchedObject[]): void => {
    for (const object of objects) {
      const index = shardNamed(object.name);
      if (index === null) continue;
      for (const { lock, facts } of new FactShard(index).take(object, monotonicMs(at)).told)
        book.told(lock, facts, at);
    }
  };
  const resource = within({ path: '/api/v1/configmaps', labelSelector }, ownNamespace);
  const unknown = 'which pods took locks is not known but from identities';
  return listed(client, resource, take, unknown);
}

/** Whether lockwarden is registered with the API server; or a sentence about why that is not known. */
export async function readRegistered(client: KubeClient): Promise<boolean | string> {
  try {
    await client.request({ method: 'GET', path: configurationPath });
    return true;
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    if (error.kind === 'not-found') return false;
    if (error.kind !== 'forbidden') throw error;
    return `whether lockwarden is registered is not known: ${error.message}`;
  }
}
