/**
 * Takes in what a source shows of a cluster's locks, write by write, and judges each as the webhook would have. It has no clock and
 * reads nothing: a watch and an audit log feed it alike, and so does a test.
 *
 * INVARIANT: what is judged took place, whatever the verdict. So a write that would have been denied is remembered as stored, and
 * what follows is judged as it would be by a lockwarden that only records (`enforcement: Audit`).
 */
import { LockMemories } from '../admission/lock-memories.ts';
import { describeLock, type LockRef, type LockWrite, type Requester } from '../core/lock.ts';
import { builtInDefaults, type Settings } from '../core/settings.ts';
import { writtenEntry } from '../core/stamps.ts';
import type { MonotonicMs, ServerMs } from '../core/time.ts';
import { transitionOf } from '../core/transition.ts';
import { textAt, type JsonObject } from '../locks/json.ts';
import { mayBeLock, readLock } from '../locks/registry.ts';
import { readVersion } from '../locks/version.ts';
import { builtInSettings } from '../policy/built-in.ts';
import type { PolicyStore } from '../policy/store.ts';
import { wouldCall, type WouldCall } from './calls.ts';
import { effectOf, isOnlyStrictlyDenied, verdictOf, withoutRequester } from './judging.ts';
import type { SeenWrite } from '../audit-log/seen.ts';
import { Tally } from './tally.ts';

/** What it judges by. */
export interface PreflightOptions {
  /** The policies of the cluster, and the labels of its namespaces. */
  readonly store: PolicyStore;
  /** lockwarden's own namespace. */
  readonly ownNamespace: string;
  /** Of the locks of other namespaces nothing is taken in; null: of all. */
  readonly namespace: string | null;
}

/** LIMIT: as many as the memory of a replica: more than a cluster of 5,000 nodes has. */
const locksMax = 100_000;
/** LIMIT: the conditions cost some milliseconds each, and the renewals of one lock are all alike. */
const renewalsAskedMax = 16;

const unknownRequester: Requester = { username: '', groups: [], pod: null };

/** The state of one preflight. */
export class Preflight {
  readonly #options: PreflightOptions;
  readonly #memories = new LockMemories();
  readonly #tallies = new Map<string, Tally>();
  readonly #asks: WouldCall;
  #writes = 0;
  #leftOut = 0;
  #podsUnasked = 0;

  constructor(options: PreflightOptions) {
    this.#options = options;
    this.#asks = wouldCall(options.store, options.ownNamespace);
  }

  /** Every lock that was seen, in no order. */
  get tallies(): Iterable<Tally> {
    return this.#tallies.values();
  }

  get locks(): number {
    return this.#tallies.size;
  }

  /** Writes to locks that were seen, stored or not. */
  get writes(): number {
    return this.#writes;
  }

  /** Locks beyond the bound, of which nothing was taken in. */
  get leftOut(): number {
    return this.#leftOut;
  }

  /** How often lockwarden would have asked whether a holder’s pod still ran, and it was taken to have run. */
  get podsUnasked(): number {
    return this.#podsUnasked;
  }

  /** A response of the API server, for its clock. */
  dated(sentAt: MonotonicMs, receivedAt: MonotonicMs, date: ServerMs): void {
    this.#memories.dated(sentAt, receivedAt, date);
  }

  /** A lock as a list has it, after any number of writes. */
  found(lock: LockRef, object: JsonObject, at: MonotonicMs): void {
    const tally = this.#tallyOf(lock);
    if (tally === null) return;
    tally.found(object);
    this.#memories.stored(lock, readLock(lock.kind, object), at, false);
  }

  /** A lock is gone that was there, and nobody saw it go. */
  vanished(lock: LockRef, at: MonotonicMs): void {
    const tally = this.#tallyOf(lock);
    if (tally === null) return;
    tally.gone(false);
    this.#memories.deleted(lock, null, at);
  }

  /** One write. Writes come in the order in which they were stored, as far as the source has it. */
  wrote(seen: SeenWrite): void {
    const known = this.#tallies.get(describeLock(seen.lock))?.object ?? null;
    if (![seen.object, seen.deleted ?? known].some((each) => mayBeLock(seen.lock.kind, each))) return;
    const tally = this.#tallyOf(seen.lock);
    if (tally === null) return;
    this.#writes += 1;
    if (isOlder(seen, known)) {
      tally.unjudged += 1;
      return;
    }
    const met = this.#met(seen, tally);
    if (met === 'unknown') this.#baseline(seen, tally);
    else this.#judge(seen, met, tally);
  }

