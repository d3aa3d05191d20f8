/** From what an event shows of an object to the state of a lock. */
import type { SeenWrite } from '../audit-log/seen.ts';
import type { LockRef, LockState } from '../core/lock.ts';
import type { JsonObject } from '../locks/json.ts';
import { readLock } from '../locks/registry.ts';
import { readVersion } from '../locks/version.ts';
import { mergePatch } from '../suite/model/merge-patch.ts';
import type { KnownLock } from './known-locks.ts';

/** The object that a write made; null: it is gone, or what it became is not known. */
export function objectOf(
  { object }: SeenWrite,
  kind: 'stored' | 'sent' | 'patched',
  known: KnownLock | null,
): JsonObject | null {
  if (object === null || kind !== 'patched') return object;
  return known === null ? null : mergePatch(known.object, object);
}

/** What was sent has the stamps and the version that its sender had read, if any, and nothing of its own. */
export function stateOf(
  { kind }: LockRef,
  object: JsonObject,
  { isSent, known }: { readonly isSent: boolean; readonly known: KnownLock | null },
): LockState {
  const state = readLock(kind, object);
  if (!isSent) return state;
  return { ...state, uid: known?.state.uid ?? state.uid, version: null, stamps: noStamps };
}

const noStamps: LockState['stamps'] = { entries: [], count: 0 };

/** A state as if nobody had stamped it. */
export function withoutStamps(state: LockState | null): LockState | null {
  return state === null ? null : { ...state, stamps: noStamps };
}

/** Audit logs of several API servers, put together, may tell of an older state after a newer one. */
export function isOlder(object: JsonObject, known: KnownLock | null): boolean {
  const [then, now] = [known?.state.version ?? null, readVersion(object)];
  return then !== null && now !== null && now < then;
}
