/**
 * One judged violation, as it is found again later: in the log, in an Event, in a report. A flat record with agreed keys,
 * since log stores index fields, not sentences. Names and identities are the writers' text: bounded and printable.
 */
import type { Decision } from '../core/decision.ts';
import { isTimed } from '../core/expiry.ts';
import type { LockRecord, LockState, LockWrite } from '../core/lock.ts';
import type { Enforcement } from '../core/reasons.ts';
import { detailMaxLength, recordVersion, textMaxLength, type RejectionRecord } from './record-schema.ts';
import { printable } from './text.ts';

/** The message of a record's log line, by what became of the write. Constant: what varies is in the fields. */
export const recordMessages: Readonly<Record<Enforcement, string>> = {
  Deny: 'lock write rejected',
  Warn: 'lock write warned about',
  Audit: 'lock write audited',
};

/** The message of the log line of a write that was refused. */
export const rejectionMessage = recordMessages.Deny;

/** The message of the log line of a change of holder that was allowed. */
export const changeMessage = 'lock changed hands';

/** Where and when a write was judged. */
export interface Judged {
  /** UID of the admission review. */
  readonly reviewUid: string;
  /** The replica that judged. */
  readonly instance: string;
  /** Unix milliseconds. */
  readonly atMs: number;
}

/** A change of holder that was allowed. Durations in milliseconds; null where unknown. */
export type ChangeRecord = CommonFields & {
  /** Null: the lock was released or deleted. */
  readonly newHolder: string | null;
  readonly leaseTransitions: number | null;
};

/** The record of the violations that `decision` found in `write`, made from the severest; null where it found none. */
export function rejectionRecord(
  write: LockWrite,
  decision: Decision,
  judged: Judged,
): RejectionRecord | null {
  const [first, ...others] = decision.violations;
  if (first === undefined) return null;
  const at = new Date(judged.atMs).toISOString();
  return {
    recordVersion,
    ...commonFields(write, decision, judged),
    enforcement: first.enforcement,
    wouldBeHolder: shortOrNull(recordIn(write.after)?.holder ?? null),
    podUid: shortOrNull(write.requester.pod?.uid ?? null),
    rule: first.clause,
    reason: first.reason,
    alsoViolated: others.map(({ reason }) => reason),
    policy: short(decision.policy),
    detail: printable(first.message, detailMaxLength),
    ...remainingOf(decision),
    dryRun: write.dryRun,
    count: 1,
    firstSeen: at,
    lastSeen: at,
  };
}

/** The record of a change of holder; null where the holder stays, or the write was refused or a dry run. */
export function changeRecord(write: LockWrite, decision: Decision, judged: Judged): ChangeRecord | null {
  if (decision.outcome === 'Deny' || write.dryRun) return null;
  const next = recordIn(write.after);
  const holder = recordIn(write.before)?.holder ?? null;
  const newHolder = next?.holder ?? null;
  if (holder === newHolder) return null;
  return {
    ...commonFields(write, decision, judged),
    holder: shortOrNull(holder),
    newHolder: shortOrNull(newHolder),
    leaseTransitions: next?.transitions ?? null,
  };
}

/**
 * One record for the writes of two that are alike: all but the counts is that of `known`. Either may have come first, as in the logs of several
 * API servers. NB: instants are of one form and length, so they sort as text.
 */
export function together(known: RejectionRecord, more: RejectionRecord): RejectionRecord {
  return {
    ...known,
    count: known.count + more.count,
    firstSeen: known.firstSeen < more.firstSeen ? known.firstSeen : more.firstSeen,
    lastSeen: known.lastSeen > more.lastSeen ? known.lastSeen : more.lastSeen,
  };
}

type CommonFields = Pick<
  RejectionRecord,
  | 'lockKind'
  | 'namespace'
  | 'name'
  | 'lockUid'
  | 'operation'
  | 'transition'
  | 'holder'
  | 'requester'
  | 'pod'
  | 'evidence'
  | 'elapsedMinMs'
  | 'elapsedMaxMs'
  | 'leaseDurationMs'
  | 'reviewUid'
  | 'instance'
>;

function commonFields(write: LockWrite, decision: Decision, { reviewUid, instance }: Judged): CommonFields {
  const { lock, before, after, requester, operation } = write;
  return {
    lockKind: lock.kind,
    namespace: short(lock.namespace),
    name: short(lock.name),
    lockUid: short(before?.uid ?? after?.uid ?? ''),
    operation,
    transition: decision.transition,
    holder: shortOrNull(holderOf(decision, before)),
    requester: short(requester.username),
    pod: shortOrNull(requester.pod?.name ?? null),
    ...elapsedOf(decision),
    reviewUid: short(reviewUid),
    instance: short(instance),
  };
}

type ElapsedFields = Pick<RejectionRecord, 'evidence' | 'elapsedMinMs' | 'elapsedMaxMs' | 'leaseDurationMs'>;

function elapsedOf({ expiry }: Decision): ElapsedFields {
  if (!isTimed(expiry))
    return { evidence: 'none', elapsedMinMs: null, elapsedMaxMs: null, leaseDurationMs: null };
  const { ageMs, leaseDurationMs, source } = expiry;
  return {
    evidence: source,
    elapsedMinMs: Math.round(ageMs.min),
    elapsedMaxMs: Number.isFinite(ageMs.max) ? Math.round(ageMs.max) : null,
    leaseDurationMs: Math.round(leaseDurationMs),
  };
}

function remainingOf({ expiry }: Decision): Pick<RejectionRecord, 'remainingMinMs' | 'remainingMaxMs'> {
  if (!isTimed(expiry)) return { remainingMinMs: null, remainingMaxMs: null };
  const { ageMs, leaseDurationMs } = expiry;
  return {
    remainingMinMs: Math.round(Math.max(0, leaseDurationMs - ageMs.max)),
    remainingMaxMs: Math.round(Math.max(0, leaseDurationMs - ageMs.min)),
  };
}

function holderOf({ expiry }: Decision, before: LockState | null): string | null {
  return 'holder' in expiry ? expiry.holder : (recordIn(before)?.holder ?? null);
}

function recordIn(state: LockState | null): LockRecord | null {
  return state?.reading.kind === 'record' ? state.reading.record : null;
}

function short(text: string): string {
  return printable(text, textMaxLength);
}

function shortOrNull(text: string | null): string | null {
  return text === null ? null : short(text);
}
