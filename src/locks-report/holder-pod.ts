/** The pod that holds a lock, as far as it can be told, and whether it still runs. */
import type { PodRef } from '../core/facts.ts';
import { isPodName, podNamesIn, type PodBook } from './pods.ts';

/** `told`: lockwarden saw the pod’s token when it took the lock (`judged`), or the holder’s identity names it. */
export interface HolderPod {
  readonly namespace: string;
  readonly name: string;
  readonly told: 'judged' | 'identity';
  /** `unknown`: pods of that namespace could not be listed. */
  readonly state: 'runs' | 'gone' | 'unknown';
}

/** What it is told from. */
export interface Holding {
  /** The lock’s namespace. */
  readonly namespace: string;
  readonly holder: string;
  /** The pod that lockwarden has seen assert the holder, or null. */
  readonly judged: PodRef | null;
  /** Null: no pods could be listed. */
  readonly pods: PodBook | null;
}

/** The holder’s pod; null where nothing tells. */
export function holderPodOf({ namespace, holder, judged, pods }: Holding): HolderPod | null {
  if (judged !== null) return { ...place(judged), told: 'judged', state: stateOf(judged, pods) };
  const names = podNamesIn(holder);
  for (const name of names) {
    const found = chosen(pods?.named(name) ?? [], namespace);
    if (found !== null) return { ...place(found), told: 'identity', state: 'runs' };
  }
  const ended = names.find((name) => pods?.hasEnded(namespace, name) === true);
  if (ended !== undefined) return { namespace, name: ended, told: 'identity', state: 'gone' };
  const missing = names.findLast(isPodName);
  if (missing === undefined) return null;
  // Some programs elect in another namespace than their own.
  const state = pods?.scope === null ? 'gone' : 'unknown';
  return { namespace, name: missing, told: 'identity', state };
}

function place({ namespace, name }: PodRef): Pick<HolderPod, 'namespace' | 'name'> {
  return { namespace, name };
}

/** A pod of the same name but another uid is another one. */
function stateOf({ namespace, name, uid }: PodRef, pods: PodBook | null): HolderPod['state'] {
  if (pods?.covers(namespace) !== true) return 'unknown';
  return pods.named(name).some((pod) => pod.uid === uid) ? 'runs' : 'gone';
}

/** The one in the lock’s namespace, or the only one there is elsewhere. */
function chosen(found: readonly PodRef[], namespace: string): PodRef | null {
  const [first, ...others] = found;
  const own = found.find((pod) => pod.namespace === namespace);
  return own ?? (others.length === 0 ? (first ?? null) : null);
}
