/** Whether the switch is in a cluster, for commands that tell of it. */
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { objectAt, type JsonObject } from '../kube/json.ts';
import { isPolicy, pathOf } from '../switch/places.ts';
import { guardLeaseName, inertObjects, isInert } from '../switch/policies.ts';

/**
 * True where policies, bindings and the guard Lease are all there, and not inert; null where that may not be looked at.
 *
 * @param ownNamespace lockwarden's
 * @throws KubeError for any other failure
 */
export async function switchStandsIn(client: KubeClient, ownNamespace: string): Promise<boolean | null> {
  const lease = `/apis/coordination.k8s.io/v1/namespaces/${ownNamespace}/leases/${guardLeaseName}`;
  const get = async (path: string): Promise<JsonObject> =>
    objectAt(await client.request({ method: 'GET', path }), 'body');
  const objects = inertObjects(ownNamespace);
  const policies = objects.filter(isPolicy).map(pathOf);
  const others = objects.filter((object) => !isPolicy(object)).map(pathOf);
  try {
    const [found] = await Promise.all([
      Promise.all(policies.map(get)),
      Promise.all([...others, lease].map(get)),
    ]);
    return found.every((policy) => !isInert([policy]));
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    if (error.kind === 'not-found') return false;
    if (error.kind === 'forbidden') return null;
    throw error;
  }
}
