/**
 * How strictly a lock is guarded: the effective policy, as far as a decision needs it. A policy resolver fills it in;
 * without any policy `builtInDefaults` holds.
 */
import { compatible, type Enforcement, type Reason } from './reasons.ts';
import type { DecisionView } from './view.ts';

/**
 * Something that must be true of a write: a pure function, made from an expression of a policy. `null` means that the
 * expression failed.
 */
export interface Condition {
  readonly name: string;
  /** What a denial says, a clause in lower case. */
  readonly message: string;
  readonly holds: (view: DecisionView) => boolean | null;
}

/** Who may take a lock. */
export interface Candidates {
  /** User names of ServiceAccounts (`system:serviceaccount:<namespace>:<name>`); null: anybody. */
  readonly usernames: readonly string[] | null;
  /** How the holder must agree with the name of the requester's pod. */
  readonly holder: 'Any' | 'PodName' | 'PodNamePrefix';
  readonly holderCondition: Condition | null;
}

/** The settings of one decision. */
export interface Settings {
  /** Name of what set them, for messages and records: `built-in defaults` or a policy's name. */
  readonly policy: string;
  /** How much before its end a lease may be taken without being refused, in milliseconds, at least 0. */
  readonly toleranceMs: number;
  readonly enforcement: Readonly<Record<Reason, Enforcement>>;
  /** What deleting a live lock does: remember it and guard its name until the lease has run out, or refuse. */
  readonly deletion: 'Tombstone' | 'Deny';
  /** Requesters whose violations only warn (break-glass). */
  readonly exempt: { readonly usernames: readonly string[]; readonly groups: readonly string[] };
  /** Bounds on the duration of a lease that is taken or lengthened, in milliseconds; null: none. */
  readonly leaseDurationMs: { readonly min: number | null; readonly max: number | null };
  readonly candidates: Candidates;
  /** What must also be true of every write that is more than a renewal. */
  readonly conditions: readonly Condition[];
  /** What each denial says besides; empty: nothing. */
  readonly note: string;
}

/**
 * LIMIT: the tolerance covers a request's latency on both sides, the skew between the API servers of one cluster and
 * the clock error of candidates that compare the recorded renew time with their own clock (margins down to -49 ms
 * were recorded with all clocks in step). Larger would open the door to takeovers that are early by as much.
 */
export const builtInDefaults: Settings = {
  policy: 'built-in defaults',
  toleranceMs: 1000,
  enforcement: compatible,
  deletion: 'Tombstone',
  exempt: { usernames: [], groups: [] },
  leaseDurationMs: { min: null, max: null },
  candidates: { usernames: null, holder: 'Any', holderCondition: null },
  conditions: [],
  note: '',
};
