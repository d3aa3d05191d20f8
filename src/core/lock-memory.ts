/**
 * What one replica remembers of one lock, as an immutable value: events in, facts out.
 *
 * Two streams feed it, and neither is the truth alone. Admission sees a write before it is stored, and some that never
 * are (lost conflicts, other webhooks' vetoes); the watch sees what was stored, later, and only as far as it reaches.
 * So an admitted write is *pending* until its (holder, renew time) pair is seen stored, and nothing is ever undone on
 * the word of an `oldObject`, which the API server at times takes from a stale cache (docs/semantics.md, E5 to E7).
 *
 * What other replicas have judged comes as facts (`shared-facts.ts`); what was judged here and then seen stored is such a
 * fact too (`own`), for the others to be told.
 */
import type { Effect } from './decision.ts';
import type { Bindings, Facts, Observation, PodRef } from './facts.ts';
import { attributed, neverHeld, restored, tombstoneOf, type Grave } from './grave.ts';
import { podOf } from './identity.ts';
import type { LockState, LockWrite } from './lock.ts';
import {
  assertionsMax,
  deletionOf,
  innocent,
  joined,
  lastAsserted,
  marksOf,
  mostInnocent,
  noFacts,
  tenureOf,
  type Assertion,
  type LockFacts,
} from './shared-facts.ts';
import { recordOf, writtenEntry } from './stamps.ts';
import {
  authorsOf,
  isMeasurable,
  lastPod,
  observationOf,
  samePair,
  type Pair,
  type Stored,
  type Tenure,
} from './stored.ts';
import type { Interval, MonotonicMs } from './time.ts';

/** LIMIT: writes to one lock come one at a time; eight pending ones are already a race among eight candidates. */
const pendingMax = 8;
/** LIMIT: what the others need is who holds now, and whom that pod has superseded. */
const ownAssertionsMax = 4;

interface Pending extends Pair {
  readonly holder: string;
  readonly pod: PodRef | null;
  readonly at: MonotonicMs;
}

interface Promised {
  readonly holder: string;
  readonly renewTime: string;
}

/** The memory of one lock. */
export interface LockMemory {
  readonly stored: Stored | null;
  readonly pending: readonly Pending[];
  readonly promised: readonly Promised[];
  /** A deletion that was allowed; whether it took place is for the watch, or a free name, to say. */
  readonly deletion: Grave | null;
  /** A deletion that took place. */
  readonly buried: Grave | null;
  /** The latest version at which somebody was seen to hold the lock; 0: never. */
  readonly heldAt: number;
  /** What was judged here and has come about. */
  readonly own: LockFacts;
  /** The same, and what other replicas have told. */
  readonly known: LockFacts;
  /** When it learnt last what must outlast the object: another replica's word, or that a lock that had been held is gone. */
  readonly learntAt: MonotonicMs | null;
}

/** The memory of a lock that has never been seen. */
export const blank: LockMemory = {
  stored: null,
  pending: [],
  promised: [],
  deletion: null,
  buried: null,
  heldAt: 0,
  own: noFacts,
  known: noFacts,
  learntAt: null,
};

