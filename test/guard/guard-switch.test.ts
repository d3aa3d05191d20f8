import { describe, expect, it } from 'vitest';
import { LockMemories } from '../../src/admission/lock-memories.ts';
import type { LockRef } from '../../src/core/lock.ts';
import { monotonicMs } from '../../src/core/time.ts';
import { vigilFields } from '../../src/guard/guard-switch.ts';
import { record, stored, t0 } from '../support/locks.ts';

const vigil = { sinceMs: t0, untilMs: t0 + 61_499, orderly: false };
const lease = (namespace: string, name: string): LockRef => ({ kind: 'Lease', namespace, name });

function memoriesOf(...locks: readonly LockRef[]): LockMemories {
  const memories = new LockMemories();
  for (const lock of locks)
    memories.stored(lock, stored(record({ acquired: t0 + 1_000 }), t0 + 1_000), monotonicMs(0), false);
  return memories;
}

describe('what is told of the time for which the switch stood watch', () => {
  it('says since when, for how long, and which Leases were taken, but for lockwarden’s own', () => {
    const memories = memoriesOf(lease('team', 'b'), lease('team', 'a'), lease('own', 'lockwarden'), {
      ...lease('team', 'c'),
      kind: 'ConfigMap',
    });
    memories.listed('Lease');
    expect(vigilFields(vigil, memories, 'own')).toEqual({
      since: '2026-03-01T12:00:00.000Z',
      seconds: 61,
      acquired: 2,
      locks: ['lease/team/a', 'lease/team/b'],
    });
  });

  it('says nothing of Leases before all of them are known', () => {
    expect(vigilFields(vigil, memoriesOf(lease('team', 'a')), 'own')).toEqual({
      since: '2026-03-01T12:00:00.000Z',
      seconds: 61,
    });
  });
});
