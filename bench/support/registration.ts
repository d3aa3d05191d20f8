/** Having the API server call a webhook that is measured beside lockwarden. */
import type { KubeClient } from '../../src/kube/client.ts';
import type { JsonObject } from '../../src/kube/json.ts';
import { configurationPath, configurationsPath } from '../../src/kube/webhook-configuration.ts';
import type { Peer } from './peer.ts';

/** lockwarden's own entry for Leases. */
export const leasesEntryName = 'leases.lockwarden.dev';

/** Name of the entry of each, by the name of the configuration. */
export const peerEntryName = 'bench.lockwarden.dev';
export const conditionalEntryName = 'conditional.bench.lockwarden.dev';
const configurationName = 'lockwarden-bench';
const conditionalName = 'lockwarden-bench-conditional';

const groups = { leases: 'coordination.k8s.io', configmaps: '' } as const;

/** What of a namespace is sent to it. */
export interface Calls {
  readonly namespace: string;
  readonly resources: readonly (keyof typeof groups)[];
}

/** Registers it for all updates of these kinds in one namespace, as most webhooks are: without conditions. */
export async function callFor(client: KubeClient, peer: Peer, calls: Calls): Promise<void> {
  await register(client, configurationName, { ...entryFor(peer, calls), name: peerEntryName });
}

/** Takes it back. */
export async function callNoMore(client: KubeClient): Promise<void> {
  await client.request({ method: 'DELETE', path: `${configurationsPath}/${configurationName}` });
}

/** Registers it for Leases in a namespace that are labelled so, behind the match conditions that lockwarden's own entry for Leases has. */
export async function callBehindConditions(
  client: KubeClient,
  peer: Peer,
  { namespace, labels }: { readonly namespace: string; readonly labels: JsonObject },
): Promise<void> {
  const { body } = await client.request({ method: 'GET', path: configurationPath });
  const { webhooks } = body as { readonly webhooks: readonly JsonObject[] };
  const own = webhooks.find(({ name }) => name === leasesEntryName);
  if (own?.['matchConditions'] === undefined) throw new Error('lockwarden has no entry for Leases');
  await register(client, conditionalName, {
    ...entryFor(peer, { namespace, resources: ['leases'] }),
    ...{ name: conditionalEntryName, objectSelector: { matchLabels: labels } },
    matchConditions: own['matchConditions'],
  });
}

function entryFor({ url, caPem }: Peer, { namespace, resources }: Calls): JsonObject {
  return {
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
}

async function register(client: KubeClient, name: string, webhook: JsonObject): Promise<void> {
  const body = { metadata: { name }, webhooks: [webhook] };
  await client.request({ method: 'POST', path: configurationsPath, body });
}
