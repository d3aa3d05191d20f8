/**
 * A cluster in miniature: one lock, an API server that stamps and stores, a watch that delivers when told to, one
 * lockwarden replica, and a clock that tests turn by hand. Writes go through the same judge as real ones.
 */
import { Judge } from '../../src/admission/judge.ts';
import { LockMemories } from '../../src/admission/lock-memories.ts';
import type { Decision } from '../../src/core/decision.ts';
import type { PodState } from '../../src/core/facts.ts';
import type { LockState, LockWrite, Requester } from '../../src/core/lock.ts';
import { builtInDefaults, type Settings } from '../../src/core/settings.ts';
import { monotonicMs, serverMs } from '../../src/core/time.ts';
import { lock, record, stored, t0, type RecordOptions } from './locks.ts';

/** What a write came to. */
export interface Outcome {
  readonly decision: Decision;
  readonly allowed: boolean;
}

export interface WorldOptions {
  readonly settings?: Settings;
  /** Deliver each stored write to the watch at once; otherwise `deliver()` does. */
  readonly watching?: boolean;
  /** The lock is untracked: no write carries stamps. */
  readonly untracked?: boolean;
}

export class World {
  /** Milliseconds since `t0`, on every true clock. */
  nowMs = 0;
  state: LockState | null = null;
  readonly livingPods = new Set<string>();
  questions = 0;
  readonly #options: WorldOptions;
  #memories = new LockMemories();
  #judge: Judge;
  #events: (() => void)[] = [];
  #uids = 0;

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.#judge = this.#newJudge();
    this.dateSample();
  }

  advance(ms: number): void {
    this.nowMs += ms;
  }

  /** A new replica: all it has is a list of what is stored, and one look at the API server's clock. */
  restart(): void {
    this.#memories = new LockMemories();
    this.#judge = this.#newJudge();
    this.#events = [];
    if (this.state !== null) this.#memories.stored(lock, this.state, monotonicMs(this.nowMs), false);
    this.dateSample();
  }

  dateSample(): void {
    const at = monotonicMs(this.nowMs);
    this.#memories.dated(at, at, serverMs(Math.floor((t0 + this.nowMs) / 1000) * 1000));
  }

  /** The watch delivers what it holds back. */
  deliver(): void {
    for (const event of this.#events.splice(0)) event();
  }

  /** Writes a record: creates, or replaces the record that is there. `options.state` says exactly what is to be stored instead. */
  async write(
    requester: Requester,
    options: RecordOptions,
    more: { state?: LockState; manager?: string; dryRun?: boolean } = {},
  ): Promise<Outcome> {
    const manager =
      this.#options.untracked === true ? null : (more.manager ?? requester.pod?.name ?? requester.username);
    const renewed = options.renewed === undefined ? t0 + this.nowMs : options.renewed;
    const next = more.state ?? stored(record({ ...options, renewed }), t0 + this.nowMs, manager, this.state);
    const operation = this.state === null ? 'CREATE' : 'UPDATE';
    const write: LockWrite = {
      operation,
      lock,
      before: this.state,
      after: next,
      requester,
      dryRun: more.dryRun ?? false,
    };
    const decision = await this.#decide(write);
    if (decision.outcome === 'Allow' && more.dryRun !== true) {
      const uid = this.state?.uid ?? `uid-${String(++this.#uids)}`;
      const state = { ...next, uid };
      this.state = state;
      this.#event(() => {
        this.#memories.stored(lock, state, monotonicMs(this.nowMs), true);
      });
    }
    return { decision, allowed: decision.outcome === 'Allow' };
  }

  /** Changes the stored state by hand, with lockwarden judging it: labels, stamps, anything. */
  async patch(requester: Requester, change: (state: LockState) => LockState): Promise<Outcome> {
    if (this.state === null) throw new Error('there is no lock to patch');
    return this.write(requester, {}, { state: change(this.state) });
  }

  async delete(requester: Requester): Promise<Outcome> {
    const before = this.state;
    if (before === null) throw new Error('there is no lock to delete');
    const decision = await this.#decide({
      operation: 'DELETE',
      lock,
      before,
      after: null,
      requester,
      dryRun: false,
    });
    if (decision.outcome === 'Allow') {
      this.state = null;
      this.#event(() => {
        this.#memories.deleted(lock, before, monotonicMs(this.nowMs));
      });
    }
    return { decision, allowed: decision.outcome === 'Allow' };
  }

  async #decide(write: LockWrite): Promise<Decision> {
    const decision = await this.#judge.judge(write);
    if (decision === null) throw new Error('the lock is not guarded');
    return decision;
  }

  #event(event: () => void): void {
    this.#events.push(event);
    if (this.#options.watching !== false) this.deliver();
  }

  #newJudge(): Judge {
    return new Judge({
      memories: this.#memories,
      monotonicNow: () => monotonicMs(this.nowMs),
      settingsFor: () => this.#options.settings ?? builtInDefaults,
      podState: (pod): Promise<Exclude<PodState, 'unasked'>> => {
        this.questions += 1;
        return Promise.resolve(this.livingPods.has(pod.uid) ? 'exists' : 'gone');
      },
    });
  }
}
