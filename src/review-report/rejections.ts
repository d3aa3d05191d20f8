/** Rejections as a person counts them: lines that were folded are one with the first of their kind. */
import { severity } from '../core/reasons.ts';
import { groupKey, type Entry, type LockName, type Rejection } from './entry.ts';

/** Which entries are asked for; null: all. */
export interface Wanted {
  /** Unix milliseconds; what happened last before that is left out. */
  readonly sinceMs: number | null;
  readonly namespace: string | null;
  readonly lock: { readonly kind: string | null; readonly name: string } | null;
  readonly reason: string | null;
  /** Who holds, or would hold, the lock. */
  readonly holder: string | null;
}

/** Asks for everything. */
export const anything: Wanted = { sinceMs: null, namespace: null, lock: null, reason: null, holder: null };

/** Whether the entry is asked for; a change of holder has no reason, and is about its lock and holders only. */
export function isWanted(entry: Entry, { sinceMs, namespace, lock, reason, holder }: Wanted): boolean {
  const { record } = entry;
  if (sinceMs !== null && entry.lastMs < sinceMs) return false;
  if (namespace !== null && record.namespace !== namespace) return false;
  if (lock !== null && !isLock(record, lock)) return false;
  if (reason !== null && !(entry.kind === 'rejection' && hasReason(entry, reason))) return false;
  const next = entry.kind === 'rejection' ? entry.record.wouldBeHolder : entry.record.newHolder;
  return holder === null || record.holder === holder || next === holder;
}

function isLock(record: LockName, { kind, name }: NonNullable<Wanted['lock']>): boolean {
  return record.name === name && (kind === null || record.lockKind === kind);
}

function hasReason({ record }: Rejection, reason: string): boolean {
  const wanted = reason.toLowerCase();
  return [record.reason, ...record.alsoViolated].some((each) => each.toLowerCase() === wanted);
}

/** Puts together what was folded, in the order of the first writes. Counts add up; nothing that is handed in is changed. */
export function grouped(rejections: readonly Rejection[]): readonly Rejection[] {
  const groups = new Map<string, Rejection>();
  for (const each of rejections) {
    const key = groupKey(each);
    const before = groups.get(key);
    groups.set(key, before === undefined ? each : together(before, each));
  }
  return [...groups.values()].sort((a, b) => a.atMs - b.atMs);
}

/** The fields are those of the first. */
function together(a: Rejection, b: Rejection): Rejection {
  const [first] = [a, b].sort((x, y) => x.atMs - y.atMs || x.record.count - y.record.count) as [Rejection];
  const atMs = first.atMs;
  const lastMs = Math.max(a.lastMs, b.lastMs);
  const record = {
    ...first.record,
    count: a.record.count + b.record.count,
    firstSeen: new Date(atMs).toISOString(),
    lastSeen: new Date(lastMs).toISOString(),
  };
  return { kind: 'rejection', atMs, lastMs, record };
}

/** What became of the write, in one word or two. */
export function outcomeOf({ record }: Rejection): string {
  const { enforcement, dryRun } = record;
  const word = ['recorded', 'warned', 'refused'][severity[enforcement]] ?? 'refused';
  return dryRun ? `${word} (dry run)` : word;
}

/** Who wrote: the pod, or where that is not known the user; a ServiceAccount as people write one. */
export function writerOf({
  pod,
  requester,
}: {
  readonly pod: string | null;
  readonly requester: string;
}): string {
  return pod ?? personOf(requester);
}

/** `system:serviceaccount:NS:NAME` as people write it. */
export function personOf(requester: string): string {
  return requester.replace(/^system:serviceaccount:([^:]+):/, 'serviceaccount $1/');
}
