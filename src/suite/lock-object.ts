/** Locks as objects, read and written as client-go does. */
import type { LockKind, LockRef } from '../core/lock.ts';
import { leaderAnnotation } from '../locks/annotation.ts';
import { isObject, at, textAt, type JsonObject } from '../locks/json.ts';

/** Where objects of a kind are, and in which version. */
export interface KindOfObject {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
}

export const kinds: Readonly<Record<LockKind, KindOfObject>> = {
  Lease: { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' },
  ConfigMap: { group: '', version: 'v1', resource: 'configmaps' },
  Endpoints: { group: '', version: 'v1', resource: 'endpoints' },
};

/** `coordination.k8s.io/v1`, `v1`. */
export function apiVersionOf(kind: LockKind): string {
  const { group, version } = kinds[kind];
  return group === '' ? version : `${group}/${version}`;
}

/** What a client writes of an election. Times are Unix milliseconds; null: not written. An empty holder is nobody. */
export interface Written {
  readonly holder: string;
  readonly leaseDurationMs: number;
  readonly acquiredMs: number;
  readonly renewedMs: number;
  readonly transitions: number;
}

/** What stands in an object of an election, as far as a client that goes on from it needs it. */
export interface Found {
  readonly holder: string;
  readonly leaseDurationMs: number;
  readonly acquireTime: unknown;
  readonly transitions: number;
}

/** A new object with the record; without one where `written` is null. */
export function newLock(lock: LockRef, written: Written | null): JsonObject {
  const { kind, namespace, name } = lock;
  const bare = { apiVersion: apiVersionOf(kind), kind, metadata: { name, namespace } };
  if (written === null) return kind === 'Lease' ? { ...bare, spec: {} } : withRecord(bare, {});
  return kind === 'Lease' ? { ...bare, spec: specOf(written) } : withRecord(bare, recordOf(written));
}

/** `object`, as it was read, with the record of `written`; `acquireTime` as it stood where it is kept. */
export function changedLock(
  kind: LockKind,
  object: JsonObject,
  written: Written,
  keepsAcquireTime: boolean,
): JsonObject {
  const kept = keepsAcquireTime ? { acquireTime: foundIn(kind, object)?.acquireTime } : {};
  if (kind !== 'Lease') return withRecord(object, { ...recordOf(written), ...kept });
  const spec = at(object, 'spec');
  return { ...object, spec: { ...(isObject(spec) ? spec : {}), ...specOf(written), ...kept } };
}

/** The record in an object; null where there is none that can be read. */
export function foundIn(kind: LockKind, object: JsonObject): Found | null {
  const record = kind === 'Lease' ? at(object, 'spec') : annotated(object);
  if (!isObject(record)) return null;
  const seconds = record['leaseDurationSeconds'];
  const transitions = record[transitionsKey[kind]];
  return {
    holder: textAt(record, 'holderIdentity'),
    leaseDurationMs: typeof seconds === 'number' ? seconds * 1_000 : 0,
    acquireTime: record['acquireTime'],
    transitions: typeof transitions === 'number' ? transitions : 0,
  };
}

/** A time as Leases hold it, with six digits, no more and no less. */
export function microTime(ms: number): string {
  return new Date(Math.round(ms)).toISOString().replace('Z', '000Z');
}

/** A time as metadata and the records of annotations hold it: in whole seconds. */
export function secondTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

const transitionsKey: Readonly<Record<LockKind, string>> = {
  Lease: 'leaseTransitions',
  ConfigMap: 'leaderTransitions',
  Endpoints: 'leaderTransitions',
};

function specOf({ holder, leaseDurationMs, acquiredMs, renewedMs, transitions }: Written): JsonObject {
  return {
    holderIdentity: holder,
    leaseDurationSeconds: leaseDurationMs / 1_000,
    acquireTime: microTime(acquiredMs),
    renewTime: microTime(renewedMs),
    leaseTransitions: transitions,
  };
}

/** NB: in client-go's order; clients compare these records byte for byte. */
function recordOf({ holder, leaseDurationMs, acquiredMs, renewedMs, transitions }: Written): JsonObject {
  return {
    holderIdentity: holder,
    leaseDurationSeconds: leaseDurationMs / 1_000,
    acquireTime: secondTime(acquiredMs),
    renewTime: secondTime(renewedMs),
    leaderTransitions: transitions,
  };
}

function withRecord(object: JsonObject, record: JsonObject): JsonObject {
  const metadata = at(object, 'metadata');
  const annotations = at(metadata, 'annotations');
  return {
    ...object,
    metadata: {
      ...(isObject(metadata) ? metadata : {}),
      annotations: {
        ...(isObject(annotations) ? annotations : {}),
        [leaderAnnotation]: JSON.stringify(record),
      },
    },
  };
}

function annotated(object: JsonObject): unknown {
  const text = textAt(object, 'metadata', 'annotations', leaderAnnotation);
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
