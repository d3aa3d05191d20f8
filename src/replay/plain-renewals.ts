/**
 * Which renewals a live lockwarden would not have been asked about: the API server lets plain ones pass by its own conditions, which
 * take milliseconds to evaluate here. So they are evaluated only where something was found.
 */
import type { LockState, LockWrite } from '../core/lock.ts';
import { recordOf } from '../core/stamps.ts';
import { transitionOf } from '../core/transition.ts';
import type { JsonObject } from '../locks/json.ts';
import type { WouldCall } from '../preflight/calls.ts';

/** Whether a write is one that may pass without a call. */
export function isRenewal(write: LockWrite): boolean {
  if (write.operation !== 'UPDATE') return false;
  const transition = transitionOf(write);
  return transition === 'renew' || transition === 'unchanged';
}

/** Whether the API server would have let a renewal pass without a call. */
export function passesUnasked(
  write: LockWrite,
  { before, after }: { readonly before: JsonObject; readonly after: JsonObject },
  wouldCall: WouldCall,
): boolean {
  // The API server has stamps to go by where the log has none.
  if (write.after?.stamps.count === 0) return isPlain(write.before, write.after);
  return !wouldCall(write.lock, before, after);
}

function isPlain(before: LockState | null, after: LockState): boolean {
  const [then, now] = [before === null ? null : recordOf(before), recordOf(after)];
  if (then === null || then.leaseDurationMs !== now?.leaseDurationMs) return false;
  const [from, to] = [then.renewTime?.at ?? null, now.renewTime?.at ?? null];
  return from !== null && to !== null && to >= from;
}
