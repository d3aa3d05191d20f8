/** A candidate that writes when a test says so, whether it may or not, in the form that client-go writes. */
import { createKubeClient } from '../../../src/kube/client.ts';
import type { KubeError } from '../../../src/kube/errors.ts';
import { objectAt, stringAt, type JsonObject } from '../../../src/kube/json.ts';
import { loadKubeconfig } from '../../../src/kube/kubeconfig.ts';
import { failureOf, microTime, Namespace, withSpec } from '../../kube/support/cluster.ts';
import type { TestNamespace } from '../../support/identities.ts';

/** A pod's own writes to Leases. Each resolves to why it was refused, or to null. */
export interface Candidate {
  /** Its identity, which is its pod's name. */
  readonly name: string;
  /** Its user name in a review. */
  readonly user: string;
  readonly podUid: string;
  /** The Leases of its namespace, for writes in other forms. */
  readonly locks: Namespace;
  create(lock: string, leaseDurationSeconds: number): Promise<KubeError | null>;
  /** Renews what it holds. */
  renew(lock: string): Promise<KubeError | null>;
  /** Puts itself, or `as` whoever, in the place of whoever holds the lock, at once. */
  take(lock: string, as?: string): Promise<KubeError | null>;
  close(): void;
}

/** A candidate that speaks for a pod of its name; a pod of that name is replaced. */
export async function createCandidate(
  namespace: TestNamespace,
  serviceAccount: string,
  name: string,
): Promise<Candidate> {
  const { kubeconfig, user, podUid } = await namespace.pod(name, serviceAccount);
  const client = createKubeClient(loadKubeconfig({ file: kubeconfig }));
  const locks = new Namespace(client, namespace.name);
  const put = (lock: string, change: (spec: JsonObject) => JsonObject): Promise<KubeError | null> =>
    failureOf(locks.put('leases', lock, (object) => withSpec(object, change(objectAt(object, 'spec')))));
  return {
    name,
    user,
    podUid,
    locks,
    create: (lock, leaseDurationSeconds) => {
      const renewTime = microTime();
      const spec = {
        holderIdentity: name,
        leaseDurationSeconds,
        acquireTime: renewTime,
        renewTime,
        leaseTransitions: 0,
      };
      return failureOf(locks.post('leases', lock, { spec }));
    },
    renew: (lock) =>
      put(lock, ({ holderIdentity }) => {
        if (holderIdentity !== name) throw new Error(`${name} does not hold ${lock}`);
        return { renewTime: microTime() };
      }),
    take: (lock, as = name) =>
      put(lock, ({ leaseTransitions }) => {
        const renewTime = microTime();
        return {
          holderIdentity: as,
          acquireTime: renewTime,
          renewTime,
          leaseTransitions: Number(leaseTransitions) + 1,
        };
      }),
    close: () => {
      client.close();
    },
  };
}

/** Who holds a lock. */
export async function holderOf(locks: Namespace, lock: string): Promise<string> {
  return stringAt(objectAt(await locks.get('leases', lock), 'spec'), 'holderIdentity');
}
