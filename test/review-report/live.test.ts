/** Records of replicas as entries: what is new of groups that are told again and again. */
import { describe, expect, it } from 'vitest';
import { LiveDeltas, liveRejection } from '../../src/review-report/live.ts';
import { recordOf } from '../read-api/support/records.ts';

function rejectionOf(uid: string, count: number, lastSeen = '2026-03-01T03:12:00.000Z') {
  const rejection = liveRejection(recordOf('team', uid, { count, lastSeen }));
  if (rejection === null) throw new Error('no rejection');
  return rejection;
}

describe('a record of a replica', () => {
  it('is what a line of its log would be', () => {
    const record = recordOf('team', 'a', { count: 3, lastSeen: '2026-03-01T03:13:00.000Z' });
    expect(liveRejection(record)).toEqual({
      kind: 'rejection',
      atMs: Date.parse('2026-03-01T03:12:00Z'),
      lastMs: Date.parse('2026-03-01T03:13:00Z'),
      record,
    });
    expect(liveRejection(recordOf('team', 'a', { enforcement: 'Audit' }))?.record.enforcement).toBe('Audit');
  });

  it('that is none is left out, and one that means harm is made safe', () => {
    for (const none of [{}, { enforcement: 'constructor' }, { enforcement: 'Deny' }, { enforcement: 1 }])
      expect(liveRejection(none)).toBeNull();
    const evil = liveRejection({ ...recordOf('team', 'a'), holder: 'x\u001b[2J', __proto__: { y: 1 } });
    expect(evil?.record.holder).toBe('x\\u{1b}[2J');
  });
});

describe('what is new', () => {
  it('is a group that was not known, and then the writes since', () => {
    const deltas = new LiveDeltas();
    expect(deltas.next(rejectionOf('a', 1))?.record.count).toBe(1);
    const later = '2026-03-01T03:15:00.000Z';
    expect(deltas.next(rejectionOf('a', 9, later))).toMatchObject({
      atMs: Date.parse(later),
      record: { count: 8, firstSeen: later, lastSeen: later },
    });
    expect(deltas.next(rejectionOf('a', 9, later))).toBeNull();
    expect(deltas.next(rejectionOf('b', 4))?.record.count).toBe(4);
  });

  it('is all of a group that its replica had forgotten meanwhile', () => {
    const deltas = new LiveDeltas();
    deltas.next(rejectionOf('a', 9));
    expect(deltas.next(rejectionOf('a', 2))?.record.count).toBe(2);
  });
});
