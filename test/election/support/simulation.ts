/**
 * Several machines on one Lease, in a world where requests and answers are slow or lost, processes hang, machines sleep,
 * clocks run at different rates and are set. Real time is the simulation's own; no machine ever sees it.
 */
import { monotonicMs } from '../../../src/core/time.ts';
import { step } from '../../../src/election/machine.ts';
import { isSame, type LeaseRecord, type StoredLease } from '../../../src/election/record.ts';
import {
  certainForMs,
  initialState,
  type Effect,
  type Event,
  type Instant,
  type State,
} from '../../../src/election/state.ts';
import { rulesOf, type Rules, type Timing } from '../../../src/election/timing.ts';
import { wallStartMs } from './election-clock.ts';

type Happening = Event extends infer E ? (E extends Event ? Omit<E, 'at' | 'random'> : never) : never;

/** Something that goes wrong with one machine, or is done to it. */
export interface Disturbance {
  readonly atMs: number;
  readonly candidate: number;
  /**
   * `hang`: the process does not run. `sleep`: the machine does not, and its monotonic clock does not count that.
   * `set`: the wall clock is moved by `signedMs`. `cut`: requests are lost; `deaf`: answers are. `slow`: each way takes
   * up to `ms`. `stop`: it stops in good order. `kill`: it is gone. Whoever is gone is replaced.
   */
  readonly kind: 'hang' | 'sleep' | 'set' | 'cut' | 'deaf' | 'slow' | 'stop' | 'kill';
  readonly ms: number;
  readonly signedMs: number;
}

/** A defect that is put in, to see that it would be found. */
export type Defect = 'counts-from-the-answer' | 'trusts-the-wall-clock' | 'overwrites';

export interface Scenario {
  readonly timing: Timing;
  readonly candidates: number;
  /** How much faster than real time each candidate's clocks run, in thousandths. */
  readonly ratesPermille: readonly number[];
  readonly disturbances: readonly Disturbance[];
  readonly seed: number;
  readonly defect?: Defect;
}

export interface Outcome {
  /** What must never be, in words. */
  readonly violations: readonly string[];
  /** Who leads in the end, when all has been calm for long. */
  readonly leaders: readonly string[];
  /** How many terms began. */
  readonly terms: number;
}

interface Candidate {
  identity: string;
  readonly index: number;
  rules: Rules;
  state: State;
  incarnation: number;
  rate: number;
  sleptMs: number;
  wallOffsetMs: number;
  hangsUntilMs: number;
  cutUntilMs: number;
  deafUntilMs: number;
  slowUntilMs: number;
  slowMs: number;
  /** The number of the timer that counts. */
  alarm: number;
}

function versionIn({ object }: StoredLease): number {
  return Number(
    (object as { readonly metadata: { readonly resourceVersion: string } }).metadata.resourceVersion,
  );
}

/** LIMIT: long enough for any lease of the scenarios to run out and be taken, several times over. */
const calmMs = 45_000;

