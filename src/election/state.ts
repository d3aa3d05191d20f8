/**
 * What an election knows, what happens to it, what it does about that, and how long ago things were.
 *
 * There are two ways to measure, each wrong on the safe side only:
 * - whether *another's* lease has run out is judged by the monotonic clock alone: a wall clock that jumps forward must
 *   not make anybody take over early;
 * - for how long *this* leadership is certain is judged by whichever clock says that more time has passed, and a wall
 *   clock that went back says nothing at all: then leadership is in doubt until the next renewal.
 */
import type { MonotonicMs } from '../core/time.ts';
import type { LeaseRecord, StoredLease } from './record.ts';
import type { Rules } from './timing.ts';

/** Both clocks, read together, the monotonic one first. */
export interface Instant {
  readonly monotonicMs: MonotonicMs;
  readonly wallMs: number;
}

/** What happens. `random` is uniform in [0, 1). */
export type Event = { readonly at: Instant; readonly random: number } & (
  | { readonly type: 'started' }
  /** A `wake` is due, or may be. */
  | { readonly type: 'woke' }
  /** The answer to `read`; null: there is no such Lease. */
  | { readonly type: 'read'; readonly id: number; readonly stored: StoredLease | null }
  /** The answer to `create` or `replace`: what is stored now. */
  | { readonly type: 'written'; readonly id: number; readonly stored: StoredLease }
  /** `conflict`: somebody else has written in between, so nothing was stored. Otherwise that is not known. */
  | { readonly type: 'failed'; readonly id: number; readonly conflict: boolean }
  /** Leadership is to end in good order. */
  | { readonly type: 'stopped' }
  /** Somebody wanted to act while leadership was in doubt. */
  | { readonly type: 'doubted' }
  /** The work that the lease guards is over, after `end`. */
  | { readonly type: 'concluded' }
);

/** What is to be done, in this order. */
export type Effect =
  | { readonly type: 'read'; readonly id: number; readonly timeoutMs: number }
  | {
      readonly type: 'create';
      readonly id: number;
      readonly timeoutMs: number;
      readonly record: LeaseRecord;
    }
  | {
      readonly type: 'replace';
      readonly id: number;
      readonly timeoutMs: number;
      readonly record: LeaseRecord;
      readonly stored: StoredLease;
    }
  /** Give up the request under way; its answer is of no more interest. */
  | { readonly type: 'cancel' }
  /** Come back after `afterMs`, in place of any earlier arrangement; null: no need. */
  | { readonly type: 'wake'; readonly afterMs: number | null }
  /** Another leads, or nobody (empty). */
  | { readonly type: 'leader'; readonly identity: string }
  /** A term begins. */
  | { readonly type: 'lead'; readonly fence: number }
  /** What the lease guards must end, if there is a term; then `concluded` is awaited. */
  | { readonly type: 'end'; readonly why: 'stopped' | 'lost' }
  /** A renewal had to read first. */
  | { readonly type: 'slowpath' }
  /** All is over. */
  | { readonly type: 'finish' };

/** A leadership. */
export interface TermState {
  /** INVARIANT: when the latest renewal that succeeded was sent, never when it was answered. */
  readonly renewed: Instant;
  readonly fence: number;
}

/** Where an election stands. */
export type Phase =
  | { readonly name: 'acquiring' }
  /** `closing`: it is to end, and is renewed until the work is over. `hurried`: a doubt has already moved a renewal forward. */
  | {
      readonly name: 'leading';
      readonly term: TermState;
      readonly closing: boolean;
      readonly hurried: boolean;
    }
  /** Not leading any more, or never; the work may still be winding up. */
  | { readonly name: 'ended' }
  | { readonly name: 'releasing'; readonly until: MonotonicMs }
  | { readonly name: 'done' };

/** A request under way. */
export interface Request {
  readonly id: number;
  readonly kind: 'read' | 'create' | 'replace';
  readonly sent: Instant;
  /** When the try began that it belongs to. */
  readonly triedAt: Instant;
  readonly until: MonotonicMs;
  /** A renewal without a read before it. */
  readonly fast: boolean;
}

/** All that an election knows. */
export interface State {
  readonly phase: Phase;
  /** The lease as it was last seen, and since when it has been so. */
  readonly observed: {
    readonly stored: StoredLease;
    /** Since when the record has been seen as it is. */
    readonly sinceMs: MonotonicMs;
    /** When it was looked at last. */
    readonly seenMs: MonotonicMs;
  } | null;
  /** The last `leader` told. */
  readonly reported: string;
  readonly request: Request | null;
  /** When the next try is due, if none is under way. */
  readonly tryAt: MonotonicMs;
  /** Whether a write may be stored that makes us the holder. */
  readonly mayHold: boolean;
  readonly lastId: number;
}

/** Before anything has happened. */
export const initialState: State = {
  phase: { name: 'acquiring' },
  observed: null,
  reported: '',
  request: null,
  tryAt: 0 as MonotonicMs,
  mayHold: false,
  lastId: 0,
};

/**
 * LIMIT: both clocks are read within microseconds, and NTP slews them alike; a wall clock that lost this much against
 * the monotonic one was set back.
 */
const setBackMinMs = 50;

/**
 * For how long leadership is certain at `at`, in milliseconds; 0: not at all, or in doubt.
 */
export function certainForMs(rules: Rules, { phase }: State, at: Instant): number {
  if (phase.name !== 'leading' || phase.closing) return 0;
  return Math.max(0, rules.certainMs - sinceAtMostMs(phase.term.renewed, at));
}

/** For how long this process has been the holder without a renewal, by the monotonic clock; null: it is not the holder. */
export function heldSinceMs(rules: Rules, { observed, phase }: State, at: Instant): number | null {
  if (phase.name === 'done' || observed?.stored.record.holder !== rules.identity) return null;
  return at.monotonicMs - observed.sinceMs;
}

/** How long ago `then` was, at most. */
export function sinceAtMostMs(then: Instant, now: Instant): number {
  const ranMs = now.monotonicMs - then.monotonicMs;
  const shownMs = now.wallMs - then.wallMs;
  return shownMs < ranMs - setBackMinMs ? Infinity : Math.max(ranMs, shownMs);
}

/** Whether a term has run out, by the clock that does not jump. */
export function isOver(rules: Rules, { phase }: State, at: Instant): boolean {
  return phase.name === 'leading' && at.monotonicMs - phase.term.renewed.monotonicMs >= rules.certainMs;
}

/** Whether the lease that was last seen has yet to run out. */
export function isLive({ observed }: State, at: Instant): boolean {
  if (observed === null) return false;
  return at.monotonicMs - observed.sinceMs < observed.stored.record.durationSeconds * 1000;
}
