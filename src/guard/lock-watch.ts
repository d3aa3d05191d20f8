/**
 * What the API server has stored, told to the memories: one watch for each kind of lock, and one for the Leases of nodes.
 *
 * ConfigMaps and Endpoints are watched as metadata only, and dropped as they are parsed unless they carry the lock
 * annotation: their data never reaches this process.
 */
import type { LockMemories } from '../admission/lock-memories.ts';
import type { LockKind, LockRef } from '../core/lock.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Logger, MonotonicClock } from '../kube/ports.ts';
import { within, type WatchedResource } from '../kube/resource.ts';
import { Watch, type WatchSink } from '../kube/watch.ts';
import { carriesRecord } from '../locks/annotation.ts';
import { readLock } from '../locks/registry.ts';
import { nodeNamespace } from '../policy/built-in.ts';
import type { WatchMetrics } from '../server/metrics.ts';

/** What a watch on locks needs. */
export interface LockWatchOptions {
  readonly client: KubeClient;
  readonly memories: LockMemories;
  readonly metrics: WatchMetrics;
  readonly clock: MonotonicClock;
  readonly logger: Logger;
  /** Called once, when every lock of the kind that exists is known. */
  readonly onSynced: () => void;
}

/** The collections that hold locks. */
export const lockResources: Readonly<Record<LockKind, WatchedResource>> = {
  Lease: { path: '/apis/coordination.k8s.io/v1/leases' },
  ConfigMap: { path: '/api/v1/configmaps', metadataOnly: true, passes: carriesRecord },
  Endpoints: { path: '/api/v1/endpoints', metadataOnly: true, passes: carriesRecord },
};

/** What one watch shows, as logs and metrics call it: the locks of one kind, or the Leases of nodes, which are watched only where a policy names them. */
export type LockWatchName = LockKind | 'NodeLease';

const watched: Readonly<Record<LockWatchName, WatchedResource>> = {
  ...lockResources,
  Lease: { ...lockResources.Lease, fieldSelector: `metadata.namespace!=${nodeNamespace}` },
  NodeLease: within(lockResources.Lease, nodeNamespace),
};

/** Watches the locks that go by `name`; `start()` it. */
export function lockWatch(name: LockWatchName, options: LockWatchOptions): Watch {
  const { client, clock } = options;
  const logger = withKind(options.logger, name);
  const watch = new Watch(client, watched[name], lockSink(name, { ...options, logger }), { clock, logger });
  options.metrics.follow(name, () => watch.status().lastEventAt);
  return watch;
}

function lockSink(
  watchName: LockWatchName,
  { memories, metrics, clock, logger, onSynced }: LockWatchOptions,
): WatchSink {
  const kind = watchName === 'NodeLease' ? 'Lease' : watchName;
  const refOf = ({ namespace, name }: { namespace: string; name: string }): LockRef => ({
    kind,
    namespace,
    name,
  });
  const store = (object: Parameters<WatchSink['added']>[0], live: boolean): void => {
    memories.stored(refOf(object), readLock(kind, object.object), clock.monotonicMs(), live);
  };
  let connectedBefore = false;
  return {
    listed: (objects) => {
      for (const object of objects) store(object, false);
    },
    synced: () => {
      if (watchName === 'NodeLease') memories.listedApart();
      else memories.listed(kind);
      onSynced();
    },
    added: (object) => {
      store(object, true);
    },
    modified: (object) => {
      store(object, true);
    },
    deleted: (object) => {
      memories.deleted(refOf(object), readLock(kind, object.object), clock.monotonicMs());
    },
    deletedUnseen: (object) => {
      memories.deleted(refOf(object), null, clock.monotonicMs());
    },
    connected: () => {
      metrics.connected.set({ kind: watchName }, 1);
      if (connectedBefore) metrics.restarts.inc({ kind: watchName });
      connectedBefore = true;
    },
    disconnected: (error, retryInMs) => {
      metrics.connected.set({ kind: watchName }, 0);
      logger.warn({ reason: error.message, retryInMs }, 'watch on locks interrupted');
    },
  };
}

function withKind(logger: Logger, lockKind: LockWatchName): Logger {
  return {
    info: (fields, message) => {
      logger.info({ ...fields, lockKind }, message);
    },
    warn: (fields, message) => {
      logger.warn({ ...fields, lockKind }, message);
    },
    error: (fields, message) => {
      logger.error({ ...fields, lockKind }, message);
    },
  };
}