/** An allowed write's effect: pending until it is seen stored. */
export function afterAdmission(memory: LockMemory, effect: Effect, at: MonotonicMs): LockMemory {
  if (effect.kind === 'deleted') {
    // Whoever reaches the port can invent a deletion, but not an object that the watch has shown.
    if (memory.stored?.state.uid !== effect.state.uid) return memory;
    return { ...memory, deletion: attempted(memory, effect, at) };
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
  const stored = storedAs(memory, state, at, live);
  if (memory.stored !== null && samePair(memory.stored, stored)) return { ...memory, stored };
  const stampedAt = live ? (writtenEntry(memory.stored?.state ?? null, state)?.at ?? null) : null;
  return confirmed(memory, { ...stored, stampedAt }, live);
}

/**
 * The watch says that the lock's object is gone (`state` is its last one), or a list no longer has it (null).
 *
 * @param serverNow bounds on the API server's time; without them other replicas cannot be told
 */
export function afterDeleted(
  memory: LockMemory,
  state: LockState | null,
  at: MonotonicMs,
  serverNow: Interval | null = null,
): LockMemory {
  const stored = state === null ? memory.stored : storedAs(memory, state, at, false);
  // What is told late must not bury anew what has been held since.
  const learntAt = memory.heldAt > 0 ? at : memory.learntAt;
  const gone = { ...memory, stored: null, deletion: null, learntAt };
  if (stored?.holder == null) return gone;
  const grave = graveOf(memory, stored);
  const { attribution, holderPod, judged } = grave;
  const deleted = judged && state !== null ? deletionOf(state, attribution, holderPod, serverNow) : null;
  const own = joined(memory.own, { ...noFacts, deleted });
  const known = joined(memory.known, { ...noFacts, deleted });
  return { ...gone, own, known, buried: attributed(grave, known.deleted) };
}

/** What another replica has told, or this one in an earlier life. */
export function afterFacts(memory: LockMemory, facts: LockFacts, at: MonotonicMs): LockMemory {
  const known = joined(memory.known, facts);
  if (known === memory.known) return memory;
  const told = settled({ ...memory, known, learntAt: at });
  const { deleted } = told.known;
  const { buried, stored, heldAt } = memory;
  if (deleted === null) return told;
  if (buried?.stored.state.uid === deleted.uid) return { ...told, buried: attributed(buried, deleted) };
  if (heldAt > deleted.version || (buried !== null && buried.stored.version > deleted.version)) return told;
  // The object still exists as far as the watch has told: what follows, the watch will say.
  if (stored !== null && (stored.state.uid === deleted.uid || stored.version < deleted.version)) return told;
  if (stored !== null && !neverHeld(recordOf(stored.state))) return told;
  return { ...told, buried: restored(deleted, at) };
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
  const grave = graveFor(memory, write, at);
  const { asserted } = memory.known;
  const tombstone = grave === null ? null : tombstoneOf(grave, { asserted, at, serverNow, voidBefore });
  return {
    serverNow,
    observation: observationFor(memory, pair, at, voidBefore),
    tombstone,
    bindings: bindingsFor(memory, write, pair, grave),
    storedRenewTimes: memory.promised.filter((each) => each.holder === holder).map((each) => each.renewTime),
  };
}

function confirmed(memory: LockMemory, stored: Stored, live: boolean): LockMemory {
  const last = memory.pending.findLastIndex((each) => samePair(each, stored));
  const assertion = assertionOf(memory, stored, memory.pending[last]);
  const asserted = assertion === null ? [] : [assertion];
  // Versions of one's own making order one's own memory, and mean nothing to others.
  const isShared = stored.state.version !== null;
  const isHeld = stored.holder !== null;
  return settled({
    ...memory,
    stored,
    pending: memory.pending.slice(last + 1),
    promised: promisedWith(memory.promised, stored),
    heldAt: isHeld ? stored.version : memory.heldAt,
    known: joined(memory.known, { asserted, deleted: null }),
    own: isShared ? joined(memory.own, { asserted, deleted: null }, ownAssertionsMax) : memory.own,
    buried: isHeld || (!live && isOutdated(memory.buried, stored)) ? null : memory.buried,
  });
}

/**
 * With a deletion that matters no more, since somebody has held the lock after it, put down to the system: the others, and
 * whoever starts later, need to know that as much as the deletion.
 */
function settled(memory: LockMemory): LockMemory {
  const { known, own, heldAt } = memory;
  const over = known.deleted !== null && heldAt > known.deleted.version ? innocent(known.deleted) : null;
  if (over === null) return memory;
  const facts = { asserted: [], deleted: over };
  return { ...memory, known: joined(known, facts), own: joined(own, facts) };
}

/** A list says nothing of what was between: a free lock that has been held since is no longer guarded. */
function isOutdated(buried: Grave | null, { state }: Stored): boolean {
  return buried !== null && !buried.seen && !neverHeld(recordOf(state));
}

/** What a confirmed write asserts that was not known: another holder, or another pod for the same one. */
function assertionOf(memory: LockMemory, stored: Stored, write: Pending | undefined): Assertion | null {
  const { holder, version, state } = stored;
  if (write === undefined || holder === null) return null;
  const { pod } = write;
  const goesOn = memory.stored?.holder === holder && memory.stored.state.uid === state.uid;
  if (goesOn) {
    const known = lastPod(authorsOf(memory.stored, memory.known.asserted, Infinity));
    if (pod === null || pod.uid === known?.uid) return null;
  }
  return { uid: state.uid, version, holder, pod, ...marksOf(recordOf(state)) };
}

function promisedWith(promised: readonly Promised[], { holder, renewTime }: Stored): readonly Promised[] {
  if (holder === null || renewTime === null) return promised;
  return [
    ...promised.filter((each) => each.holder !== holder || each.renewTime !== renewTime),
    { holder, renewTime },
  ].slice(-assertionsMax);
}

/** The deletion that was just allowed, beside any other attempt on the same object. */
function attempted(memory: LockMemory, effect: Extract<Effect, { kind: 'deleted' }>, at: MonotonicMs): Grave {
  const { deletion } = memory;
  const stored = storedAs(memory, effect.state, at, false);
  const before = deletion?.stored.state.uid === effect.state.uid ? deletion.attribution : effect.attribution;
  return {
    stored,
    attribution: mostInnocent(before, effect.attribution),
    judged: true,
    holderPod: lastPod(authorsFor(memory, effect.state, stored)),
    spentBy: null,
    seen: true,
  };
}

/** A deletion that was seen on its way in explains a disappearance only if nothing was renewed in between. */
function graveOf(memory: LockMemory, stored: Stored): Grave {
  const { deletion } = memory;
  const explained =
    deletion !== null && deletion.stored.state.uid === stored.state.uid && samePair(deletion.stored, stored);
  if (explained) return deletion;
  const holderPod = lastPod(authorsFor(memory, stored.state, stored));
  return { stored, attribution: 'unknown', judged: false, holderPod, spentBy: null, seen: true };
}

/** The grave that a write may meet. */
function graveFor(memory: LockMemory, write: LockWrite, at: MonotonicMs): Grave | null {
  const { deletion, buried, stored, known } = memory;
  // The name is free, or another object's: what was deleted is gone, though the watch has yet to say so. A name that is
  // merely asked for proves nothing: a creation passes here before it is told that the object exists.
  const isReplaced = (uid: string): boolean => write.operation === 'CREATE' || write.before?.uid !== uid;
  if (deletion !== null && isReplaced(deletion.stored.state.uid)) return attributed(deletion, known.deleted);
  const told = known.deleted;
  if (told === null || stored?.state.uid !== told.uid || !isReplaced(told.uid)) return buried;
  const grave = { ...restored(told, at), seen: true };
  return samePair(stored, grave.stored) ? { ...grave, stored } : grave;
}

function bindingsFor(memory: LockMemory, write: LockWrite, pair: Pair, grave: Grave | null): Bindings {
  const { asserted } = memory.known;
  const uid = podOf(write.requester)?.uid ?? null;
  const authors = write.before === null ? [] : authorsFor(memory, write.before, pair);
  const holderPod = lastPod(authors);
  // What a pod asserted once proves nothing about a holder whose author nobody knows: it may have been the same pod,
  // under a new identity, as another replica has seen.
  const isAuthorKnown = pair.holder === null ? isAttributable(grave, asserted) : authors.length > 0;
  return {
    holderPod,
    holderPodState: 'unasked',
    requesterAsserted: isAuthorKnown ? lastAsserted(asserted, uid) : null,
    requesterSuperseded: uid !== null && uid !== holderPod?.uid && authors.some((each) => each?.uid === uid),
  };
}

/** Whether it is known who made the holder of a deleted lock its holder. */
function isAttributable(grave: Grave | null, asserted: readonly Assertion[]): boolean {
  return grave !== null && (grave.holderPod !== null || authorsOf(grave.stored, asserted).length > 0);
}

/**
 * Who made a pair's holder the holder: what was seen stored, or the pending write that became the pair in the meantime,
 * or what another replica has told before the watch. A pair that is known to be stored is never attributed anew: such
 * a write would be a retry, or an invention.
 */
function authorsFor(memory: LockMemory, before: LockState, pair: Pair): readonly (PodRef | null)[] {
  const { stored, pending, known } = memory;
  if (pair.holder === null) return [];
  if (stored !== null && samePair(stored, pair)) return authorsOf(stored, known.asserted);
  const upTo = before.version ?? Infinity;
  const goesOn = stored?.holder === pair.holder && stored.state.uid === before.uid;
  const told = goesOn
    ? authorsOf(stored, known.asserted, upTo)
    : tenureOf(known.asserted, {
        uid: before.uid,
        holder: pair.holder,
        after: stored?.state.uid === before.uid ? stored.version : 0,
        upTo,
        seenFrom: Infinity,
        ...marksOf(recordOf(before)),
      }).map(({ pod }) => pod);
  const write = pending.findLast((each) => samePair(each, pair));
  if (write === undefined || (write.pod === null && goesOn)) return told;
  return [...told, write.pod];
}

/** A state as something stored: what is already known of its pair, or what its admission and this moment say. */
function storedAs(memory: LockMemory, state: LockState, at: MonotonicMs, live: boolean): Stored {
  const record = recordOf(state);
  const pair = { holder: record?.holder ?? null, renewTime: record?.renewTime?.raw ?? null };
  const before = memory.stored;
  const same = before !== null && samePair(before, pair);
  const version = Math.max(before?.version ?? 0, state.version ?? (before?.version ?? 0) + (same ? 0 : 1));
  if (same) return { ...before, state, version };
  return {
    state,
    ...pair,
    version,
    since: { min: pendingSince(memory, pair) ?? -Infinity, max: at },
    stampedAt: null,
    tenure: tenureFrom(before, state, version, live),
  };
}

function tenureFrom(before: Stored | null, state: LockState, version: number, live: boolean): Tenure {
  const record = recordOf(state);
  const marks = marksOf(record);
  const isSame = before !== null && before.state.uid === state.uid;
  if (isSame && before.holder === (record?.holder ?? null)) {
    return live ? before.tenure : { after: before.tenure.after, seenFrom: version, ...marks };
  }
  const after = live ? version - 1 : isSame ? before.version : 0;
  return { after, seenFrom: version, ...marks };
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
    ageMs: { min: 0, max: isMeasurable(admittedAt, voidBefore) ? at - admittedAt : Infinity },
    stampedAt: null,
  };
}

function pendingSince(memory: LockMemory, pair: Pair): MonotonicMs | null {
  // The earliest attempt: a retried write may have been stored the first time.
  return memory.pending.find((each) => samePair(each, pair))?.at ?? null;
}
