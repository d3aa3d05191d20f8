/** `lockwarden explain`: what holds for a lock of a cluster, why, and what a takeover would meet now. */
import { explain as explainLock } from '../explain/explanation.ts';
import { render, type OutputFormat } from '../explain/render.ts';
import { createKubeClient, type KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { loadKubeconfig } from '../kube/kubeconfig.ts';
import { listPages } from '../kube/list.ts';
import { labelsOf, type WatchedObject } from '../kube/resource.ts';
import type { LockKind, LockRef, LockState } from '../core/lock.ts';
import { secondOf, type Interval } from '../core/time.ts';
import { readLock } from '../locks/registry.ts';
import { apiGroup, clusterLockPolicy, lockPolicy } from '../policy/api.ts';
import { PolicyStore } from '../policy/store.ts';
import { protectionOf } from '../switch/protection.ts';
import { switchScope } from '../switch/terms.ts';
import { choiceOf } from './choice.ts';
import { policiesInto } from './listed-policies.ts';
import { lockNamed } from './lock-name.ts';
import { switchStandsIn } from './switch-state.ts';

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
  const format = choiceOf('--output', options.output, formats);
  const { kind, name } = lockNamed(options.lock);
  const config = loadKubeconfig({ file: options.kubeconfig, context: options.context });
  const namespace =
    options.namespace ?? config.getContextObject(config.currentContext)?.namespace ?? 'default';
  const lock: LockRef = { kind, namespace, name };
  const client = createKubeClient(config);
  try {
    const { lockwardenNamespace } = options;
    const [store, found, isThere] = await Promise.all([
      policiesOf(client, namespace, lockwardenNamespace),
      readState(client, lock),
      switchStandsIn(client, lockwardenNamespace),
    ]);
    const effective = store.effectiveFor(lock);
    const scope = isThere === true ? switchScope(store, lockwardenNamespace) : null;
    const word = protectionOf(lock, effective, scope);
    // Only where it hangs on what could not be looked up.
    const whileDown = isThere === null && lock.kind === 'Lease' && word === 'Nothing' ? 'Unknown' : word;
    write(render(explainLock({ lock, ...found, effective, whileDown }), format));
    return 0;
  } finally {
    client.close();
  }
}

function print(text: string): void {
  process.stdout.write(text);
}

const formats: readonly OutputFormat[] = ['table', 'json', 'yaml'];

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
    return { state: readLock(kind, body), now: secondOf(dateMs ?? 0) };
  } catch (error) {
    if (error instanceof KubeError && error.kind === 'not-found') return { state: null, now: secondOf(0) };
    throw error;
  }
}

/** The policies that may cover locks of a namespace. Without the CRDs there are none. */
async function policiesOf(client: KubeClient, namespace: string, ownNamespace: string): Promise<PolicyStore> {
  const store = new PolicyStore(ownNamespace);
  const api = `/apis/${apiGroup}/v1alpha1`;
  await Promise.all([
    listed(client, `${api}/namespaces/${namespace}/${lockPolicy.plural}`, policiesInto(store, 'LockPolicy')),
    listed(client, `${api}/${clusterLockPolicy.plural}`, policiesInto(store, 'ClusterLockPolicy')),
    client.request({ method: 'GET', path: `/api/v1/namespaces/${namespace}` }).then(({ body }) => {
      store.putNamespace(namespace, labelsOf(body));
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
