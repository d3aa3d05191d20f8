/**
 * How the API server is to call lockwarden for the locks of a namespace. A webhook configuration can tell namespaces
 * apart, not locks, so what one lock's policy asks for (to inspect renewals, to fail closed) its whole namespace gets.
 */
import { lockKinds, type LockKind } from '../core/lock.ts';
import { notLocks, unguardedNamespaces } from './built-in.ts';
import type { Policy } from './policy.ts';
import { describePolicy } from './policy-ref.ts';
import type { PolicyStore } from './store.ts';

/** A way of being called. */
export interface CallClass {
  readonly renewals: 'skip' | 'inspect';
  readonly failurePolicy: 'Ignore' | 'Fail';
}

/** How each namespace's locks are called for; namespaces in none of the lists are called for plainly (skip, Ignore). */
export interface CallClasses {
  /** Of which nothing is sent. */
  readonly unguarded: readonly string[];
  readonly special: readonly (CallClass & { readonly namespaces: readonly string[] })[];
}

/** The classes that policies ask for, for the kinds of lock in `kinds`. Sorted: equal policies give equal classes. */
export function callClasses(
  store: PolicyStore,
  kinds: readonly LockKind[],
  ownNamespace: string,
): CallClasses {
  const classes = new Map<string, CallClass & { readonly namespaces: string[] }>();
  for (const namespace of [...store.namespaces].sort()) {
    if (namespace === ownNamespace || unguardedNamespaces.includes(namespace)) continue;
    const { renewals, failurePolicy } = classOf(store.policiesFor(namespace), kinds);
    if (renewals === 'skip' && failurePolicy === 'Ignore') continue;
    const key = `${failurePolicy} ${renewals}`;
    const known = classes.get(key) ?? { renewals, failurePolicy, namespaces: [] };
    known.namespaces.push(namespace);
    classes.set(key, known);
  }
  const special = [...classes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each);
  return { unguarded: unguardedBy(store, ownNamespace), special };
}

/** The namespaces of which nothing is judged, sorted: those that no policy names, and lockwarden's own. */
function unguardedBy(store: PolicyStore, ownNamespace: string): readonly string[] {
  return [...unguardedNamespaces.filter((each) => !isNamed(store, each)), ownNamespace].sort();
}

/** Whether any Lease of a namespace that is not judged by itself may be judged, since a policy names it. */
export function namesLeasesOf(store: PolicyStore, namespace: string): boolean {
  return isNamed(store, namespace, ['Lease']);
}

/** The known non-locks that no policy names. */
export function unnamedNotLocks(store: PolicyStore): typeof notLocks {
  return notLocks.filter(({ namespace, name }) => {
    const narrowness = store
      .policiesFor(namespace)
      .map(({ scope }) => scope.lock('Lease', name)?.narrowness ?? 0);
    return !narrowness.some((each) => each > 0);
  });
}

function isNamed(store: PolicyStore, namespace: string, kinds: readonly LockKind[] = lockKinds): boolean {
  return store
    .policiesFor(namespace)
    .some(
      ({ ref, scope }) =>
        ref.kind === 'ClusterLockPolicy' &&
        scope.kinds.some((kind) => kinds.includes(kind)) &&
        scope.namespace(namespace, store.labelsOf(namespace))?.exact === true,
    );
}

/** A policy over all names of a namespace decides; one over some names can only ask for more. Narrower ones come later. */
function classOf(policies: readonly Policy[], kinds: readonly LockKind[]): CallClass {
  let inspects = false;
  let fails = false;
  for (const { layer, scope } of policies.toSorted(byScope)) {
    if (!kinds.some((kind) => scope.kinds.includes(kind))) continue;
    const asksToInspect: boolean = layer.inspectRenewals ?? inspects;
    const asksToFail: boolean = (layer.failurePolicy ?? (fails ? 'Fail' : 'Ignore')) === 'Fail';
    inspects = asksToInspect || (inspects && !scope.allNames);
    fails = asksToFail || (fails && !scope.allNames);
  }
  return { renewals: inspects ? 'inspect' : 'skip', failurePolicy: fails ? 'Fail' : 'Ignore' };
}

/** Those of the cluster first, then by name. */
function byScope(a: Policy, b: Policy): number {
  if (a.ref.kind !== b.ref.kind) return a.ref.kind === 'ClusterLockPolicy' ? -1 : 1;
  return describePolicy(a.ref) < describePolicy(b.ref) ? -1 : 1;
}
