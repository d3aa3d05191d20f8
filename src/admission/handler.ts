/**
 * One admission request to one answer: translate, judge, answer, and tell of what was found.
 */
import type { IsCanary } from '../core/canary.ts';
import type { Decision, Violation } from '../core/decision.ts';
import type { LockKind, LockWrite } from '../core/lock.ts';
import type { Reason } from '../core/reasons.ts';
import { toLockWrite } from '../locks/write.ts';
import type { Judge } from './judge.ts';
import { allowed, couldNotJudge, denied, type AdmissionReviewResponse } from './response.ts';
import type { AdmissionRequest } from './review.ts';

/** What the handler tells besides its answers. */
export interface HandlerPorts {
  readonly judge: Judge;
  readonly countDecision: (
    kind: LockKind,
    outcome: 'Allow' | 'Warn' | 'Deny',
    reason: Reason | 'None',
  ) => void;
  /** Told of each decision but those about the canary, with the UID of the review. Must neither throw nor wait. */
  readonly tell?: (write: LockWrite, decision: Decision, reviewUid: string) => void;
  readonly canary?: {
    /** As in the ports of the judge. */
    readonly isCanary: IsCanary;
    /** Counts an answer to an attempt on the canary: lockwarden's own, and so neither a decision nor a refusal to tell of. */
    readonly count: (outcome: 'Deny' | 'Allow') => void;
  };
}

/**
 * Makes the function that answers admission requests, at once where nothing is to be asked. It may throw or reject only on a defect; the
 * edge answers for that.
 */
export function createHandler(
  ports: HandlerPorts,
): (request: AdmissionRequest) => AdmissionReviewResponse | Promise<AdmissionReviewResponse> {
  return (request) => {
    const write = toLockWrite(request);
    if ('notALock' in write) return couldNotJudge(request.uid, write.notALock);
    const judged = ports.judge.judge(write);
    if (!(judged instanceof Promise)) return answerTo(ports, request, write, judged);
    return judged.then((decision) => answerTo(ports, request, write, decision));
  };
}

function answerTo(
  ports: HandlerPorts,
  { uid }: AdmissionRequest,
  write: LockWrite,
  decision: Decision | null,
): AdmissionReviewResponse {
  if (ports.canary?.isCanary(write) === true) return answerCanary(ports.canary, uid, decision);
  if (decision === null) return allowed(uid);
  const [first] = decision.violations;
  ports.countDecision(write.lock.kind, outcomeOf(decision), first?.reason ?? 'None');
  ports.tell?.(write, decision, uid);
  return answer(uid, decision);
}

/** NB: an attempt that passes does so with a warning, or it would look like one about which lockwarden was not asked. */
function answerCanary(
  { count }: NonNullable<HandlerPorts['canary']>,
  uid: string,
  decision: Decision | null,
): AdmissionReviewResponse {
  count(decision?.outcome ?? 'Allow');
  if (decision?.outcome === 'Deny') return answer(uid, decision);
  const why = decision?.violations[0]?.message ?? 'it found nothing wrong';
  return allowed(uid, { warnings: [`lockwarden did not refuse an attempt on its canary: ${why}`] });
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

function outcomeOf({ outcome, violations }: Decision): 'Allow' | 'Warn' | 'Deny' {
  if (outcome === 'Deny') return 'Deny';
  return violations[0]?.enforcement === 'Warn' ? 'Warn' : 'Allow';
}
