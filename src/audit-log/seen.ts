/**
 * What a source shows of one write: an event of a watch, or a line of an audit log. A watch shows neither who wrote nor what was
 * refused; an audit log shows both.
 */
import type { LockRef, LockWrite, Requester } from '../core/lock.ts';
import type { Interval, MonotonicMs } from '../core/time.ts';
import type { JsonObject } from '../locks/json.ts';

/** One write to a lock. */
export interface SeenWrite {
  /** Of the request, where the source is an audit log; else empty. */
  readonly auditId: string;
  readonly lock: LockRef;
  readonly operation: LockWrite['operation'];
  /** As stored; as sent, where it was not stored; null for a deletion. */
  readonly object: JsonObject | null;
  /** What a deletion has deleted, where the source shows it; otherwise what was seen last is meant. */
  readonly deleted: JsonObject | null;
  /** The resource version that the writer gave as a precondition; empty: none, or the source does not show it. */
  readonly basedOn: string;
  /** Null: the source does not show it. */
  readonly requester: Requester | null;
  /** User agent, or field manager; empty where neither is known. */
  readonly agent: string;
  /** When it reached the API server, and when it was stored, on one clock. A watch knows the second only. */
  readonly arrivedAt: MonotonicMs;
  readonly storedAt: MonotonicMs;
  /** Bounds on the API server's time at which the writer may have read its clock; null: only a stamp can tell. */
  readonly readClockAt: Interval | null;
  readonly stored: boolean;
  readonly dryRun: boolean;
}

/** What a watch shows of one write: `object` is the state that it made, or for a deletion the one that it ended, if that is known. */
export function watchedWrite(
  lock: LockRef,
  operation: LockWrite['operation'],
  object: JsonObject | null,
  at: MonotonicMs,
): SeenWrite {
  const isDeletion = operation === 'DELETE';
  return {
    auditId: '',
    lock,
    operation,
    object: isDeletion ? null : object,
    deleted: isDeletion ? object : null,
    basedOn: '',
    requester: null,
    agent: '',
    arrivedAt: at,
    storedAt: at,
    readClockAt: null,
    stored: true,
    dryRun: false,
  };
}
