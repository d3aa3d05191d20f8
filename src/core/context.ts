/**
 * What every rule looks at, derived once from the write, the facts and the settings.
 */
import { expiryOf, timeOfWrite, type Expiry } from './expiry.ts';
import type { Facts } from './facts.ts';
import { tieTo, type Tie } from './identity.ts';
import type { LockRecord, LockWrite } from './lock.ts';
import type { Settings } from './settings.ts';
import { recordOf, writtenEntry } from './stamps.ts';
import type { Interval } from './time.ts';
import { transitionOf, type Transition } from './transition.ts';

/** The write, what it means, and what is known around it. */
export interface Context {
  readonly write: LockWrite;
  readonly facts: Facts;
  readonly settings: Settings;
  readonly transition: Transition;
  readonly before: LockRecord | null;
  readonly after: LockRecord | null;
  /** Bounds on the API server's time of this write. */
  readonly now: Interval | null;
  /** The promise in `before`. */
  readonly expiry: Expiry;
  /** The promise of a deleted predecessor. */
  readonly buried: Expiry;
  /** How the requester relates to the holder in `before`. */
  readonly tie: Tie;
  /** How the requester relates to the holder of a deleted predecessor. */
  readonly buriedTie: Tie;
}

/** Derives the context of a write. Total. */
export function contextOf(write: LockWrite, facts: Facts, settings: Settings): Context {
  const before = write.before === null ? null : recordOf(write.before);
  const after = write.after === null ? null : recordOf(write.after);
  const stamp = write.after === null ? null : (writtenEntry(write.before, write.after)?.at ?? null);
  const now = timeOfWrite(stamp, facts.serverNow);
  const { tombstone } = facts;
  return {
    write,
    facts,
    settings,
    transition: transitionOf(write),
    before,
    after,
    now,
    expiry: expiryOf(write.before, facts.observation, now, settings.toleranceMs),
    buried: expiryOf(tombstone?.state ?? null, tombstone?.observation ?? null, now, settings.toleranceMs),
    tie: tieTo(before?.holder ?? null, write.requester, facts.bindings),
    buriedTie: buriedTieOf(write, facts),
  };
}

/** Whether a lock that was deleted while live is taken in the name of the holder it had. */
export function returnsTo({ buried, after }: Context): boolean {
  return (buried.verdict === 'live' || buried.verdict === 'doubt') && after?.holder === buried.holder;
}

/** Whether the write makes the holder's lease longer than it was. */
export function lengthens({ before, after }: Context): boolean {
  const then = before?.leaseDurationMs ?? null;
  const now = after?.leaseDurationMs ?? null;
  return then !== null && now !== null && now > then;
}

function buriedTieOf(write: LockWrite, { tombstone, bindings }: Facts): Tie {
  const holder = tombstone === null ? null : (recordOf(tombstone.state)?.holder ?? null);
  return tieTo(holder, write.requester, { ...bindings, holderPod: tombstone?.holderPod ?? null });
}
