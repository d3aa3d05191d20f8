/**
 * The policies of the cluster, told to the store: a watch on each kind of policy, and one on namespaces for their labels.
 *
 * The CRDs need not be there: without them there are no policies. They may come, and go, at any time.
 */
import type { KubeClient } from '../kube/client.ts';
import type { KubeError } from '../kube/errors.ts';
import { objectAt, type JsonObject } from '../kube/json.ts';
import type { Logger, MonotonicClock } from '../kube/ports.ts';
import { labelsOf, type VanishedObject, type WatchedObject } from '../kube/resource.ts';
import { Watch, type WatchSink } from '../kube/watch.ts';
import { clusterLockPolicy, lockPolicy, apiGroup } from '../policy/api.ts';
import type { PolicyObject } from '../policy/policy.ts';
import { describePolicy, type PolicyRef } from '../policy/policy-ref.ts';
import type { PolicyStore } from '../policy/store.ts';

/** What the watches need. */
export interface PolicyWatchOptions {
  readonly client: KubeClient;
  readonly store: PolicyStore;
  readonly clock: MonotonicClock;
  readonly logger: Logger;
  /** Called for each kind, once, when all of it is known, or known not to be there. */
  readonly onSynced: (what: WatchedKind) => void;
  /** Called for each object of a policy as it now is; null: it is gone. */
  readonly onObject: (ref: PolicyRef, object: WatchedObject | null) => void;
  /** Called when a namespace has appeared, changed or gone. */
  readonly onNamespace: () => void;
}

/** What is watched. */
export type WatchedKind = PolicyRef['kind'] | 'Namespace';

export const watchedKinds: readonly WatchedKind[] = ['LockPolicy', 'ClusterLockPolicy', 'Namespace'];

/** LIMIT: who installs the CRDs should not wait long for the first policy to count. */
const backoff = { capMs: 5_000 };
/** LIMIT: an API server that starts does not serve custom resources at once; three refusals are some ten seconds. */
const refusalsUntilGone = 3;

/** Watches policies and namespaces; `start()` it. */
export class PolicyWatch {
  readonly #watches: readonly Watch[];

  constructor(options: PolicyWatchOptions) {
    const { client, clock, logger } = options;
    const create = (path: string, sink: WatchSink, metadataOnly: boolean): Watch =>
      new Watch(client, { path, metadataOnly }, sink, { clock, logger, backoff });
    this.#watches = [
      ...[lockPolicy, clusterLockPolicy].map(({ kind, plural }) =>
        create(`/apis/${apiGroup}/v1alpha1/${plural}`, policySink(kind, options), false),
      ),
      create('/api/v1/namespaces', namespaceSink(options), true),
    ];
  }

  start(): void {
    for (const watch of this.#watches) watch.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#watches.map((watch) => watch.stop()));
  }
}

function policySink(kind: PolicyRef['kind'], options: PolicyWatchOptions): WatchSink {
  const { store, logger, onSynced, onObject } = options;
  const generations = new Map<string, string>();
  let refusals = 0;
  const refOf = ({ namespace, name }: VanishedObject): PolicyRef => ({ kind, namespace, name });
  const take = (watched: WatchedObject): void => {
    const ref = refOf(watched);
    const generation = generationOf(watched.object);
    const state = `${watched.uid} ${String(generation)}`;
    // Otherwise its status has changed, or its labels: nothing that counts.
    if (generations.get(describePolicy(ref)) !== state) {
      generations.set(describePolicy(ref), state);
      tell(logger, store, { ref, generation, spec: watched.object['spec'] });
    }
    onObject(ref, watched);
  };
  const drop = (object: VanishedObject): void => {
    const ref = refOf(object);
    generations.delete(describePolicy(ref));
    store.delete(ref);
    onObject(ref, null);
    logger.info({ policy: describePolicy(ref) }, 'lock policy deleted');
  };
  return {
    listed: (objects) => {
      objects.forEach(take);
    },
    synced: () => {
      onSynced(kind);
    },
    added: take,
    modified: take,
    deleted: drop,
    deletedUnseen: drop,
    connected: () => {
      refusals = 0;
    },
    disconnected: (error, retryInMs) => {
      if (error.kind !== 'not-found') {
        interrupted(logger, kind, error, retryInMs);
        return;
      }
      refusals += 1;
      if (refusals === 1) onSynced(kind);
      if (refusals !== refusalsUntilGone) return;
      generations.clear();
      if (store.deleteAll(kind) > 0) logger.warn({ kind }, 'lock policies are gone with their CRD');
    },
  };
}

function tell(logger: Logger, store: PolicyStore, object: PolicyObject): void {
  const parsed = store.put(object);
  const policy = describePolicy(object.ref);
  const { generation } = object;
  if (parsed.ok) {
    logger.info({ policy, generation }, 'lock policy in force');
    return;
  }
  const faults = parsed.faults.map(({ field, why }) => `${field}: ${why}`);
  logger.warn({ policy, generation, faults }, 'lock policy invalid, its last good state stays in force');
}

function namespaceSink({ store, logger, onSynced, onNamespace }: PolicyWatchOptions): WatchSink {
  const take = ({ name, object }: WatchedObject): void => {
    store.putNamespace(name, labelsOf(object));
    onNamespace();
  };
  const drop = ({ name }: VanishedObject): void => {
    store.deleteNamespace(name);
    onNamespace();
  };
  return {
    listed: (objects) => {
      objects.forEach(take);
    },
    synced: () => {
      onSynced('Namespace');
    },
    added: take,
    modified: take,
    deleted: drop,
    deletedUnseen: drop,
    connected: () => undefined,
    disconnected: (error, retryInMs) => {
      interrupted(logger, 'Namespace', error, retryInMs);
    },
  };
}

function interrupted(logger: Logger, kind: WatchedKind, error: KubeError, retryInMs: number): void {
  logger.warn({ kind, reason: error.message, retryInMs }, 'watch on policies interrupted');
}

function generationOf(object: JsonObject): number {
  const { generation } = objectAt(object, 'metadata');
  return typeof generation === 'number' ? generation : 0;
}
