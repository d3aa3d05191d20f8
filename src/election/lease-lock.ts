/**
 * The lock of an election: one Lease, read and written as raw JSON.
 *
 * It remembers nothing. Each replacement is made from the Lease that was read, keeps what it does not understand
 * (`strategy`, `preferredHolder`, what comes after them) and carries its resource version, so it is a compare-and-swap;
 * and what was not stored is never taken for stored.
 */
import type { KubeConfig } from '@kubernetes/client-node';
import { createKubeClient, type KubeRequest } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { isObject, objectAt, stringAt, type JsonObject } from '../kube/json.ts';
import { recordOf, specOf, type LeaseRecord, type StoredLease } from './record.ts';
import { check } from './timing.ts';

/** How long a request may take, in milliseconds, and what calls it off. */
export interface Patience {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Somebody else has written before, so nothing was stored. */
export class LeaseConflict extends Error {
  override readonly name = 'LeaseConflict';
}

/** Where an election takes place. A write rejects with a LeaseConflict, or with anything else when nobody knows what is stored. */
export interface ElectionLock {
  /** Who we are; unique among all candidates, and best for each process: `<pod name>_<uuid>`. */
  readonly identity: string;
  readonly namespace: string;
  readonly name: string;
  /** What is stored; null: there is no such Lease. */
  read(patience: Patience): Promise<StoredLease | null>;
  create(record: LeaseRecord, patience: Patience): Promise<StoredLease>;
  /** Writes `record` if `stored` is still what is stored. */
  replace(stored: StoredLease, record: LeaseRecord, patience: Patience): Promise<StoredLease>;
  /** Closes connections of its own. */
  close(): void;
}

/** What a lock needs of an API server. A `KubeClient` fits; it rejects with a KubeError. */
export interface LeaseClient {
  request(request: KubeRequest): Promise<{ readonly body: unknown }>;
}

/** Which Lease, and as whom. */
export interface LeaseLockOptions {
  /**
   * A kubeconfig gets connections of its own, so that no other traffic of the process can starve renewals. A client is
   * used as it is, and stays open.
   */
  readonly api: KubeConfig | LeaseClient;
  readonly namespace: string;
  readonly name: string;
  readonly identity: string;
  /** Set on the Lease whenever it is written; others stay. */
  readonly labels?: Readonly<Record<string, string>>;
  /** How a kubeconfig's connections present themselves. Default: `leader-election`. */
  readonly userAgent?: string;
}

const apiVersion = 'coordination.k8s.io/v1';

/**
 * The lock on a Lease.
 *
 * @throws LockwardenError `UsageInvalid` when namespace or name is empty; the elector checks the identity
 */
export function leaseLock(options: LeaseLockOptions): ElectionLock {
  const { api, namespace, name, identity, labels = {}, userAgent = 'leader-election' } = options;
  check(namespace !== '' && name !== '', 'the lock needs the namespace and the name of a Lease');
  const { client, close } = connect(api, userAgent);
  const collection = `/apis/${apiVersion}/namespaces/${encodeURIComponent(namespace)}/leases`;
  const path = `${collection}/${encodeURIComponent(name)}`;
  const labelled = (metadata: JsonObject): JsonObject =>
    Object.keys(labels).length === 0
      ? metadata
      : { ...metadata, labels: { ...objectAt(metadata, 'labels'), ...labels } };
  const send = async (request: KubeRequest): Promise<StoredLease> => {
    try {
      return storedIn((await client.request(request)).body);
    } catch (error) {
      const isConflict =
        error instanceof KubeError && (error.kind === 'conflict' || error.kind === 'already-exists');
      throw isConflict ? new LeaseConflict(error.message, { cause: error }) : error;
    }
  };

  return {
    identity,
    namespace,
    name,
    read: async (patience) => {
      try {
        // NB: without a resource version this is read from etcd; with `0` it would come from a cache, and be old.
        return await send({ method: 'GET', path, ...patience });
      } catch (error) {
        if (error instanceof KubeError && error.kind === 'not-found') return null;
        throw error;
      }
    },
    create: (record, patience) => {
      const metadata = labelled({ namespace, name });
      const body = { apiVersion, kind: 'Lease', metadata, spec: specOf(record) };
      return send({ method: 'POST', path: collection, body, ...patience });
    },
    replace: ({ object }, record, patience) => {
      const metadata = labelled(objectAt(object, 'metadata'));
      // NB: without a resource version the API server would overwrite whatever is there.
      if (stringAt(metadata, 'resourceVersion') === '') throw notALease();
      const body = { ...object, metadata, spec: { ...objectAt(object, 'spec'), ...specOf(record) } };
      return send({ method: 'PUT', path, body, ...patience });
    },
    close,
  };
}

function connect(
  api: KubeConfig | LeaseClient,
  userAgent: string,
): { readonly client: LeaseClient; readonly close: () => void } {
  if ('request' in api) return { client: api, close: () => undefined };
  const client = createKubeClient(api, { userAgent });
  return {
    client,
    close: () => {
      client.close();
    },
  };
}

function storedIn(body: unknown): StoredLease {
  if (!isObject(body) || stringAt(objectAt(body, 'metadata'), 'resourceVersion') === '') throw notALease();
  return { record: recordOf(body['spec']), object: body };
}

function notALease(): KubeError {
  return new KubeError('malformed', 'what was read is not a Lease; check the address of the API server');
}
