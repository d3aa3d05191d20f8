/** Locks by the thousand, as electors write them, and policies for them. */
import { randomUUID } from 'node:crypto';

import type { KubeClient } from '../../../src/kube/client.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { arrayAt, objectAt, stringAt, type JsonObject } from '../../../src/kube/json.ts';
import { ownNamespace } from '../../../test/conformance/support/switch.ts';
import { microTime, Namespace, withSpec } from '../../../test/kube/support/cluster.ts';
import { Kept, recordOf } from '../writes.ts';

/** The namespaces that locks and policies are spread over. */
export const namespaces = Array.from({ length: 100 }, (_, index) => `bench-${String(index)}`);
/** LIMIT: as many writers as keep two processors busy. */
export const writers = 16;
/** LIMIT: the shortest lease that there is, so that its end need not be waited for long; all others are client-go's. */
const dueSeconds = 1;
const usualSeconds = 15;
/** From a takeover to the next one of the same lock: the lease, a second for the stamp, and as much again for the clocks. */
export const dueAfterMs = 4_000;

/** One lock. */
export class Lock {
  readonly #namespace: Namespace;
  readonly #name: string;
  #lease: Kept | null = null;

  constructor(client: KubeClient, namespace: string, name: string) {
    this.#namespace = new Namespace(client, namespace);
    this.#name = name;
  }

  async create(leaseDurationSeconds = usualSeconds): Promise<void> {
    const spec = recordOf(this.#identity(), leaseDurationSeconds, 0);
    this.#lease = await Kept.create(this.#namespace, 'leases', this.#name, { spec });
  }

  async renew(): Promise<void> {
    await this.#write({ renewTime: microTime() });
  }

  /** Resolves to what it took, in milliseconds. @throws KubeError where it is refused */
  takeOver(): Promise<number> {
    const now = microTime();
    return this.#write({ holderIdentity: this.#identity(), acquireTime: now, renewTime: now });
  }

  #write(change: JsonObject): Promise<number> {
    if (this.#lease === null) throw new Error(`${this.#name} is not there yet`);
    return this.#lease.write((object) => withSpec(object, change));
  }

  /** A pod's name and a UUID, as client-go's electors call themselves. */
  #identity(): string {
    return `${this.#name}-7d4b9c6f5-x2x7k_${randomUUID()}`;
  }
}

/** The locks of a cluster, which become more. */
export class Locks {
  /** In namespaces that lockwarden guards. */
  readonly guarded: Lock[] = [];
  /** In lockwarden's own: it watches the locks in there, and is asked about none of them. */
  readonly own: Lock[] = [];
  readonly #client: KubeClient;
  readonly #dueMax: number;

  /** @param dueMax how many of either have a lease that runs out within `dueAfterMs` */
  constructor(client: KubeClient, dueMax: number) {
    this.#client = client;
    this.#dueMax = dueMax;
  }

  /** Creates what is missing from `count`. */
  async grow(count: number): Promise<void> {
    const own = Math.min(this.#dueMax, Math.floor(count / 2));
    const more = (list: Lock[], wanted: number, namespaceOf: (index: number) => string): Promise<void> => {
      const begin = list.length;
      return inParallel(Math.max(0, wanted - begin), async (offset) => {
        const index = begin + offset;
        const lock = new Lock(this.#client, namespaceOf(index), `elector-${String(index)}`);
        list[index] = lock;
        await lock.create(index < this.#dueMax ? dueSeconds : usualSeconds);
      });
    };
    await more(this.own, own, () => ownNamespace);
    await more(this.guarded, count - own, (index) => namespaces[index % namespaces.length] ?? '');
  }

  /** Pairs of a guarded one and one that lockwarden is not asked about, whose leases have run out `dueAfterMs` after their last takeover. */
  get due(): readonly (readonly [guarded: Lock, own: Lock])[] {
    const guarded = this.guarded.slice(0, this.#dueMax);
    return this.own.flatMap((own, index) => {
      const other = guarded[index];
      return other === undefined ? [] : [[other, own] as const];
    });
  }
}

/** Calls `work` for 0 to `count` - 1, several at once, as long as `goesOn` holds. */
export async function inParallel(
  count: number,
  work: (index: number) => Promise<void>,
  goesOn: () => boolean = () => true,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count && goesOn()) {
      next += 1;
      await work(next - 1);
    }
  };
  await Promise.all(Array.from({ length: writers }, worker));
}

const group = '/apis/lockwarden.dev/v1alpha1';

/**
 * Policies that become more, as `bench/policy-resolution.ts` mixes them: one of ten is of the cluster, the rest are of the
 * namespaces in turn, each for some of the names there, with a condition that holds.
 */
export async function growPolicies(client: KubeClient, from: number, to: number): Promise<void> {
  await inParallel(to - from, async (offset) => {
    const index = from + offset;
    const metadata = { name: `bench-${String(index)}` };
    const ofCluster = index % 10 === 9;
    const kind = ofCluster ? 'ClusterLockPolicy' : 'LockPolicy';
    const path = ofCluster
      ? `${group}/clusterlockpolicies`
      : `${group}/namespaces/${namespaces[index % namespaces.length] ?? ''}/lockpolicies`;
    const spec = ofCluster
      ? { match: { namespaces: [`bench-${String(index % 90)}*`] }, tolerance: '2s' }
      : {
          match: { names: [`elector-${String(index % 7)}*`] },
          enforcement: 'Deny',
          conditions: [{ name: 'held', expression: 'after.held' }],
        };
    const body = { apiVersion: 'lockwarden.dev/v1alpha1', kind, metadata, spec };
    await client.request({ method: 'POST', path, body });
  });
}

/** Whether lockwarden has told, of every policy, that it is in force. */
export async function arePoliciesInForce(client: KubeClient, count: number): Promise<boolean> {
  try {
    const lists = await Promise.all(['lockpolicies', 'clusterlockpolicies'].map(statusesOf(client)));
    const isReady = (each: unknown): boolean =>
      stringAt(each, 'type') === 'Ready' && stringAt(each, 'status') === 'True';
    return lists.flat().filter((status) => arrayAt(status, 'conditions').some(isReady)).length === count;
  } catch (error) {
    // An API server that has just come back does not serve custom resources at once.
    if (error instanceof KubeError && error.kind === 'throttled') return false;
    throw error;
  }
}

function statusesOf(client: KubeClient): (plural: string) => Promise<readonly JsonObject[]> {
  return async (plural) => {
    const { body } = await client.request({
      method: 'GET',
      path: `${group}/${plural}`,
      bytesMax: 1_024 ** 3,
    });
    return arrayAt(body, 'items').map((each) => objectAt(each, 'status'));
  };
}
