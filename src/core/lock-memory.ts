/**
 * What one replica remembers of one lock, as an immutable value: events in, facts out.
 *
 * Two streams feed it, and neither is the truth alone. Admission sees a write before it is stored, and some that never
 * are (lost conflicts, other webhooks' vetoes); the watch sees what was stored, later, and only as far as it reaches.
 * So an admitted write is *pending* until its (holder, renew time) pair is seen stored, and nothing is ever undone on
 * the word of an `oldObject`, which the API server at times takes from a stale cache (docs/semantics.md, E5 to E7).
 */
import type { Attribution, Effect } from './decision.ts';
import type { Bindings, Facts, Observation, PodRef, Tombstone } from './facts.ts';
import { podOf } from './identity.ts';
import type { LockState, LockWrite } from './lock.ts';
import { recordOf, writtenEntry } from './stamps.ts';
import type { Interval, MonotonicMs, ServerMs } from './time.ts';

/** LIMIT: writes to one lock come one at a time; eight pending ones are already a race among eight candidates. */
const pendingMax = 8;
/** LIMIT: the pods of one election (rarely over five) and their recent predecessors. */
const assertionsMax = 16;

/** What a renewal changes: an age is the age of a pair. */
interface Pair {
  readonly holder: string | null;
  readonly renewTime: string | null;
}

interface Pending extends Pair {
  readonly holder: string;
  readonly pod: PodRef | null;
  readonly at: MonotonicMs;
}

interface Stored extends Pair {
  readonly state: LockState;
  /** When the pair was stored: not before `since.min` (-Infinity: unknown), not after `since.max`. */
  readonly since: Interval;
  readonly stampedAt: ServerMs | null;
}

interface Assertion {
  readonly podUid: string;
  readonly holder: string;
}

interface Promised {
  readonly holder: string;
  readonly renewTime: string;
}

/** The memory of one lock. */
export interface LockMemory {
  readonly stored: Stored | null;
  readonly pending: readonly Pending[];
  readonly holderPod: PodRef | null;
  /** Pods that asserted the present holder before `holderPod` did. */
  readonly superseded: readonly string[];
  readonly asserted: readonly Assertion[];
  readonly promised: readonly Promised[];
  /** A deletion that was allowed; whether it took place is for the watch, or a free name, to say. */
  readonly deletion: Grave | null;
  /** A deletion that took place. */
  readonly buried: Grave | null;
}

interface Grave {
  readonly stored: Stored;
  readonly attribution: Attribution;
  readonly holderPod: PodRef | null;
}

/** The memory of a lock that has never been seen. */
export const blank: LockMemory = {
  stored: null,
  pending: [],
  holderPod: null,
  superseded: [],
  asserted: [],
  promised: [],
  deletion: null,
  buried: null,
};

/** An allowed write's effect: pending until it is seen stored. */
export function afterAdmission(memory: LockMemory, effect: Effect, at: MonotonicMs): LockMemory {
  if (effect.kind === 'deleted') {
    // Whoever reaches the port can invent a deletion, but not an object that the watch has shown.
    if (memory.stored?.state.uid !== effect.state.uid) return memory;
    const stored = storedAs(memory, effect.state, at);
    const attribution = mostInnocent(memory, effect);
    return { ...memory, deletion: { stored, attribution, holderPod: holderPodOf(memory, stored) } };
  }
  const { holder, renewTime, pod } = effect;
  return { ...memory, pending: [...memory.pending, { holder, renewTime, pod, at }].slice(-pendingMax) };
}

/**
 * The state that the watch (or a list) shows.
 *
 * @param live whether this is the event of the very write, rather than a state found in a list
 */
export function afterStored(
  memory: LockMemory,
  state: LockState,
  at: MonotonicMs,
  live: boolean,
): LockMemory {
  const stored = storedAs(memory, state, at);
  if (memory.stored !== null && samePair(memory.stored, stored)) return { ...memory, stored };
  const stampedAt = live ? (writtenEntry(memory.stored?.state ?? null, state)?.at ?? null) : null;
  return confirmed(memory, { ...stored, stampedAt });
}

