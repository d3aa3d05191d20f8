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
  readonly deletion: { readonly uid: string; readonly attribution: Attribution } | null;
  readonly buried: { readonly stored: Stored; readonly attribution: 'other' | 'unknown' } | null;
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
    return { ...memory, deletion: { uid: effect.uid, attribution: mostInnocent(memory, effect) } };
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
  const record = recordOf(state);
  const pair = { holder: record?.holder ?? null, renewTime: record?.renewTime?.raw ?? null };
  if (memory.stored !== null && samePair(memory.stored, pair)) {
    return { ...memory, stored: { ...memory.stored, state } };
  }
  const since = { min: pendingSince(memory, pair) ?? -Infinity, max: at };
  const stampedAt = live ? (writtenEntry(memory.stored?.state ?? null, state)?.at ?? null) : null;
  return confirmed(memory, { state, ...pair, since, stampedAt });
}

/** The watch says that the lock's object is gone (`state` is its last one), or a list no longer has it (null). */
export function afterDeleted(memory: LockMemory, state: LockState | null): LockMemory {
  const stored = memory.stored === null ? null : { ...memory.stored, state: state ?? memory.stored.state };
  const attribution = stored === null ? 'unknown' : attributionOf(memory, stored.state.uid);
  const heldStill = stored?.holder != null && (attribution === 'other' || attribution === 'unknown');
  return {
    ...memory,
    stored: null,
    pending: [],
    deletion: null,
    buried: heldStill ? { stored, attribution } : memory.buried,
  };
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
  const { stored, buried } = memory;
  if (buried !== null) {
    const observation = observationOf(buried.stored, at, voidBefore);
    return { state: buried.stored.state, observation, attribution: buried.attribution };
  }
  // The name is free, or another object's: the one remembered is gone, and the watch has yet to say so.
  const replaced =
    write.operation === 'CREATE' || (write.before !== null && write.before.uid !== stored?.state.uid);
  if (stored?.holder == null || !replaced) return null;
  const attribution = attributionOf(memory, stored.state.uid);
  if (attribution === 'holder' || attribution === 'system') return null;
  return { state: stored.state, observation: observationOf(stored, at, voidBefore), attribution };
}

function bindingsFor(memory: LockMemory, write: LockWrite, pair: Pair): Bindings {
  const uid = podOf(write.requester)?.uid ?? null;
  const sameHolder = pair.holder !== null && memory.stored?.holder === pair.holder;
  const pendingPod = memory.pending.findLast((each) => samePair(each, pair))?.pod ?? null;
  return {
    holderPod: pendingPod ?? (sameHolder ? memory.holderPod : null),
    holderPodState: 'unasked',
    requesterAsserted: memory.asserted.find((each) => each.podUid === uid)?.holder ?? null,
    requesterSuperseded: sameHolder && uid !== null && memory.superseded.includes(uid),
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

function attributionOf(memory: LockMemory, uid: string): Attribution {
  return memory.deletion?.uid === uid ? memory.deletion.attribution : 'unknown';
}

/** Of several attempts to delete one object any may have been the one that succeeded: the most innocent counts. */
function mostInnocent(memory: LockMemory, effect: Extract<Effect, { kind: 'deleted' }>): Attribution {
  if (memory.deletion?.uid !== effect.uid) return effect.attribution;
  const innocence: readonly Attribution[] = ['other', 'unknown', 'system', 'holder'];
  const both = [memory.deletion.attribution, effect.attribution];
  return both.sort((a, b) => innocence.indexOf(b) - innocence.indexOf(a))[0] ?? 'unknown';
}

function pendingSince(memory: LockMemory, pair: Pair): MonotonicMs | null {
  // The earliest attempt: a retried write may have been stored the first time.
  return memory.pending.find((each) => samePair(each, pair))?.at ?? null;
}

function samePair(a: Pair, b: Pair): boolean {
  return a.holder === b.holder && a.renewTime === b.renewTime;
}
