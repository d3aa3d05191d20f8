import { describe, expect, it } from 'vitest';
import type { Decision } from '../../src/core/decision.ts';
import type { LockState, LockWrite } from '../../src/core/lock.ts';
import { rejectionMessage, rejectionRecord } from '../../src/review/record.ts';
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

describe('the record of a refusal', () => {
  it('has the agreed keys, and a constant message', () => {
    expect(rejectionMessage).toBe('lock write rejected');
    expect(rejectionRecord(write, decision, 'review-uid')).toEqual({
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
    });
  });

  it('says null where nothing is known or nothing bounds it', () => {
    const { expiry } = decision;
    if (!('ageMs' in expiry)) throw new Error('the decision has an age');
    const unbounded = { ...decision, expiry: { ...expiry, ageMs: { min: 0, max: Infinity } } };
    expect(rejectionRecord(write, unbounded, 'r')).toMatchObject({
      elapsedMinMs: 0,
      elapsedMaxMs: null,
      remainingMinMs: 0,
      remainingMaxMs: 15_000,
    });
    const stranger = { ...write, requester: { ...write.requester, pod: null }, after: null };
    expect(rejectionRecord(stranger, { ...decision, expiry: { verdict: 'untimed' } }, 'r')).toMatchObject({
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
    expect(rejectionRecord(creation, decision, 'r')).toMatchObject({
      holder: 'a',
      wouldBeHolder: 'b',
      lockUid: 'new',
    });
    expect(rejectionRecord({ ...creation, after: null }, decision, 'r')).toMatchObject({ lockUid: '' });
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
      evil,
    );
    for (const key of ['name', 'wouldBeHolder', 'requester', 'reviewUid'] as const) {
      expect(record?.[key]).toHaveLength(256);
      expect(record?.[key]).toMatch(/^\\u\{1b\}\[2Jx+…$/);
    }
    expect(record?.detail).toHaveLength(1024);
  });

  it('is not made for what is let pass', () => {
    expect(rejectionRecord(write, { ...decision, outcome: 'Allow' }, 'r')).toBeNull();
    expect(rejectionRecord(write, { ...decision, violations: [] }, 'r')).toBeNull();
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
