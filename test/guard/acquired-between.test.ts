import { expect, test } from 'vitest';
import type { LockRef, LockState } from '../../src/core/lock.ts';
import { acquiredBetween } from '../../src/guard/acquired-between.ts';
import { record, stored, t0, type RecordOptions } from '../support/locks.ts';

const span = { sinceMs: t0, untilMs: t0 + 60_000 };

function lease(
  name: string,
  options: RecordOptions,
  stampedAt = t0 + 70_000,
  manager: string | null = 'client',
): readonly [LockRef, LockState] {
  return [{ kind: 'Lease', namespace: 'team', name }, stored(record(options), stampedAt, manager)];
}

test('locks that were taken in that time are named, and no others', () => {
  const locks = [
    lease('within', { acquired: t0 + 1 }),
    lease('at-the-end', { acquired: t0 + 60_000 }),
    lease('before', { acquired: t0 - 1 }),
    lease('after', { acquired: t0 + 60_001 }),
    lease('released', { acquired: t0 + 1, holder: null }),
    lease('never', { acquired: null }),
    lease('untracked', { acquired: t0 + 1 }, t0, null),
  ];
  expect(acquiredBetween(locks, span)).toEqual({
    count: 3,
    locks: ['lease/team/at-the-end', 'lease/team/untracked', 'lease/team/within'],
  });
});

test('a time that the API server’s own stamp contradicts is not believed', () => {
  const locks = [
    lease('stamped-before', { acquired: t0 + 1 }, t0 - 2_000),
    lease('stamped-in-the-second-of-it', { acquired: t0 + 1 }, t0),
  ];
  expect(acquiredBetween(locks, span).locks).toEqual(['lease/team/stamped-in-the-second-of-it']);
});

test('of many, all are counted and twenty are named', () => {
  const locks = Array.from({ length: 50 }, (_, index) =>
    lease(`lock-${String(index + 10)}`, { acquired: t0 }),
  );
  const { count, locks: named } = acquiredBetween(locks, span);
  expect([count, named.length, named[0]]).toEqual([50, 20, 'lease/team/lock-10']);
});
