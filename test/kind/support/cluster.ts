/** The kind cluster that `npm run kind:up` has left, as somebody with kubectl sees it. */
import { createKubeClient, type KubeClient } from '../../../src/kube/client.ts';
import { arrayAt, objectAt, stringAt, type JsonObject } from '../../../src/kube/json.ts';
import { loadKubeconfig } from '../../../src/kube/kubeconfig.ts';
import { rejectionMessage } from '../../../src/review/record.ts';
import { run } from '../../../tools/kind/engine.ts';
import { readState, type ClusterState } from '../../../tools/kind/state.ts';

export const ownNamespace = 'lockwarden-system';
export const replicaSelector = 'app.kubernetes.io/name=lockwarden,app.kubernetes.io/component=webhook';

/** LIMIT: a rollout of two replicas waits for API servers' idle connections, 100 s each, on a machine that is busy besides. */
const rolloutTimeout = '10m';

/** A kind cluster. */
export class KindCluster {
  readonly state: ClusterState;
  readonly client: KubeClient;

  constructor(state: ClusterState) {
    this.state = state;
    this.client = createKubeClient(loadKubeconfig({ file: state.kubeconfig }));
  }

  /** @throws Error where none is up */
  static async open(): Promise<KindCluster> {
    const state = await readState();
    if (state === null) throw new Error('no cluster is up: run `npm run kind:up` first');
    return new KindCluster(state);
  }

  close(): void {
    this.client.close();
  }

  /** Runs kubectl. @returns what it printed. @throws LockwardenError with its last lines */
  kubectl(...args: readonly string[]): Promise<string> {
    const env = { ...process.env, ...this.state.env };
    return run('kubectl', [`--kubeconfig=${this.state.kubeconfig}`, ...args], env);
  }

  async get(path: string): Promise<JsonObject> {
    return objectAt({ ...(await this.client.request({ method: 'GET', path })) }, 'body');
  }

  async spec(namespace: string, lease: string): Promise<JsonObject> {
    return objectAt(
      await this.get(`/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${lease}`),
      'spec',
    );
  }

  /** Names of the pods of lockwarden that are not on their way out. */
  async replicas(): Promise<readonly string[]> {
    const path = `/api/v1/namespaces/${ownNamespace}/pods`;
    const { body } = await this.client.request({
      method: 'GET',
      path,
      query: { labelSelector: replicaSelector },
    });
    return arrayAt(body, 'items')
      .map((pod) => objectAt(pod, 'metadata'))
      .filter((metadata) => metadata['deletionTimestamp'] === undefined)
      .map((metadata) => stringAt(metadata, 'name'));
  }

  /** The pod that leads lockwarden, or null. */
  async leader(): Promise<string | null> {
    const holder = stringAt(await this.spec(ownNamespace, 'lockwarden'), 'holderIdentity');
    return (await this.replicas()).find((name) => holder.startsWith(`${name}_`)) ?? null;
  }

  /** Resolves once every replica of lockwarden is of the present revision and ready. */
  async untilRolledOut(): Promise<void> {
    await this.kubectl(
      ...['-n', ownNamespace, 'rollout', 'status', 'deployment/lockwarden'],
      `--timeout=${rolloutTimeout}`,
    );
  }

  /** What lockwarden has refused, as its pods' logs have it. */
  async rejections(): Promise<readonly JsonObject[]> {
    const logs = await this.kubectl(
      ...['-n', ownNamespace, 'logs', '-l', replicaSelector, '--tail=-1', '--max-log-requests=20'],
    );
    return logs
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as JsonObject)
      .filter((line) => line['msg'] === rejectionMessage);
  }
}
