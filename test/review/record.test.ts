import { describe, expect, it } from 'vitest';
import type { Decision } from '../../src/core/decision.ts';
import type { LockState, LockWrite } from '../../src/core/lock.ts';
import { changeRecord, recordMessages, rejectionRecord } from '../../src/review/record.ts';
import { rejectionRecordSchema } from '../../src/review/record-schema.ts';
import { printable } from '../../src/review/text.ts';

function state(holder: string | null): LockState {
  const record = { holder, leaseDurationMs: 15_000, renewTime: null, acquireTime: null, transitions: 1 };
  return {
    uid: 'lease-uid',
    version: null,
    reading: { kind: 'record', record },
    stamps: { entries: [], count: 0 },
    terminating: false,
  };
}

const write: LockWrite = {
  operation: 'UPDATE',
  lock: { kind: 'Lease', namespace: 'apps', name: 'controller' },
  before: state('a'),
  after: state('b'),
  requester: { username: 'system:serviceaccount:apps:x', groups: [], pod: { name: 'x-1', uid: 'pod-uid' } },
  dryRun: false,
};

const decision: Decision = {
  outcome: 'Deny',
  policy: 'built-in defaults',
  transition: 'takeover',
  violations: [
    { clause: 'U15', reason: 'PrematureTakeover', enforcement: 'Deny', message: 'held by `a`' },
    { clause: 'W3', reason: 'TransitionsOdd', enforcement: 'Warn', message: 'odd' },
  ],
  expiry: {
    verdict: 'live',
    holder: 'a',
    leaseDurationMs: 15_000,
    ageMs: { min: 3_000.4, max: 4_200.6 },
    source: 'observed',
  },
  effect: null,
  question: null,
};

const judged = {
  reviewUid: 'review-uid',
  instance: 'replica-0',
  atMs: Date.parse('2026-03-01T03:12:03.250Z'),
};

