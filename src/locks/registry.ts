/** Which objects are locks, and who reads them. */
import type { LockKind, LockState } from '../core/lock.ts';
import { carriesRecord, readAnnotated } from './annotation.ts';
import { readLease } from './lease.ts';

const readers: Readonly<Record<LockKind, (object: unknown) => LockState>> = {
  Lease: readLease,
  ConfigMap: readAnnotated,
  Endpoints: readAnnotated,
};

/** Reads an object of the given kind, of any version that the API serves. Total. */
export function readLock(kind: LockKind, object: unknown): LockState {
  return readers[kind](object);
}

/** The kind of lock that a Kubernetes kind is, or null. */
export function lockKindOf(kind: { readonly group: string; readonly kind: string }): LockKind | null {
  if (kind.group === 'coordination.k8s.io') return kind.kind === 'Lease' ? 'Lease' : null;
  if (kind.group !== '') return null;
  return kind.kind === 'ConfigMap' || kind.kind === 'Endpoints' ? kind.kind : null;
}

/** Whether an object may be a lock: every Lease may be one, of ConfigMaps and Endpoints those that carry a record. */
export function mayBeLock(kind: LockKind, object: unknown): boolean {
  return object != null && (kind === 'Lease' || carriesRecord(object));
}
