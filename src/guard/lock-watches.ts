/** All watches on locks of one guard. */
import type { LockKind } from '../core/lock.ts';
import type { Watch } from '../kube/watch.ts';
import { lockWatch, type LockWatchOptions } from './lock-watch.ts';

/** What the watches need. */
export interface LockWatchesOptions extends Omit<LockWatchOptions, 'onSynced'> {
  /** Called once for each kind, when every lock of it that exists is known. */
  readonly onSynced: (kind: LockKind) => void;
}

/** The kinds of lock. */
export const lockKinds: readonly LockKind[] = ['Lease', 'ConfigMap', 'Endpoints'];

/** One watch for each kind, and one for the Leases of nodes once a policy asks for those. */
export class LockWatches {
  readonly #byKind: ReadonlyMap<LockKind, Watch>;
  readonly #options: LockWatchesOptions;
  #nodes: Watch | null = null;
  #isOver = false;

  constructor(options: LockWatchesOptions) {
    this.#options = options;
    const watchOf = (kind: LockKind): Watch =>
      lockWatch(kind, {
        ...options,
        onSynced: () => {
          options.onSynced(kind);
        },
      });
    this.#byKind = new Map(lockKinds.map((kind) => [kind, watchOf(kind)]));
  }

  start(): void {
    for (const watch of this.#byKind.values()) watch.start();
  }

  /**
   * Has the Leases of nodes watched as well, from now on and for good: a policy that names them may come and go. Until they are listed they
   * are judged by their stamps alone. May be repeated.
   */
  includeNodes(): void {
    if (this.#nodes !== null || this.#isOver) return;
    this.#nodes = lockWatch('NodeLease', { ...this.#options, onSynced: () => undefined });
    this.#nodes.start();
  }

  /** Ends; resolves when the memories are told nothing any more. */
  async stop(): Promise<void> {
    this.#isOver = true;
    const watches = [...this.#byKind.values(), ...(this.#nodes === null ? [] : [this.#nodes])];
    await Promise.all(watches.map((watch) => watch.stop()));
  }

  /** How many locks of a kind the watches show. */
  tracked(kind: LockKind): number {
    const nodes = kind === 'Lease' ? (this.#nodes?.status().tracked ?? 0) : 0;
    return (this.#byKind.get(kind)?.status().tracked ?? 0) + nodes;
  }
}
