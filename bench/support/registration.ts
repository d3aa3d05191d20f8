/** Having the API server call a webhook that is measured beside lockwarden. */
import type { KubeClient } from '../../src/kube/client.ts';
import { configurationsPath } from '../../src/kube/webhook-configuration.ts';
import type { Peer } from './peer.ts';

/** Name of its one entry. */
export const peerEntryName = 'bench.lockwarden.dev';
const configurationName = 'lockwarden-bench';

const groups = { leases: 'coordination.k8s.io', configmaps: '' } as const;

/** Registers it for all updates of these kinds in one namespace, as most webhooks are: without conditions. */
export async function callFor(
  client: KubeClient,
  { url, caPem }: Peer,
  namespace: string,
  resources: readonly (keyof typeof groups)[],
): Promise<void> {
  const webhook = {
    name: peerEntryName,
    clientConfig: { url, caBundle: btoa(caPem) },
    rules: resources.map((resource) => ({
      apiGroups: [groups[resource]],
      apiVersions: ['v1'],
      operations: ['UPDATE'],
      resources: [resource],
    })),
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
    ...{ sideEffects: 'None', admissionReviewVersions: ['v1'], failurePolicy: 'Fail', timeoutSeconds: 2 },
  };
  const body = { metadata: { name: configurationName }, webhooks: [webhook] };
  await client.request({ method: 'POST', path: configurationsPath, body });
}

/** Takes it back. */
export async function callNoMore(client: KubeClient): Promise<void> {
  await client.request({ method: 'DELETE', path: `${configurationsPath}/${configurationName}` });
}
