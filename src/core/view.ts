/**
 * A write as the expressions of policies see it: plain values without null, so that no expression fails for an absent
 * field. Text that is absent is empty, a number that is absent 0.
 */
import type { Expiry } from './expiry.ts';
import { isTimed } from './expiry.ts';
import { accountOf } from './identity.ts';
import type { LockKind, LockRecord, LockWrite } from './lock.ts';
import type { Transition } from './transition.ts';

/** One side of a write. Durations in seconds. */
export interface RecordView {
  readonly held: boolean;
  readonly holder: string;
  readonly leaseDurationSeconds: number;
  readonly transitions: number;
}

/** The write, what it means, and what is known of the promise that it meets. */
export interface DecisionView {
  readonly operation: LockWrite['operation'];
  readonly transition: Transition;
  readonly lock: { readonly kind: LockKind; readonly namespace: string; readonly name: string };
  readonly before: RecordView;
  readonly after: RecordView;
  /** `elapsedSeconds` is how long ago the promise was made at least, `remainingSeconds` how long it lasts at most. */
  readonly lease: {
    readonly state: Expiry['verdict'];
    readonly elapsedSeconds: number;
    readonly remainingSeconds: number;
  };
  /** `serviceAccount` is `namespace/name`, empty for other users; `pod` the name in a bound token. */
  readonly requester: {
    readonly username: string;
    readonly groups: readonly string[];
    readonly serviceAccount: string;
    readonly pod: string;
  };
}

/** What a view is made of. */
export interface Viewed {
  readonly write: LockWrite;
  readonly transition: Transition;
  readonly before: LockRecord | null;
  readonly after: LockRecord | null;
  readonly expiry: Expiry;
}

/** LIMIT: users are in a few groups; what a token's issuer puts beyond this no expression needs to search. */
const groupsMax = 64;

/** The view of a write. */
export function viewOf({ write, transition, before, after, expiry }: Viewed): DecisionView {
  const { requester, lock, operation } = write;
  const account = accountOf(requester);
  return {
    operation,
    transition,
    lock: { kind: lock.kind, namespace: lock.namespace, name: lock.name },
    before: recordView(before),
    after: recordView(after),
    lease: leaseView(expiry),
    requester: {
      username: requester.username,
      groups: requester.groups.slice(0, groupsMax),
      serviceAccount: account === null ? '' : `${account.namespace}/${account.name}`,
      pod: requester.pod?.name ?? '',
    },
  };
}

function recordView(record: LockRecord | null): RecordView {
  return {
    held: record?.holder != null,
    holder: record?.holder ?? '',
    leaseDurationSeconds: (record?.leaseDurationMs ?? 0) / 1_000,
    transitions: record?.transitions ?? 0,
  };
}

function leaseView(expiry: Expiry): DecisionView['lease'] {
  if (!isTimed(expiry)) return { state: expiry.verdict, elapsedSeconds: 0, remainingSeconds: 0 };
  const elapsedMs = Math.max(0, expiry.ageMs.min);
  return {
    state: expiry.verdict,
    elapsedSeconds: elapsedMs / 1_000,
    remainingSeconds: Math.max(0, expiry.leaseDurationMs - elapsedMs) / 1_000,
  };
}
