/** The pods that run, and which of them a holder’s identity names. */
import type { PodRef } from '../core/facts.ts';

/** Of which pods it is known whether they run: of all namespaces (null), of some. */
export type PodScope = readonly string[] | null;

/** LIMIT: as long as a host name gets. SOURCE: https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kubelet_pods.go (truncatePodHostnameIfNeeded) */
const hostNameMax = 63;

/** LIMIT: whoever ended before the last ten thousand holds no lock any more. */
const endedMax = 10_000;

/** Pods that run, by name and by host name. */
export class PodBook {
  readonly scope: PodScope;
  readonly #byName = new Map<string, readonly PodRef[]>();
  /** Pods that were seen to end, by namespace and name, the latest last. */
  readonly #ended = new Set<string>();

  constructor(scope: PodScope) {
    this.scope = scope;
  }

  /** These, and no others. */
  reset(pods: readonly PodRef[]): void {
    this.#byName.clear();
    for (const pod of pods) this.put(pod);
  }

  put(pod: PodRef): void {
    const { namespace, name, uid } = pod;
    this.#ended.delete(`${namespace}/${name}`);
    for (const key of namesOf(pod)) {
      const others = (this.#byName.get(key) ?? []).filter((each) => !isSame(each, pod));
      // Not the whole object that it may be a part of.
      this.#byName.set(key, [...others, { namespace, name, uid }]);
    }
  }

  /** A pod has ended, or is gone. */
  remove(pod: Omit<PodRef, 'uid'>): void {
    this.#ended.add(`${pod.namespace}/${pod.name}`);
    const [oldest] = this.#ended;
    if (this.#ended.size > endedMax && oldest !== undefined) this.#ended.delete(oldest);
    for (const name of namesOf(pod)) {
      const left = (this.#byName.get(name) ?? []).filter((each) => !isSame(each, pod));
      if (left.length === 0) this.#byName.delete(name);
      else this.#byName.set(name, left);
    }
  }

  /** Whether a pod of this namespace that runs is in the book. */
  covers(namespace: string): boolean {
    return this.scope?.includes(namespace) ?? true;
  }

  /** Whether a pod was seen to end, and none of its name has come since. */
  hasEnded(namespace: string, name: string): boolean {
    return this.#ended.has(`${namespace}/${name}`);
  }

  /** Those of a name, or with it as their host name. */
  named(name: string): readonly PodRef[] {
    return this.#byName.get(name) ?? [];
  }
}

function namesOf({ name }: Omit<PodRef, 'uid'>): readonly string[] {
  return name.length <= hostNameMax ? [name] : [name, name.slice(0, hostNameMax).replace(/[-.]+$/, '')];
}

function isSame(a: Omit<PodRef, 'uid'>, b: Omit<PodRef, 'uid'>): boolean {
  return a.namespace === b.namespace && a.name === b.name;
}

/** Alphabet of the names that controllers make. SOURCE: https://github.com/kubernetes/apimachinery/blob/master/pkg/util/rand/rand.go */
const alphabet = '[bcdfghjklmnpqrstvwxz2456789]';
/** `NAME-HASH-SUFFIX`, as a Deployment calls its pods. */
const deploymentForm = new RegExp(`^[a-z0-9][-.a-z0-9]*-${alphabet}{6,10}-${alphabet}{5}$`);
const uuid = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';
const withUuid = new RegExp(`^(.+)[-_]${uuid}$`);

/**
 * Names of pods that an identity may stand for, the likeliest first: most programs take their host name, which is the pod’s name, and
 * put something random behind it.
 * SOURCE: https://github.com/kubernetes-sigs/controller-runtime/blob/main/pkg/leaderelection/leader_election.go
 */
export function podNamesIn(identity: string): readonly string[] {
  const beforeUuid = withUuid.exec(identity)?.[1] ?? '';
  const beforeLine = identity.includes('_') ? (identity.split('_')[0] ?? '') : '';
  return [...new Set([identity, beforeUuid, beforeLine])].filter((name) => name !== '');
}

/** Whether no other thing than a pod of a Deployment is called so, as far as a name can tell. */
export function isPodName(name: string): boolean {
  return deploymentForm.test(name);
}
