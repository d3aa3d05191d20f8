/** A lock as the read API shows it, from what a replica has seen. */
import { describe, expect, it } from 'vitest';
import { LockMemories } from '../../src/admission/lock-memories.ts';
import type { LockRef, LockState } from '../../src/core/lock.ts';
import { monotonicMs, serverMs } from '../../src/core/time.ts';
import { readRecordedTime } from '../../src/locks/recorded-time.ts';
import { PolicyStore } from '../../src/policy/store.ts';
import { lockViewOf, locksAfter, type LockView } from '../../src/read-api/lock-view.ts';

const lock: LockRef = { kind: 'Lease', namespace: 'team', name: 'orders' };

const renewed = readRecordedTime('2026-03-01T03:12:00.000000Z');

function stateOf(holder: string | null): LockState {
  const renewTime = holder === null ? null : renewed;
  const record = { holder, leaseDurationMs: 15_000, renewTime, acquireTime: null, transitions: 3 };
  return {
    ...{ uid: 'u', version: null, terminating: false, stamps: { entries: [], count: 0 } },
    reading: { kind: 'record', record },
  };
}

function viewAt(memories: LockMemories, ref: LockRef, at: number): LockView | null {
  const shown = memories.shown(ref, monotonicMs(at));
  const effective = new PolicyStore('lockwarden-system').effectiveFor(ref);
  if (shown === null) return null;
  return lockViewOf({ lock: ref, ...shown, effective }, memories.serverTimeAt(monotonicMs(at)));
}

describe('a lock', () => {
  it('that was seen written is as old as that, live first and then expired', () => {
    const memories = new LockMemories();
    memories.dated(monotonicMs(0), monotonicMs(0), serverMs(Date.parse('2026-03-01T03:12:00Z')));
    memories.stored(lock, stateOf('a-0'), monotonicMs(1_000), false);
    memories.stored(lock, stateOf(`b-0\u001b`), monotonicMs(2_000), true);
    expect(viewAt(memories, lock, 5_000)).toMatchObject({
      ...{ kind: 'Lease', namespace: 'team', name: 'orders', holder: 'b-0\\u{1b}', transitions: 3 },
      ...{ leaseDurationMs: 15_000, guarded: true, policies: [], enforcement: 'Deny' },
      renewedAgoMs: { min: 3_000 },
    });
    expect(viewAt(memories, lock, 100_000)).toMatchObject({
      lease: 'expired',
      renewedAgoMs: { min: 98_000 },
    });
  });

  it('that is free, not judged or gone is shown as that', () => {
    const memories = new LockMemories();
    memories.stored(lock, stateOf(null), monotonicMs(0), false);
    expect(viewAt(memories, lock, 0)).toMatchObject({ holder: null, lease: 'free', renewedAgoMs: null });
    const own = { ...lock, namespace: 'kube-system' };
    memories.stored(own, stateOf('a-0'), monotonicMs(0), false);
    expect(viewAt(memories, own, 0)).toMatchObject({ guarded: false, enforcement: null });
    memories.deleted(lock, null, monotonicMs(1));
    expect(viewAt(memories, lock, 2)).toBeNull();
  });
});

describe('the locks after a place', () => {
  it('are the first in order, as many as were asked for', () => {
    const names = ['d', 'a', 'c', 'b', 'e'];
    const all = names.map((name) => ({ ...lock, name }));
    const after = (place: string, count: number) => locksAfter(all, place, count).map(({ name }) => name);
    expect(after('', 3)).toEqual(['a', 'b', 'c']);
    expect(after('team/c/Lease', 9)).toEqual(['d', 'e']);
    expect(after('team/e/Lease', 9)).toEqual([]);
  });
});
