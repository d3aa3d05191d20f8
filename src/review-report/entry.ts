/**
 * What a log tells of a lock, as it was read: a judged violation, or a change of holder that was allowed. Read leniently, since
 * logs outlive versions: keys that are missing have defaults, and keys that are unknown are kept.
 */
import type { Enforcement } from '../core/reasons.ts';

/** A lock, as a record names it. */
export interface LockName {
  readonly lockKind: string;
  readonly namespace: string;
  readonly name: string;
}

/** What both kinds of line have. Durations in milliseconds, null where unknown; texts are printable. */
export interface CommonFields extends LockName {
  readonly lockUid: string;
  readonly operation: string;
  readonly transition: string;
  readonly holder: string | null;
  readonly requester: string;
  readonly pod: string | null;
  readonly evidence: string;
  readonly elapsedMinMs: number | null;
  readonly elapsedMaxMs: number | null;
  readonly leaseDurationMs: number | null;
  readonly reviewUid: string;
  readonly instance: string;
}

/** A judged violation. */
export interface RejectionFields extends CommonFields {
  readonly recordVersion: number;
  readonly enforcement: Enforcement;
  readonly wouldBeHolder: string | null;
  readonly podUid: string | null;
  readonly rule: string;
  readonly reason: string;
  readonly alsoViolated: readonly string[];
  readonly policy: string;
  readonly detail: string;
  readonly remainingMinMs: number | null;
  readonly remainingMaxMs: number | null;
  readonly dryRun: boolean;
  /** How many writes it stands for, at least 1. */
  readonly count: number;
  /** RFC 3339 with milliseconds. */
  readonly firstSeen: string;
  readonly lastSeen: string;
}

/** A change of holder. */
export interface ChangeFields extends CommonFields {
  readonly newHolder: string | null;
  readonly leaseTransitions: number | null;
}

/** One line about a violation, or several that belong together. `atMs` and `lastMs`: Unix milliseconds of the first and last write. */
export interface Rejection {
  readonly kind: 'rejection';
  readonly atMs: number;
  readonly lastMs: number;
  readonly record: RejectionFields & Readonly<Record<string, unknown>>;
}

/** One line about a change of holder. */
export interface Change {
  readonly kind: 'change';
  readonly atMs: number;
  readonly lastMs: number;
  readonly record: ChangeFields & Readonly<Record<string, unknown>>;
}

/** Whatever a log tells of a lock. */
export type Entry = Rejection | Change;

/** What makes a lock one lock. No part of a Kubernetes name holds a slash. */
export function lockKey({ lockKind, namespace, name }: LockName): string {
  return `${lockKind}/${namespace}/${name}`;
}

/**
 * What makes an entry one, however often and by however many ways its line was read. A folded line has the review of the first
 * of its kind, and is told from it by what it counts.
 */
export function entryKey(entry: Entry): string {
  const { reviewUid, instance } = entry.record;
  // NB: without a review's uid only the very same line is the same.
  const about = reviewUid === '' ? JSON.stringify(entry.record) : '';
  const parts =
    entry.kind === 'change'
      ? ['change', about]
      : ['rejection', about, entry.record.reason, entry.record.count, entry.record.lastSeen];
  return JSON.stringify([reviewUid, instance, ...parts]);
}

/** What lines that were folded have in common with the first of them. */
export function groupKey({ record, atMs }: Rejection): string {
  const { reviewUid, instance, rule, reason } = record;
  return JSON.stringify([
    reviewUid,
    instance,
    rule,
    reason,
    reviewUid === '' ? [lockKey(record), atMs] : null,
  ]);
}
