/**
 * The Lease: `spec` is the record.
 * SOURCE: https://github.com/kubernetes/api/blob/master/coordination/v1/types.go (LeaseSpec)
 */
import type { LockState } from '../core/lock.ts';
import { at, textAt } from './json.ts';
import { readRecordedTime } from './recorded-time.ts';
import { readStamps, type OwnedFields } from './stamps.ts';
import { readVersion } from './version.ts';

const owned: OwnedFields = { renewTime: ['f:spec', 'f:renewTime'], holder: ['f:spec', 'f:holderIdentity'] };

/** Reads a Lease. Total: what has the wrong type counts as absent, since the API server stores none of it. */
export function readLease(object: unknown): LockState {
  const spec = at(object, 'spec');
  const durationS = at(spec, 'leaseDurationSeconds');
  const transitions = at(spec, 'leaseTransitions');
  const holder = textAt(spec, 'holderIdentity');
  return {
    uid: textAt(object, 'metadata', 'uid'),
    version: readVersion(object),
    reading: {
      kind: 'record',
      record: {
        holder: holder === '' ? null : holder,
        leaseDurationMs: typeof durationS === 'number' && durationS > 0 ? durationS * 1000 : null,
        renewTime: readRecordedTime(at(spec, 'renewTime')),
        acquireTime: readRecordedTime(at(spec, 'acquireTime')),
        transitions: typeof transitions === 'number' ? transitions : null,
      },
    },
    stamps: readStamps(object, owned),
    terminating: textAt(object, 'metadata', 'deletionTimestamp') !== '',
  };
}
