/**
 * What replicas tell one another of a lock: which pod asserted which holder, and who deleted what. Each fact was judged by
 * one replica and then seen stored by it; to the others it is what they cannot see for themselves.
 *
 * Facts arrive late, twice, in any order, or never. So they are values with a join that is commutative, associative and
 * idempotent, and they are ordered by the API server's own resource versions, never by a time that a client wrote.
 * Whatever follows from them follows from the whole set, not from the order of arrival.
 */
import type { Attribution } from './decision.ts';
import type { PodRef } from './facts.ts';
import { stampsAt, type LockRecord, type LockState, type RecordedTime } from './lock.ts';
import { recordOf, renewStamp } from './stamps.ts';
import type { Interval, ServerMs } from './time.ts';
import { serverMs } from './time.ts';

/** LIMIT: the pods of one election (rarely over five) and their recent predecessors. */
export const assertionsMax = 16;

/** What a client writes about a change of holder, where it writes it: a tenure that shows other ones is another. */
export interface TenureMarks {
  /** The raw text. */
  readonly acquireTime: string | null;
  readonly transitions: number | null;
}

/** Somebody took the lock in the name of `holder`, or went on in that name from another pod. */
export interface Assertion extends TenureMarks {
  /** Of the lock's object. */
  readonly uid: string;
  /** The resource version at which it was seen stored. */
  readonly version: number;
  readonly holder: string;
  /** The requester's pod; null for a requester whose token is bound to none, which is knowledge too. */
  readonly pod: PodRef | null;
}

/** A lock was deleted while its holder's promise may have been live. */
export interface Deletion {
  readonly uid: string;
  /** The resource version of the deletion itself. */
  readonly version: number;
  readonly attribution: Attribution;
  readonly holderPod: PodRef | null;
  /** The promise that went with it, and what the API server stamped on it. */
  readonly holder: string;
  readonly leaseDurationMs: number;
  readonly renewTime: RecordedTime;
  readonly stampedAt: ServerMs | null;
  /** When the lease has run out at the latest, on the API server's clock. */
  readonly spentBy: ServerMs;
}

/** What is known of one lock. `asserted` is in the order of the versions, oldest first. */
export interface LockFacts {
  readonly asserted: readonly Assertion[];
  /** The latest deletion. */
  readonly deleted: Deletion | null;
}

export const noFacts: LockFacts = { asserted: [], deleted: null };

/** Innocence of who deleted, from the least to the most. */
const innocence: readonly Attribution[] = ['other', 'unknown', 'system', 'holder'];

/** Of several attempts to delete one object any may have been the one that succeeded: the most innocent counts. */
export function mostInnocent(a: Attribution, b: Attribution): Attribution {
  return innocence.indexOf(a) > innocence.indexOf(b) ? a : b;
}

/** The same deletion as one that needs no guard; null where it is that already. */
export function innocent(deleted: Deletion): Deletion | null {
  const attribution = mostInnocent(deleted.attribution, 'system');
  return attribution === deleted.attribution ? null : { ...deleted, attribution };
}

/** All that either knows; the latest `max` assertions of it. Returns `a` itself where `b` adds nothing. */
export function joined(a: LockFacts, b: LockFacts, max = assertionsMax): LockFacts {
  const known = new Set(a.asserted.map(identityOf));
  const added = b.asserted.filter((each) => !known.has(identityOf(each)));
  const asserted = added.length === 0 ? a.asserted : [...a.asserted, ...added].sort(byVersion).slice(-max);
  const deleted = laterDeletion(a.deleted, b.deleted);
  const isNew = deleted !== a.deleted || asserted.some((each) => !known.has(identityOf(each)));
  return isNew ? { asserted, deleted } : a;
}

/** Which stretch of a lock's history is asked about. */
export interface Span extends TenureMarks {
  readonly uid: string;
  readonly holder: string;
  /** The holder began to hold after this version. */
  readonly after: number;
  readonly upTo: number;
  /** From this version on a change of holder would have been seen; before it, only the marks tell. */
  readonly seenFrom: number;
}

