/**
 * What holds where no policy says otherwise: which objects are no election locks at all, and whose clients take live
 * locks on purpose. Names alone decide, never anything that a writer can put into an object.
 */
import type { LockRef } from '../core/lock.ts';
import type { Enforcement, Reason } from '../core/reasons.ts';
import { builtInDefaults, type Settings } from '../core/settings.ts';

/**
 * Where each node has a Lease by which it tells every ten seconds that it is alive. They elect nobody, and in a large cluster no other
 * object is written as often.
 * SOURCE: https://kubernetes.io/docs/concepts/architecture/leases/#node-heart-beats
 */
export const nodeNamespace = 'kube-node-lease';

/** Whether it is a Lease of a node. */
export function isNodeLease({ kind, namespace }: LockRef): boolean {
  return kind === 'Lease' && namespace === nodeNamespace;
}

/**
 * Namespaces whose locks are not guarded: a mistake there costs the cluster its control plane or its nodes, and
 * Longhorn's share managers overwrite each other's leases by design.
 * SOURCE: https://github.com/longhorn/longhorn-share-manager/blob/master/pkg/server/share_manager.go (takeLease)
 */
export const unguardedNamespaces: readonly string[] = [
  'kube-system',
  'kube-public',
  nodeNamespace,
  'longhorn-system',
];

/**
 * Leases that elect nobody.
 * SOURCE: https://github.com/kyverno/kyverno (pkg/webhooks/handlers/verify.go; cmd/kyverno-init)
 */
export const notLocks: readonly { readonly namespace: string; readonly name: string }[] = [
  { namespace: 'kyverno', name: 'kyverno-health' },
  { namespace: 'kyverno', name: 'kyvernopre-lock' },
];

/**
 * Istio's control planes take live locks from each other by revision.
 * SOURCE: https://github.com/istio/istio/blob/master/pilot/pkg/leaderelection/leaderelection.go
 */
export const takesByPriority = { namespace: 'istio-system', namePrefix: 'istio-' };

const warnOnly: Settings = {
  ...builtInDefaults,
  policy: 'built-in defaults for Istio',
  enforcement: { ...builtInDefaults.enforcement, ...warnInsteadOfDeny(builtInDefaults.enforcement) },
};

/**
 * What a policy must do to cover `lock`: nothing special (null), give its namespace's full name, or give its name (a pattern
 * with something in it besides `*`). lockwarden's own locks no policy covers.
 */
export function namingOf(lock: LockRef, ownNamespace: string): 'never' | 'namespace' | 'name' | null {
  if (lock.namespace === ownNamespace) return 'never';
  if (unguardedNamespaces.includes(lock.namespace)) return 'namespace';
  const { namespace, namePrefix } = takesByPriority;
  const isStealer = lock.namespace === namespace && lock.name.startsWith(namePrefix);
  return isStealer || isNoLock(lock) ? 'name' : null;
}

/** Why a lock that nothing holds for is not judged, as a clause. */
export function whyUnguarded(lock: LockRef, ownNamespace: string): string {
  switch (namingOf(lock, ownNamespace)) {
    case 'never':
      return 'it is lockwarden’s own';
    case 'namespace':
      return `locks in ${lock.namespace} are judged only where a ClusterLockPolicy gives that name`;
    case 'name':
    case null:
      return 'it is known to elect nobody';
  }
}

function isNoLock({ namespace, name }: LockRef): boolean {
  return notLocks.some((each) => each.namespace === namespace && each.name === name);
}

/** The settings for `lock` when there is no policy; null means that it is not judged at all. */
export function builtInSettings(lock: LockRef, ownNamespace: string): Settings | null {
  if (lock.namespace === ownNamespace || unguardedNamespaces.includes(lock.namespace)) return null;
  if (isNoLock(lock)) return null;
  const { namespace, namePrefix } = takesByPriority;
  return lock.namespace === namespace && lock.name.startsWith(namePrefix) ? warnOnly : builtInDefaults;
}

function warnInsteadOfDeny(enforcement: Settings['enforcement']): Partial<Record<Reason, Enforcement>> {
  const takeover: readonly Reason[] = ['PrematureTakeover', 'ForeignRelease', 'PrematureRecreation'];
  return Object.fromEntries(
    takeover.map((reason) => [reason, enforcement[reason] === 'Deny' ? 'Warn' : enforcement[reason]]),
  );
}
