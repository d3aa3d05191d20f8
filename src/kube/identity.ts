/**
 * Identities on a cluster: ServiceAccounts, pods that nobody runs, and tokens bound to them. What counts of such a pod is that the API
 * server vouches for the name of who writes.
 */
import { KubeConfig } from '@kubernetes/client-node';
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import { objectAt, stringAt } from './json.ts';
import { until } from './until.ts';

/** An object in a namespace. */
export interface NamespacedName {
  readonly namespace: string;
  readonly name: string;
}

/** A rule of a Role. */
export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** Whom a Role is given to. */
export type Subject =
  | { readonly kind: 'ServiceAccount'; readonly namespace: string; readonly name: string }
  | { readonly kind: 'User'; readonly apiGroup: 'rbac.authorization.k8s.io'; readonly name: string };

/** A pod with the uid that its tokens carry. */
export interface BoundPod extends NamespacedName {
  readonly uid: string;
}

/** LIMIT: the API server looks pods up in a cache, which follows within moments. */
const authenticatedMs = 10_000;

/** Creates a ServiceAccount. */
export async function createAccount(admin: KubeClient, { namespace, name }: NamespacedName): Promise<void> {
  await create(admin, accountsPath(namespace), { metadata: { name } });
}

/** Creates a Role, and a RoleBinding of the same name that gives it to `subjects`. */
export async function grant(
  admin: KubeClient,
  { namespace, name }: NamespacedName,
  { rules, subjects }: { readonly rules: readonly PolicyRule[]; readonly subjects: readonly Subject[] },
): Promise<void> {
  const rbac = rbacPath(namespace);
  await create(admin, `${rbac}/roles`, { metadata: { name }, rules });
  await create(admin, `${rbac}/rolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
    subjects,
  });
}

/** Creates a pod of a ServiceAccount that no scheduler and no kubelet takes up. */
export async function createPod(
  admin: KubeClient,
  { namespace, name }: NamespacedName,
  account: string,
): Promise<BoundPod> {
  const pod = await create(admin, `/api/v1/namespaces/${namespace}/pods`, {
    metadata: { name },
    spec: {
      serviceAccountName: account,
      schedulerName: 'nobody',
      automountServiceAccountToken: false,
      // As a namespace may demand of the pods in it.
      // SOURCE: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'main',
          image: 'none',
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
    },
  });
  return { namespace, name, uid: stringAt(objectAt(pod, 'metadata'), 'uid') };
}

/** Asks for a token of a ServiceAccount, bound to `pod`, or to nothing where that is null. */
export async function requestToken(
  admin: KubeClient,
  { namespace, name }: NamespacedName,
  { pod, expirationSeconds }: { readonly pod: BoundPod | null; readonly expirationSeconds: number },
): Promise<string> {
  const boundObjectRef =
    pod === null ? {} : { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid } };
  const request = await create(admin, `${accountsPath(namespace)}/${name}/token`, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { audiences: [], expirationSeconds, ...boundObjectRef },
  });
  return stringAt(objectAt(request, 'status'), 'token');
}

/** The same cluster, for who has a token. */
export function withToken(config: KubeConfig, token: string): KubeConfig {
  const cluster = config.getCurrentCluster();
  const other = new KubeConfig();
  if (cluster !== null) other.loadFromClusterAndUser(cluster, { name: 'token', token });
  return other;
}

/** Resolves once the API server accepts the credentials of `client`, which are those of `who`. */
export async function untilAuthenticated(
  client: KubeClient,
  who: string,
  signal: AbortSignal,
): Promise<void> {
  const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
  const ask = async (): Promise<true | null> => {
    try {
      await create(client, '/apis/authentication.k8s.io/v1/selfsubjectreviews', review);
      return true;
    } catch (error) {
      if (error instanceof KubeError && error.kind === 'unauthorized') return null;
      throw error;
    }
  };
  await until(ask, { what: `the API server knows ${who}`, timeoutMs: authenticatedMs, signal });
}

/** A verb on a resource of a namespace. */
export interface Access {
  readonly namespace: string;
  readonly group: string;
  readonly resource: string;
  readonly verb: string;
}

/** Resolves once the API server accepts the credentials of `client`, which are those of `who`, and RBAC grants it `access`. */
export async function untilAllowed(
  client: KubeClient,
  access: Access,
  who: string,
  signal: AbortSignal,
): Promise<void> {
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: access },
  };
  const ask = async (): Promise<true | null> => {
    try {
      const body = await create(client, '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', review);
      return objectAt(body, 'status')['allowed'] === true ? true : null;
    } catch (error) {
      if (error instanceof KubeError && error.kind === 'unauthorized') return null;
      throw error;
    }
  };
  const what = `the API server lets ${who} ${access.verb} ${access.resource}`;
  await until(ask, { what, timeoutMs: authenticatedMs, signal });
}

async function create(client: KubeClient, path: string, body: object): Promise<unknown> {
  return (await client.request({ method: 'POST', path, body })).body;
}

function accountsPath(namespace: string): string {
  return `/api/v1/namespaces/${namespace}/serviceaccounts`;
}

function rbacPath(namespace: string): string {
  return `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
}
