/** All that `lockwarden locks` reads of a cluster: its locks, and what is around them. What may not be read is said, and the rest is shown. */
import type { Clock } from '../clock.ts';
import type { KubeClient } from '../kube/client.ts';
import { LockBook } from '../locks-report/lock-book.ts';
import type { PodBook } from '../locks-report/pods.ts';
import { rowsAt, type LockRow, type RowSources } from '../locks-report/report.ts';
import { listLocks, readPolicies } from './cluster-locks.ts';
import { readFacts, readPods, readRegistered } from './cluster-pods.ts';

/** Where. */
export interface Place {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** Null: all namespaces. */
  readonly namespace: string | null;
  readonly ownNamespace: string;
}

/** A look at a cluster, which may be taken again. */
export class Look {
  readonly book = new LockBook();
  readonly place: Place;
  #around: Omit<RowSources, 'book' | 'ownNamespace'> | null = null;
  #limits: readonly string[] = [];

  constructor(place: Place) {
    this.place = place;
  }

  get pods(): PodBook | null {
    return this.#around?.pods ?? null;
  }

  /** What is not known, in sentences. */
  get limits(): readonly string[] {
    return this.#limits;
  }

  rows(): readonly LockRow[] {
    if (this.#around === null) return [];
    const { clock, ownNamespace } = this.place;
    return rowsAt(clock.monotonicMs(), { ...this.#around, book: this.book, ownNamespace });
  }

  async take(): Promise<void> {
    const { client, clock, namespace } = this.place;
    const { limits } = await listLocks({ client, clock, observer: this.book, namespace });
    await this.lookAround();
    const leftOut = this.book.leftOut === 0 ? [] : ['there are more locks than are looked at: give -n'];
    const podLimits = await this.#findPods();
    this.#limits = [...limits, ...this.#limits, ...leftOut, ...podLimits];
  }

  /** Looks again at policies, at what replicas have told, and at lockwarden's registration. */
  async lookAround(): Promise<void> {
    const { client, clock, namespace, ownNamespace } = this.place;
    const [policies, facts, registered] = await Promise.all([
      readPolicies(client, namespace, ownNamespace),
      readFacts(client, ownNamespace, this.book, clock),
      readRegistered(client),
    ]);
    this.#around = {
      store: policies.store,
      pods: this.pods,
      registered: typeof registered === 'string' ? null : registered,
    };
    this.#limits = [
      ...policies.limits,
      ...(facts === null ? [] : [facts]),
      ...(typeof registered === 'string' ? [registered] : []),
    ];
  }

  /** NB: after the locks; whoever took one while they were listed has a pod by now. */
  async #findPods(): Promise<readonly string[]> {
    const { client, namespace } = this.place;
    const here = await readPods(client, namespace);
    if (typeof here === 'string') return [here];
    this.#usePods(here);
    if (namespace === null || this.rows().every(({ pod }) => pod?.state !== 'unknown')) return [];
    // Whoever is not in the lock's namespace may be in another.
    const everywhere = await readPods(client, null);
    if (typeof everywhere === 'string') return [everywhere];
    this.#usePods(everywhere);
    return [];
  }

  #usePods(pods: PodBook): void {
    if (this.#around !== null) this.#around = { ...this.#around, pods };
  }
}