  /** What the write met; null: nothing, it creates. */
  #met(seen: SeenWrite, tally: Tally): JsonObject | null | 'unknown' {
    const known = tally.object;
    if (seen.operation === 'CREATE') {
      if (known !== null && seen.stored) this.vanished(seen.lock, seen.arrivedAt);
      return null;
    }
    if (seen.deleted !== null) return seen.deleted;
    if (known === null) return 'unknown';
    const isGap = seen.basedOn !== '' && seen.basedOn !== textAt(known, 'metadata', 'resourceVersion');
    return isGap ? 'unknown' : known;
  }

  /** A write that met something unknown tells how things stand after it. */
  #baseline(seen: SeenWrite, tally: Tally): void {
    tally.unjudged += 1;
    if (!seen.stored || seen.dryRun) return;
    if (seen.object === null) {
      tally.gone(true);
      this.#memories.deleted(seen.lock, null, seen.storedAt);
      return;
    }
    tally.writes += 1;
    tally.found(seen.object);
    this.#memories.stored(seen.lock, readLock(seen.lock.kind, seen.object), seen.storedAt, false);
  }

  #judge(seen: SeenWrite, met: JsonObject | null, tally: Tally): void {
    const { lock, operation, object, requester, dryRun } = seen;
    // Reading is most of the work, and what a write meets has mostly been read when it was stored.
    const read = met === tally.object ? tally.state : null;
    const before = met === null ? null : (read ?? readLock(lock.kind, met));
    const after = object === null ? null : readLock(lock.kind, object);
    const write: LockWrite = {
      operation,
      lock,
      before,
      // What has finalizers is only marked by its deletion, and is still there after it.
      after: operation === 'DELETE' ? null : after,
      requester: requester ?? unknownRequester,
      dryRun,
    };
    this.#try(write, seen, tally);
    if (!seen.stored || dryRun) return;
    if (met !== null && object !== null && operation === 'UPDATE') this.#countCall(write, met, object, tally);
    if (object === null) {
      tally.writes += 1;
      tally.gone(true);
      this.#memories.deleted(lock, before, seen.storedAt);
    } else if (after !== null) {
      tally.wrote(before, { object, state: after }, seen);
      this.#memories.stored(lock, after, seen.storedAt, true);
    }
  }

  #try(write: LockWrite, seen: SeenWrite, tally: Tally): void {
    const { store, ownNamespace } = this.#options;
    const { lock } = write;
    const at = seen.arrivedAt;
    const facts = this.#memories.factsFor(write, at);
    const tried = (settings: Settings | null): Settings | null =>
      settings === null || seen.requester !== null ? settings : withoutRequester(settings);
    const effective = tried(store.effectiveFor(lock)?.settings ?? null);
    const builtIn = tried(builtInSettings(lock, ownNamespace));
    if (effective !== null) {
      const verdict = verdictOf(write, facts, effective);
      const atMs = this.#memories.serverTimeAt(at)?.min ?? 0;
      tally.offences.add(verdict, writerOf(seen, write), atMs);
      if (verdict.outcome === 'Deny') tally.denied += 1;
      else if (isOnlyStrictlyDenied(write, facts, effective)) tally.deniedByStrict += 1;
    }
    if (builtIn !== null && verdictOf(write, facts, builtIn).outcome === 'Deny') tally.deniedByDefaults += 1;
    // Who wrote is what other writes are judged by; a watch does not show it, nor when the write arrived.
    if (seen.requester === null || !seen.stored) return;
    const { effect, asked } = effectOf(write, facts, effective ?? builtInDefaults);
    if (asked && effective !== null) this.#podsUnasked += 1;
    if (effect !== null) this.#memories.admitted(lock, effect, at);
  }

  #countCall(write: LockWrite, met: JsonObject, object: JsonObject, tally: Tally): void {
    if (transitionOf(write) !== 'renew' || tally.calls.renewals >= renewalsAskedMax) return;
    tally.calls.renewals += 1;
    if (this.#asks(write.lock, met, object)) tally.calls.asked += 1;
  }

  #tallyOf(lock: LockRef): Tally | null {
    const { namespace, ownNamespace } = this.#options;
    if (lock.namespace === ownNamespace || (namespace !== null && lock.namespace !== namespace)) return null;
    const key = describeLock(lock);
    const known = this.#tallies.get(key);
    if (known !== undefined) return known;
    if (this.#tallies.size >= locksMax) {
      this.#leftOut += 1;
      return null;
    }
    const tally = new Tally(lock);
    this.#tallies.set(key, tally);
    return tally;
  }
}

/** Audit logs of several API servers, put together, may tell of an older state after a newer one. */
function isOlder({ stored, object }: SeenWrite, known: JsonObject | null): boolean {
  if (!stored || object === null || known === null) return false;
  const [then, now] = [readVersion(known), readVersion(object)];
  return then !== null && now !== null && now < then;
}

function writerOf({ requester, agent }: SeenWrite, { before, after }: LockWrite): string {
  if (requester !== null)
    return requester.pod === null ? requester.username : `${requester.username} (pod ${requester.pod.name})`;
  const manager = agent === '' ? managerOf(before, after) : agent;
  return manager === '' ? 'unknown' : `field manager ${manager}`;
}

/** The manager whose entry the write has written; nobody where there are no stamps, or none that tells. */
function managerOf(before: LockWrite['before'], after: LockWrite['after']): string {
  if (after === null) return '';
  const written = writtenEntry(before, after);
  if (written !== null) return written.manager;
  const known = new Map(before?.stamps.entries.map((entry) => [entry.key, entry.at]));
  return after.stamps.entries.findLast(({ key, at }) => known.get(key) !== at)?.manager ?? '';
}