/** The watch says that the lock's object is gone (`state` is its last one), or a list no longer has it (null). */
export function afterDeleted(memory: LockMemory, state: LockState | null, at: MonotonicMs): LockMemory {
  const stored = state === null ? memory.stored : storedAs(memory, state, at);
  const grave = stored?.holder == null ? null : graveOf(memory, stored);
  return { ...memory, stored: null, deletion: null, buried: grave ?? memory.buried };
}

/** What the memory knows about a write that arrives at `at`. `voidBefore`: see `ServerClock.steppedAt`. */
export function factsFor(
  memory: LockMemory,
  write: LockWrite,
  at: MonotonicMs,
  serverNow: Interval | null,
  voidBefore: MonotonicMs | null,
): Facts {
  const before = write.before === null ? null : recordOf(write.before);
  const holder = write.after === null ? null : (recordOf(write.after)?.holder ?? null);
  const pair = { holder: before?.holder ?? null, renewTime: before?.renewTime?.raw ?? null };
  return {
    serverNow,
    observation: observationFor(memory, pair, at, voidBefore),
    tombstone: tombstoneFor(memory, write, at, voidBefore),
    bindings: bindingsFor(memory, write, pair),
    storedRenewTimes: memory.promised.filter((each) => each.holder === holder).map((each) => each.renewTime),
  };
}

function confirmed(memory: LockMemory, stored: Stored): LockMemory {
  const matching = memory.pending.filter((each) => samePair(each, stored));
  const pod = matching.at(-1)?.pod ?? null;
  const last = memory.pending.findLastIndex((each) => samePair(each, stored));
  return {
    ...memory,
    ...bound(memory, stored.holder, pod),
    stored,
    pending: memory.pending.slice(last + 1),
    asserted:
      pod === null || stored.holder === null
        ? memory.asserted
        : noted(memory.asserted, pod.uid, stored.holder),
    promised: promisedWith(memory.promised, stored),
    buried: stored.holder === null ? memory.buried : null,
  };
}

function bound(
  memory: LockMemory,
  holder: string | null,
  pod: PodRef | null,
): Pick<LockMemory, 'holderPod' | 'superseded'> {
  const sameHolder = memory.stored !== null && memory.stored.holder === holder;
  if (!sameHolder) return { holderPod: pod, superseded: [] };
  if (pod === null || pod.uid === memory.holderPod?.uid) {
    return { holderPod: memory.holderPod, superseded: memory.superseded };
  }
  const superseded = memory.superseded.filter((uid) => uid !== pod.uid);
  if (memory.holderPod !== null) superseded.push(memory.holderPod.uid);
  return { holderPod: pod, superseded: superseded.slice(-assertionsMax) };
}

function noted(asserted: readonly Assertion[], podUid: string, holder: string): readonly Assertion[] {
  return [...asserted.filter((each) => each.podUid !== podUid), { podUid, holder }].slice(-assertionsMax);
}

function promisedWith(promised: readonly Promised[], { holder, renewTime }: Stored): readonly Promised[] {
  if (holder === null || renewTime === null) return promised;
  return [
    ...promised.filter((each) => each.holder !== holder || each.renewTime !== renewTime),
    { holder, renewTime },
  ].slice(-assertionsMax);
}

function tombstoneFor(
  memory: LockMemory,
  write: LockWrite,
  at: MonotonicMs,
  voidBefore: MonotonicMs | null,
): Tombstone | null {
  const { deletion, buried } = memory;
  // The name is free, or another object's: what was deleted is gone, though the watch has yet to say so. A name that is
  // merely asked for proves nothing: a creation passes here before it is told that the object exists.
  const isReplaced = write.operation === 'CREATE' || write.before?.uid !== deletion?.stored.state.uid;
  const grave = deletion !== null && isReplaced ? deletion : buried;
  if (grave === null || grave.attribution === 'holder' || grave.attribution === 'system') return null;
  const { attribution, holderPod } = grave;
  return {
    state: grave.stored.state,
    observation: observationOf(grave.stored, at, voidBefore),
    attribution,
    holderPod,
  };
}

