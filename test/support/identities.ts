/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- client-node declares its models as classes and takes plain objects: it serializes by attribute, never by instance */
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  ApiException,
  AuthenticationV1Api,
  CoordinationV1Api,
  CoreV1Api,
  KubeConfig,
  RbacAuthorizationV1Api,
  type V1Pod,
  type V1PolicyRule,
} from '@kubernetes/client-node';

import { formatKubeconfig } from '../../src/sandbox/kubeconfig.ts';

/** Clients that speak to one API server as one user. */
export interface Clients {
  readonly config: KubeConfig;
  readonly core: CoreV1Api;
  readonly coordination: CoordinationV1Api;
  readonly rbac: RbacAuthorizationV1Api;
}

/** A ServiceAccount speaking for one Pod: its token carries the Pod's name and uid. */
export interface PodIdentity extends Clients {
  /** User name in a review: `system:serviceaccount:<namespace>:<name>`. */
  readonly user: string;
  readonly pod: string;
  readonly podUid: string;
  readonly token: string;
  /** Path of a kubeconfig with the token; it goes when the control plane's folder goes. */
  readonly kubeconfig: string;
}

/** A namespace of a test's own, and whom it holds. */
export interface TestNamespace {
  readonly name: string;
  readonly admin: Clients;
  /** Creates a ServiceAccount that may do `rules` here; by default everything that electors do with locks. */
  serviceAccount(name: string, rules?: V1PolicyRule[]): Promise<void>;
  /** Creates a Pod that nobody runs, and an identity bound to it. A Pod of the same name is replaced, with a new uid. */
  pod(name: string, serviceAccount: string): Promise<PodIdentity>;
  /** An identity bound to no object at all, as a long-lived token would be. */
  unbound(serviceAccount: string): Promise<Omit<PodIdentity, 'pod' | 'podUid'>>;
  /** Deletes what it holds that could trouble other tests. Without controllers, a namespace itself never finishes deleting. */
  clear(): Promise<void>;
}

const electorRules: V1PolicyRule[] = [
  {
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'],
  },
  {
    apiGroups: [''],
    resources: ['configmaps', 'endpoints'],
    verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'],
  },
  { apiGroups: ['', 'events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
];

/** Clients for the user of a kubeconfig file. */
export function connect(kubeconfigPath: string): Clients {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfigPath);
  return {
    config,
    core: config.makeApiClient(CoreV1Api),
    coordination: config.makeApiClient(CoordinationV1Api),
    rbac: config.makeApiClient(RbacAuthorizationV1Api),
  };
}

/** Creates a namespace whose name begins with `prefix`, through the administrator's kubeconfig. */
export async function createTestNamespace(kubeconfigPath: string, prefix: string): Promise<TestNamespace> {
  const admin = connect(kubeconfigPath);
  const namespace = `${prefix}-${randomBytes(4).toString('hex')}`;
  await admin.core.createNamespace({ body: { metadata: { name: namespace } } });

  const identity = async (
    serviceAccount: string,
    pod?: V1Pod,
  ): Promise<Omit<PodIdentity, 'pod' | 'podUid'>> => {
    const token = await requestToken(admin, namespace, serviceAccount, pod);
    const name = `${namespace}.${pod?.metadata?.name ?? serviceAccount}`;
    const kubeconfig = await writeTokenKubeconfig(kubeconfigPath, admin, name, token);
    return {
      ...connect(kubeconfig),
      user: `system:serviceaccount:${namespace}:${serviceAccount}`,
      token,
      kubeconfig,
    };
  };

  return {
    name: namespace,
    admin,
    serviceAccount: (name, rules = electorRules) => createServiceAccount(admin, namespace, name, rules),
    pod: async (name, serviceAccount) => {
      const pod = await replacePod(admin, namespace, name, serviceAccount);
      const clients = await identity(serviceAccount, pod);
      await untilAuthenticated(clients);
      return { ...clients, pod: name, podUid: pod.metadata!.uid! };
    },
    unbound: (serviceAccount) => identity(serviceAccount),
    clear: async () => {
      await admin.coordination.deleteCollectionNamespacedLease({ namespace });
      await admin.core.deleteCollectionNamespacedConfigMap({ namespace });
      await admin.core.deleteCollectionNamespacedEndpoints({ namespace });
    },
  };
}

async function createServiceAccount(
  { core, rbac }: Clients,
  namespace: string,
  name: string,
  rules: V1PolicyRule[],
): Promise<void> {
  const metadata = { name, namespace };
  await core.createNamespacedServiceAccount({ namespace, body: { metadata } });
  await rbac.createNamespacedRole({ namespace, body: { metadata, rules } });
  await rbac.createNamespacedRoleBinding({
    namespace,
    body: {
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
      subjects: [{ kind: 'ServiceAccount', name, namespace }],
    },
  });
}

async function replacePod(
  { core }: Clients,
  namespace: string,
  name: string,
  serviceAccountName: string,
): Promise<V1Pod> {
  const { items } = await core.listNamespacedPod({ namespace, fieldSelector: `metadata.name=${name}` });
  if (items.length > 0) await core.deleteNamespacedPod({ namespace, name, gracePeriodSeconds: 0 });
  return core.createNamespacedPod({
    namespace,
    body: {
      metadata: { name },
      spec: { serviceAccountName, containers: [{ name: 'candidate', image: 'candidate' }] },
    },
  });
}

async function requestToken(
  { core }: Clients,
  namespace: string,
  serviceAccount: string,
  pod?: V1Pod,
): Promise<string> {
  const boundObjectRef = pod && {
    apiVersion: 'v1',
    kind: 'Pod',
    name: pod.metadata!.name!,
    uid: pod.metadata!.uid!,
  };
  const request = await core.createNamespacedServiceAccountToken({
    namespace,
    name: serviceAccount,
    body: { spec: { audiences: [], expirationSeconds: 3_600, ...(boundObjectRef && { boundObjectRef }) } },
  });
  return request.status!.token!;
}

/** NB: the API server looks Pods up in a cache, and for a moment may still see the one that was replaced. */
async function untilAuthenticated({ config }: Clients): Promise<void> {
  const reviews = config.makeApiClient(AuthenticationV1Api);
  for (let attempt = 1; ; attempt += 1) {
    try {
      await reviews.createSelfSubjectReview({ body: {} });
      return;
    } catch (error) {
      if (attempt === 50 || !(error instanceof ApiException) || error.code !== 401) throw error;
      await sleep(100);
    }
  }
}

async function writeTokenKubeconfig(
  adminPath: string,
  { config }: Clients,
  name: string,
  token: string,
): Promise<string> {
  const cluster = config.getCurrentCluster()!;
  const authority = Buffer.from(cluster.caData!, 'base64').toString();
  const folder = join(dirname(adminPath), 'identities');
  await mkdir(folder, { recursive: true });
  const path = join(folder, name);
  await writeFile(path, formatKubeconfig({ name, server: cluster.server, authority, user: { token } }), {
    mode: 0o600,
  });
  return path;
}
