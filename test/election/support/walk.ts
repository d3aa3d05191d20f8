/** A machine taken through an election step by step, on a Lease in memory. Nothing happens unless a test says so. */
import { monotonicMs } from '../../../src/core/time.ts';
import { step } from '../../../src/election/machine.ts';
import { specOf } from '../../../src/election/record.ts';
import {
  certainForMs,
  initialState,
  type Effect,
  type Event,
  type Instant,
  type State,
} from '../../../src/election/state.ts';
import { rulesOf, timingDefault, type Rules } from '../../../src/election/timing.ts';
import { objectAt, stringAt } from '../../../src/kube/json.ts';
import { wallStartMs } from './election-clock.ts';
import { MemoryLease } from './memory-lock.ts';

type Happening = Event extends infer E ? (E extends Event ? Omit<E, 'at' | 'random'> : never) : never;
type Asked = Extract<Effect, { readonly id: number }>;

export class Walk {
  readonly rules: Rules;
  readonly lease: MemoryLease;
  state: State = initialState;
  /** Every effect but `wake` and the requests, as one word or two. */
  readonly told: string[] = [];
  /** Every request, in client-go's words. */
  readonly operations: string[] = [];
  request: Asked | null = null;
  wakeAfterMs: number | null = null;
  nowMs = 1_000_000;
  wallOffsetMs = 0;
  random = 0;

  constructor(lease = new MemoryLease(), rules: Partial<Rules> = {}) {
    this.lease = lease;
    this.rules = { ...rulesOf(timingDefault, { identity: 'baz', releases: true }), ...rules };
  }

  get at(): Instant {
    const wallMs = wallStartMs + this.nowMs - 1_000_000 + this.wallOffsetMs;
    return { monotonicMs: monotonicMs(this.nowMs), wallMs };
  }

  get phase(): State['phase']['name'] {
    return this.state.phase.name;
  }

  get certainMs(): number {
    return certainForMs(this.rules, this.state, this.at);
  }

  happen(event: Happening): this {
    const { state, effects } = step(this.rules, this.state, { ...event, at: this.at, random: this.random });
    this.state = state;
    for (const effect of effects) this.#note(effect);
    return this;
  }

  /** Time passes, and nothing hears of it. */
  stall(ms: number): this {
    this.nowMs += ms;
    return this;
  }

  /** Time passes; what is due then happens. */
  pass(ms: number): this {
    return this.stall(ms).happen({ type: 'woke' });
  }

  /** The request under way reaches the Lease after `ms`, and is answered after as much again. */
  serve(ms = 0): this {
    this.stall(ms);
    const answer = this.reach();
    return this.stall(ms).happen(answer);
  }

  /** Serves until no request is under way. */
  serveAll(ms = 0): this {
    while (this.request !== null) this.serve(ms);
    return this;
  }

  /** The request under way reaches the Lease; its answer is for the test to bring, or not. */
  reach(): Happening {
    const { request, lease } = this;
    if (request === null) throw new Error('no request is under way');
    this.request = null;
    const { id } = request;
    if (request.type === 'read') {
      const stored = lease.object === null ? null : { record: lease.record, object: lease.object };
      return { type: 'read', id, stored };
    }
    const version =
      request.type === 'create'
        ? ''
        : stringAt(objectAt(request.stored.object, 'metadata'), 'resourceVersion');
    if (version !== lease.version) return { type: 'failed', id, conflict: true };
    const kept = request.type === 'create' ? {} : objectAt(request.stored.object, 'spec');
    lease.put({ ...kept, ...specOf(request.record) }, { name: 'bar' });
    return { type: 'written', id, stored: { record: lease.record, object: lease.object ?? {} } };
  }

  /** The request under way never reaches the Lease. */
  fail(conflict = false): this {
    const { request } = this;
    if (request === null) throw new Error('no request is under way');
    this.request = null;
    return this.happen({ type: 'failed', id: request.id, conflict });
  }

  /** Starts, and acquires the Lease as it is. */
  lead(): this {
    return this.happen({ type: 'started' }).serveAll();
  }

  #note(effect: Effect): void {
    switch (effect.type) {
      case 'wake':
        this.wakeAfterMs = effect.afterMs;
        break;
      case 'read':
      case 'create':
      case 'replace':
        this.request = effect;
        this.operations.push({ read: 'get', create: 'create', replace: 'update' }[effect.type]);
        break;
      case 'cancel':
        this.request = null;
        this.told.push('cancel');
        break;
      case 'leader':
        this.told.push(`leader ${effect.identity}`);
        break;
      case 'lead':
        this.told.push(`lead ${String(effect.fence)}`);
        break;
      case 'end':
        this.told.push(`end ${effect.why}`);
        break;
      default:
        this.told.push(effect.type);
    }
  }
}

/** A `spec` held by `holder`, as client-go writes it. */
export function held(
  holder: string,
  leaseDurationSeconds = 15,
  leaseTransitions = 0,
): Readonly<Record<string, unknown>> {
  const at = '2026-03-01T11:59:59.000000Z';
  return { holderIdentity: holder, leaseDurationSeconds, acquireTime: at, renewTime: at, leaseTransitions };
}

/** A Lease with this spec; null: none. */
export function leaseWith(spec: Readonly<Record<string, unknown>> | null): MemoryLease {
  const lease = new MemoryLease();
  if (spec !== null) lease.put(spec);
  return lease;
}
