/** Policies of the API server's own, in force in one namespace. */
import type { KubeClient } from '../../src/kube/client.ts';
import type { JsonObject } from '../../src/kube/json.ts';

const group = '/apis/admissionregistration.k8s.io/v1';

/** Writes a ValidatingAdmissionPolicy, and the binding that has it refuse in the namespace. An API server takes them in within a second. */
export async function enforceIn(
  client: KubeClient,
  namespace: string,
  name: string,
  spec: JsonObject,
): Promise<void> {
  const binding = {
    ...{ policyName: name, validationActions: ['Deny'] },
    matchResources: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } } },
  };
  const post = (plural: string, of: JsonObject): Promise<unknown> =>
    client.request({ method: 'POST', path: `${group}/${plural}`, body: { metadata: { name }, spec: of } });
  await post('validatingadmissionpolicies', spec);
  await post('validatingadmissionpolicybindings', binding);
}
