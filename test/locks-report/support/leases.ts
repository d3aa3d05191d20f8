/** Locks as an API server has them, and a book that they are entered in. */
import type { LockRef } from '../../../src/core/lock.ts';
import type { Assertion, LockFacts } from '../../../src/core/shared-facts.ts';
import { monotonicMs, serverMs } from '../../../src/core/time.ts';
import type { JsonObject } from '../../../src/locks/json.ts';
import { LockBook } from '../../../src/locks-report/lock-book.ts';
import { PodBook } from '../../../src/locks-report/pods.ts';
import { rowsAt, type LockRow, type RowSources } from '../../../src/locks-report/report.ts';
import { watchedWrite, type SeenWrite } from '../../../src/audit-log/seen.ts';
import { PolicyStore } from '../../../src/policy/store.ts';

/** The API server's time at the monotonic clock's 0. */
export const t0 = Date.parse('2026-03-01T12:00:00.000Z');

export const ownNamespace = 'lockwarden-system';
export const orders: LockRef = { kind: 'Lease', namespace: 'team', name: 'orders' };

/** What is written in a lease; times in milliseconds before `t0`. Null: nothing. */
export interface Written {
  readonly holder?: string | null;
  readonly durationS?: number | null;
  readonly renewedAgoMs?: number | null;
  /** Of the manager's entry; null: there are no stamps. By default when it was renewed. */
  readonly stampedAgoMs?: number | null;
  readonly createdAgoMs?: number;
  readonly transitions?: number | null;
  readonly version?: number;
}

export const hourMs = 3_600_000;

export function lease(lock: LockRef, written: Written = {}): JsonObject {
  const { holder = 'a', durationS = 15, renewedAgoMs = 3_000, createdAgoMs = hourMs } = written;
  const { stampedAgoMs = renewedAgoMs, transitions = 0, version = 1 } = written;
  const at = (agoMs: number): string => new Date(t0 - agoMs).toISOString();
  const whole = (agoMs: number): string =>
    `${new Date(Math.floor((t0 - agoMs) / 1_000) * 1_000).toISOString().slice(0, 19)}Z`;
  const fieldsV1 = { 'f:spec': { 'f:renewTime': {}, 'f:holderIdentity': {} } };
  return {
    kind: 'Lease',
    metadata: {
      name: lock.name,
      namespace: lock.namespace,
      uid: `uid-${lock.name}`,
      resourceVersion: String(version),
      creationTimestamp: whole(createdAgoMs),
      ...(stampedAgoMs === null
        ? {}
        : {
            managedFields: [
              {
                manager: 'elector',
                operation: 'Update',
                apiVersion: 'v1',
                time: whole(stampedAgoMs),
                fieldsV1,
              },
            ],
          }),
    },
    spec: {
      ...(holder === null ? {} : { holderIdentity: holder }),
      ...(durationS === null ? {} : { leaseDurationSeconds: durationS }),
      ...(renewedAgoMs === null ? {} : { renewTime: at(renewedAgoMs).replace('Z', '000Z') }),
      ...(transitions === null ? {} : { leaseTransitions: transitions }),
    },
  };
}

/** A book that knows the API server's time. */
export function book(): LockBook {
  const made = new LockBook();
  made.dated(monotonicMs(0), monotonicMs(0), serverMs(t0));
  return made;
}

/** What a watch shows of an update at `atMs` of the monotonic clock; null: of a deletion. */
export function write(lock: LockRef, object: JsonObject | null, atMs: number): SeenWrite {
  return watchedWrite(lock, object === null ? 'DELETE' : 'UPDATE', object, monotonicMs(atMs));
}

/** That lockwarden has seen a pod take the lock, at a version. */
export function assertedBy(holder: string, pod: Assertion['pod'], version = 1): LockFacts {
  const about = { uid: 'uid-orders', version, acquireTime: null, transitions: null };
  return { asserted: [{ ...about, holder, pod }], deleted: null };
}

/** All pods of a cluster, or of some namespaces. */
export function pods(
  running: readonly { readonly namespace?: string; readonly name: string; readonly uid?: string }[],
  scope: readonly string[] | null = null,
): PodBook {
  const made = new PodBook(scope);
  for (const { namespace = 'team', name, uid = `uid-${name}` } of running) made.put({ namespace, name, uid });
  return made;
}

/** The rows of a book, in a cluster that lockwarden guards by its defaults unless it is told otherwise. */
export function rowsOf(from: LockBook, sources: Partial<RowSources> = {}, atMs = 0): readonly LockRow[] {
  const store = new PolicyStore(ownNamespace);
  return rowsAt(monotonicMs(atMs), {
    book: from,
    store,
    pods: pods([]),
    ownNamespace,
    registered: true,
    ...sources,
  });
}

/** The one row of a cluster with one lock that was found in a list. */
export function rowOf(object: JsonObject, sources: Partial<RowSources> = {}, lock = orders): LockRow {
  const from = book();
  from.found(lock, object, monotonicMs(0));
  const [row] = rowsOf(from, sources);
  if (row === undefined) throw new Error('there is no row');
  return row;
}

/** The names of a row's findings. */
export function codes({ findings }: LockRow): readonly string[] {
  return findings.map(({ code }) => code);
}
