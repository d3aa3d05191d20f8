/**
 * The newest records of this replica, for whoever asks while they are new: a bounded ring by groups. A group is what the log folds: the
 * first write of its kind and those that repeat it. A noisy namespace pushes out its own groups first, never those of a quiet one.
 */
import { together } from './record.ts';
import type { RejectionRecord } from './record-schema.ts';

/** A group: the record of its first write, with the count and the last time of all that were told of. */
export interface RecentRejection {
  /** Grows by one with each group. INVARIANT: a group keeps its own, so pages do not move while they are read. */
  readonly sequence: number;
  readonly record: RejectionRecord;
}

/** What is asked for; null: no bound. */
export interface RecentFilter {
  readonly namespace: string | null;
  /** Unix milliseconds; what happened last before that is left out. */
  readonly sinceMs: number | null;
  /** Only groups older than this sequence number. */
  readonly before: number | null;
  readonly limit: number;
}

/** The newest groups that were asked for, the newest first. */
export interface RecentPage {
  readonly rejections: readonly RecentRejection[];
  /** `before` of the next page; null: this is the last. */
  readonly next: number | null;
}

/** Told of each group that is new or has grown. Must be quick, and must not throw: the admission path calls it. */
export type RecentListener = (rejection: RecentRejection, kind: 'added' | 'modified') => void;

/** LIMIT: some 2 KiB each, so 2 MiB; as many as a person could look through, and ten times a bad night. */
const groupsMaxDefault = 1_000;

/** By the key of a group, the one that was told of longest ago first. */
type Groups = Map<string, RecentRejection>;

/** The ring. */
export class RecentRejections {
  readonly #groupsMax: number;
  readonly #byNamespace = new Map<string, Groups>();
  readonly #listeners = new Set<RecentListener>();
  #size = 0;
  #sequence = 0;

  constructor(groupsMax = groupsMaxDefault) {
    this.#groupsMax = groupsMax;
  }

  /** How many groups are kept. */
  get size(): number {
    return this.#size;
  }

  /** Takes in a record as the log has it: the first of its group, or one that counts further writes. */
  told(record: RejectionRecord): void {
    const groups = this.#byNamespace.get(record.namespace) ?? new Map<string, RecentRejection>();
    const key = keyOf(record);
    const known = groups.get(key);
    const rejection =
      known === undefined
        ? { sequence: (this.#sequence += 1), record }
        : { sequence: known.sequence, record: together(known.record, record) };
    groups.delete(key);
    groups.set(key, rejection);
    // So that namespaces, too, stand in the order in which they were last told of.
    this.#byNamespace.delete(record.namespace);
    this.#byNamespace.set(record.namespace, groups);
    if (known === undefined && (this.#size += 1) > this.#groupsMax) this.#evict();
    for (const listener of this.#listeners) listener(rejection, known === undefined ? 'added' : 'modified');
  }

  /** A page of what is kept. */
  list({ namespace, sinceMs, before, limit }: RecentFilter): RecentPage {
    const found = this.#of(namespace)
      .filter(({ sequence }) => before === null || sequence < before)
      .filter(({ record }) => sinceMs === null || Date.parse(record.lastSeen) >= sinceMs)
      .sort((a, b) => b.sequence - a.sequence);
    const rejections = found.slice(0, limit);
    const last = rejections.at(-1);
    return { rejections, next: found.length > limit && last !== undefined ? last.sequence : null };
  }

  /** Has `listener` told of what comes from now on; the function that is returned ends it. */
  subscribe(listener: RecentListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  #of(namespace: string | null): RecentRejection[] {
    if (namespace !== null) return [...(this.#byNamespace.get(namespace)?.values() ?? [])];
    return [...this.#byNamespace.values()].flatMap((groups) => [...groups.values()]);
  }

  /** Takes the stalest group of the namespace with the most; among equals, of the one that has been quiet for longest. */
  #evict(): void {
    let fullest: readonly [string, Groups] | null = null;
    for (const each of this.#byNamespace) {
      if (fullest === null || each[1].size > fullest[1].size) fullest = each;
    }
    if (fullest === null) return;
    const [namespace, groups] = fullest;
    const [stalest] = groups.keys();
    if (stalest !== undefined) groups.delete(stalest);
    if (groups.size === 0) this.#byNamespace.delete(namespace);
    this.#size -= 1;
  }
}

/** NB: without a review's uid, which only a caller that is no API server leaves out, the lock tells groups apart. */
function keyOf({ reviewUid, instance, rule, reason, lockKind, name }: RejectionRecord): string {
  return JSON.stringify([reviewUid, instance, rule, reason, lockKind, name]);
}
