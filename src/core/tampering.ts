/**
 * Has a write touched the evidence? Four ways were seen to work on a real API server, none of which a well-behaved
 * client ever takes: emptying the list (`[]` or `[{}]`, which resets it for good), back-dating or renaming the entry
 * that owns the renew time beside some harmless change, and planting entries, whose mere number makes the holder's
 * own renewals so slow that they time out.
 */
import { stampEntriesMax, type LockRecord, type LockState, type LockWrite, type StampEntry } from './lock.ts';
import { recordOf, renewStamp, writtenEntry } from './stamps.ts';
import { stampResolutionMs } from './time.ts';

/**
 * Managers under which the API server itself adds entries: old updaters are merged into one, and the first
 * server-side apply of an object accounts for what was there before it.
 * SOURCE: https://github.com/kubernetes/apimachinery/tree/master/pkg/util/managedfields/internal (capmanagers.go, skipnonapplied.go)
 */
const mergedManager = 'ancient-changes';
const adoptedManager = 'before-first-apply';

/** What was done to the evidence: a clause for people, and the clause of docs/semantics.md that forbids it. */
export interface Tampering {
  readonly clause: 'U18' | 'U19';
  readonly what: string;
}

/** Entries that appear or multiply, whatever the state of the lock (clause U19). Null when none do. */
export function planting(write: LockWrite): Tampering | null {
  const { before, after } = write;
  if (after === null) return null;
  if (after.stamps.count > stampEntriesMax && after.stamps.count > (before?.stamps.count ?? 0)) {
    return { clause: 'U19', what: `managedFields grows to ${after.stamps.count} entries` };
  }
  if (surplusEntries(before, after).every(({ key }) => entryOf(before, key) !== undefined)) return null;
  return {
    clause: 'U19',
    what: 'managedFields gains entries that the API server did not write for this request',
  };
}

/**
 * Stamps of the held record in `before` that are removed, forged or moved back (clause U18). Null when they are intact.
 * The caller decides whether the record was live: a promise that has run out needs no evidence.
 */
export function falsifying(write: LockWrite, toleranceMs: number): Tampering | null {
  const { before, after } = write;
  if (before === null || after === null) return null;
  const then = recordOf(before);
  const now = recordOf(after);
  const stampBefore = renewStamp(before.stamps);
  if (then?.holder == null || now?.renewTime == null || stampBefore === null) return null;

  const stampAfter = renewStamp(after.stamps);
  if (stampAfter === null) return { clause: 'U18', what: 'the stamp of the renew time is removed' };
  if (surplusEntries(before, after).length > 0) return { clause: 'U18', what: 'a stamp is forged' };
  if (!sameRenewTime(then, now)) return null;
  // LIMIT: another API server may stamp by a clock that lags by up to the tolerance, and stamps are whole seconds.
  if (stampAfter < stampBefore - toleranceMs - stampResolutionMs) {
    return { clause: 'U18', what: 'the stamp of the renew time is moved back' };
  }
  if (!keepsAnOwner(before, after))
    return { clause: 'U18', what: 'the stamp of the renew time is moved to another entry' };
  return null;
}

/** Entries that changed although one request makes the API server write one entry only, its requester's. */
function surplusEntries(before: LockState | null, after: LockState): readonly StampEntry[] {
  const touched = after.stamps.entries.filter(
    ({ manager, key, at }) =>
      manager !== mergedManager && manager !== adoptedManager && entryOf(before, key)?.at !== at,
  );
  const written = writtenEntry(before, after);
  if (written !== null) return touched.filter((entry) => entry.key !== written.key);
  return touched.length > 1 ? touched : [];
}

/** NB: entries are one to three, and 64 at most, so they need no index, which would be made anew for each write. */
function entryOf(state: LockState | null, key: string): StampEntry | undefined {
  // The last, where several go by one key: that is the one which the API server keeps.
  return state?.stamps.entries.findLast((entry) => entry.key === key);
}

function sameRenewTime(then: LockRecord, now: LockRecord): boolean {
  return then.renewTime?.raw === now.renewTime?.raw;
}

/** Ownership of a value that did not change never passes on; only the API server's merging of old entries moves it. */
function keepsAnOwner(before: LockState, after: LockState): boolean {
  const owned = (key: string): boolean =>
    before.stamps.entries.some((entry) => entry.ownsRenewTime && entry.key === key);
  return after.stamps.entries.some(
    ({ ownsRenewTime, key, manager }) => ownsRenewTime && (owned(key) || manager === mergedManager),
  );
}
