/** The dead man's switch on a control plane where no lockwarden runs. */
import type { KubeClient } from '../../../src/kube/client.ts';
import { objectAt, stringAt, type JsonObject } from '../../../src/kube/json.ts';
import { collectionOf, isPolicy } from '../../../src/switch/places.ts';
import { guardLeaseName, switchObjects } from '../../../src/switch/policies.ts';
import type { SwitchScope } from '../../../src/switch/terms.ts';
import { microTime, Namespace } from '../../kube/support/cluster.ts';

export const ownNamespace = 'lockwarden-system';

/** Puts the policies in force, with a guard Lease of a minute ago. Returns lockwarden's namespace. */
export async function installSwitch(client: KubeClient, scope: SwitchScope): Promise<Namespace> {
  const own = await Namespace.create(client, ownNamespace);
  const { body } = await client.request({
    method: 'POST',
    path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
  });
  const username = stringAt(objectAt(objectAt(body, 'status'), 'userInfo'), 'username');
  const spec = { holderIdentity: 'lockwarden', leaseDurationSeconds: 10, renewTime: microTime(-60_000) };
  await own.post('leases', guardLeaseName, { spec });
  for (const object of switchObjects({ scope, ownNamespace, username })) {
    await client.request({ method: 'POST', path: collectionOf(object), body: strict(object) });
  }
  return own;
}

/** With an expression that fails told: as it is shipped, the write would pass in silence. */
function strict(object: JsonObject): JsonObject {
  if (!isPolicy(object)) return object;
  return { ...object, spec: { ...objectAt(object, 'spec'), failurePolicy: 'Fail' } };
}
