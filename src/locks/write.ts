/**
 * From an admission request to a write to a lock.
 */
import type { LockKind, LockState, LockWrite, Requester } from '../core/lock.ts';
import { isObject, textAt } from './json.ts';
import { lockKindOf, readLock } from './registry.ts';

/** What is needed of an admission request. */
export interface LockRequest {
  readonly kind: { readonly group: string; readonly kind: string };
  readonly subResource: string;
  readonly namespace: string;
  readonly name: string;
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  readonly userInfo: {
    readonly username: string;
    readonly groups: readonly string[];
    readonly extra: Readonly<Record<string, readonly string[]>>;
  };
  readonly object: unknown;
  readonly oldObject: unknown;
  readonly dryRun: boolean;
}

/** SOURCE: https://github.com/kubernetes/apiserver/blob/master/pkg/authentication/serviceaccount/util.go (PodNameKey, PodUIDKey) */
const podNameKey = 'authentication.kubernetes.io/pod-name';
const podUidKey = 'authentication.kubernetes.io/pod-uid';

/** Reads the write, or says why the request is none. */
export function toLockWrite(request: LockRequest): LockWrite | { readonly notALock: string } {
  const kind = lockKindOf(request.kind);
  if (kind === null) return { notALock: `\`${request.kind.kind}\` is no kind of lock` };
  if (request.subResource !== '') return { notALock: `a subresource of \`${request.kind.kind}\` is no lock` };
  if (request.operation === 'CONNECT') return { notALock: 'CONNECT writes nothing' };
  return {
    operation: request.operation,
    lock: { kind, namespace: request.namespace, name: nameOf(request) },
    before: stateOf(kind, request.oldObject),
    after: stateOf(kind, request.object),
    requester: requesterOf(request.userInfo),
    dryRun: request.dryRun,
  };
}

/** NB: each object of a deleted collection comes with an empty request name, and so does a create by `generateName`. */
function nameOf({ name, object, oldObject }: LockRequest): string {
  return name || textAt(oldObject, 'metadata', 'name') || textAt(object, 'metadata', 'name');
}

function stateOf(kind: LockKind, object: unknown): LockState | null {
  return isObject(object) ? readLock(kind, object) : null;
}

function requesterOf({ username, groups, extra }: LockRequest['userInfo']): Requester {
  const name = extra[podNameKey]?.[0];
  const uid = extra[podUidKey]?.[0];
  const pod = name === undefined || uid === undefined ? null : { name, uid };
  return { username, groups, pod };
}
