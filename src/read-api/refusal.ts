/** What is refused, as the API server words it, so that clients of Kubernetes understand it. */

/** Why there is no answer. INVARIANT: the message says nothing but what the caller has said, or may know. */
export interface Refusal {
  readonly code: 400 | 401 | 403 | 404 | 405 | 410 | 413 | 414 | 429 | 500 | 503;
  readonly reason: string;
  readonly message: string;
  /** Seconds after which it may be worth trying again. */
  readonly retryAfterSeconds?: number;
}

/**
 * A `Status` object.
 * SOURCE: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
 */
export function statusOf({ code, reason, message, retryAfterSeconds }: Refusal): object {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    reason,
    ...(retryAfterSeconds !== undefined && { details: { retryAfterSeconds } }),
    code,
  };
}

/** A request that cannot be understood. */
export function badRequest(message: string): Refusal {
  return { code: 400, reason: 'BadRequest', message };
}

/** Nobody, or nobody that the cluster knows. NB: one sentence for all, so that an attacker learns nothing of how near a token was. */
export const unauthorized: Refusal = {
  code: 401,
  reason: 'Unauthorized',
  message:
    'give a ServiceAccount’s token for the audience `lockwarden-review` as `Authorization: Bearer TOKEN`',
};

/** INVARIANT: what cannot be asked is not served. */
export const unavailable: Refusal = {
  code: 503,
  reason: 'ServiceUnavailable',
  message: 'the API server could not be asked who you are or what you may see',
  retryAfterSeconds: 1,
};

export const tooManyRequests: Refusal = {
  code: 429,
  reason: 'TooManyRequests',
  message: 'too many requests at once',
  retryAfterSeconds: 1,
};
