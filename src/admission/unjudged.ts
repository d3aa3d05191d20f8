/** What becomes of a write that could not be judged: the policy of its lock says, and by default it passes with a warning. */
import { describeLock, type LockRef } from '../core/lock.ts';
import type { Settings } from '../core/settings.ts';
import { lockKindOf } from '../locks/registry.ts';
import { allowed, couldNotJudge, denied, type AdmissionReviewResponse } from './response.ts';
import type { AdmissionRequest } from './review.ts';

/** Answers for `request`, of which `why` (a clause in lower case) kept lockwarden from judging it. Total. */
export function answerUnjudged(
  request: AdmissionRequest,
  why: string,
  settingsFor: (lock: LockRef) => Settings | null,
): AdmissionReviewResponse {
  const kind = lockKindOf(request.kind);
  if (kind === null) return couldNotJudge(request.uid, why);
  const lock: LockRef = { kind, namespace: request.namespace, name: request.name };
  const settings = settingsOf(lock, settingsFor);
  switch (settings?.enforcement.CouldNotJudge) {
    case 'Deny': {
      const note = settings.note === '' ? '' : `; ${settings.note}`;
      const message = `${describeLock(lock)}: lockwarden could not judge the write (${why})${note}; [lockwarden CouldNotJudge, ${settings.policy}]`;
      return denied(request.uid, { message, auditAnnotations: { reason: 'CouldNotJudge' } });
    }
    case 'Audit':
      return allowed(request.uid, { auditAnnotations: { reason: 'CouldNotJudge' } });
    case 'Warn':
    case undefined:
      return couldNotJudge(request.uid, why);
  }
}

/** What failed to judge may fail again. */
function settingsOf(lock: LockRef, settingsFor: (lock: LockRef) => Settings | null): Settings | null {
  try {
    return settingsFor(lock);
  } catch {
    return null;
  }
}
