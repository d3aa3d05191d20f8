/** All that was seen of one lock. Holds no more than its last object, whatever the number of writes. */
import type { LockRecord, LockRef, LockState } from '../core/lock.ts';
import { recordOf, writtenEntry } from '../core/stamps.ts';
import { secondOf, type Interval } from '../core/time.ts';
import type { JsonObject } from '../locks/json.ts';
import { readLock } from '../locks/registry.ts';
import { Cadence } from './cadence.ts';
import { clientFormOf, type ClientForm } from './client-form.ts';
import { ClockOffset, offsetBy } from './clock-offset.ts';
import { Offences } from './offences.ts';
import type { SeenWrite } from '../audit-log/seen.ts';

/** LIMIT: replicas of one program go by one name; a handful of names is a handful of programs. */
const agentsMax = 8;
/** LIMIT: microseconds end in three zeros once in a thousand; thrice in a row is a clock that counts milliseconds. */
const millisecondsSeen = 3;

/** An object, and what was read of it. */
export interface LockRead {
  readonly object: JsonObject;
  readonly state: LockState;
}

/** The counts and traits of one lock. */
export class Tally {
  readonly lock: LockRef;
  readonly cadence = new Cadence();
  readonly offset = new ClockOffset();
  readonly offences = new Offences();
  writes = 0;
  holderChanges = 0;
  deletions = 0;
  /** How often something was written, or may have been, that the source did not show. */
  unseen = 0;
  unjudged = 0;
  /** Writes that would have been denied: by what would hold, by the built-in defaults, by the profile Strict only. */
  denied = 0;
  deniedByDefaults = 0;
  deniedByStrict = 0;
  readonly calls = { renewals: 0, asked: 0 };
  #object: JsonObject | null = null;
  #state: LockState | null = null;
  /** The object while somebody last promised to hold it: what tells the client, and the lease. */
  #held: { readonly object: JsonObject; readonly record: LockRecord } | null = null;
  readonly #agents = new Set<string>();
  #renewTimes = 0;
  #renewTimesInMilliseconds = 0;

  constructor(lock: LockRef) {
    this.lock = lock;
  }

  /** As it was seen last; null: it is gone, or was never seen. */
  get object(): JsonObject | null {
    return this.#object;
  }

  get state(): LockState | null {
    return this.#state;
  }

  get record(): LockRecord | null {
    return this.#state === null ? null : recordOf(this.#state);
  }

  /** The record while it was last held, or null. */
  get heldRecord(): LockRecord | null {
    return this.#held?.record ?? null;
  }

  get agents(): readonly string[] {
    return [...this.#agents];
  }

  /** Found as it is, after any number of writes that were not seen. */
  found(object: JsonObject): void {
    const state = readLock(this.lock.kind, object);
    const isKnown = this.#state !== null;
    if (isKnown && this.#state?.version === state.version && state.version !== null) return;
    if (isKnown) this.unseen += 1;
    this.cadence.broken();
    const manager = state.stamps.entries.find(({ ownsHolder }) => ownsHolder)?.manager ?? '';
    this.#become(object, state);
    // NB: its stamp tells nothing of its holder's clock: the same manager may have written something else later.
    this.#promised(object, state, manager);
  }

  /** One write that was stored, which met `before`. */
  wrote(before: LockState | null, { object, state }: LockRead, seen: SeenWrite): void {
    const [then, now] = [before === null ? null : recordOf(before), recordOf(state)];
    const entry = writtenEntry(before, state);
    this.writes += 1;
    this.#become(object, state);
    // What shortens a lease is how some clients release it, with the holder left where it is.
    if (now?.holder == null || shortens(then, now)) {
      this.cadence.broken();
      return;
    }
    this.#promised(object, state, seen.agent === '' ? (entry?.manager ?? '') : seen.agent);
    const isRenewed = now.renewTime !== null && now.renewTime.raw !== then?.renewTime?.raw;
    if (then?.holder !== now.holder) {
      this.cadence.broken();
      this.cadence.begun(seen.arrivedAt);
    } else if (isRenewed) this.cadence.renewed(seen.arrivedAt);
    if (!isRenewed) return;
    const readAt = seen.readClockAt ?? (entry?.at == null ? null : secondOf(entry.at));
    if (readAt !== null) this.#measure(now, readAt);
  }

  /** The object is gone. `seen`: by a deletion that was shown. */
  gone(seen: boolean): void {
    if (seen) this.deletions += 1;
    else this.unseen += 1;
    this.#object = null;
    this.#state = null;
    this.cadence.broken();
  }

  client(): ClientForm | null {
    if (this.#held === null) return null;
    const onlyMilliseconds =
      this.#renewTimes >= millisecondsSeen && this.#renewTimesInMilliseconds === this.#renewTimes;
    return clientFormOf({ lock: this.lock, ...this.#held, agents: this.agents, onlyMilliseconds });
  }

  #become(object: JsonObject, state: LockState): void {
    this.#object = object;
    this.#state = state;
  }

  /** Somebody holds it, by taking it or by going on. */
  #promised(object: JsonObject, state: LockState, agent: string): void {
    const record = recordOf(state);
    const before = this.#held?.record.holder ?? null;
    if (record?.holder == null) return;
    if (before !== null && before !== record.holder) this.holderChanges += 1;
    if (agent !== '' && this.#agents.size < agentsMax) this.#agents.add(agent);
    this.#held = { object, record };
  }

  #measure({ holder, renewTime }: LockRecord, readAt: Interval): void {
    if (holder === null || renewTime === null) return;
    this.#renewTimes += 1;
    if (/\.\d{3}(000)?Z$/.test(renewTime.raw)) this.#renewTimesInMilliseconds += 1;
    const sample = offsetBy(renewTime, readAt);
    if (sample !== null) this.offset.renewed(holder, sample);
  }
}

function shortens(then: LockRecord | null, now: LockRecord): boolean {
  const [before, after] = [then?.leaseDurationMs ?? null, now.leaseDurationMs];
  return then?.holder === now.holder && before !== null && after !== null && after < before;
}
