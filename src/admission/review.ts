/**
 * AdmissionReview in: bytes to a typed request. Total for any bytes; nothing here throws.
 *
 * Only the envelope is read. What the objects hold is for `src/locks` to read, with the suspicion they deserve.
 * Nesting needs no limit of its own: JSON.parse keeps its own stack (3.5 million levels parse), and nothing after it
 * walks an object whose shape it does not know.
 * SOURCE: https://github.com/kubernetes/api/blob/v0.36.3/admission/v1/types.go
 */
import { isUtf8 } from 'node:buffer';
import { holdsMoreValues, reviewBytesMax, reviewValuesMax, uncountedBytesMax } from './bounds.ts';

/** Group and version of a kind or resource; the core group is the empty string. */
export interface GroupVersion {
  readonly group: string;
  readonly version: string;
}

/** The request half of an `admission.k8s.io/v1` AdmissionReview. */
export interface AdmissionRequest {
  /** Of this call, not of the object. Each retry of a write has another. Never empty. */
  readonly uid: string;
  readonly kind: GroupVersion & { readonly kind: string };
  readonly resource: GroupVersion & { readonly resource: string };
  /** Empty for the object itself. */
  readonly subResource: string;
  readonly namespace: string;
  /** Empty for a create with `generateName` and for each object of a deletecollection. */
  readonly name: string;
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  readonly userInfo: {
    readonly username: string;
    readonly groups: readonly string[];
    readonly extra: Readonly<Record<string, readonly string[]>>;
  };
  /** A JSON object for CREATE and UPDATE. */
  readonly object: unknown;
  /** A JSON object for UPDATE and DELETE. */
  readonly oldObject: unknown;
  readonly dryRun: boolean;
  /** `options.fieldManager`, or null where the writer named none. */
  readonly fieldManager: string | null;
}

/**
 * A request, or why there is none: `status` is the HTTP code for a Status (400, 413), `uid` is empty when none was
 * found, and `message` is a sentence for whoever sent it.
 */
export type ParsedReview =
  | { readonly ok: true; readonly request: AdmissionRequest }
  | { readonly ok: false; readonly uid: string; readonly status: number; readonly message: string };

/** Reads an AdmissionReview from a request body (UTF-8 when given as bytes). */
export function parseReview(body: string | Buffer): ParsedReview {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const refusal = refusalOf(bytes);
  if (refusal !== null) return { ok: false, uid: findUid(bytes), ...refusal };
  let review: unknown;
  try {
    review = JSON.parse(bytes.toString());
  } catch {
    return { ok: false, uid: findUid(bytes), status: 400, message: 'the body is not JSON' };
  }
  return readReview(review);
}

/**
 * The uid of a review that cannot be parsed, or the empty string.
 * NB: Go writes fields in the order of the type, so the API server's uid stands within the first hundred bytes.
 */
export function findUid(body: Buffer): string {
  const match = /"request"\s*:\s*\{\s*"uid"\s*:\s*"([\w.-]{1,128})"/.exec(body.toString('latin1', 0, 1024));
  return match?.[1] ?? '';
}

function refusalOf(bytes: Buffer): { status: number; message: string } | null {
  if (bytes.length === 0) return { status: 400, message: 'the body is empty' };
  if (bytes.length > reviewBytesMax) {
    return { status: 413, message: `the body is larger than ${String(reviewBytesMax)} bytes` };
  }
  if (!isUtf8(bytes)) return { status: 400, message: 'the body is not UTF-8' };
  if (bytes.length > uncountedBytesMax && holdsMoreValues(bytes, reviewValuesMax)) {
    return { status: 413, message: `the body holds more than ${String(reviewValuesMax)} values` };
  }
  return null;
}

function readReview(review: unknown): ParsedReview {
  const request = field(review, 'request');
  const uid = text(field(request, 'uid'));
  // LIMIT: the API server sends a UUID (36 characters); what is echoed into the answer is bounded all the same.
  const known = uid.length <= 128 ? uid : '';
  const malformed = (message: string): ParsedReview => ({ ok: false, uid: known, status: 400, message });

  if (field(review, 'apiVersion') !== 'admission.k8s.io/v1' || field(review, 'kind') !== 'AdmissionReview') {
    return malformed('the body is not an AdmissionReview of admission.k8s.io/v1');
  }
  if (!isObject(request)) return malformed('the review has no request');
  if (known === '') return malformed('the request has no uid');
  const operation = operationOf(request['operation']);
  if (operation === null) return malformed('the operation is not one of CREATE, UPDATE, DELETE, CONNECT');
  const missing = missingObject(operation, request);
  if (missing !== null) return malformed(`the ${operation} carries no ${missing}`);
  const { kind, resource } = request;
  if (text(field(kind, 'kind')) === '' || text(field(kind, 'version')) === '')
    return malformed('the kind is missing');
  if (text(field(resource, 'resource')) === '') return malformed('the resource is missing');
  return { ok: true, request: readRequest(request, uid, operation) };
}

function readRequest(
  request: Record<string, unknown>,
  uid: string,
  operation: AdmissionRequest['operation'],
): AdmissionRequest {
  const { kind, resource, userInfo, options } = request;
  const fieldManager = text(field(options, 'fieldManager'));
  return {
    uid,
    kind: { ...groupVersion(kind), kind: text(field(kind, 'kind')) },
    resource: { ...groupVersion(resource), resource: text(field(resource, 'resource')) },
    subResource: text(request['subResource']),
    namespace: text(request['namespace']),
    name: text(request['name']),
    operation,
    userInfo: {
      username: text(field(userInfo, 'username')),
      groups: texts(field(userInfo, 'groups')),
      extra: readExtra(field(userInfo, 'extra')),
    },
    object: request['object'] ?? null,
    oldObject: request['oldObject'] ?? null,
    dryRun: request['dryRun'] === true,
    fieldManager: fieldManager === '' ? null : fieldManager,
  };
}

const operations: readonly AdmissionRequest['operation'][] = ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'];

function operationOf(value: unknown): AdmissionRequest['operation'] | null {
  return operations.find((operation) => operation === value) ?? null;
}

function missingObject(
  operation: AdmissionRequest['operation'],
  request: Record<string, unknown>,
): 'object' | 'oldObject' | null {
  const needsNew = operation === 'CREATE' || operation === 'UPDATE';
  const needsOld = operation === 'UPDATE' || operation === 'DELETE';
  if (needsNew && !isObject(request['object'])) return 'object';
  return needsOld && !isObject(request['oldObject']) ? 'oldObject' : null;
}

function groupVersion(value: unknown): GroupVersion {
  return { group: text(field(value, 'group')), version: text(field(value, 'version')) };
}

function readExtra(value: unknown): Record<string, readonly string[]> {
  // NB: fromEntries defines properties, so that a key such as `__proto__` is only a key.
  return isObject(value)
    ? Object.fromEntries(Object.entries(value).map(([key, list]) => [key, texts(list)]))
    : {};
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The own property `key` of a JSON object; undefined for anything else. */
function field(value: unknown, key: string): unknown {
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
