/** Records of violations, each a premature takeover of one lock but for what a test says. */
import type { RejectionRecord } from '../../../src/review/record-schema.ts';

/** A record. */
export function record(more: Partial<RejectionRecord> = {}): RejectionRecord {
  return {
    recordVersion: 1,
    ...{ lockKind: 'Lease', namespace: 'team', name: 'orders', lockUid: 'lock-uid' },
    ...{ operation: 'UPDATE', transition: 'takeover', enforcement: 'Deny' },
    ...{ rule: 'U15', reason: 'PrematureTakeover', alsoViolated: [], policy: 'built-in defaults' },
    ...{ detail: 'lease/team/orders: held by `a-0`', holder: 'a-0', wouldBeHolder: 'b-0' },
    ...{ requester: 'system:serviceaccount:team:candidate', pod: 'b-0', podUid: 'pod-b' },
    ...{ evidence: 'observed', elapsedMinMs: 2_000, elapsedMaxMs: 2_100, leaseDurationMs: 15_000 },
    ...{ remainingMinMs: 12_900, remainingMaxMs: 13_000, reviewUid: 'review-1', dryRun: false },
    instance: 'replica-0',
    ...{ count: 1, firstSeen: '2026-03-01T03:12:00.000Z', lastSeen: '2026-03-01T03:12:00.000Z' },
    ...more,
  };
}
