/** What `kubectl apply -k` would apply, and applying it object by object. */
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { parseAllDocuments, stringify } from 'yaml';

import { createKubeClient, type KubeClient, type KubeResponse } from '../../../src/kube/client.ts';
import { requestToken } from '../../../src/kube/identity.ts';
import { arrayAt, objectAt, stringAt, type JsonObject } from '../../../src/kube/json.ts';
import { loadKubeconfig } from '../../../src/kube/kubeconfig.ts';
import type { ControlPlane } from '../../../src/sandbox/control-plane.ts';
import { formatKubeconfig } from '../../../src/sandbox/kubeconfig.ts';
import { rendered } from '../../../tools/render.ts';
import { failureOf } from '../../kube/support/cluster.ts';

const manifests = fileURLToPath(new URL('../../../manifests', import.meta.url));

/** The objects of a folder below `manifests`, in the order in which they are rendered. */
export async function objectsOf(folder: string): Promise<readonly JsonObject[]> {
  return objectsIn(await rendered(join(manifests, folder)));
}

/** The objects of `base` with `components`, as a kustomization of one's own would combine them. */
export async function objectsWith(components: readonly string[]): Promise<readonly JsonObject[]> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'lockwarden-')));
  try {
    const path = (part: string): string => relative(folder, join(manifests, part));
    const kustomization = {
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: [path('base')],
      components: components.map((each) => path(`components/${each}`)),
    };
    await writeFile(join(folder, 'kustomization.yaml'), stringify(kustomization));
    return objectsIn(await rendered(folder));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The objects in a text of YAML. */
export function objectsIn(text: string): readonly JsonObject[] {
  return parseAllDocuments(text).map((document) => document.toJS() as JsonObject);
}

/** `Kind/name`. */
export function describeObject(object: JsonObject): string {
  return `${stringAt(object, 'kind')}/${stringAt(objectAt(object, 'metadata'), 'name')}`;
}

/** Path of a kubeconfig with a token of the ServiceAccount that the manifests make, as its pods get one. */
export async function kubeconfigOfServiceAccount(
  { kubeconfig, server, authority }: ControlPlane,
  client: KubeClient,
): Promise<string> {
  const account = { namespace: 'lockwarden-system', name: 'lockwarden' };
  const token = await requestToken(client, account, { pod: null, expirationSeconds: 3_600 });
  const path = join(dirname(kubeconfig), 'service-account-kubeconfig');
  await writeFile(path, formatKubeconfig({ name: 'lockwarden', server, authority, user: { token } }), {
    mode: 0o600,
  });
  return path;
}

/** Who empties a namespace that is deleted, which no controller does here: lockwarden's guard Lease is for nobody else to delete. */
export async function namespaceController(
  { kubeconfig, server, authority }: ControlPlane,
  client: KubeClient,
): Promise<KubeClient> {
  const account = { namespace: 'kube-system', name: 'namespace-controller' };
  const { name, namespace } = account;
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts`;
  await failureOf(client.request({ method: 'POST', path, body: { metadata: { name } } }));
  const group = 'rbac.authorization.k8s.io';
  const body = {
    metadata: { name },
    roleRef: { apiGroup: group, kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ kind: 'ServiceAccount', ...account }],
  };
  await failureOf(client.request({ method: 'POST', path: `/apis/${group}/v1/clusterrolebindings`, body }));
  const token = await requestToken(client, account, { pod: null, expirationSeconds: 3_600 });
  const file = join(dirname(kubeconfig), 'namespace-controller-kubeconfig');
  await writeFile(file, formatKubeconfig({ name, server, authority, user: { token } }), { mode: 0o600 });
  return createKubeClient(loadKubeconfig({ file }));
}

/** Writes objects of any kind that the API server serves, as somebody with kubectl does. */
export class Applier {
  readonly #client: KubeClient;

  constructor(client: KubeClient) {
    this.#client = client;
  }

  /** Server-side apply. @throws KubeError; `not-found` where the API server does not know the kind, or has not its namespace */
  async apply(object: JsonObject, query: Readonly<Record<string, string>> = {}): Promise<KubeResponse> {
    return this.#client.request({
      method: 'PATCH',
      path: await this.#pathOf(object),
      query: { fieldManager: 'kubectl', force: 'true', fieldValidation: 'Strict', ...query },
      contentType: 'application/apply-patch+yaml',
      body: object,
    });
  }

  /** @throws KubeError */
  async get(object: JsonObject): Promise<KubeResponse> {
    return this.#client.request({ method: 'GET', path: await this.#pathOf(object) });
  }

  /** @throws KubeError */
  async delete(object: JsonObject): Promise<void> {
    await this.#client.request({ method: 'DELETE', path: await this.#pathOf(object) });
  }

  async #pathOf(object: JsonObject): Promise<string> {
    const apiVersion = stringAt(object, 'apiVersion');
    const group = `${apiVersion.includes('/') ? '/apis' : '/api'}/${apiVersion}`;
    const { body } = await this.#client.request({ method: 'GET', path: group });
    const kind = stringAt(object, 'kind');
    const found = arrayAt(body, 'resources').find(
      (each) => stringAt(each, 'kind') === kind && !stringAt(each, 'name').includes('/'),
    );
    if (found === undefined) throw new Error(`the API server does not serve ${kind} of ${apiVersion}`);
    const metadata = objectAt(object, 'metadata');
    const isNamespaced = objectAt({ found }, 'found')['namespaced'] === true;
    const scope = isNamespaced ? `/namespaces/${stringAt(metadata, 'namespace')}` : '';
    return `${group}${scope}/${stringAt(found, 'name')}/${stringAt(metadata, 'name')}`;
  }
}
