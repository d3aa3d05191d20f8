/**
 * What a lock is, detached from the Kubernetes object that carries it: the record its clients wrote, the stamps the
 * API server put beside it, and a write that would change them. `src/locks` translates objects into these shapes.
 */
import type { ServerMs } from './time.ts';

/** The kinds of object that clients elect on. */
export const lockKinds = ['Lease', 'ConfigMap', 'Endpoints'] as const;

/** One of them. */
export type LockKind = (typeof lockKinds)[number];

/** Which lock. The three fields together identify it for as long as its object lives. */
export interface LockRef {
  readonly kind: LockKind;
  readonly namespace: string;
  readonly name: string;
}

/**
 * A time that a client wrote: a claim of that client's clock, never a fact.
 * `raw` is the exact text (for equality); `at` is null where the text names no unambiguous instant (a time without
 * an offset, as the Python client writes into annotations).
 */
export interface RecordedTime {
  readonly raw: string;
  readonly at: ServerMs | null;
}

/**
 * The election fields of a lock; null wherever the client wrote nothing usable.
 * SOURCE: https://github.com/kubernetes/client-go/blob/master/tools/leaderelection/resourcelock/interface.go (LeaderElectionRecord)
 */
export interface LockRecord {
  /** Who holds the lock; null means released: anyone may acquire. Never the empty string. */
  readonly holder: string | null;
  /** What the holder promises to renew within, in milliseconds, greater than 0. */
  readonly leaseDurationMs: number | null;
  readonly renewTime: RecordedTime | null;
  readonly acquireTime: RecordedTime | null;
  /** Changes of holder, as counted by the clients (many do not). */
  readonly transitions: number | null;
}

/** A record with nothing in it: nobody holds the lock. */
export const emptyRecord: LockRecord = {
  holder: null,
  leaseDurationMs: null,
  renewTime: null,
  acquireTime: null,
  transitions: null,
};

/**
 * An object's record: `record`, `none` (a ConfigMap or Endpoints without the annotation) or `unreadable`, when
 * clients in different languages would read it differently or cannot read it at all; `why` is a short clause for people.
 */
export type RecordReading =
  | { readonly kind: 'record'; readonly record: LockRecord }
  | { readonly kind: 'none' }
  | { readonly kind: 'unreadable'; readonly why: string };

/** One entry of `metadata.managedFields`, reduced to what evidence needs. */
export interface StampEntry {
  /** Identity of the entry within the list: manager, operation, apiVersion and subresource, joined. */
  readonly key: string;
  /** `manager` alone. */
  readonly manager: string;
  /** When the API server wrote the entry, whole seconds; null where the entry carries no (readable) time. */
  readonly at: ServerMs | null;
  /** Whether the entry owns the renew time: `f:spec.f:renewTime` of a Lease, the lock annotation of the others. */
  readonly ownsRenewTime: boolean;
  /** Whether the entry owns the holder: `f:spec.f:holderIdentity` of a Lease, the lock annotation of the others. */
  readonly ownsHolder: boolean;
}

/** `metadata.managedFields`: `entries` holds at most the first `stampEntriesMax`; `count` is the true length. */
export interface Stamps {
  readonly entries: readonly StampEntry[];
  readonly count: number;
}

/**
 * LIMIT: the API server merges the entries of old updaters once more than ten managers have updated an object, so an
 * honest list stays short; the cost of a renewal grows with the list (measured: 1.0 s at 400 entries, 5.8 s at 1,000).
 * SOURCE: https://github.com/kubernetes/apimachinery/blob/master/pkg/util/managedfields/internal/fieldmanager.go (DefaultMaxUpdateManagers)
 */
export const stampEntriesMax = 64;

/** Stamps that tell of a renewal at `at` and of nothing else; none for null. */
export function stampsAt(at: ServerMs | null): Stamps {
  if (at === null) return { entries: [], count: 0 };
  return { entries: [{ key: '', manager: '', at, ownsRenewTime: true, ownsHolder: true }], count: 1 };
}

/** A lock object at one moment. */
export interface LockState {
  /** `metadata.uid`; empty on an object that is only about to be created. */
  readonly uid: string;
  /** `metadata.resourceVersion`, which grows with every write to anything; null where it is absent or no such number. */
  readonly version: number | null;
  readonly reading: RecordReading;
  readonly stamps: Stamps;
  /** `metadata.deletionTimestamp` is set. */
  readonly terminating: boolean;
}

/** The authenticated user of a write. Not the holder: replicas usually share one ServiceAccount. */
export interface Requester {
  readonly username: string;
  readonly groups: readonly string[];
  /** The pod its token is bound to (`authentication.kubernetes.io/pod-name`, `/pod-uid`), or null. */
  readonly pod: { readonly name: string; readonly uid: string } | null;
}

/** A write to a lock as admission sees it. CREATE has no `before`, DELETE no `after`. */
export interface LockWrite {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  readonly lock: LockRef;
  readonly before: LockState | null;
  readonly after: LockState | null;
  readonly requester: Requester;
  readonly dryRun: boolean;
}

/** The text form of a lock reference in messages and logs: `lease/ns/name`. */
export function describeLock(lock: LockRef): string {
  return `${lock.kind.toLowerCase()}/${lock.namespace}/${lock.name}`;
}
