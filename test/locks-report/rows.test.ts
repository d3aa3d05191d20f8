/** Rows: what stands in them, their order, and which changes count. */
import { describe, expect, it } from 'vitest';
import { monotonicMs } from '../../src/core/time.ts';
import type { LockRow } from '../../src/locks-report/report.ts';
import { sameShown, sorted, type SortKey } from '../../src/locks-report/rows.ts';
import { storeOf } from '../preflight/support/looked.ts';
import { book, lease, orders, rowOf, rowsOf } from './support/leases.ts';

const store = storeOf(`
apiVersion: lockwarden.dev/v1alpha1
kind: ClusterLockPolicy
metadata: { name: audit-first }
spec: { enforcement: Audit }
---
apiVersion: lockwarden.dev/v1alpha1
kind: LockPolicy
metadata: { name: orders, namespace: team }
spec: { match: { names: [orders] }, enforcement: Warn }
`);

describe('a row', () => {
  it('says who holds the lock, since when by the API server’s clock, and what holds for it', () => {
    expect(rowOf(lease(orders, { transitions: 7 }), { store })).toMatchObject({
      kind: 'Lease',
      namespace: 'team',
      name: 'orders',
      holder: 'a',
      lease: 'live',
      renewedAgoMs: { min: 2_000, max: 4_000 },
      evidence: 'stamp',
      leaseDurationMs: 15_000,
      transitions: 7,
      guarded: true,
      policies: ['clusterlockpolicy/audit-first', 'lockpolicy/team/orders'],
      enforcement: 'Warn',
      findings: [],
    });
    expect(rowOf(lease(orders))).toMatchObject({ policies: [], enforcement: 'Deny' });
  });

  it('has no age where nothing but the holder’s word tells it, or there is no promise', () => {
    const untold = rowOf(lease(orders, { stampedAgoMs: null }));
    expect(untold).toMatchObject({ lease: 'doubt', evidence: null });
    expect(rowOf(lease(orders, { holder: null }))).toMatchObject({ lease: 'free', renewedAgoMs: null });
  });

  it('has a lower bound where the stamp may be of a later write', () => {
    const row = rowOf(lease(orders, { renewedAgoMs: 9_000, stampedAgoMs: 3_000 }));
    expect(row.renewedAgoMs).toEqual({ min: 2_000, max: null });
  });

  it('does not hold what could reach a terminal', () => {
    expect(rowOf(lease(orders, { holder: '\u001b[31mred' })).holder).toBe('\\u{1b}[31mred');
  });
});

describe('rows', () => {
  it.each<[SortKey, string[]]>([
    ['name', ['a', 'b', 'c']],
    ['age', ['b', 'c', 'a']],
    ['lease', ['c', 'a', 'b']],
    ['changes', ['c', 'b', 'a']],
    ['findings', ['b', 'a', 'c']],
  ])('are sorted by %s', (key, names) => {
    const from = book();
    const written = {
      a: { renewedAgoMs: 2_000, transitions: null },
      b: { renewedAgoMs: 90_000, transitions: 1 },
      c: { renewedAgoMs: 4_000, transitions: 2, durationS: 10 },
    };
    for (const [name, each] of Object.entries(written).reverse()) {
      const lock = { ...orders, name };
      from.found(lock, lease(lock, each), monotonicMs(0));
    }
    expect(sorted(rowsOf(from), key).map(({ name }) => name)).toEqual(names);
  });

  it('differ by whoever holds and what is found, not by renewals', () => {
    const row = rowOf(lease(orders));
    const same: Partial<LockRow>[] = [
      { renewedAgoMs: { min: 0, max: 1 } },
      { lease: 'expired' },
      { clockOffsetMs: null },
      { renewedEveryMs: 1 },
    ];
    for (const change of same) expect(sameShown(row, { ...row, ...change })).toBe(true);
    const others: Partial<LockRow>[] = [
      { holder: 'b' },
      { pod: { namespace: 'team', name: 'p', told: 'identity', state: 'gone' } },
      { enforcement: 'Audit' },
      { transitions: 1 },
      { findings: [{ code: 'expired', message: '' }] },
    ];
    for (const change of others) expect(sameShown(row, { ...row, ...change })).toBe(false);
  });
});
