/**
 * One refused write, as it is found again later: in the log, in an Event, in a report. A flat record with agreed keys,
 * since log stores index fields, not sentences. Names and identities are the writers' text: bounded and printable.
 */
import type { Clause, Decision } from '../core/decision.ts';
import type { LockRecord, LockState, LockWrite } from '../core/lock.ts';
import type { Reason } from '../core/reasons.ts';
import { printable } from './text.ts';

/** The message of each refusal's log line. Constant: what varies is in the fields. */
export const rejectionMessage = 'lock write rejected';

/** Version of the record's schema; grows when a key changes its meaning. */
export const recordVersion = 1;

/**
 * A refusal. Durations in milliseconds; null where unknown or unbounded. `elapsed` is the time since the last renewal
 * and `remaining` what is left of the lease, both as bounds.
 */
export interface RejectionRecord {
  readonly recordVersion: typeof recordVersion;
  readonly lockKind: string;
  readonly namespace: string;
  readonly name: string;
  readonly lockUid: string;
  readonly operation: LockWrite['operation'];
  readonly transition: string;
  /** Who holds the lock, and who would after the write; null for nobody. */
  readonly holder: string | null;
  readonly wouldBeHolder: string | null;
  readonly requester: string;
  readonly pod: string | null;
  readonly podUid: string | null;
  /** The clause of docs/semantics.md and the reason of the first violation that refuses; `alsoViolated` has the others. */
  readonly rule: Clause;
  readonly reason: Reason;
  readonly alsoViolated: readonly Reason[];
  /** What set the rules: `built-in defaults` or a policy. */
  readonly policy: string;
  readonly detail: string;
  readonly evidence: string;
  readonly elapsedMinMs: number | null;
  readonly elapsedMaxMs: number | null;
  readonly leaseDurationMs: number | null;
  readonly remainingMinMs: number | null;
  readonly remainingMaxMs: number | null;
  readonly reviewUid: string;
  readonly dryRun: boolean;
}

/** LIMIT: names of objects have at most 253 characters; identities are made of them. */
const textMaxLength = 256;
/** LIMIT: as long as the sentence that the client sees. */
const detailMaxLength = 1024;

/** The record of `decision` about `write`, or null when the decision refuses nothing. */
export function rejectionRecord(
  write: LockWrite,
  decision: Decision,
  reviewUid: string,
): RejectionRecord | null {
  const [first, ...others] = decision.violations;
  if (decision.outcome !== 'Deny' || first === undefined) return null;
  const { lock, requester, operation, dryRun } = write;
  return {
    recordVersion,
    lockKind: lock.kind,
    namespace: short(lock.namespace),
    name: short(lock.name),
    lockUid: short(write.before?.uid ?? write.after?.uid ?? ''),
    operation,
    transition: decision.transition,
    holder: shortOrNull(holderOf(decision, write.before)),
    wouldBeHolder: shortOrNull(recordIn(write.after)?.holder ?? null),
    requester: short(requester.username),
    pod: shortOrNull(requester.pod?.name ?? null),
    podUid: shortOrNull(requester.pod?.uid ?? null),
    rule: first.clause,
    reason: first.reason,
    alsoViolated: others.map(({ reason }) => reason),
    policy: short(decision.policy),
    detail: printable(first.message, detailMaxLength),
    ...promiseOf(decision),
    reviewUid: short(reviewUid),
    dryRun,
  };
}

type PromiseFields = Pick<
  RejectionRecord,
  'evidence' | 'elapsedMinMs' | 'elapsedMaxMs' | 'leaseDurationMs' | 'remainingMinMs' | 'remainingMaxMs'
>;

function promiseOf({ expiry }: Decision): PromiseFields {
  if (!('ageMs' in expiry)) {
    const unknown = { elapsedMinMs: null, elapsedMaxMs: null, remainingMinMs: null, remainingMaxMs: null };
    return { evidence: 'none', leaseDurationMs: null, ...unknown };
  }
  const { ageMs, leaseDurationMs, source } = expiry;
  return {
    evidence: source,
    elapsedMinMs: Math.round(ageMs.min),
    elapsedMaxMs: finite(ageMs.max),
    leaseDurationMs,
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

function finite(ms: number): number | null {
  return Number.isFinite(ms) ? Math.round(ms) : null;
}
