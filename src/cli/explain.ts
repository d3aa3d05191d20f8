/** `lockwarden explain`: what holds for a lock of a cluster, why, and what a takeover would meet now. */
import { LockwardenError } from '../errors.ts';
import { explain as explainLock } from '../explain/explanation.ts';
import { render, type OutputFormat } from '../explain/render.ts';
import { createKubeClient, type KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { isObject, objectAt, stringAt } from '../kube/json.ts';
import { loadKubeconfig } from '../kube/kubeconfig.ts';
import { listPages } from '../kube/list.ts';
import type { WatchedObject } from '../kube/resource.ts';
import type { LockKind, LockRef, LockState } from '../core/lock.ts';
import type { Interval } from '../core/time.ts';
import { readLock } from '../locks/registry.ts';
import { apiGroup, clusterLockPolicy, lockPolicy } from '../policy/api.ts';
import { PolicyStore } from '../policy/store.ts';

/** What `explain` is told. */
export interface ExplainOptions {
  /** `lease/NAME`, `configmap/NAME` or `endpoints/NAME`. */
  readonly lock: string;
  /** The lock's; by default that of the kubeconfig's context, or `default`. */
  readonly namespace?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
  /** lockwarden's own namespace, which no policy covers. */
  readonly lockwardenNamespace: string;
  readonly output: string;
}

/** Prints the explanation. Resolves to the exit code. */
export async function explain(
  options: ExplainOptions,
  write: (text: string) => void = print,
): Promise<number> {
  const format = formatOf(options.output);
  const { kind, name } = lockOf(options.lock);
  const config = loadKubeconfig({ file: options.kubeconfig, context: options.context });
  const namespace =
    options.namespace ?? config.getContextObject(config.currentContext)?.namespace ?? 'default';
  const lock: LockRef = { kind, namespace, name };
  const client = createKubeClient(config);
  try {
    const [store, found] = await Promise.all([
      policiesOf(client, namespace, options.lockwardenNamespace),
      readState(client, lock),
    ]);
    write(render(explainLock({ lock, ...found, effective: store.effectiveFor(lock) }), format));
    return 0;
  } finally {
    client.close();
  }
}

function print(text: string): void {
  process.stdout.write(text);
}

function formatOf(output: string): OutputFormat {
  if (output === 'table' || output === 'json' || output === 'yaml') return output;
  throw new LockwardenError('UsageInvalid', `--output does not take \`${output}\`: give table, json or yaml`);
}

/** As kubectl takes them: singular, plural and short. */
const kinds: Readonly<Partial<Record<string, LockKind>>> = {
  lease: 'Lease',
  leases: 'Lease',
  configmap: 'ConfigMap',
  configmaps: 'ConfigMap',
  cm: 'ConfigMap',
  endpoints: 'Endpoints',
  ep: 'Endpoints',
};

function lockOf(text: string): { readonly kind: LockKind; readonly name: string } {
  const [word = '', name = '', ...rest] = text.split('/');
  const kind = kinds[word.toLowerCase()];
  if (kind !== undefined && name !== '' && rest.length === 0) return { kind, name };
  throw new LockwardenError(
    'UsageInvalid',
    `\`${text}\` names no lock: give lease/NAME, configmap/NAME or endpoints/NAME`,
  );
}

const collections: Readonly<Record<LockKind, (namespace: string) => string>> = {
  Lease: (namespace) => `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`,
  ConfigMap: (namespace) => `/api/v1/namespaces/${namespace}/configmaps`,
  Endpoints: (namespace) => `/api/v1/namespaces/${namespace}/endpoints`,
};

async function readState(
  client: KubeClient,
  { kind, namespace, name }: LockRef,
): Promise<{ readonly state: LockState | null; readonly now: Interval }> {
  const path = `${collections[kind](namespace)}/${encodeURIComponent(name)}`;
  try {
    const { body, dateMs } = await client.request({ method: 'GET', path });
    return { state: readLock(kind, body), now: presentOf(dateMs) };
  } catch (error) {
    if (error instanceof KubeError && error.kind === 'not-found')
      return { state: null, now: presentOf(null) };
    throw error;
  }
}

/** The `Date` header has whole seconds. */
function presentOf(dateMs: number | null): Interval {
  const seconds = dateMs ?? 0;
  return { min: seconds, max: seconds + 1_000 };
}

/** The policies that may cover locks of a namespace. Without the CRDs there are none. */
async function policiesOf(client: KubeClient, namespace: string, ownNamespace: string): Promise<PolicyStore> {
  const store = new PolicyStore(ownNamespace);
  const api = `/apis/${apiGroup}/v1alpha1`;
  const put = (kind: 'LockPolicy' | 'ClusterLockPolicy') => (objects: readonly WatchedObject[]) => {
    for (const { namespace: own, name, object } of objects) {
      store.put({ ref: { kind, namespace: own, name }, generation: 0, spec: object['spec'] });
    }
  };
  await Promise.all([
    listed(client, `${api}/namespaces/${namespace}/${lockPolicy.plural}`, put('LockPolicy')),
    listed(client, `${api}/${clusterLockPolicy.plural}`, put('ClusterLockPolicy')),
    labelsOf(client, namespace).then((labels) => {
      store.putNamespace(namespace, labels);
    }),
  ]);
  return store;
}

async function listed(
  client: KubeClient,
  path: string,
  take: (objects: readonly WatchedObject[]) => void,
): Promise<void> {
  try {
    await listPages(client, { path }, take, new AbortController().signal);
  } catch (error) {
    if (!(error instanceof KubeError && error.kind === 'not-found')) throw error;
  }
}

async function labelsOf(client: KubeClient, namespace: string): Promise<Readonly<Record<string, string>>> {
  const { body } = await client.request({ method: 'GET', path: `/api/v1/namespaces/${namespace}` });
  const labels = objectAt(objectAt(body, 'metadata'), 'labels');
  return isObject(labels)
    ? Object.fromEntries(Object.keys(labels).map((key) => [key, stringAt(labels, key)]))
    : {};
}
