/** One decision, told once in the log, as an Event and to whoever else listens. */
import { describe, expect, it } from 'vitest';
import type { Decision } from '../../src/core/decision.ts';
import type { LockState, LockWrite } from '../../src/core/lock.ts';
import { monotonicMs } from '../../src/core/time.ts';
import { GuardReviews } from '../../src/guard/reviews.ts';
import type { RejectionRecord } from '../../src/review/record-schema.ts';

function state(holder: string | null): LockState {
  const record = { holder, leaseDurationMs: 15_000, renewTime: null, acquireTime: null, transitions: 1 };
  return {
    ...{ uid: 'lock-uid', version: null, terminating: false, stamps: { entries: [], count: 0 } },
    reading: { kind: 'record', record },
  };
}

const takeover: LockWrite = {
  operation: 'UPDATE',
  lock: { kind: 'Lease', namespace: 'team', name: 'orders' },
  ...{ before: state('a-0'), after: state('b-0'), dryRun: false },
  requester: { username: 'someone', groups: [], pod: null },
};

function decision(enforcement: 'Deny' | 'Warn' | 'Audit' | null): Decision {
  const violation = { clause: 'U15', reason: 'PrematureTakeover', message: 'held by `a-0`' } as const;
  return {
    ...{ policy: 'team/strict', transition: 'takeover', effect: null, question: null },
    expiry: { verdict: 'untimed' },
    outcome: enforcement === 'Deny' ? 'Deny' : 'Allow',
    violations: enforcement === null ? [] : [{ ...violation, enforcement }],
  };
}

function teller() {
  let now = 0;
  const told: string[] = [];
  const lines: { level: string; fields: object; message: string }[] = [];
  const records: RejectionRecord[] = [];
  const note = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, fields, message });
  const reviews = new GuardReviews({
    instance: 'replica-0',
    clock: { monotonicMs: () => monotonicMs(now) },
    nowMs: () => Date.parse('2026-03-01T03:12:00Z') + now,
    log: { info: note('info'), warn: note('warn') },
    recordEvent: ({ reason, action }, times) => void told.push(`event ${action} ${reason} ${String(times)}`),
    countRejection: (policy) => void told.push(`refusal by ${policy}`),
    onDrop: (what) => void told.push(`${what} dropped`),
    onRecord: (record) => void records.push(record),
    changeLimits: { perLock: { burst: 2, perSecond: 0 }, inAll: { burst: 9, perSecond: 0 }, locksMax: 9 },
  });
  const pass = (ms: number): void => {
    now += ms;
    reviews.tick();
  };
  return { reviews, told, lines, records, pass };
}

describe('a decision', () => {
  it('that refuses is one record, in the log, as an Event, and for whoever listens', () => {
    const { reviews, told, lines, records } = teller();
    reviews.judged(takeover, decision('Deny'), 'review-1');
    expect(records).toMatchObject([
      { reviewUid: 'review-1', instance: 'replica-0', firstSeen: '2026-03-01T03:12:00.000Z' },
    ]);
    expect(lines).toEqual([{ level: 'warn', fields: records[0], message: 'lock write rejected' }]);
    expect(told).toEqual(['refusal by team/strict', 'event Reject PrematureTakeover 1']);
  });

  it.each([
    ['Warn', 'lock write warned about'],
    ['Audit', 'lock write audited'],
  ] as const)(
    'that lets pass with %s is one record and, as the holder changes, a change',
    (enforcement, message) => {
      const { reviews, told, lines } = teller();
      reviews.judged(takeover, decision(enforcement), 'review-1');
      expect(lines).toMatchObject([
        { level: 'info', message, fields: { enforcement } },
        { level: 'info', message: 'lock changed hands', fields: { holder: 'a-0', newHolder: 'b-0' } },
      ]);
      expect(told).toEqual([`event ${enforcement} PrematureTakeover 1`]);
    },
  );

  it('that finds nothing is not told of, unless the holder changes', () => {
    const { reviews, told, lines } = teller();
    reviews.judged({ ...takeover, after: state('a-0') }, decision(null), 'review-1');
    expect(lines).toEqual([]);
    reviews.judged(takeover, decision(null), 'review-2');
    expect(lines).toMatchObject([{ message: 'lock changed hands', fields: { reviewUid: 'review-2' } }]);
    expect(told).toEqual([]);
  });

  it('about a dry run leaves no Event behind', () => {
    const { reviews, told, records } = teller();
    reviews.judged({ ...takeover, dryRun: true }, decision('Deny'), 'review-1');
    expect(records).toMatchObject([{ dryRun: true }]);
    expect(told).toEqual(['refusal by team/strict']);
  });
});

describe('a client in a loop', () => {
  it('is told of at once, after ten seconds, and at the end; the policy counts every refusal', () => {
    const { reviews, told, lines, records, pass } = teller();
    reviews.start();
    for (let each = 0; each < 120; each += 1) {
      reviews.judged(takeover, decision('Deny'), `review-${String(each)}`);
      pass(100);
    }
    expect(records.map(({ count }) => count)).toEqual([1, 99]);
    reviews.stop();
    reviews.stop();
    expect(records.map(({ count }) => count)).toEqual([1, 99, 20]);
    expect(lines.map(({ fields }) => fields)).toEqual(records);
    expect(new Set(records.map(({ reviewUid }) => reviewUid))).toEqual(new Set(['review-0']));
    expect(told.filter((each) => each.startsWith('refusal'))).toHaveLength(120);
    expect(told.filter((each) => each.startsWith('event'))).toEqual([
      ...['event Reject PrematureTakeover 1', 'event Reject PrematureTakeover 99'],
      'event Reject PrematureTakeover 20',
    ]);
  });

  it('who changes its name each time is told of as far as there is room, and the rest is counted', () => {
    const { reviews, told, records } = teller();
    for (let each = 0; each < 20; each += 1)
      reviews.judged({ ...takeover, after: state(`thief-${String(each)}`) }, decision('Deny'), 'review');
    expect(records).toHaveLength(16);
    expect(told.filter((each) => each === 'violation dropped')).toHaveLength(4);
  });

  it('and a lock that is handed on and on: the rest is counted', () => {
    const { reviews, told, lines } = teller();
    for (let each = 0; each < 5; each += 1) reviews.judged(takeover, decision(null), 'review');
    expect(lines).toHaveLength(2);
    expect(told).toEqual(['change dropped', 'change dropped', 'change dropped']);
  });
});
