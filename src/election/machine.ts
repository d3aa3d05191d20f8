/**
 * A leader election as a pure function: what is known and what happens now, to what is known next and what to do.
 *
 * Instants and random numbers come in with events; there is no clock, timer or request in here. So an election can be
 * told step by step in a table, and thousands of them can be played against each other in a second.
 */
import type { MonotonicMs } from '../core/time.ts';
import { objectAt, stringAt } from '../kube/json.ts';
import { isSame, microTime, type LeaseRecord, type StoredLease } from './record.ts';
import {
  certainForMs,
  isLive,
  isOver,
  sinceAtMostMs,
  type Effect,
  type Event,
  type Instant,
  type Phase,
  type Request,
  type State,
  type TermState,
} from './state.ts';
import { jitterFactor, type Rules } from './timing.ts';

/** What is known next, and what to do. */
export interface Step {
  readonly state: State;
  readonly effects: readonly Effect[];
}

/** One step of the election. Total: whatever happens in whatever order, there is a next state. */
export function step(rules: Rules, before: State, event: Event): Step {
  const lost = isOver(rules, before, event.at);
  const first: Step = lost ? lose(before) : { state: before, effects: [] };
  const then = happen(rules, first.state, event);
  const { state, effects: reports } = report(then.state);
  const wake: Effect = { type: 'wake', afterMs: wakeAfterMs(rules, state, event.at) };
  return { state, effects: [...first.effects, ...reports, ...then.effects, wake] };
}

function happen(rules: Rules, state: State, event: Event): Step {
  switch (event.type) {
    case 'started':
      return attempt(rules, state, event.at);
    case 'woke':
      return woken(rules, state, event);
    case 'stopped':
      return stop(state);
    case 'doubted':
      return hurry(rules, state, event.at);
    case 'concluded':
      return conclude(rules, state, event.at);
    case 'read':
    case 'written':
    case 'failed':
      // NB: the answer to a request that was given up may come all the same.
      return state.request?.id === event.id
        ? answer(rules, state, state.request, event)
        : { state, effects: [] };
  }
}

function woken(rules: Rules, state: State, event: Event): Step {
  const { request, phase } = state;
  const now = event.at.monotonicMs;
  if (phase.name === 'releasing' && now >= phase.until) return finish(state);
  if (request !== null) {
    if (now < request.until) return { state, effects: [] };
    const { state: next, effects } = failed(rules, state, request, { ...event, conflict: false });
    return { state: next, effects: [{ type: 'cancel' }, ...effects] };
  }
  const tries = phase.name === 'acquiring' || phase.name === 'leading';
  return tries && now >= state.tryAt ? attempt(rules, state, event.at) : { state, effects: [] };
}

function stop(state: State): Step {
  const { phase } = state;
  if (phase.name === 'acquiring') return end(state, 'stopped');
  if (phase.name !== 'leading' || phase.closing) return { state, effects: [] };
  // The request under way goes on: until the work is over, the lease must not run out.
  return {
    state: { ...state, phase: { ...phase, closing: true } },
    effects: [{ type: 'end', why: 'stopped' }],
  };
}

function hurry(rules: Rules, state: State, at: Instant): Step {
  const { phase, request } = state;
  const mayAct = phase.name === 'leading' && !phase.closing;
  // Once for each renewal that holds: a wall clock that keeps jumping must not become a flood of requests.
  if (!mayAct || phase.hurried || request !== null || certainForMs(rules, state, at) > 0) {
    return { state, effects: [] };
  }
  return attempt(rules, { ...state, phase: { ...phase, hurried: true } }, at);
}

function conclude(rules: Rules, state: State, at: Instant): Step {
  const { phase } = state;
  if (phase.name !== 'ended' && !(phase.name === 'leading' && phase.closing)) return { state, effects: [] };
  if (!rules.releases || !state.mayHold) return finish(state);
  const until = (at.monotonicMs + rules.renewDeadlineMs) as MonotonicMs;
  const cancel: readonly Effect[] = state.request === null ? [] : [{ type: 'cancel' }];
  const { state: next, effects } = ask(rules, { ...state, phase: { name: 'releasing', until } }, at, at);
  return { state: next, effects: [...cancel, ...effects] };
}

/** One try to acquire or to renew: at once where what was seen last is still ours, else after a look. */
function attempt(rules: Rules, state: State, at: Instant): Step {
  const { observed } = state;
  if (observed?.stored.record.holder !== rules.identity || !isLive(state, at))
    return ask(rules, state, at, at);
  return replace(rules, state, { stored: observed.stored, at, triedAt: at, fast: true });
}

function ask(rules: Rules, state: State, at: Instant, triedAt: Instant): Step {
  const request = { kind: 'read', sent: at, triedAt, fast: false } as const;
  const { next, id, timeoutMs } = send(rules, state, request);
  return { state: next, effects: [{ type: 'read', id, timeoutMs }] };
}

interface Replacement {
  readonly stored: StoredLease;
  readonly at: Instant;
  readonly triedAt: Instant;
  readonly fast: boolean;
}