/** A deletion that was seen on its way in explains a disappearance only if nothing was renewed in between. */
function graveOf(memory: LockMemory, stored: Stored): Grave {
  const { deletion } = memory;
  const explained =
    deletion !== null && deletion.stored.state.uid === stored.state.uid && samePair(deletion.stored, stored);
  return explained ? deletion : { stored, attribution: 'unknown', holderPod: holderPodOf(memory, stored) };
}

function bindingsFor(memory: LockMemory, write: LockWrite, pair: Pair): Bindings {
  const uid = podOf(write.requester)?.uid ?? null;
  const sameHolder = pair.holder !== null && memory.stored?.holder === pair.holder;
  return {
    holderPod: holderPodOf(memory, pair),
    holderPodState: 'unasked',
    requesterAsserted: memory.asserted.find((each) => each.podUid === uid)?.holder ?? null,
    requesterSuperseded: sameHolder && uid !== null && memory.superseded.includes(uid),
  };
}

/**
 * The pod that asserted a pair's holder: what was seen stored, or the pending write that became the pair in the meantime.
 * A pair that is known to be stored is never attributed anew: such a write would be a retry, or an invention.
 */
function holderPodOf(memory: LockMemory, pair: Pair): PodRef | null {
  const { stored, pending, holderPod } = memory;
  const known = stored !== null && samePair(stored, pair);
  const pendingPod = known ? null : (pending.findLast((each) => samePair(each, pair))?.pod ?? null);
  if (pendingPod !== null) return pendingPod;
  return pair.holder !== null && stored?.holder === pair.holder ? holderPod : null;
}

/** A state as something stored: what is already known of its pair, or what its admission and this moment say. */
function storedAs(memory: LockMemory, state: LockState, at: MonotonicMs): Stored {
  const record = recordOf(state);
  const pair = { holder: record?.holder ?? null, renewTime: record?.renewTime?.raw ?? null };
  if (memory.stored !== null && samePair(memory.stored, pair)) return { ...memory.stored, state };
  return {
    state,
    ...pair,
    since: { min: pendingSince(memory, pair) ?? -Infinity, max: at },
    stampedAt: null,
  };
}

/** A pair that a write carries as its `oldObject` has been stored, be it that the watch has yet to say so. */
function observationFor(
  memory: LockMemory,
  pair: Pair,
  at: MonotonicMs,
  voidBefore: MonotonicMs | null,
): Observation | null {
  if (memory.stored !== null && samePair(memory.stored, pair))
    return observationOf(memory.stored, at, voidBefore);
  const admittedAt = pendingSince(memory, pair);
  if (admittedAt === null) return null;
  return {
    ageMs: { min: 0, max: measurable(admittedAt, voidBefore) ? at - admittedAt : Infinity },
    stampedAt: null,
  };
}

function observationOf(stored: Stored, at: MonotonicMs, voidBefore: MonotonicMs | null): Observation {
  return {
    // NB: a clock that stood still has counted too little, so the least age stays true; the greatest does not.
    ageMs: {
      min: Math.max(0, at - stored.since.max),
      max: measurable(stored.since.min, voidBefore) ? at - stored.since.min : Infinity,
    },
    stampedAt: stored.stampedAt,
  };
}

function measurable(since: number, voidBefore: MonotonicMs | null): boolean {
  return voidBefore === null || since >= voidBefore;
}

/** Of several attempts to delete one object any may have been the one that succeeded: the most innocent counts. */
function mostInnocent(memory: LockMemory, effect: Extract<Effect, { kind: 'deleted' }>): Attribution {
  const { deletion } = memory;
  if (deletion?.stored.state.uid !== effect.state.uid) return effect.attribution;
  return innocence.indexOf(deletion.attribution) > innocence.indexOf(effect.attribution)
    ? deletion.attribution
    : effect.attribution;
}

const innocence: readonly Attribution[] = ['other', 'unknown', 'system', 'holder'];

function pendingSince(memory: LockMemory, pair: Pair): MonotonicMs | null {
  // The earliest attempt: a retried write may have been stored the first time.
  return memory.pending.find((each) => samePair(each, pair))?.at ?? null;
}

function samePair(a: Pair, b: Pair): boolean {
  return a.holder === b.holder && a.renewTime === b.renewTime;
}
