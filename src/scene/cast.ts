/**
 * Who plays: pods of one namespace, each with a token of its own. Nobody runs the pods; what counts is that the API
 * server vouches for the name of the pod that writes.
 */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createKubeClient, type KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { objectAt, stringAt } from '../kube/json.ts';
import { loadKubeconfig } from '../kube/kubeconfig.ts';
import type { ControlPlane } from '../sandbox/control-plane.ts';
import { formatKubeconfig } from '../sandbox/kubeconfig.ts';
import { until } from './until.ts';

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
/** LIMIT: the API server looks pods up in a cache, which follows within moments. */
const authenticatedMs = 10_000;

/** Creates the namespace. */
export async function createNamespace(admin: KubeClient): Promise<void> {
  await create(admin, '/api/v1/namespaces', { metadata: { name: namespace } });
}

/** Creates a ServiceAccount that may do `verbs` with Leases, as the controllers of many a team may. */
export async function createAccount(
  admin: KubeClient,
  name: string,
  verbs: readonly string[],
): Promise<void> {
  const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
  await create(admin, `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name } });
  await create(admin, `${rbac}/roles`, {
    metadata: { name },
    rules: [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs }],
  });
  await create(admin, `${rbac}/rolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
    subjects: [{ kind: 'ServiceAccount', name, namespace }],
  });
}

/** Creates a pod of the account, and a token bound to it; resolves once the API server accepts the token. */
export async function createActor(
  plane: Pick<ControlPlane, 'kubeconfig' | 'server' | 'authority'>,
  admin: KubeClient,
  { name, account, signal }: { name: string; account: string; signal: AbortSignal },
): Promise<Actor> {
  const pods = `/api/v1/namespaces/${namespace}/pods`;
  const pod = await create(admin, pods, {
    metadata: { name },
    spec: { serviceAccountName: account, containers: [{ name: 'main', image: 'none' }] },
  });
  const boundObjectRef = {
    apiVersion: 'v1',
    kind: 'Pod',
    name,
    uid: stringAt(objectAt(pod, 'metadata'), 'uid'),
  };
  const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`;
  const request = await create(admin, `${accounts}/${account}/token`, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { audiences: [], expirationSeconds: tokenSeconds, boundObjectRef },
  });
  const { server, authority } = plane;
  const user = { token: stringAt(objectAt(request, 'status'), 'token') };
  const kubeconfig = join(dirname(plane.kubeconfig), `${name}-${randomBytes(4).toString('hex')}.kubeconfig`);
  await writeFile(kubeconfig, formatKubeconfig({ name, server, authority, user }), { mode: 0o600 });
  const actor = { name, kubeconfig };
  await untilAuthenticated(actor, signal);
  return actor;
}

/** A client that writes as the actor. Close it. */
export function clientOf({ kubeconfig }: Actor): KubeClient {
  return createKubeClient(loadKubeconfig({ file: kubeconfig }));
}

async function untilAuthenticated(actor: Actor, signal: AbortSignal): Promise<void> {
  const client = clientOf(actor);
  const ask = async (): Promise<true | null> => {
    try {
      await create(client, '/apis/authentication.k8s.io/v1/selfsubjectreviews', {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'SelfSubjectReview',
      });
      return true;
    } catch (error) {
      if (error instanceof KubeError && error.kind === 'unauthorized') return null;
      throw error;
    }
  };
  try {
    await until(ask, {
      what: `the API server knows the pod \`${actor.name}\``,
      timeoutMs: authenticatedMs,
      signal,
    });
  } finally {
    client.close();
  }
}

async function create(client: KubeClient, path: string, body: object): Promise<unknown> {
  return (await client.request({ method: 'POST', path, body })).body;
}