export class Simulation {
  readonly #scenario: Scenario;
  readonly #candidates: Candidate[];
  readonly #agenda: { readonly atMs: number; readonly order: number; readonly act: () => void }[] = [];
  readonly #violations: string[] = [];
  readonly #fences: { readonly identity: string; readonly fence: number }[] = [];
  #stored: { readonly record: LeaseRecord; readonly version: number } | null = null;
  #nowMs = 0;
  #order = 0;
  #chance: number;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    this.#chance = scenario.seed;
    this.#candidates = Array.from({ length: scenario.candidates }, (_, index) => this.#fresh(index, 0));
  }

  run(): Outcome {
    const { disturbances } = this.#scenario;
    for (const each of this.#candidates)
      this.#at(this.#random() * 1_000, () => {
        this.#happen(each, { type: 'started' });
      });
    for (const each of disturbances)
      this.#at(each.atMs, () => {
        this.#disturb(each);
      });
    const lastMs = Math.max(0, ...disturbances.map(({ atMs, ms }) => atMs + ms));
    const endMs = lastMs + calmMs;
    for (;;) {
      const next = this.#next();
      if (next === undefined || next.atMs > endMs) break;
      this.#nowMs = next.atMs;
      next.act();
      this.#look();
    }
    const leaders = this.#candidates.filter((each) => this.#acts(each)).map(({ identity }) => identity);
    return { violations: this.#violations, leaders, terms: this.#fences.length };
  }

  #fresh(index: number, incarnation: number): Candidate {
    const identity = `${'abcdef'[index] ?? '?'}${String(incarnation)}`;
    const { timing, ratesPermille } = this.#scenario;
    return {
      identity,
      index,
      rules: rulesOf(timing, { identity, releases: true }),
      state: initialState,
      incarnation,
      rate: 1 + (ratesPermille[index] ?? 0) / 1_000,
      sleptMs: 0,
      wallOffsetMs: 0,
      hangsUntilMs: 0,
      cutUntilMs: 0,
      deafUntilMs: 0,
      slowUntilMs: 0,
      slowMs: 0,
      alarm: 0,
    };
  }

  #at(atMs: number, act: () => void): void {
    this.#order += 1;
    this.#agenda.push({ atMs, order: this.#order, act });
  }

  #next(): { readonly atMs: number; readonly act: () => void } | undefined {
    let best = 0;
    for (let index = 1; index < this.#agenda.length; index += 1) {
      const [a, b] = [this.#agenda[index]!, this.#agenda[best]!];
      if (a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)) best = index;
    }
    return this.#agenda.splice(best, 1)[0];
  }

  /** SOURCE: https://en.wikipedia.org/wiki/Linear_congruential_generator (numerical recipes) */
  #random(): number {
    this.#chance = (Math.imul(this.#chance, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#chance / 2 ** 32;
  }

  #instant(each: Candidate): Instant {
    const wallMs = wallStartMs + this.#nowMs * each.rate + each.wallOffsetMs;
    const ranMs = 1_000_000 * (each.index + 1) + this.#nowMs * each.rate - each.sleptMs;
    const isFooled = this.#scenario.defect === 'trusts-the-wall-clock';
    return { monotonicMs: monotonicMs(isFooled ? wallMs : ranMs), wallMs };
  }

  #acts(each: Candidate): boolean {
    return this.#nowMs >= each.hangsUntilMs && certainForMs(each.rules, each.state, this.#instant(each)) > 0;
  }

  /** INVARIANT: who acts now, acts alone. */
  #look(): void {
    const acting = this.#candidates.filter((each) => this.#acts(each)).map(({ identity }) => identity);
    if (acting.length > 1) this.#violations.push(`${acting.join(' and ')} act at ${String(this.#nowMs)} ms`);
  }

  #happen(each: Candidate, event: Happening): void {
    const { incarnation } = each;
    if (this.#nowMs < each.hangsUntilMs) {
      // NB: what has come meanwhile is met in any order by a process that runs again.
      this.#at(each.hangsUntilMs + this.#random(), () => {
        if (each.incarnation === incarnation) this.#happen(each, event);
      });
      return;
    }
    const at = this.#instant(each);
    const { request } = each.state;
    if (this.#scenario.defect === 'counts-from-the-answer' && event.type === 'written' && request !== null) {
      each.state = { ...each.state, request: { ...request, sent: at } };
    }
    const { state, effects } = step(each.rules, each.state, { ...event, at, random: this.#random() });
    each.state = state;
    for (const effect of effects) this.#perform(each, effect);
  }

  #perform(each: Candidate, effect: Effect): void {
    const { incarnation } = each;
    const later = (ms: number, event: Happening): void => {
      this.#at(this.#nowMs + ms, () => {
        if (each.incarnation === incarnation) this.#happen(each, event);
      });
    };
    switch (effect.type) {
      case 'read':
      case 'create':
      case 'replace':
        this.#send(each, effect);
        break;
      case 'wake':
        this.#arrange(each, effect.afterMs);
        break;
      case 'lead': {
        const { identity } = each;
        const { fence } = effect;
        const stale = this.#fences.find((one) => one.identity !== identity && one.fence >= fence);
        if (stale !== undefined) {
          this.#violations.push(`${identity} leads with the fence ${String(fence)} after ${stale.identity}`);
        }
        this.#fences.push({ identity, fence });
        break;
      }
      case 'end':
        later(this.#random() * 3_000, { type: 'concluded' });
        break;
      case 'finish':
        this.#replace(each);
        break;
      default:
        break;
    }
  }

  /** As Node's timers: one at a time here, and of a millisecond at least. */
  #arrange(each: Candidate, afterMs: number | null): void {
    each.alarm += 1;
    if (afterMs === null) return;
    const { alarm, incarnation } = each;
    this.#at(this.#nowMs + Math.max(1, afterMs / each.rate), () => {
      if (each.incarnation === incarnation && each.alarm === alarm) this.#happen(each, { type: 'woke' });
    });
  }

  #latencyMs(each: Candidate): number {
    return this.#random() * (this.#nowMs < each.slowUntilMs ? each.slowMs : 20);
  }

  #send(each: Candidate, request: Extract<Effect, { readonly id: number }>): void {
    const { incarnation } = each;
    if (this.#nowMs < each.cutUntilMs) return;
    this.#at(this.#nowMs + this.#latencyMs(each), () => {
      const answer = this.#serve(request);
      if (this.#nowMs < each.deafUntilMs) return;
      this.#at(this.#nowMs + this.#latencyMs(each), () => {
        if (each.incarnation === incarnation) this.#happen(each, answer);
      });
    });
  }

  /** The API server: compare and swap. */
  #serve(request: Extract<Effect, { readonly id: number }>): Happening {
    const { id } = request;
    const stored = this.#view();
    if (request.type === 'read') return { type: 'read', id, stored };
    const known = request.type === 'create' ? null : versionIn(request.stored);
    const isCurrent = known === (this.#stored?.version ?? null);
    if (!isCurrent && this.#scenario.defect !== 'overwrites') return { type: 'failed', id, conflict: true };
    const version = (this.#stored?.version ?? 0) + 1;
    if (this.#stored === null || !isSame(this.#stored.record, request.record) || isCurrent) {
      this.#stored = { record: request.record, version };
    }
    return { type: 'written', id, stored: this.#view()! };
  }

  #view(): StoredLease | null {
    if (this.#stored === null) return null;
    const { record, version } = this.#stored;
    return { record, object: { metadata: { resourceVersion: String(version) } } };
  }

  /** Whoever is gone comes back as somebody else. */
  #replace(each: Candidate): void {
    const incarnation = each.incarnation + 1;
    const { rate, sleptMs, wallOffsetMs } = each;
    Object.assign(each, this.#fresh(each.index, incarnation), { rate, sleptMs, wallOffsetMs });
    this.#at(this.#nowMs + this.#random() * 5_000, () => {
      if (each.incarnation === incarnation) this.#happen(each, { type: 'started' });
    });
  }

  #disturb({ candidate, kind, ms, signedMs }: Disturbance): void {
    const each = this.#candidates[candidate % this.#candidates.length]!;
    const until = this.#nowMs + ms;
    switch (kind) {
      case 'hang':
        each.hangsUntilMs = Math.max(each.hangsUntilMs, until);
        break;
      case 'sleep':
        each.hangsUntilMs = Math.max(each.hangsUntilMs, until);
        each.sleptMs += ms * each.rate;
        break;
      case 'set':
        each.wallOffsetMs += signedMs;
        break;
      case 'cut':
        each.cutUntilMs = until;
        break;
      case 'deaf':
        each.deafUntilMs = until;
        break;
      case 'slow':
        each.slowUntilMs = until;
        each.slowMs = ms / 6;
        break;
      case 'stop':
        this.#happen(each, { type: 'stopped' });
        break;
      case 'kill':
        this.#replace(each);
        break;
    }
    // Whoever hangs gets to act again the moment it runs.
    this.#at(until, () => undefined);
  }
}
