/**
 * A deleted lock, as a replica remembers it: what its promise was, and who is to be thought to have deleted it. Either the
 * replica saw it go, or another replica (or its own earlier life) has told of it.
 */
import type { Attribution } from './decision.ts';
import type { PodRef, Tombstone } from './facts.ts';
import type { LockRecord } from './lock.ts';
import { deletedState, mostInnocent, type Assertion, type Deletion } from './shared-facts.ts';
import { authorsOf, lastPod, observationOf, samePair, type Stored } from './stored.ts';
import type { Interval, MonotonicMs, ServerMs } from './time.ts';

export interface Grave {
  readonly stored: Stored;
  readonly attribution: Attribution;
  /** Some replica has judged who deletes. Where none has, the attribution is ignorance, and gives way to any other. */
  readonly judged: boolean;
  readonly holderPod: PodRef | null;
  /** When the lease has run out at the latest; null where only its age tells. */
  readonly spentBy: ServerMs | null;
  /** This replica saw the lock go, or judged its deletion. */
  readonly seen: boolean;
}

/** What is known around a grave. */
interface Around {
  readonly asserted: readonly Assertion[];
  readonly at: MonotonicMs;
  readonly serverNow: Interval | null;
  readonly voidBefore: MonotonicMs | null;
}

/** The grave, with what a fact says about the same deletion. */
export function attributed(grave: Grave, fact: Deletion | null): Grave {
  if (fact?.uid !== grave.stored.state.uid) return grave;
  // An attempt explains a disappearance only if nothing was renewed in between.
  if (!samePair(grave.stored, { holder: fact.holder, renewTime: fact.renewTime.raw })) return grave;
  return {
    ...grave,
    attribution: grave.judged ? mostInnocent(grave.attribution, fact.attribution) : fact.attribution,
    judged: true,
    holderPod: grave.holderPod ?? fact.holderPod,
    spentBy: fact.spentBy,
  };
}

/** The grave of a lock that only a fact tells of. It says nothing of the age but that the promise is older than the news. */
export function restored(fact: Deletion, at: MonotonicMs): Grave {
  const { version, holder, renewTime, attribution, holderPod, spentBy } = fact;
  const tenure = { after: 0, seenFrom: 0, acquireTime: null, transitions: null };
  const since = { min: -Infinity, max: at };
  const state = deletedState(fact);
  const stored = { state, version, holder, renewTime: renewTime.raw, since, stampedAt: null, tenure };
  return { stored, attribution, judged: true, holderPod, spentBy, seen: false };
}

/** What a grave is to a decision; null where nothing is to be guarded any more. */
export function tombstoneOf(grave: Grave, { asserted, at, serverNow, voidBefore }: Around): Tombstone | null {
  const { stored, attribution, spentBy } = grave;
  if (attribution === 'holder' || attribution === 'system') return null;
  if (spentBy !== null && serverNow !== null && serverNow.min >= spentBy) return null;
  // Held again since, as another replica knows before the watch has said so.
  if (asserted.some(({ uid, version }) => version > stored.version && uid !== stored.state.uid)) return null;
  return {
    state: stored.state,
    observation: observationOf(stored, at, voidBefore),
    attribution,
    holderPod: lastPod(authorsOf(stored, asserted)) ?? grave.holderPod,
  };
}

/** Whether a free lock shows no trace of having been held: then a deletion before it may still be guarded against. */
export function neverHeld(record: LockRecord | null): boolean {
  if (record === null) return true;
  const { holder, renewTime, acquireTime, transitions } = record;
  return holder === null && renewTime === null && acquireTime === null && (transitions ?? 0) === 0;
}
