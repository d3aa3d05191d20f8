/**
 * Who plays: pods of one namespace, each with a token of its own. Nobody runs the pods; what counts is that the API
 * server vouches for the name of the pod that writes.
 */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createKubeClient, type KubeClient } from '../kube/client.ts';
import { createAccount, createPod, grant, requestToken, untilAuthenticated } from '../kube/identity.ts';
import { loadKubeconfig } from '../kube/kubeconfig.ts';
import type { ControlPlane } from '../sandbox/control-plane.ts';
import { formatKubeconfig } from '../sandbox/kubeconfig.ts';

/** A pod, and the kubeconfig of its token. */
export interface Actor {
  readonly name: string;
  /** Path of a file (mode 0600) that goes when the control plane's folder goes. */
  readonly kubeconfig: string;
}

/** The names of one scene. */
export const namespace = 'demo';

/** LIMIT: the API server takes no less than ten minutes; a scene that stays up longer than a day has been forgotten. */
const tokenSeconds = 86_400;

/** Creates a namespace. */
export async function createNamespace(admin: KubeClient, name: string): Promise<void> {
  await admin.request({ method: 'POST', path: '/api/v1/namespaces', body: { metadata: { name } } });
}

/** Creates a ServiceAccount that may do `verbs` with Leases, as the controllers of many a team may. */
export async function createCandidate(
  admin: KubeClient,
  name: string,
  verbs: readonly string[],
): Promise<void> {
  await createAccount(admin, { namespace, name });
  await grant(
    admin,
    { namespace, name },
    {
      rules: [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs }],
      subjects: [{ kind: 'ServiceAccount', name, namespace }],
    },
  );
}

/** Creates a pod of the account, and a token bound to it; resolves once the API server accepts the token. */
export async function createActor(
  plane: Pick<ControlPlane, 'kubeconfig' | 'server' | 'authority'>,
  admin: KubeClient,
  { name, account, signal }: { name: string; account: string; signal: AbortSignal },
): Promise<Actor> {
  const pod = await createPod(admin, { namespace, name }, account);
  const bound = { pod, expirationSeconds: tokenSeconds };
  const token = await requestToken(admin, { namespace, name: account }, bound);
  const { server, authority } = plane;
  const kubeconfig = join(dirname(plane.kubeconfig), `${name}-${randomBytes(4).toString('hex')}.kubeconfig`);
  await writeFile(kubeconfig, formatKubeconfig({ name, server, authority, user: { token } }), {
    mode: 0o600,
  });
  const actor = { name, kubeconfig };
  const client = clientOf(actor);
  try {
    await untilAuthenticated(client, `the pod \`${name}\``, signal);
  } finally {
    client.close();
  }
  return actor;
}

/** A client that writes as the actor. Close it. */
export function clientOf({ kubeconfig }: Actor): KubeClient {
  return createKubeClient(loadKubeconfig({ file: kubeconfig }));
}
