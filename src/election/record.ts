/**
 * What an election reads from a Lease and writes into it.
 *
 * Times stay the text that was written. Who waits for a lease to run out compares records and never reads a time, so a
 * clock that is wrong elsewhere changes nothing here; and text keeps the digits that a Date would lose.
 */
import { isObject, stringAt, type JsonObject } from '../kube/json.ts';

/** The part of a Lease's `spec` that an election is about. */
export interface LeaseRecord {
  /** Who holds the lease; empty for nobody. */
  readonly holder: string;
  /** For how many seconds after a renewal others keep away; 0 where the Lease does not say. */
  readonly durationSeconds: number;
  /** MicroTime at which the holder took it, as written; empty where the Lease does not say. */
  readonly acquireTime: string;
  /** MicroTime of the latest renewal, as written; empty where the Lease does not say. */
  readonly renewTime: string;
  /** How often the lease has passed to another. */
  readonly transitions: number;
}

/** A Lease as the API server sent it. */
export interface StoredLease {
  readonly record: LeaseRecord;
  /** All of it: a replacement keeps what it does not understand, and carries the resource version. */
  readonly object: JsonObject;
}

/** Reads a `spec`. What is missing, or of another type, counts as never written. */
export function recordOf(spec: unknown): LeaseRecord {
  return {
    holder: stringAt(spec, 'holderIdentity'),
    durationSeconds: countAt(spec, 'leaseDurationSeconds'),
    acquireTime: stringAt(spec, 'acquireTime'),
    renewTime: stringAt(spec, 'renewTime'),
    transitions: countAt(spec, 'leaseTransitions'),
  };
}

function countAt(spec: unknown, key: string): number {
  const found = isObject(spec) ? spec[key] : undefined;
  return typeof found === 'number' && Number.isSafeInteger(found) && found > 0 ? found : 0;
}

/**
 * The fields of a `spec` that say `record`.
 *
 * NB: the API server refuses an empty time, so one that was never written is left out.
 */
export function specOf(record: LeaseRecord): JsonObject {
  return {
    holderIdentity: record.holder,
    leaseDurationSeconds: record.durationSeconds,
    ...(record.acquireTime !== '' && { acquireTime: record.acquireTime }),
    ...(record.renewTime !== '' && { renewTime: record.renewTime }),
    leaseTransitions: record.transitions,
  };
}

/**
 * Whether nobody has renewed, taken or released in between.
 *
 * NB: neither by resource version, which somebody who edits a label for ever would move for ever, nor to the second, as
 * client-go has it: two renewals within one second are two.
 */
export function isSame(a: LeaseRecord, b: LeaseRecord): boolean {
  return (
    a.holder === b.holder &&
    a.durationSeconds === b.durationSeconds &&
    a.acquireTime === b.acquireTime &&
    a.renewTime === b.renewTime &&
    a.transitions === b.transitions
  );
}

/**
 * `wallMs` (milliseconds since the Unix epoch) as a MicroTime.
 *
 * SOURCE: https://github.com/kubernetes/apimachinery/blob/v0.36.3/pkg/apis/meta/v1/micro_time.go: six digits, neither
 * more nor fewer; anything else is answered with 400.
 */
export function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace('Z', '000Z');
}