/** Renews what is ours, takes what is not. */
function replace(rules: Rules, state: State, { stored, at, triedAt, fast }: Replacement): Step {
  const { acquireTime, transitions } = stored.record;
  const isOurs = stored.record.holder === rules.identity;
  const kept = isOurs ? { acquireTime, transitions } : { transitions: transitions + 1 };
  const record = { ...claim(rules, at), ...kept };
  const request = { kind: 'replace', sent: at, triedAt, fast } as const;
  const { next, id, timeoutMs } = send(rules, { ...state, mayHold: true }, request);
  const slow: readonly Effect[] = isOurs && !fast ? [{ type: 'slowpath' }] : [];
  return { state: next, effects: [...slow, { type: 'replace', id, timeoutMs, record, stored }] };
}

/** There is no Lease, or no more. A count that is known goes on, because it is the fence of whoever leads. */
function create(rules: Rules, state: State, at: Instant, triedAt: Instant): Step {
  const last = state.observed?.stored.record;
  const isOurs = last?.holder === rules.identity;
  const kept =
    last === undefined
      ? {}
      : isOurs
        ? { acquireTime: last.acquireTime, transitions: last.transitions }
        : { transitions: last.transitions + 1 };
  const record = { ...claim(rules, at), ...kept };
  const request = { kind: 'create', sent: at, triedAt, fast: false } as const;
  const { next, id, timeoutMs } = send(rules, { ...state, mayHold: true }, request);
  return { state: next, effects: [{ type: 'create', id, timeoutMs, record }] };
}

function claim(rules: Rules, { wallMs }: Instant): LeaseRecord {
  const now = microTime(wallMs);
  const { identity: holder, leaseDurationSeconds: durationSeconds } = rules;
  return { holder, durationSeconds, acquireTime: now, renewTime: now, transitions: 0 };
}

function send(
  rules: Rules,
  state: State,
  request: Omit<Request, 'id' | 'until'>,
): { readonly next: State; readonly id: number; readonly timeoutMs: number } {
  const now = request.sent.monotonicMs;
  const { phase } = state;
  const leftMs =
    phase.name === 'leading'
      ? phase.term.renewed.monotonicMs + rules.certainMs - now
      : phase.name === 'releasing'
        ? phase.until - now
        : Infinity;
  const timeoutMs = Math.min(rules.requestTimeoutMs, leftMs);
  const id = state.lastId + 1;
  const until = (now + timeoutMs) as MonotonicMs;
  return { next: { ...state, lastId: id, request: { ...request, id, until } }, id, timeoutMs };
}

type Answer = Extract<Event, { readonly id: number }>;

function answer(rules: Rules, before: State, request: Request, event: Answer): Step {
  const state = { ...before, request: null };
  if (event.type === 'failed') return failed(rules, before, request, event);
  if (event.type === 'written') return written(rules, state, request, event);
  if (event.stored === null) return missing(rules, state, request, event.at);
  const seen = observe(state, event.stored, event.at.monotonicMs);
  if (state.phase.name === 'releasing') return giveBack(rules, seen, event.stored, event.at);
  return found(rules, seen, request, event, event.stored);
}

function observe(state: State, stored: StoredLease, now: MonotonicMs): State {
  const { observed } = state;
  const isUnchanged =
    observed !== null &&
    isSame(observed.stored.record, stored.record) &&
    !mayHaveReturned(observed, stored, now);
  return { ...state, observed: { stored, sinceMs: isUnchanged ? observed.sinceMs : now, seenMs: now } };
}

/**
 * Whether the record may have been another one in between. A holder whose wall clock was set back writes the very record again that
 * it wrote before; to somebody who has not looked for as long as the lease lasts it would seem to have been dead since then. Others
 * who change nothing but metadata do not count as long as one keeps looking.
 */
function mayHaveReturned(
  observed: NonNullable<State['observed']>,
  stored: StoredLease,
  now: MonotonicMs,
): boolean {
  const wasAway = now - observed.seenMs >= stored.record.durationSeconds * 1000;
  return wasAway && versionOf(observed.stored) !== versionOf(stored);
}

function versionOf({ object }: StoredLease): string {
  return stringAt(objectAt(object, 'metadata'), 'resourceVersion');
}

function missing(rules: Rules, state: State, request: Request, at: Instant): Step {
  return state.phase.name === 'releasing' ? finish(state) : create(rules, state, at, request.triedAt);
}

function found(rules: Rules, state: State, request: Request, event: Event, stored: StoredLease): Step {
  const { holder, transitions } = stored.record;
  const isOurs = holder === rules.identity;
  const { phase } = state;
  if (phase.name === 'leading') {
    // INVARIANT: a term is uninterrupted. Once somebody else has held the lease, another term must begin.
    if (!isOurs || transitions !== phase.term.fence) return lose({ ...state, mayHold: isOurs });
  } else if (!isOurs && holder !== '' && isLive(state, request.triedAt)) {
    return later(rules, { ...state, mayHold: false }, event);
  }
  return replace(rules, state, { stored, at: event.at, triedAt: request.triedAt, fast: false });
}

