/**
 * Several replicas in front of one lock. Each sees the writes that are routed to it; all have the watch; what one has judged
 * reaches the others when the test says so. Replicas come and go.
 */
import { Judge } from '../../src/admission/judge.ts';
import { LockMemories } from '../../src/admission/lock-memories.ts';
import type { Decision } from '../../src/core/decision.ts';
import type { LockState, LockWrite, Requester } from '../../src/core/lock.ts';
import type { LockFacts } from '../../src/core/shared-facts.ts';
import { builtInDefaults } from '../../src/core/settings.ts';
import { monotonicMs, serverMs } from '../../src/core/time.ts';
import { lock, record, stored, t0, type RecordOptions } from './locks.ts';

interface Replica {
  readonly memories: LockMemories;
  readonly judge: Judge;
}

export class Fleet {
  nowMs = 0;
  state: LockState | null = null;
  readonly livingPods = new Set<string>();
  /** What was told, in the order of the telling; the channel keeps it. */
  readonly told: LockFacts[] = [];
  readonly #replicas = new Map<string, Replica>();
  #version = 100;
  #uids = 0;

  constructor(...names: readonly string[]) {
    for (const name of names) this.join(name);
  }

  advance(ms: number): void {
    this.nowMs += ms;
  }

  /** A replica that has just started: it has a list, and one look at the clock. A former one of that name is forgotten. `tells`: whether it tells the others. */
  join(name: string, tells = true): void {
    const memories = new LockMemories({
      onFacts: (_, facts) => {
        if (tells) this.told.push(facts);
      },
    });
    const judge = new Judge({
      memories,
      monotonicNow: () => monotonicMs(this.nowMs),
      settingsFor: () => builtInDefaults,
      podState: ({ uid }) => Promise.resolve(this.livingPods.has(uid) ? 'exists' : 'gone'),
    });
    const at = monotonicMs(this.nowMs);
    memories.dated(at, at, serverMs(Math.floor((t0 + this.nowMs) / 1000) * 1000));
    this.#replicas.set(name, { memories, judge });
    this.find(name);
    memories.listed('Lease');
  }

  /** The replica lists what there is. */
  find(name: string): void {
    if (this.state === null) return;
    this.#replica(name).memories.stored(lock, this.state, monotonicMs(this.nowMs), false);
  }

  /** What was told reaches the replica; `pick` chooses and orders. */
  hear(name: string, pick: (told: readonly LockFacts[]) => readonly LockFacts[] = (told) => told): void {
    for (const facts of pick(this.told))
      this.#replica(name).memories.told(lock, facts, monotonicMs(this.nowMs));
  }

  hearAll(): void {
    for (const name of this.#replicas.keys()) this.hear(name);
  }

  /** A write that the API server has `name` judge. */
  async write(name: string, requester: Requester, options: RecordOptions): Promise<Decision> {
    const next = this.#next(requester.pod?.uid ?? requester.username, options);
    const decision = await this.#judgeNext(name, requester, next);
    if (decision.outcome === 'Allow') this.store(next);
    return decision;
  }

  /** The same, lost after it was judged. */
  async attempt(name: string, requester: Requester, options: RecordOptions): Promise<Decision> {
    return this.#judgeNext(name, requester, this.#next(requester.pod?.uid ?? '', options));
  }

  /** A write that nobody judges: a plain renewal, or one during an outage. */
  unseen(manager: string, options: RecordOptions): void {
    this.store(this.#next(manager, options));
  }

  store(next: LockState): void {
    const uid = this.state?.uid ?? `uid-${String(++this.#uids)}`;
    const state = { ...next, uid, version: ++this.#version };
    this.state = state;
    for (const { memories } of this.#replicas.values())
      memories.stored(lock, state, monotonicMs(this.nowMs), true);
  }

  async delete(name: string, requester: Requester): Promise<Decision> {
    const before = this.#held();
    const decision = await this.#judge(name, { operation: 'DELETE', before, after: null, requester });
    if (decision.outcome === 'Allow') this.vanish();
    return decision;
  }

  /** An attempt to delete that the API server has judged, and did not carry out. */
  async attemptDelete(name: string, requester: Requester): Promise<Decision> {
    return this.#judge(name, { operation: 'DELETE', before: this.#held(), after: null, requester });
  }

  vanish(): void {
    const state = { ...this.#held(), version: ++this.#version };
    this.state = null;
    for (const { memories } of this.#replicas.values())
      memories.deleted(lock, state, monotonicMs(this.nowMs));
  }

  #next(manager: string, options: RecordOptions): LockState {
    const at = t0 + this.nowMs;
    return stored(record({ renewed: at, ...options }), at, manager, this.state);
  }

  #judgeNext(name: string, requester: Requester, after: LockState): Promise<Decision> {
    const operation = this.state === null ? 'CREATE' : 'UPDATE';
    return this.#judge(name, { operation, before: this.state, after, requester });
  }

  #held(): LockState {
    if (this.state === null) throw new Error('there is no lock');
    return this.state;
  }

  async #judge(
    name: string,
    write: Pick<LockWrite, 'operation' | 'before' | 'after' | 'requester'>,
  ): Promise<Decision> {
    const decision = await this.#replica(name).judge.judge({ ...write, lock, dryRun: false });
    if (decision === null) throw new Error('the lock is not guarded');
    return decision;
  }

  #replica(name: string): Replica {
    const replica = this.#replicas.get(name);
    if (replica === undefined) throw new Error(`there is no replica ${name}`);
    return replica;
  }
}
