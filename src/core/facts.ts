/**
 * What a decision needs beyond the write itself. All of it is what a replica has seen, and all of it may be missing:
 * every field has a value for "unknown", and unknown never denies.
 */
import type { LockState } from './lock.ts';
import type { Interval, ServerMs } from './time.ts';

/**
 * What this replica saw of the moment at which the present (holder, renew time) pair was stored.
 * `ageMs` bounds the time since then on the monotonic clock; `stampedAt` is the API server's stamp of that very write,
 * or null where the replica did not see the write itself (it found the pair in a list).
 */
export interface Observation {
  readonly ageMs: Interval;
  readonly stampedAt: ServerMs | null;
}

/** A pod, as bound tokens and the API server identify it. */
export interface PodRef {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/**
 * The last state of a lock that has been deleted. `attribution` says who deleted it: `other` is proof that neither its
 * holder nor the system did; `unknown` is no proof, and such a tombstone only warns.
 */
export interface Tombstone {
  readonly state: LockState;
  readonly observation: Observation | null;
  readonly attribution: 'other' | 'unknown';
  /** The pod that last asserted its holder, if that was seen. */
  readonly holderPod: PodRef | null;
}

/** Whether the pod bound to the holder still runs: `unasked` until a decision asks for it. */
export type PodState = 'exists' | 'gone' | 'unknown' | 'unasked';

/** Which pods have asserted which identities on this lock. */
export interface Bindings {
  /** The pod that last asserted the present holder, if that write was seen. */
  readonly holderPod: PodRef | null;
  readonly holderPodState: PodState;
  /** The identity that the requester's pod last asserted on this lock. */
  readonly requesterAsserted: string | null;
  /** The requester's pod once asserted the present holder, and another pod has asserted it since. */
  readonly requesterSuperseded: boolean;
}

/** Everything beyond the write. */
export interface Facts {
  /** Bounds on the API server's present time, in Unix milliseconds; null when the replica has not learnt it yet. */
  readonly serverNow: Interval | null;
  /** About the pair in `write.before`. */
  readonly observation: Observation | null;
  readonly tombstone: Tombstone | null;
  readonly bindings: Bindings;
  /** Renew times (raw text) that `write.after`'s holder has stored on this lock before. */
  readonly storedRenewTimes: readonly string[];
}

/** The facts of a replica that has seen nothing. */
export const nothingKnown: Facts = {
  serverNow: null,
  observation: null,
  tombstone: null,
  bindings: {
    holderPod: null,
    holderPodState: 'unasked',
    requesterAsserted: null,
    requesterSuperseded: false,
  },
  storedRenewTimes: [],
};
