import { describe, expect, it } from 'vitest';
import { happeningOf } from '../../src/guard/happening.ts';
import { record } from '../review/support/records.ts';

describe('the Event of a record', () => {
  it('is about the lock, and says what the client was told, who wrote, and which review it was', () => {
    expect(happeningOf(record())).toEqual({
      regarding: {
        ...{ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace: 'team', name: 'orders' },
        uid: 'lock-uid',
      },
      type: 'Warning',
      reason: 'PrematureTakeover',
      action: 'Reject',
      note: 'lease/team/orders: held by `a-0` (by pod b-0 as system:serviceaccount:team:candidate for b-0; review review-1)',
    });
  });

  it.each([
    ['Deny', 'Warning', 'Reject'],
    ['Warn', 'Warning', 'Warn'],
    ['Audit', 'Normal', 'Audit'],
  ] as const)('under %s is of type %s', (enforcement, type, action) => {
    expect(happeningOf(record({ enforcement }))).toMatchObject({ type, action });
  });

  it('of an older client’s lock names its kind; of a lock that was to be made, no uid; of nobody, none', () => {
    const older = record({ lockKind: 'ConfigMap', lockUid: '', pod: null, wouldBeHolder: null });
    const { regarding, note } = happeningOf(older);
    expect(regarding).toEqual({ apiVersion: 'v1', kind: 'ConfigMap', namespace: 'team', name: 'orders' });
    expect(note).toContain('(by system:serviceaccount:team:candidate; review review-1)');
  });

  it('tells who wrote however long the sentence is', () => {
    const { note } = happeningOf(record({ detail: 'x'.repeat(1_024) }));
    expect(note).toHaveLength(1_000);
    expect(note).toMatch(/^x+… \(by pod b-0 .*; review review-1\)$/);
  });

  it('is the same for all that is folded', () => {
    const later = { count: 7, lastSeen: '2026-03-01T03:13:00.000Z' };
    expect(happeningOf(record(later))).toEqual(happeningOf(record()));
  });
});
