/**
 * Names what a write does to a lock's record. The names are the rows of the truth table in docs/semantics.md.
 */
import { emptyRecord, type LockRecord, type LockState, type LockWrite } from './lock.ts';

/** What a write does to the record. */
export type Transition =
  | 'create-free'
  | 'create-held'
  | 'unchanged'
  | 'unheld'
  | 'acquire'
  | 'renew'
  | 'shorten'
  | 'strip-timing'
  | 'strip-record'
  | 'release'
  | 'takeover'
  | 'delete';

/** Classifies a write. Total: a write without the states its operation implies counts as one that finds or leaves nothing. */
export function transitionOf(write: LockWrite): Transition {
  if (write.operation === 'DELETE') return 'delete';
  if (write.operation === 'CREATE')
    return readable(write.after)?.holder == null ? 'create-free' : 'create-held';
  if (losesRecord(write)) return 'strip-record';
  return recordTransition(readable(write.before) ?? emptyRecord, readable(write.after) ?? emptyRecord);
}

function recordTransition(before: LockRecord, after: LockRecord): Transition {
  if (before.holder === null) return after.holder === null ? 'unheld' : 'acquire';
  if (after.holder === null) return 'release';
  if (after.holder !== before.holder) return 'takeover';
  if (stripsTiming(before, after)) return 'strip-timing';
  if (shortens(before, after)) return 'shorten';
  return samePromise(before, after) ? 'unchanged' : 'renew';
}

function losesRecord(write: LockWrite): boolean {
  const after = write.after?.reading.kind ?? 'none';
  const before = write.before?.reading.kind ?? 'none';
  return after === 'unreadable' || (after === 'none' && before !== 'none');
}

function stripsTiming(before: LockRecord, after: LockRecord): boolean {
  return (
    (before.renewTime !== null && after.renewTime === null) ||
    (before.leaseDurationMs !== null && after.leaseDurationMs === null)
  );
}

function shortens(before: LockRecord, after: LockRecord): boolean {
  return (
    before.leaseDurationMs !== null &&
    after.leaseDurationMs !== null &&
    after.leaseDurationMs < before.leaseDurationMs
  );
}

function samePromise(before: LockRecord, after: LockRecord): boolean {
  return (
    before.renewTime?.raw === after.renewTime?.raw &&
    before.acquireTime?.raw === after.acquireTime?.raw &&
    before.leaseDurationMs === after.leaseDurationMs
  );
}

function readable(state: LockState | null): LockRecord | null {
  return state?.reading.kind === 'record' ? state.reading.record : null;
}