function written(rules: Rules, state: State, request: Request, event: Answer & { type: 'written' }): Step {
  const { stored } = event;
  const { sent } = request;
  const seen = { ...state, observed: { stored, sinceMs: sent.monotonicMs, seenMs: sent.monotonicMs } };
  if (state.phase.name === 'releasing') return finish({ ...seen, mayHold: false });
  const { holder, transitions } = stored.record;
  // By either clock: a machine that slept may be told of a lease that it has lost since.
  const isLate = sinceAtMostMs(sent, event.at) >= rules.certainMs;
  if (state.phase.name === 'leading') {
    if (holder !== rules.identity || transitions !== state.phase.term.fence) return lose(seen);
    const hurried = state.phase.hurried && isLate;
    const phase = { ...state.phase, hurried, term: { ...state.phase.term, renewed: sent } };
    return later(rules, { ...seen, phase }, event);
  }
  // What was stored is ours even so; the next try renews it, and leads if that answer comes in time.
  if (isLate || holder !== rules.identity) return later(rules, seen, event);
  const term: TermState = { renewed: sent, fence: transitions };
  const phase: Phase = { name: 'leading', term, closing: false, hurried: false };
  const { state: next, effects } = later(rules, { ...seen, phase }, event);
  return { state: next, effects: [...effects, { type: 'lead', fence: transitions }] };
}

function failed(
  rules: Rules,
  before: State,
  request: Request,
  event: { readonly at: Instant; readonly random: number; readonly conflict: boolean },
): Step {
  const state = { ...before, request: null };
  const { name } = state.phase;
  if (name === 'releasing') {
    // A renewal that was given up may still have been stored: then the release needs its version.
    const isOutdated = event.conflict && request.kind === 'replace';
    return isOutdated ? ask(rules, state, event.at, event.at) : finish(state);
  }
  // A leader whose Lease was deleted, and created by somebody else, must know at once.
  const isReplaced = event.conflict && request.kind === 'create' && name === 'leading';
  if (request.fast || isReplaced) return ask(rules, state, event.at, request.triedAt);
  return later(rules, state, event);
}

/** Only what is still ours, as stored now: client-go goes by what it saw last, and may give away another's lease. */
function giveBack(rules: Rules, state: State, stored: StoredLease, at: Instant): Step {
  if (stored.record.holder !== rules.identity) return finish(state);
  const { transitions } = stored.record;
  const record = { ...claim(rules, at), holder: '', durationSeconds: 1, transitions };
  const request = { kind: 'replace', sent: at, triedAt: at, fast: false } as const;
  const { next, id, timeoutMs } = send(rules, state, request);
  return { state: next, effects: [{ type: 'replace', id, timeoutMs, record, stored }] };
}

/** The try is over; the next one comes after the retry period. */
function later(rules: Rules, state: State, event: { readonly at: Instant; readonly random: number }): Step {
  const { retryPeriodMs } = rules;
  const spreadMs = state.phase.name === 'acquiring' ? retryPeriodMs * jitterFactor * event.random : 0;
  return {
    state: { ...state, tryAt: (event.at.monotonicMs + retryPeriodMs + spreadMs) as MonotonicMs },
    effects: [],
  };
}

function lose(state: State): Step {
  const isClosing = state.phase.name === 'leading' && state.phase.closing;
  const { state: next, effects } = end(state, 'lost');
  return { state: next, effects: isClosing ? effects.filter(({ type }) => type !== 'end') : effects };
}

function end(state: State, why: 'stopped' | 'lost'): Step {
  const cancel: readonly Effect[] = state.request === null ? [] : [{ type: 'cancel' }];
  return {
    state: { ...state, phase: { name: 'ended' }, request: null },
    effects: [...cancel, { type: 'end', why }],
  };
}

function finish(state: State): Step {
  const cancel: readonly Effect[] = state.request === null ? [] : [{ type: 'cancel' }];
  return {
    state: { ...state, phase: { name: 'done' }, request: null },
    effects: [...cancel, { type: 'finish' }],
  };
}

/** Who leads is told between tries, as in client-go: what a try meets on its way is no news. */
function report(state: State): Step {
  const leader = state.observed?.stored.record.holder ?? '';
  if (state.request !== null || leader === state.reported) return { state, effects: [] };
  return { state: { ...state, reported: leader }, effects: [{ type: 'leader', identity: leader }] };
}

function wakeAfterMs(
  rules: Rules,
  { phase, request, tryAt }: State,
  { monotonicMs: now }: Instant,
): number | null {
  const next = request?.until ?? tryAt;
  switch (phase.name) {
    case 'acquiring':
      return Math.max(0, next - now);
    case 'leading':
      return Math.max(0, Math.min(next, phase.term.renewed.monotonicMs + rules.certainMs) - now);
    case 'releasing':
      return Math.max(0, Math.min(next, phase.until) - now);
    default:
      return null;
  }
}
