/** Several replicas of lockwarden, each a process, behind one address: what a Deployment and a Service make of it. */
import { setTimeout as sleep } from 'node:timers/promises';

import type { KubeClient } from '../../../src/kube/client.ts';
import { objectAt, stringAt } from '../../../src/kube/json.ts';
import { freePorts } from '../../../src/sandbox/free-port.ts';
import { failureOf } from '../../kube/support/cluster.ts';
import { Balancer } from './balancer.ts';
import { startServe, type ServeProcess } from './serve-process.ts';

/** lockwarden's namespace. */
export const ownNamespace = 'lockwarden-system';

/** A replica and its process. */
export interface Replica {
  readonly name: string;
  /** Where it takes reviews. */
  readonly port: number;
  readonly process: ServeProcess;
}

/** How to run them. */
export interface ReplicaSetOptions {
  readonly kubeconfig: string;
  readonly client: KubeClient;
  /** Further flags of every replica. */
  readonly args?: readonly string[];
  /** Whether lockwarden's namespace is there from the start; true where it is left out. */
  readonly withNamespace?: boolean;
}

/**
 * LIMIT: an election takes three seconds at most, so that a test of twenty is over in a minute; a machine that is busy
 * stalls for less than the two seconds for which a leader may fail to renew.
 */
export const electionFlags: readonly string[] = [
  '--leader-elect',
  '--leader-elect-lease-duration=3s',
  '--leader-elect-renew-deadline=2s',
  '--leader-elect-retry-period=400ms',
];

/**
 * LIMIT: how long an API server on a busy machine takes to notice that a connection was closed. A call that it sends on one
 * before that is lost, as is one that the dead process had in its hands.
 */
const hangUpMs = 500;

export class ReplicaSet {
  readonly balancer: Balancer;
  readonly #options: ReplicaSetOptions;
  readonly #replicas = new Map<string, Replica>();
  /** Every process there ever was, for what they said. */
  readonly history: Replica[] = [];
  #count = 0;

  private constructor(balancer: Balancer, options: ReplicaSetOptions) {
    this.balancer = balancer;
    this.#options = options;
  }

  static async create(options: ReplicaSetOptions): Promise<ReplicaSet> {
    if (options.withNamespace !== false) await failureOf(createOwnNamespace(options.client));
    return new ReplicaSet(await Balancer.start(), options);
  }

  get replicas(): readonly Replica[] {
    return [...this.#replicas.values()];
  }

  /** Starts `count` more, at once; resolves without waiting for them. */
  async start(count: number): Promise<readonly Replica[]> {
    return Promise.all(Array.from({ length: count }, () => this.#startOne()));
  }

  /** Resolves once every replica gets connections. */
  async untilReady(): Promise<void> {
    await Promise.all(this.replicas.map(({ process }) => process.untilReady()));
  }

  /** The replica that the election's Lease names, or null. */
  async leader(): Promise<Replica | null> {
    const path = `/apis/coordination.k8s.io/v1/namespaces/${ownNamespace}/leases/lockwarden`;
    const failure = await failureOf(this.#options.client.request({ method: 'GET', path }));
    if (failure !== null) return null;
    const { body } = await this.#options.client.request({ method: 'GET', path });
    const holder = stringAt(objectAt(body, 'spec'), 'holderIdentity');
    return this.replicas.find(({ name }) => holder.startsWith(name)) ?? null;
  }

  /** SIGKILL; resolves once whoever had a connection to it has seen that it is gone. */
  async kill(name: string): Promise<void> {
    const { process } = this.#take(name);
    this.balancer.remove(name);
    await process.kill();
    while (this.balancer.connectionsTo(name) > 0) await sleep(10);
    await sleep(hangUpMs);
  }

  /** SIGTERM; resolves with the exit code once it has ended in good order. */
  async end(name: string): Promise<number | null> {
    const { process } = this.#take(name);
    process.signal('SIGTERM');
    const { code } = await process.exit;
    this.balancer.remove(name);
    return code;
  }

  async close(): Promise<void> {
    await Promise.all(this.replicas.map(({ process }) => process.kill()));
    await this.balancer.close();
  }

  #take(name: string): Replica {
    const replica = this.#replicas.get(name);
    if (replica === undefined) throw new Error(`there is no replica ${name}`);
    this.#replicas.delete(name);
    return replica;
  }

  async #startOne(): Promise<Replica> {
    this.#count += 1;
    const name = `replica-${String(this.#count)}`;
    const [port = 0, healthPort = 0] = await freePorts(2);
    const process = startServe({
      kubeconfig: this.#options.kubeconfig,
      args: [
        `--port=${String(port)}`,
        `--health-port=${String(healthPort)}`,
        '--bind-address=127.0.0.1',
        `--webhook-url=https://127.0.0.1:${String(this.balancer.port)}`,
        `--namespace=${ownNamespace}`,
        `--replica-name=${name}`,
        ...electionFlags,
        ...(this.#options.args ?? []),
      ],
    });
    const replica = { name, port, process };
    this.#replicas.set(name, replica);
    this.history.push(replica);
    this.balancer.add({ name, port, healthPort });
    return replica;
  }
}

/** Creates lockwarden's namespace. */
export async function createOwnNamespace(client: KubeClient): Promise<void> {
  const body = { metadata: { name: ownNamespace } };
  await client.request({ method: 'POST', path: '/api/v1/namespaces', body });
}
