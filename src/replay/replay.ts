/**
 * Judges the writes of an audit log as the webhook would have when they came: by its own judge and memory, on a clock that is the log's.
 * It reads nothing and prints nothing.
 *
 * INVARIANT: what is judged took place, whatever the verdict. So a write that would have been refused is remembered as stored, and
 * what follows is judged as it would be by a lockwarden that only records (`enforcement: Audit`).
 */
import { Judge } from '../admission/judge.ts';
import { LockMemories } from '../admission/lock-memories.ts';
import type { SeenWrite } from '../audit-log/seen.ts';
import { decide } from '../core/decide.ts';
import type { Decision } from '../core/decision.ts';
import type { LockRef, LockState, LockWrite, Requester } from '../core/lock.ts';
import type { Settings } from '../core/settings.ts';
import { writtenEntry } from '../core/stamps.ts';
import { monotonicMs, serverMs, type MonotonicMs } from '../core/time.ts';
import { textAt, type JsonObject } from '../locks/json.ts';
import { mayBeLock, readLock } from '../locks/registry.ts';
import type { PolicyStore } from '../policy/store.ts';
import { wouldCall, type WouldCall } from '../preflight/calls.ts';
import { recordsOnly } from '../preflight/judging.ts';
import { rejectionRecord } from '../review/record.ts';
import { Findings } from './findings.ts';
import { keptOf, KnownLocks, type KnownLock } from './known-locks.ts';
import { isRenewal, passesUnasked } from './plain-renewals.ts';
import { isOlder, objectOf, stateOf, withoutStamps } from './states.ts';
import type { Told } from './told.ts';

/** What it judges by, and how much it remembers. */
export interface ReplayOptions {
  /** The policies in force, and the labels of namespaces. */
  readonly store: PolicyStore;
  /** lockwarden's own namespace. */
  readonly ownNamespace: string;
  /** Of the locks of other namespaces nothing is judged; null: of all. */
  readonly namespace: string | null;
  readonly locksMax?: number;
  readonly recordsMax?: number;
}

/** Writes to locks, by what became of them here; each counts once. */
export interface ReplayCounts {
  /** Judged, plain renewals included. */
  judged: number;
  /** Of those, dry runs, which changed nothing. */
  dryRuns: number;
  /** Of those, writes whose object had no stamps in the log. */
  withoutStamps: number;
  /** Of those, writes of which only what was sent is in the log. */
  sentOnly: number;
  /** The first write of a lock that is in the log, which met something that is not. */
  firstSeen: number;
  /** Writes that met something else than the log had told. */
  gaps: number;
  /** Writes that were told after later ones. */
  late: number;
  /** Writes to locks that nothing holds for. */
  unguarded: number;
  /** How often lockwarden would have asked whether the holder's pod still ran: it was taken not to have learnt it. */
  podsUnasked: number;
}

/** LIMIT: some 8 KiB each; a cluster of 5,000 nodes has far fewer elections, its nodes’ own leases aside, which nothing holds for. */
const locksMaxDefault = 20_000;
/** LIMIT: some 2 KiB each; nobody reads more. */
const recordsMaxDefault = 10_000;
/** LIMIT: as often as a replica looks through its memories. */
const sweepEveryMs = 60_000;

const nobody: Requester = { username: '', groups: [], pod: null };

/** The state of one replay. */
export class Replay {
  readonly findings: Findings;
  readonly counts: ReplayCounts = {
    ...{ judged: 0, dryRuns: 0, withoutStamps: 0, sentOnly: 0, firstSeen: 0 },
    ...{ gaps: 0, late: 0, unguarded: 0, podsUnasked: 0 },
  };
  readonly #options: ReplayOptions;
  readonly #memories: LockMemories;
  readonly #known: KnownLocks;
  readonly #judge: Judge;
  readonly #wouldCall: WouldCall;
  #now = monotonicMs(0);
  /** How often the judge has asked for a pod. */
  #asked = 0;
  #sweptAt = monotonicMs(-Infinity);
  #firstAt: number | null = null;
  #lastAt: number | null = null;

