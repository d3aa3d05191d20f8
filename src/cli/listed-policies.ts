/** Policies of a cluster, as a list of the API server has them. */
import type { WatchedObject } from '../kube/resource.ts';
import type { PolicyRef } from '../policy/policy-ref.ts';
import type { PolicyStore } from '../policy/store.ts';

/** Takes the policies of a kind into a store. */
export function policiesInto(
  store: PolicyStore,
  kind: PolicyRef['kind'],
): (objects: readonly WatchedObject[]) => void {
  return (objects) => {
    for (const { namespace, name, object } of objects) {
      store.put({ ref: { kind, namespace, name }, generation: 0, spec: object['spec'] });
    }
  };
}
