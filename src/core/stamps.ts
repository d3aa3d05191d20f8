/**
 * Reading the API server's stamps (`metadata.managedFields[].time`).
 *
 * The API server stamps the entry of whoever writes, in its own time, before validating admission; a requester cannot
 * choose that value. What a requester *can* do is hand in a list of its own making, so nothing here trusts an entry
 * for its time alone. A write that changes a field makes the API server take that field away from every other
 * manager: the one entry that owns a field which this write has changed is the one the API server has just written.
 * SOURCE: https://github.com/kubernetes/apimachinery/blob/master/pkg/util/managedfields/internal/managedfieldsupdater.go
 */
import type { LockRecord, LockState, StampEntry, Stamps } from './lock.ts';
import type { ServerMs } from './time.ts';

/**
 * When the present renew time was stored, at the latest: the earliest timed entry that owns it. Null for an untracked lock.
 * NB: an upper bound only, since the same manager may have written something else later; and entries without a time
 * are real (a forced apply of identical values leaves one).
 */
export function renewStamp(stamps: Stamps): ServerMs | null {
  let earliest: ServerMs | null = null;
  for (const entry of stamps.entries) {
    if (!entry.ownsRenewTime || entry.at === null) continue;
    if (earliest === null || entry.at < earliest) earliest = entry.at;
  }
  return earliest;
}

/**
 * The entry that the API server wrote for the very write that led from `before` to `after`, if the write shows it:
 * the sole owner of a field that the write changed. Null where the write changed neither renew time nor holder,
 * removed what it changed, or where the lock is untracked.
 */
export function writtenEntry(before: LockState | null, after: LockState): StampEntry | null {
  const now = recordOf(after);
  if (now === null) return null;
  const then = before === null ? null : recordOf(before);
  if (now.renewTime !== null && now.renewTime.raw !== then?.renewTime?.raw) {
    return soleOwner(after.stamps, 'ownsRenewTime');
  }
  if (now.holder !== null && now.holder !== then?.holder) return soleOwner(after.stamps, 'ownsHolder');
  return null;
}

/** The record of a state, or null where there is none to read. */
export function recordOf(state: LockState): LockRecord | null {
  return state.reading.kind === 'record' ? state.reading.record : null;
}

function soleOwner(stamps: Stamps, field: 'ownsRenewTime' | 'ownsHolder'): StampEntry | null {
  const owners = stamps.entries.filter((entry) => entry[field]);
  return owners.length === 1 ? (owners[0] ?? null) : null;
}
