/** Records as replicas make them. */
import { rejectionRecordSchema, type RejectionRecord } from '../../../src/review/record-schema.ts';

/** A record of `namespace`, with a uid of its own. */
export function recordOf(
  namespace: string,
  reviewUid: string,
  change: Partial<RejectionRecord> = {},
): RejectionRecord {
  return rejectionRecordSchema.parse({
    recordVersion: 1,
    lockKind: 'Lease',
    namespace,
    name: 'orders',
    lockUid: 'lock-uid',
    operation: 'UPDATE',
    transition: 'takeover',
    enforcement: 'Deny',
    rule: 'U15',
    reason: 'PrematureTakeover',
    alsoViolated: [],
    policy: 'built-in defaults',
    detail: 'held by `a-0`',
    holder: 'a-0',
    wouldBeHolder: 'b-0',
    requester: 'system:serviceaccount:team:candidate',
    pod: 'b-0',
    podUid: 'pod-uid',
    evidence: 'observed',
    elapsedMinMs: 1_000,
    elapsedMaxMs: 2_000,
    leaseDurationMs: 15_000,
    remainingMinMs: 13_000,
    remainingMaxMs: 14_000,
    reviewUid,
    dryRun: false,
    instance: 'replica-0',
    count: 1,
    firstSeen: '2026-03-01T03:12:00.000Z',
    lastSeen: '2026-03-01T03:12:00.000Z',
    ...change,
  });
}
