/** Namespaces that lockwarden's webhook guards and the dead man's switch leaves alone: it stands in for nothing that is only recorded. */
import { setTimeout as sleep } from 'node:timers/promises';

import type { KubeClient } from '../../src/kube/client.ts';
import { until } from '../../src/kube/until.ts';
import { switchNames } from '../../src/switch/policies.ts';
import { failureOf } from '../../test/kube/support/cluster.ts';

const binding = `/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/${switchNames.locks}`;
const { signal } = new AbortController();

/** Writes a policy to that end, as soon as the API server serves the kind. */
export async function auditOnly(client: KubeClient, namespace: string): Promise<void> {
  const path = `/apis/lockwarden.dev/v1alpha1/namespaces/${namespace}/lockpolicies`;
  const body = {
    apiVersion: 'lockwarden.dev/v1alpha1',
    kind: 'LockPolicy',
    metadata: { name: 'a' },
    spec: { enforcement: 'Audit' },
  };
  const write = async (): Promise<true | null> =>
    (await failureOf(client.request({ method: 'POST', path, body }))) === null ? true : null;
  await until(write, { what: 'the API server takes a LockPolicy', timeoutMs: 30_000, signal });
}

/** Resolves once the leader has taken the policies in, and the API server what it has written. */
export async function untilLeftAlone(client: KubeClient, namespaces: readonly string[]): Promise<void> {
  const look = async (): Promise<true | null> => {
    if ((await failureOf(client.request({ method: 'GET', path: binding }))) !== null) return null;
    const { body } = await client.request({ method: 'GET', path: binding });
    const text = JSON.stringify(body);
    return namespaces.every((namespace) => text.includes(`"${namespace}"`)) ? true : null;
  };
  await until(look, { what: 'the switch follows the policies', timeoutMs: 30_000, signal });
  // An API server takes policies in within a second.
  await sleep(2_000);
}
