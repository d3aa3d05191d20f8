/** A record as what an Event on the lock tells. Pure. */
import type { Enforcement } from '../core/reasons.ts';
import type { Happening } from '../kube/event.ts';
import type { RejectionRecord } from '../review/record-schema.ts';

const actions: Readonly<Record<Enforcement, string>> = { Deny: 'Reject', Warn: 'Warn', Audit: 'Audit' };
const apiVersions: Readonly<Record<RejectionRecord['lockKind'], string>> = {
  Lease: 'coordination.k8s.io/v1',
  ConfigMap: 'v1',
  Endpoints: 'v1',
};

/**
 * What the Event says: the sentence that the client was told, who wrote, and the review, so that the same record is found in the log.
 * INVARIANT: the records of a folding's one kind make the same happening, or each would be an Event of its own.
 */
export function happeningOf(record: RejectionRecord): Happening {
  const { lockKind: kind, namespace, name, lockUid, enforcement, reason, reviewUid } = record;
  return {
    regarding: {
      ...{ apiVersion: apiVersions[kind], kind, namespace, name },
      ...(lockUid !== '' && { uid: lockUid }),
    },
    type: enforcement === 'Audit' ? 'Normal' : 'Warning',
    reason,
    action: actions[enforcement],
    note: noteOf(record.detail, ` (${writerOf(record)}; review ${reviewUid})`),
  };
}

/** LIMIT: an Event's note has 1,024 bytes; who wrote, and where to find the whole record, is at its end. */
const noteMaxLength = 1_000;

function noteOf(detail: string, end: string): string {
  const left = Math.max(0, noteMaxLength - end.length);
  return detail.length <= left ? detail + end : `${detail.slice(0, left - 1).toWellFormed()}…${end}`;
}

function writerOf({ pod, requester, wouldBeHolder }: RejectionRecord): string {
  const by = pod === null ? `by ${requester}` : `by pod ${pod} as ${requester}`;
  return wouldBeHolder === null ? by : `${by} for ${wouldBeHolder}`;
}
