/**
 * Whose write is it? Replicas share a ServiceAccount and the object carries no author, so the only proof is the pod that
 * a bound token names (`authentication.kubernetes.io/pod-uid`), set beside the pod that is known to have asserted the
 * holder's identity. Renewals usually never reach lockwarden, so a holder that restarted under the same identity (a
 * StatefulSet's pod: same name, new uid) has renewed unseen: another uid alone proves nothing.
 */
import type { Bindings, PodRef } from './facts.ts';
import type { Requester } from './lock.ts';

/**
 * How a requester relates to a holder.
 * `own`: its pod asserted the holder. `foreign`: proven to be another's. `ask`: it hangs on whether the pod bound to
 * the holder still runs. `unknown`: no evidence either way.
 */
export type Tie = 'own' | 'foreign' | 'ask' | 'unknown';

/** How `requester` relates to the identity `holder` (null: nobody), from what its pod and the holder's have asserted before. */
export function tieTo(holder: string | null, requester: Requester, bindings: Bindings): Tie {
  if (holder === null) return 'unknown';
  const { holderPod, holderPodState } = bindings;
  if (requester.pod !== null && requester.pod.uid === holderPod?.uid) return 'own';
  if (provesAnotherIdentity(holder, requester, bindings)) return 'foreign';
  if (holderPod === null) return 'unknown';
  switch (holderPodState) {
    case 'exists':
      return 'foreign';
    case 'unasked':
      return 'ask';
    case 'gone':
    case 'unknown':
      return 'unknown';
  }
}

/** Whether the requester's pod has itself gone by another identity than `holder` on this lock. */
export function provesAnotherIdentity(
  holder: string | null,
  requester: Requester,
  bindings: Bindings,
): boolean {
  const { requesterAsserted } = bindings;
  return requester.pod !== null && requesterAsserted !== null && requesterAsserted !== holder;
}

/** The ServiceAccount that a requester is, or null. */
export function accountOf(
  requester: Requester,
): { readonly namespace: string; readonly name: string } | null {
  const [, namespace, name] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(requester.username) ?? [];
  return namespace === undefined || name === undefined ? null : { namespace, name };
}

/** The pod a requester's token is bound to. Bound tokens belong to a ServiceAccount, whose namespace is the pod's. */
export function podOf(requester: Requester): PodRef | null {
  const account = accountOf(requester);
  if (requester.pod === null || account === null) return null;
  return { namespace: account.namespace, name: requester.pod.name, uid: requester.pod.uid };
}

/** The API server itself, which elects in coordinated elections. */
export const apiServer = 'system:apiserver';
/** The API server's own writes, and the controllers that remove what has lost its reason to exist. */
export const collectors: readonly string[] = [
  apiServer,
  'system:serviceaccount:kube-system:generic-garbage-collector',
  'system:serviceaccount:kube-system:namespace-controller',
  // All controllers, where kube-controller-manager runs without `--use-service-account-credentials`.
  'system:kube-controller-manager',
];

/** Whether a deletion by `requester` is the system's housekeeping: the lock's object or namespace is going away anyway. */
export function collects(requester: Requester): boolean {
  return collectors.includes(requester.username);
}

/** Whether violations by `requester` only warn: the API server itself, and whomever the policy exempts. */
export function isExempt(
  requester: Requester,
  exempt: { readonly usernames: readonly string[]; readonly groups: readonly string[] },
): boolean {
  return (
    requester.username === apiServer ||
    exempt.usernames.includes(requester.username) ||
    requester.groups.some((group) => exempt.groups.includes(group))
  );
}
