/** All watches on locks of one guard. */
import { lockKinds, type LockKind } from '../core/lock.ts';
import type { Watch } from '../kube/watch.ts';
import { lockWatch, type LockWatchName, type LockWatchOptions } from './lock-watch.ts';

/** What the watches need. */
export interface LockWatchesOptions extends Omit<LockWatchOptions, 'onSynced'> {
  /** Called once for each watch, when every lock that exists of what it shows is known. */
  readonly onSynced: (name: LockWatchName) => void;
}

/** One watch for each kind, and one for the Leases of nodes once a policy asks for those. */
export class LockWatches {
  readonly #byKind: ReadonlyMap<LockKind, Watch>;
  readonly #options: LockWatchesOptions;
  #nodes: Watch | null = null;
  #isOver = false;

  constructor(options: LockWatchesOptions) {
    this.#options = options;
    this.#byKind = new Map(lockKinds.map((kind) => [kind, this.#create(kind)]));
  }

  start(): void {
    for (const watch of this.#byKind.values()) watch.start();
  }

  /**
   * Has the Leases of nodes watched as well, from now on and for good: a policy that names them may come and go. May be repeated;
   * returns whether it has begun with this call.
   */
  includeNodes(): boolean {
    if (this.#nodes !== null || this.#isOver) return false;
    this.#nodes = this.#create('NodeLease');
    this.#nodes.start();
    return true;
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

  #create(name: LockWatchName): Watch {
    return lockWatch(name, {
      ...this.#options,
      onSynced: () => {
        this.#options.onSynced(name);
      },
    });
  }
}
