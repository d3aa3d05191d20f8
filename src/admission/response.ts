/**
 * Decision out: the only builders of an AdmissionReview answer. Validating only: there is never a patch.
 * SOURCE: https://github.com/kubernetes/api/blob/v0.36.3/admission/v1/types.go (AdmissionResponse)
 */
import { printable } from '../review/text.ts';

/** An `admission.k8s.io/v1` AdmissionReview with its response half. `uid` is empty only when the request's is unknown. */
export interface AdmissionReviewResponse {
  readonly apiVersion: 'admission.k8s.io/v1';
  readonly kind: 'AdmissionReview';
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly status?: ResponseStatus;
    readonly warnings?: readonly string[];
    readonly auditAnnotations?: Readonly<Record<string, string>>;
  };
}

/** The metav1.Status that the writer sees in place of the API server's own. */
export interface ResponseStatus {
  readonly status: 'Failure';
  readonly message: string;
  readonly reason: string;
  readonly code: number;
}

/**
 * What goes with an answer. Warnings reach the writer (kubectl prints them), annotations the audit log, under
 * `<webhook name>/<key>`; keys must be qualified names without a slash.
 */
export interface Notes {
  readonly warnings?: readonly string[];
  readonly auditAnnotations?: Readonly<Record<string, string>>;
}

/** LIMIT: an Event's note holds 1,024 characters, and a denial is repeated there. */
const messageMaxLength = 1024;
/**
 * LIMIT: the API server passes warnings on whole as long as those of all webhooks together stay within 4,096
 * characters, and beyond that cuts each to 256. Half of it leaves room for the others; one that holds control
 * characters it drops without a word.
 * SOURCE: https://github.com/kubernetes/apiserver/blob/v0.36.3/pkg/endpoints/filters/warning.go (AddWarning)
 */
const warningsMaxLength = 2048;

/** Lets the write pass. */
export function allowed(uid: string, notes: Notes = {}): AdmissionReviewResponse {
  return review({ uid, allowed: true, ...notesOf(notes) });
}

/**
 * Refuses the write: 403, reason Forbidden, with one sentence for a person.
 * NB: never 409. kubert and client-go take a conflict for a lost race and try again at once, for ever.
 */
export function denied(uid: string, refusal: Notes & { readonly message: string }): AdmissionReviewResponse {
  return review({ uid, allowed: false, status: failure(403, refusal.message), ...notesOf(refusal) });
}

/**
 * Refuses what is not a review lockwarden can read: the API server never sends one, so nobody's write is lost.
 * `code` is an HTTP status of 400 or above.
 */
export function errored(
  uid: string,
  error: { readonly code: number; readonly message: string },
): AdmissionReviewResponse {
  return review({ uid, allowed: false, status: failure(error.code, error.message) });
}

/**
 * Lets a write pass that lockwarden failed to judge, and says so to the writer and the audit log. A guard that breaks
 * must not lock a cluster out; where a policy prefers otherwise, the judge denies on its own.
 */
export function couldNotJudge(uid: string, why: string): AdmissionReviewResponse {
  return allowed(uid, {
    warnings: [`lockwarden could not judge this write, and let it pass: ${why} [CouldNotJudge]`],
    auditAnnotations: { reason: 'CouldNotJudge' },
  });
}

function review(response: AdmissionReviewResponse['response']): AdmissionReviewResponse {
  return { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response };
}

/** SOURCE: https://github.com/kubernetes/apimachinery/blob/v0.36.3/pkg/apis/meta/v1/types.go (StatusReason) */
const statusReasons: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  408: 'Timeout',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  429: 'TooManyRequests',
  503: 'ServiceUnavailable',
};

function failure(code: number, message: string): ResponseStatus {
  const reason = statusReasons[code] ?? (code < 500 ? 'BadRequest' : 'InternalError');
  return { status: 'Failure', message: printable(message, messageMaxLength), reason, code };
}

function notesOf({ warnings = [], auditAnnotations = {} }: Notes): Notes {
  const kept = boundWarnings(warnings);
  const annotations = Object.fromEntries(
    Object.entries(auditAnnotations).map(([key, value]) => [key, printable(value, messageMaxLength)]),
  );
  return {
    ...(kept.length > 0 && { warnings: kept }),
    ...(Object.keys(annotations).length > 0 && { auditAnnotations: annotations }),
  };
}

function boundWarnings(warnings: readonly string[]): readonly string[] {
  const kept: string[] = [];
  let room = warningsMaxLength;
  for (const warning of warnings) {
    const shown = printable(warning, messageMaxLength);
    if (shown === '' || kept.includes(shown)) continue;
    if (shown.length > room) break;
    kept.push(shown);
    room -= shown.length;
  }
  return kept;
}