/**
 * The assertions that made the holder of a span hold the lock, oldest first; empty where nobody knows. Never those of an
 * earlier tenure: another holder in between ends it, and so do other marks.
 */
export function tenureOf(asserted: readonly Assertion[], span: Span): readonly Assertion[] {
  const within = asserted.filter(
    ({ uid, version }) => uid === span.uid && version > span.after && version <= span.upTo,
  );
  const before = within.findLastIndex((each) => each.holder !== span.holder || !continues(each, span));
  const tenure = within.slice(before + 1);
  // One version is one write. Two authors of it are an invention at one of two replicas: then nobody knows.
  return tenure.some(({ version }, i) => tenure[i + 1]?.version === version) ? [] : tenure;
}

/** The identity that a pod asserted last on this lock, or null. */
export function lastAsserted(asserted: readonly Assertion[], podUid: string | null): string | null {
  if (podUid === null) return null;
  return asserted.findLast(({ pod }) => pod?.uid === podUid)?.holder ?? null;
}

/**
 * The fact of a deletion, or null where it leaves nothing to guard: no promise in time, or no idea of the time.
 *
 * @param serverNow bounds on the API server's time of the deletion
 */
export function deletionOf(
  state: LockState,
  attribution: Attribution,
  holderPod: PodRef | null,
  serverNow: Interval | null,
): Deletion | null {
  const record = recordOf(state);
  if (record?.holder == null || state.version === null || serverNow === null) return null;
  const { holder, leaseDurationMs, renewTime } = record;
  if (leaseDurationMs === null || renewTime === null) return null;
  return {
    uid: state.uid,
    version: state.version,
    attribution,
    holderPod,
    holder,
    leaseDurationMs,
    renewTime,
    stampedAt: renewStamp(state.stamps),
    spentBy: serverMs(Math.ceil(serverNow.max + leaseDurationMs)),
  };
}

/** The last state of a deleted lock, as far as its fact tells: enough to judge its promise by the stamps. */
export function deletedState({
  uid,
  version,
  holder,
  leaseDurationMs,
  renewTime,
  stampedAt,
}: Deletion): LockState {
  const record: LockRecord = { holder, leaseDurationMs, renewTime, acquireTime: null, transitions: null };
  return {
    uid,
    version,
    reading: { kind: 'record', record },
    stamps: stampsAt(stampedAt),
    terminating: false,
  };
}

/** The marks of a record. */
export function marksOf(record: LockRecord | null): TenureMarks {
  return { acquireTime: record?.acquireTime?.raw ?? null, transitions: record?.transitions ?? null };
}

function continues(each: Assertion, span: Span): boolean {
  if (each.version >= span.seenFrom) return true;
  return agree(each.acquireTime, span.acquireTime) && agree(each.transitions, span.transitions);
}

/** Many clients write neither, and what is absent contradicts nothing. */
function agree<T>(a: T | null, b: T | null): boolean {
  return a === null || b === null || a === b;
}

function laterDeletion(a: Deletion | null, b: Deletion | null): Deletion | null {
  if (a === null || b === null) return a ?? b;
  if (a.version !== b.version) return a.version > b.version ? a : b;
  const attribution = mostInnocent(a.attribution, b.attribution);
  const holderPod = laterPod(a.holderPod, b.holderPod);
  const spentBy = serverMs(Math.max(a.spentBy, b.spentBy));
  const isNew = attribution !== a.attribution || holderPod !== a.holderPod || spentBy !== a.spentBy;
  return isNew ? { ...a, attribution, holderPod, spentBy } : a;
}

/** Any order will do, if only every replica has the same. */
function laterPod(a: PodRef | null, b: PodRef | null): PodRef | null {
  if (a === null || b === null) return a ?? b;
  return b.uid > a.uid ? b : a;
}

function identityOf({ version, uid, holder, pod }: Assertion): string {
  return `${String(version)} ${uid} ${pod?.uid ?? ''} ${holder}`;
}

function byVersion(a: Assertion, b: Assertion): number {
  if (a.version !== b.version) return a.version - b.version;
  return identityOf(a) < identityOf(b) ? -1 : 1;
}
