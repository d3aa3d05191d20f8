import { describe, expect, it } from 'vitest';
import { LockMemories } from '../../src/admission/lock-memories.ts';
import { monotonicMs as ms, serverMs } from '../../src/core/time.ts';
import { create, lock, pod, record, stored, t0, update } from '../support/locks.ts';

const heldByA = stored(record({ holder: 'a' }), t0, 'a');
const taken = stored(record({ holder: 'b' }), t0, 'b');
const named = (name: string) => ({ ...lock, name });

describe('the memories of all locks', () => {
  it('keep locks apart by kind, namespace and name', () => {
    const memories = new LockMemories();
    memories.stored(lock, heldByA, ms(0), true);
    const facts = (ref: typeof lock) =>
      memories.factsFor({ ...update(heldByA, taken), lock: ref }, ms(10)).observation;
    expect(facts(lock)).not.toBeNull();
    expect(facts(named('other'))).toBeNull();
    expect(facts({ ...lock, namespace: 'other' })).toBeNull();
    expect(facts({ ...lock, kind: 'ConfigMap' })).toBeNull();
  });

  it('forget the lock that has been quiet for longest once there are too many', () => {
    const memories = new LockMemories({ locksMax: 3 });
    for (const name of ['1', '2', '3']) memories.stored(named(name), heldByA, ms(0), true);
    memories.stored(named('1'), heldByA, ms(1), true);
    memories.stored(named('4'), heldByA, ms(2), true);
    expect(memories.size).toBe(3);
    const known = (name: string) =>
      memories.factsFor({ ...update(heldByA, taken), lock: named(name) }, ms(3)).observation !== null;
    expect(['1', '2', '3', '4'].filter(known)).toEqual(['1', '3', '4']);
  });

  it('do not take what has just changed for quiet because others were deleted meanwhile', () => {
    const memories = new LockMemories({ locksMax: 2 });
    memories.stored(named('1'), heldByA, ms(0), true);
    for (const name of ['2', '3']) memories.deleted(named(name), heldByA, ms(1));
    memories.stored(named('1'), heldByA, ms(2), true);
    expect(memories.shown(named('1'), ms(3))).not.toBeNull();
  });

  it('call a lock gone that was deleted, and none that had to be forgotten', () => {
    const memories = new LockMemories({ locksMax: 2 });
    const gone = (): readonly string[] => ['1', '2', '3'].filter((name) => memories.isGone(named(name)));
    for (const name of ['1', '2']) memories.stored(named(name), heldByA, ms(0), true);
    expect(gone()).toEqual([]);
    memories.listed('Lease');
    expect(gone()).toEqual(['3']);
    memories.stored(named('3'), heldByA, ms(1), true);
    expect(gone()).toEqual([]);
    memories.deleted(named('1'), null, ms(2));
    expect(gone()).toEqual(['1']);
    memories.stored(named('1'), heldByA, ms(3), true);
    expect(gone()).toEqual([]);
  });

  it('call no lock gone that is listed apart before that has been done', () => {
    const memories = new LockMemories({ isApart: ({ name }) => name === 'apart' });
    const gone = (): readonly string[] => ['1', 'apart'].filter((name) => memories.isGone(named(name)));
    memories.listed('Lease');
    expect(gone()).toEqual(['1']);
    memories.listedApart();
    expect(gone()).toEqual(['1', 'apart']);
    memories.stored(named('apart'), heldByA, ms(0), true);
    expect(gone()).toEqual(['1']);
  });

  it('guard a deleted lock’s name for as long as its lease, remember it for a minute, and then let go', () => {
    const memories = new LockMemories();
    memories.stored(lock, heldByA, ms(0), true);
    memories.admitted(lock, { kind: 'deleted', state: heldByA, attribution: 'other' }, ms(1000));
    memories.deleted(lock, heldByA, ms(1001));
    expect(memories.factsFor(create(taken), ms(2000)).tombstone).not.toBeNull();
    memories.listed('Lease');
    memories.sweep(ms(61_000));
    expect(memories.size).toBe(1);
    memories.sweep(ms(61_001));
    expect(memories.size).toBe(0);
    const long = stored(record({ holder: 'a', durationS: 120 }), t0, 'a');
    memories.stored(lock, long, ms(100_000), true);
    memories.deleted(lock, long, ms(100_001));
    memories.sweep(ms(219_999));
    expect(memories.size).toBe(1);
    memories.sweep(ms(220_000));
    expect(memories.size).toBe(0);
  });

  it('let go at once of a lock that was deleted while nobody held it', () => {
    const memories = new LockMemories();
    memories.stored(lock, stored(record({ holder: null }), t0), ms(0), true);
    memories.deleted(lock, null, ms(1));
    expect(memories.size).toBe(0);
  });

  it('let go of writes that were admitted and never stored', () => {
    const memories = new LockMemories();
    memories.admitted(lock, { kind: 'asserted', holder: 'b', renewTime: null, pod: null }, ms(0));
    memories.sweep(ms(1));
    expect(memories.size).toBe(0);
  });

  it('tell what was judged here once it has come about, and only that', () => {
    const told: unknown[] = [];
    const memories = new LockMemories({ onFacts: (ref, facts) => void told.push([ref, facts]) });
    const asserted = {
      kind: 'asserted',
      holder: 'a',
      renewTime: new Date(t0).toISOString(),
      pod: null,
    } as const;
    memories.admitted(lock, asserted, ms(0));
    expect(told).toEqual([]);
    memories.stored(lock, { ...heldByA, version: 5 }, ms(1), true);
    expect(told).toMatchObject([
      [lock, { asserted: [{ version: 5, holder: 'a', pod: null }], deleted: null }],
    ]);
    memories.stored(lock, { ...taken, version: 6 }, ms(2), true);
    memories.told(lock, { asserted: [], deleted: null }, ms(3));
    expect(told).toHaveLength(1);
    memories.dated(ms(3), ms(3), serverMs(t0));
    memories.admitted(
      lock,
      { kind: 'deleted', state: { ...taken, version: 6 }, attribution: 'other' },
      ms(4),
    );
    memories.deleted(lock, { ...taken, version: 7 }, ms(5));
    expect(told[1]).toMatchObject([lock, { deleted: { version: 7, attribution: 'other', holder: 'b' } }]);
  });

  it('keep what they were told of a lock that has not been shown, until it must have been', () => {
    const memories = new LockMemories();
    const says = { uid: 'uid-1', version: 5, holder: 'a', acquireTime: null, transitions: null, pod: null };
    memories.told(lock, { asserted: [says], deleted: null }, ms(0));
    memories.sweep(ms(120_000));
    expect(memories.size).toBe(1);
    expect(memories.isGone(lock)).toBe(false);
    memories.listed('Lease');
    expect(memories.isGone(lock)).toBe(true);
    memories.sweep(ms(59_999));
    expect(memories.size).toBe(1);
    memories.sweep(ms(60_000));
    expect(memories.size).toBe(0);
    memories.stored(lock, heldByA, ms(60_000), true);
    expect(memories.isGone(lock)).toBe(false);
  });

  it('know the API server’s time once it has answered', () => {
    const memories = new LockMemories();
    expect(memories.serverTimeAt(ms(0))).toBeNull();
    memories.dated(ms(0), ms(10), serverMs(t0));
    expect(memories.serverTimeAt(ms(10))).toEqual({ min: t0, max: t0 + 1010 });
    expect(memories.factsFor(update(heldByA, taken, pod('b')), ms(10)).serverNow).toEqual({
      min: t0,
      max: t0 + 1010,
    });
  });
});
