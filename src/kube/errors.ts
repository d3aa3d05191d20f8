/**
 * What can go wrong between here and the API server, as a closed list, each with one line for people.
 */
import { LockwardenError, messageOf, systemCodeOf } from '../errors.ts';
import { isObject, objectAt, stringAt } from './json.ts';

/**
 * How a request failed. `gone`: the resource version is too old to watch or list from. `malformed`: the answer is not
 * what an API server sends. `too-large`: it exceeds the bound that the caller set.
 */
export type KubeErrorKind =
  | 'unreachable'
  | 'timeout'
  | 'aborted'
  | 'unauthorized'
  | 'forbidden'
  | 'not-found'
  | 'already-exists'
  | 'conflict'
  | 'gone'
  | 'invalid'
  | 'throttled'
  | 'server-error'
  | 'too-large'
  | 'malformed';

/** A permission that RBAC does not grant. `resource` includes a subresource; `namespace` is null for the whole cluster. */
export interface MissingPermission {
  readonly user: string;
  readonly verb: string;
  readonly apiGroup: string;
  readonly resource: string;
  readonly namespace: string | null;
}

interface KubeErrorDetails {
  readonly status?: number;
  readonly reason?: string;
  readonly missing?: MissingPermission | null;
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** A request that did not succeed. The message is one line: lower case, no full stop. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  readonly kind: KubeErrorKind;
  /** The HTTP status, or null when there was no answer. */
  readonly status: number | null;
  /** `reason` of the API server's Status (`NotFound`, `Expired`...), or empty. */
  readonly reason: string;
  /** What RBAC lacks; null unless the API server said so. */
  readonly missing: MissingPermission | null;
  /** How long the API server asks to wait; 0 when it does not say. */
  readonly retryAfterMs: number;

  constructor(kind: KubeErrorKind, message: string, details: KubeErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.kind = kind;
    this.status = details.status ?? null;
    this.reason = details.reason ?? '';
    this.missing = details.missing ?? null;
    this.retryAfterMs = details.retryAfterMs ?? 0;
  }
}

/** Whether something that was thrown is a KubeError of this kind. */
export function isKind(error: unknown, kind: KubeErrorKind): error is KubeError {
  return error instanceof KubeError && error.kind === kind;
}

/** The failure that a Status of the API server, or whatever came in its place, describes. */
export function errorOfStatus(status: number, body: unknown, retryAfterMs = 0): KubeError {
  const reason = stringAt(body, 'reason');
  const said = stringAt(body, 'message');
  const missing = status === 403 ? parseForbidden(said) : null;
  const kind = kindOf(status, reason);
  const message = missing === null ? sentenceOf(kind, status, said) : sentenceOfMissing(missing);
  return new KubeError(kind, message, { status, reason, missing, retryAfterMs });
}

/** The failure that a thrown error of the transport means. A KubeError stays what it is. */
export function errorOfTransport(error: unknown, server: string): KubeError {
  if (error instanceof KubeError) return error;
  const code = systemCodeOf(error) ?? '';
  const told = transportSentences[code] ?? messageOf(error);
  return new KubeError('unreachable', `the API server at \`${server}\` cannot be reached: ${told}`, {
    cause: error,
  });
}

/** The same failure for the top of a command: told in one sentence, without a stack trace. */
export function asLockwardenError(error: KubeError): LockwardenError {
  const denied = error.kind === 'forbidden' || error.kind === 'unauthorized';
  return new LockwardenError(denied ? 'PermissionMissing' : 'ClusterUnreachable', error.message, {
    cause: error,
  });
}

const kindsByStatus: Readonly<Record<number, KubeErrorKind>> = {
  400: 'invalid',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not-found',
  409: 'conflict',
  410: 'gone',
  413: 'invalid',
  422: 'invalid',
  429: 'throttled',
};

function kindOf(status: number, reason: string): KubeErrorKind {
  if (reason === 'AlreadyExists') return 'already-exists';
  return kindsByStatus[status] ?? (status >= 500 ? 'server-error' : 'malformed');
}

const sentences: Readonly<Partial<Record<KubeErrorKind, string>>> = {
  unauthorized: 'the API server does not accept the credentials; check the user of the kubeconfig context',
  forbidden: 'the API server refuses the request',
  gone: 'the resource version is no longer kept',
  throttled: 'the API server asks for fewer requests',
  'server-error': 'the API server failed',
  malformed: 'the answer is not that of an API server',
};

function sentenceOf(kind: KubeErrorKind, status: number, said: string): string {
  const told = said.replaceAll(/\s+/gu, ' ').trim();
  const sentence = sentences[kind];
  if (sentence === undefined) return told === '' ? `the API server answered with status ${status}` : told;
  return told === '' ? `${sentence} (status ${status})` : `${sentence}: ${told}`;
}

function sentenceOfMissing(missing: MissingPermission): string {
  const { user, verb, resource, apiGroup, namespace } = missing;
  const where = namespace === null ? 'in the whole cluster' : `in the namespace \`${namespace}\``;
  const group = apiGroup === '' ? 'the core API group' : `the API group \`${apiGroup}\``;
  return `\`${user}\` may not ${verb} ${resource} ${where}; grant it the verb \`${verb}\` on \`${resource}\` of ${group}`;
}

// SOURCE: https://github.com/kubernetes/apiserver/blob/master/pkg/endpoints/handlers/responsewriters/errors.go (forbiddenMessage)
const forbiddenForm =
  /User "(?<user>.*?)" cannot (?<verb>\S+) resource "(?<resource>[^"]+)" in API group "(?<group>[^"]*)"(?: in the namespace "(?<namespace>[^"]*)")?/u;

function parseForbidden(message: string): MissingPermission | null {
  const groups = forbiddenForm.exec(message)?.groups;
  if (groups === undefined) return null;
  const { user = '', verb = '', resource = '', group = '', namespace } = groups;
  return { user, verb, resource, apiGroup: group, namespace: namespace ?? null };
}

const transportSentences: Readonly<Partial<Record<string, string>>> = {
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was closed',
  ENOTFOUND: 'the host name is unknown',
  EAI_AGAIN: 'the host name cannot be looked up',
  EHOSTUNREACH: 'there is no route to the host',
  ENETUNREACH: 'there is no route to the network',
  ETIMEDOUT: 'the connection timed out',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  DEPTH_ZERO_SELF_SIGNED_CERT:
    'its certificate is not trusted; check the certificate authority of the cluster',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is not trusted; check the certificate authority of the cluster',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    'its certificate is not trusted; check the certificate authority of the cluster',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    'its certificate is not trusted; check the certificate authority of the cluster',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host name',
};

/** The failure that an `ERROR` event of a watch carries: its object is a Status. */
export function errorOfEvent(object: unknown): KubeError {
  const code = isObject(object) ? object['code'] : undefined;
  const retryAfterSeconds = objectAt(object, 'details')['retryAfterSeconds'];
  return errorOfStatus(
    typeof code === 'number' ? code : 500,
    object,
    typeof retryAfterSeconds === 'number' ? retryAfterSeconds * 1000 : 0,
  );
}