describe('the record of a violation', () => {
  it('has the agreed keys, and a constant message', () => {
    expect(recordMessages).toEqual({
      Deny: 'lock write rejected',
      Warn: 'lock write warned about',
      Audit: 'lock write audited',
    });
    expect(rejectionRecord(write, decision, judged)).toEqual({
      recordVersion: 1,
      lockKind: 'Lease',
      namespace: 'apps',
      name: 'controller',
      lockUid: 'lease-uid',
      operation: 'UPDATE',
      transition: 'takeover',
      holder: 'a',
      wouldBeHolder: 'b',
      requester: 'system:serviceaccount:apps:x',
      pod: 'x-1',
      podUid: 'pod-uid',
      rule: 'U15',
      reason: 'PrematureTakeover',
      alsoViolated: ['TransitionsOdd'],
      policy: 'built-in defaults',
      detail: 'held by `a`',
      evidence: 'observed',
      elapsedMinMs: 3_000,
      elapsedMaxMs: 4_201,
      leaseDurationMs: 15_000,
      remainingMinMs: 10_799,
      remainingMaxMs: 12_000,
      reviewUid: 'review-uid',
      dryRun: false,
      enforcement: 'Deny',
      instance: 'replica-0',
      count: 1,
      firstSeen: '2026-03-01T03:12:03.250Z',
      lastSeen: '2026-03-01T03:12:03.250Z',
    });
  });

  it('says null where nothing is known or nothing bounds it', () => {
    const { expiry } = decision;
    if (!('ageMs' in expiry)) throw new Error('the decision has an age');
    const unbounded = { ...decision, expiry: { ...expiry, ageMs: { min: 0, max: Infinity } } };
    expect(rejectionRecord(write, unbounded, judged)).toMatchObject({
      elapsedMinMs: 0,
      elapsedMaxMs: null,
      remainingMinMs: 0,
      remainingMaxMs: 15_000,
    });
    const stranger = { ...write, requester: { ...write.requester, pod: null }, after: null };
    expect(rejectionRecord(stranger, { ...decision, expiry: { verdict: 'untimed' } }, judged)).toMatchObject({
      holder: 'a',
      wouldBeHolder: null,
      pod: null,
      podUid: null,
      evidence: 'none',
      elapsedMinMs: null,
      leaseDurationMs: null,
      remainingMaxMs: null,
    });
  });

  it('of a new lock names the holder who is buried, and the new lock', () => {
    const creation = {
      ...write,
      operation: 'CREATE',
      before: null,
      after: { ...state('b'), uid: 'new' },
    } as const;
    expect(rejectionRecord(creation, decision, judged)).toMatchObject({
      holder: 'a',
      wouldBeHolder: 'b',
      lockUid: 'new',
    });
    expect(rejectionRecord({ ...creation, after: null }, decision, judged)).toMatchObject({ lockUid: '' });
  });

  it('is bounded and printable, whatever the writers wrote', () => {
    const evil = `\u001b[2J${'x'.repeat(5_000)}`;
    const record = rejectionRecord(
      {
        ...write,
        after: state(evil),
        lock: { ...write.lock, name: evil },
        requester: { ...write.requester, username: evil },
      },
      {
        ...decision,
        violations: [{ clause: 'U15', reason: 'PrematureTakeover', enforcement: 'Deny', message: evil }],
      },
      { ...judged, reviewUid: evil },
    );
    for (const key of ['name', 'wouldBeHolder', 'requester', 'reviewUid'] as const) {
      expect(record?.[key]).toHaveLength(256);
      expect(record?.[key]).toMatch(/^\\u\{1b\}\[2Jx+…$/);
    }
    expect(record?.detail).toHaveLength(1024);
  });

  it.each(['Warn', 'Audit'] as const)('is made for what passed with %s, too', (enforcement) => {
    const violations = [{ ...decision.violations[0], enforcement }] as Decision['violations'];
    const passed = { ...decision, outcome: 'Allow', violations } as const;
    expect(rejectionRecord(write, passed, judged)).toMatchObject({
      enforcement,
      reason: 'PrematureTakeover',
    });
  });

  it('is not made where nothing was found', () => {
    expect(rejectionRecord(write, { ...decision, violations: [] }, judged)).toBeNull();
  });

  it('is what its schema says, also when nothing is known and texts are evil', () => {
    const evil = `\u001b[2J${'x'.repeat(5_000)}`;
    const requester = { username: evil, groups: [evil], pod: { name: evil, uid: evil } };
    const worst = { ...write, before: null, after: state(evil), requester };
    const untimed = { ...decision, expiry: { verdict: 'untimed' } } as const;
    for (const record of [
      rejectionRecord(write, decision, judged),
      rejectionRecord(worst, untimed, { ...judged, instance: evil }),
    ])
      expect(rejectionRecordSchema.parse(record)).toEqual(record);
  });
});

describe('the record of a change of holder', () => {
  const allowed = { ...decision, outcome: 'Allow', violations: [] } as const;

  it('says who held the lock, who does now, and by what evidence', () => {
    expect(changeRecord(write, allowed, judged)).toEqual({
      ...{ lockKind: 'Lease', namespace: 'apps', name: 'controller', lockUid: 'lease-uid' },
      ...{ operation: 'UPDATE', transition: 'takeover', holder: 'a', newHolder: 'b', leaseTransitions: 1 },
      ...{ requester: 'system:serviceaccount:apps:x', pod: 'x-1', reviewUid: 'review-uid' },
      ...{ evidence: 'observed', elapsedMinMs: 3_000, elapsedMaxMs: 4_201, leaseDurationMs: 15_000 },
      instance: 'replica-0',
    });
  });

  it.each([
    ['a release', { ...write, after: state(null) }, 'a', null],
    ['a deletion', { ...write, operation: 'DELETE', after: null }, 'a', null],
    ['an acquisition', { ...write, before: state(null) }, null, 'b'],
    ['a creation', { ...write, operation: 'CREATE', before: null }, null, 'b'],
  ] as const)('is made for %s', (_what, each, holder, newHolder) => {
    expect(changeRecord(each, allowed, judged)).toMatchObject({ holder, newHolder });
  });

  it('is not made where the holder stays, or nothing was stored', () => {
    expect(changeRecord({ ...write, after: state('a') }, allowed, judged)).toBeNull();
    expect(changeRecord({ ...write, dryRun: true }, allowed, judged)).toBeNull();
    expect(changeRecord(write, decision, judged)).toBeNull();
  });
});

describe('printable text', () => {
  it.each([
    ['plain – text, 日本', 'plain – text, 日本'],
    ['tab\tnull\u0000 escape\u001b', 'tab\\u{9}null\\u{0} escape\\u{1b}'],
    ['bidi \u202e zero\u200bwidth \u2028', 'bidi \\u{202e} zero\\u{200b}width \\u{2028}'],
    ['half \udc00', 'half \\u{dc00}'],
  ])('of %j is %j', (text, expected) => {
    expect(printable(text, 256)).toBe(expected);
    expect(printable(expected, 256)).toBe(expected);
  });

  it('is cut at its length, also when escaping makes it longer', () => {
    expect(printable('12345', 5)).toBe('12345');
    expect(printable('123456', 5)).toBe('1234…');
    expect(printable('\u0000\u0000', 5)).toBe('\\u{0…');
    expect(printable('12😀45', 4)).toBe('12\ufffd…');
  });
});
