/**
 * How strictly a lock is guarded: the effective policy, as far as a decision needs it. A policy resolver fills it in;
 * without any policy `builtInDefaults` holds.
 */
import { compatible, type Enforcement, type Reason } from './reasons.ts';

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
};