  constructor(options: ReplayOptions) {
    const locksMax = options.locksMax ?? locksMaxDefault;
    this.#options = options;
    this.#memories = new LockMemories({ locksMax });
    this.#known = new KnownLocks(locksMax);
    this.findings = new Findings(options.recordsMax ?? recordsMaxDefault);
    this.#wouldCall = wouldCall(options.store, options.ownNamespace);
    this.#judge = new Judge({
      memories: this.#memories,
      monotonicNow: () => this.#now,
      settingsFor: (lock) => this.#settingsFor(lock),
      podState: () => {
        this.#asked += 1;
        return Promise.resolve('unknown');
      },
    });
  }

  /** Locks that are known at this moment. */
  get locks(): number {
    return this.#known.size;
  }

  /** How often a lock was forgotten for want of room; its next write is the first that is seen. */
  get locksForgotten(): number {
    return this.#known.forgotten;
  }

  /** When the first and the last of the writes to locks came, in Unix milliseconds; null: there were none. */
  get span(): { readonly from: number | null; readonly to: number | null } {
    return { from: this.#firstAt, to: this.#lastAt };
  }

  /** Takes in what an event tells. Events come in the order in which they were stored, as far as the log has it. */
  async take(told: Told): Promise<void> {
    if (told.kind === 'unseen') this.#lose(told.lock);
    else if (this.#isWanted(told.write.lock)) await this.#takeWrite(told.write, told.kind);
  }

  #isWanted({ namespace }: LockRef): boolean {
    return this.#options.namespace === null || this.#options.namespace === namespace;
  }

  #settingsFor(lock: LockRef): Settings | null {
    return this.#options.store.effectiveFor(lock)?.settings ?? null;
  }

  /** Somebody wrote, and nobody knows what: what the next write meets is not known. */
  #lose(lock: LockRef): void {
    for (const each of lock.name === '' ? this.#known.within(lock) : [lock]) this.#known.delete(each);
  }

  async #takeWrite(seen: SeenWrite, kind: 'stored' | 'sent' | 'patched'): Promise<void> {
    const { lock } = seen;
    const known = this.#known.get(lock);
    const object = objectOf(seen, kind, known);
    if (![object ?? seen.object, seen.deleted ?? known?.object].some((each) => mayBeLock(lock.kind, each)))
      return;
    this.#dated(seen);
    if (this.#settingsFor(lock) === null) {
      this.counts.unguarded += 1;
      return;
    }
    if (object !== null && kind === 'stored' && isOlder(object, known)) {
      this.counts.late += 1;
      return;
    }
    const isSent = kind !== 'stored';
    const after = object === null ? null : stateOf(lock, object, { isSent, known });
    const met = this.#met(seen, known, isSent);
    if (met === 'unknown') this.counts[known === null ? 'firstSeen' : 'gaps'] += 1;
    // NB: what was to be changed of an unknown object says nothing of what it became.
    if (met === 'unknown' && seen.operation !== 'DELETE' && after === null) return;
    if (met !== 'unknown') await this.#judgeWrite(seen, { before: met, after, object, isSent });
    if (!seen.dryRun) this.#store(seen, { before: met, after, object, isSent });
  }

  /** What the write met; null: nothing, it creates. */
  #met(seen: SeenWrite, known: KnownLock | null, isSent: boolean): Met | null | 'unknown' {
    const { lock, operation, deleted, basedOn, dryRun } = seen;
    if (operation === 'CREATE') {
      // It went unseen; a dry run only shows that it is gone now.
      if (known !== null && !dryRun) {
        this.#known.delete(lock);
        this.#memories.deleted(lock, null, seen.arrivedAt);
      }
      return null;
    }
    if (deleted !== null) return { object: deleted, state: readLock(lock.kind, deleted), isSent: false };
    if (known === null) return 'unknown';
    const version = textAt(known.object, 'metadata', 'resourceVersion');
    const isGap = !known.isSent && !isSent && basedOn !== '' && basedOn !== version;
    return isGap ? 'unknown' : known;
  }

  async #judgeWrite(seen: SeenWrite, change: Change & { readonly before: Met | null }): Promise<void> {
    const { counts } = this;
    const { before, after, isSent } = change;
    // Stamps on one side only would look as if somebody had taken them away, or planted them.
    const bare = isSent || before?.isSent === true;
    const write: LockWrite = {
      operation: seen.operation,
      lock: seen.lock,
      before: bare ? withoutStamps(before?.state ?? null) : (before?.state ?? null),
      // What has finalizers is only marked by its deletion, and is still there after it.
      after: seen.operation === 'DELETE' ? null : bare ? withoutStamps(after) : after,
      requester: seen.requester ?? nobody,
      dryRun: seen.dryRun,
    };
    counts.judged += 1;
    if (seen.dryRun) counts.dryRuns += 1;
    if (isSent) counts.sentOnly += 1;
    else if (write.after?.stamps.count === 0) counts.withoutStamps += 1;
    const askedBefore = this.#asked;
    const decision = await this.#judge.judge(write);
    const asked = this.#asked > askedBefore;
    if (decision === null || (decision.violations.length === 0 && !asked)) return;
    if (this.#passes(write, change)) return;
    if (asked) counts.podsUnasked += 1;
    this.#found(write, decision, seen);
    // What a replica that only records would remember of it.
    if (decision.outcome === 'Deny') this.#remember(write, seen.arrivedAt);
  }

  /**
   * Whether the API server would have let the write pass without a call, and what was found is nobody's business.
   * NB: who renewed is remembered all the same. A live lockwarden would learn of a pod's successor when it asks for the pod, which
   * nobody can any more.
   */
  #passes(write: LockWrite, { before, object }: Change & { readonly before: Met | null }): boolean {
    if (before === null || object === null) return false;
    return (
      isRenewal(write) && passesUnasked(write, { before: before.object, after: object }, this.#wouldCall)
    );
  }

  #found(write: LockWrite, decision: Decision, seen: SeenWrite): void {
    const atMs = Math.floor(seen.arrivedAt);
    const record = rejectionRecord(write, decision, { reviewUid: seen.auditId, instance: 'replay', atMs });
    if (record === null) return;
    const entry = write.after === null ? null : writtenEntry(write.before, write.after);
    this.findings.add({ record, agent: seen.agent, manager: entry?.manager ?? '' });
  }

  #remember(write: LockWrite, at: MonotonicMs): void {
    const settings = this.#settingsFor(write.lock);
    if (settings === null) return;
    const facts = this.#memories.factsFor(write, at);
    const asked = { ...facts, bindings: { ...facts.bindings, holderPodState: 'unknown' as const } };
    const { effect } = decide(write, asked, { ...settings, enforcement: recordsOnly });
    if (effect !== null) this.#memories.admitted(write.lock, effect, at);
  }

  #store({ lock, storedAt }: SeenWrite, { before, after, object, isSent }: Change): void {
    if (after === null || object === null) {
      const state = before === null || before === 'unknown' ? null : before.state;
      this.#memories.deleted(lock, state, storedAt);
      this.#known.delete(lock);
      return;
    }
    this.#memories.stored(lock, after, storedAt, before !== 'unknown');
    this.#known.set({ lock, object: keptOf(lock.kind, object), state: after, isSent });
  }

  /** Every event tells the API server's time; a replica learns it as often. */
  #dated({ arrivedAt, storedAt }: SeenWrite): void {
    this.#now = arrivedAt;
    this.#memories.dated(arrivedAt, arrivedAt, serverMs(Math.floor(arrivedAt / 1_000) * 1_000));
    if (arrivedAt - this.#sweptAt >= sweepEveryMs) {
      this.#memories.sweep(arrivedAt);
      this.#sweptAt = arrivedAt;
    }
    this.#firstAt = Math.min(this.#firstAt ?? Infinity, arrivedAt);
    this.#lastAt = Math.max(this.#lastAt ?? -Infinity, storedAt);
  }
}

type Met = Pick<KnownLock, 'object' | 'state' | 'isSent'>;

interface Change {
  readonly before: Met | null | 'unknown';
  readonly after: LockState | null;
  readonly object: JsonObject | null;
  readonly isSent: boolean;
}
