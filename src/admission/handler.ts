/**
 * One admission request to one answer: translate, judge, answer, and write down what was refused.
 */
import type { Decision, Violation } from '../core/decision.ts';
import type { LockKind, LockWrite } from '../core/lock.ts';
import type { Reason } from '../core/reasons.ts';
import { toLockWrite } from '../locks/write.ts';
import { rejectionMessage, rejectionRecord } from '../review/record.ts';
import type { Judge } from './judge.ts';
import { allowed, couldNotJudge, denied, type AdmissionReviewResponse } from './response.ts';
import type { AdmissionRequest } from './review.ts';

/** What the handler tells besides its answers. */
export interface HandlerPorts {
  readonly judge: Judge;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
  readonly countDecision: (
    kind: LockKind,
    outcome: 'Allow' | 'Warn' | 'Deny',
    reason: Reason | 'None',
  ) => void;
}

/** The message of the log line for a write that passed with a warning. Constant, as all messages are. */
const warnedMessage = 'lock write allowed with a warning';

/** Makes the function that answers admission requests. It may reject only on a defect; the edge answers for that. */
export function createHandler(
  ports: HandlerPorts,
): (request: AdmissionRequest) => Promise<AdmissionReviewResponse> {
  return async (request) => {
    const write = toLockWrite(request);
    if ('notALock' in write) return couldNotJudge(request.uid, write.notALock);
    const decision = await ports.judge.judge(write);
    if (decision === null) return allowed(request.uid);
    tell(ports, write, decision, request.uid);
    return answer(request.uid, decision);
  };
}

function answer(uid: string, decision: Decision): AdmissionReviewResponse {
  const [first] = decision.violations;
  if (first === undefined) return allowed(uid);
  const warnings = messagesOf(decision.violations, 'Warn');
  const auditAnnotations = { reason: first.reason, clause: first.clause, detail: first.message };
  if (decision.outcome === 'Deny') return denied(uid, { message: first.message, warnings, auditAnnotations });
  return allowed(uid, { warnings, auditAnnotations });
}

function messagesOf(
  violations: readonly Violation[],
  enforcement: Violation['enforcement'],
): readonly string[] {
  return violations.filter((each) => each.enforcement === enforcement).map((each) => each.message);
}

function tell({ log, countDecision }: HandlerPorts, write: LockWrite, decision: Decision, uid: string): void {
  const [first] = decision.violations;
  const warns = first?.enforcement === 'Warn';
  countDecision(
    write.lock.kind,
    decision.outcome === 'Deny' ? 'Deny' : warns ? 'Warn' : 'Allow',
    first?.reason ?? 'None',
  );
  const rejection = rejectionRecord(write, decision, uid);
  if (rejection !== null) log.warn(rejection, rejectionMessage);
  // Renewals are too many to tell of; where they are inspected, or untracked, an odd clock would fill the log.
  else if (
    first !== undefined &&
    warns &&
    decision.transition !== 'renew' &&
    decision.transition !== 'unchanged'
  ) {
    const { kind, namespace, name } = write.lock;
    const requester = { requester: write.requester.username, pod: write.requester.pod?.name ?? null };
    log.info(
      {
        lockKind: kind,
        namespace,
        name,
        ...requester,
        rule: first.clause,
        reason: first.reason,
        detail: first.message,
        reviewUid: uid,
      },
      warnedMessage,
    );
  }
}
