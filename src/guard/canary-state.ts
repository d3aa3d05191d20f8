/**
 * What is known from all attempts on the canary so far, and what of it is worth a line in the log. Pure: attempts come in, with the
 * moment at which they ended.
 */
import type { MonotonicMs } from '../core/time.ts';
import type { CanaryCause, CanaryOutcome } from './canary-outcome.ts';

/** The sum of the attempts. */
export interface CanaryState {
  readonly begunAt: MonotonicMs;
  /** When the last proof was obtained; null: none ever was. */
  readonly provenAt: MonotonicMs | null;
  /** How many attempts in a row have proven nothing, and since when; 0 and null after a proof. */
  readonly failures: number;
  readonly failingSince: MonotonicMs | null;
  /** Why the last attempt proved nothing; null after a proof and before the first attempt. */
  readonly cause: CanaryCause | null;
  /** The failure that the log has told of last and that is not over; null: none. */
  readonly told: { readonly cause: CanaryCause; readonly at: MonotonicMs } | null;
}

/** What to tell: that it is proven (again, after `unprovenForMs`; null: for the first time), or that it is not. */
export type CanaryTale =
  | { readonly kind: 'proven'; readonly unprovenForMs: number | null }
  | { readonly kind: 'unproven'; readonly cause: CanaryCause; readonly detail: string };

/** LIMIT: an API server takes in a new registration within a second; until then nothing is wrong. Well below the promised ten. */
const settleMs = 4_000;
/** LIMIT: a path that fails now in this way and now in that is worth a line in half a minute, not one each attempt. */
const otherCauseMs = 30_000;

/** Before the first attempt. */
export function canaryBegun(at: MonotonicMs): CanaryState {
  return { begunAt: at, provenAt: null, failures: 0, failingSince: null, cause: null, told: null };
}

/** The state after an attempt that ended `at`, and what to tell; null: nothing. */
export function afterAttempt(
  state: CanaryState,
  outcome: CanaryOutcome,
  at: MonotonicMs,
): { readonly state: CanaryState; readonly tale: CanaryTale | null } {
  if (outcome.kind === 'proven') return proven(state, at);
  const { cause, detail } = outcome;
  const failed = {
    ...state,
    failures: state.failures + 1,
    failingSince: state.failingSince ?? at,
    cause,
  };
  if (!isWorthTelling(state, cause, at)) return { state: failed, tale: null };
  return { state: { ...failed, told: { cause, at } }, tale: { kind: 'unproven', cause, detail } };
}

function proven(
  state: CanaryState,
  at: MonotonicMs,
): { readonly state: CanaryState; readonly tale: CanaryTale | null } {
  const tale: CanaryTale | null =
    state.provenAt === null
      ? { kind: 'proven', unprovenForMs: null }
      : state.told === null
        ? null
        : { kind: 'proven', unprovenForMs: at - state.provenAt };
  return { state: { ...canaryBegun(state.begunAt), provenAt: at }, tale };
}

function isWorthTelling(
  { provenAt, begunAt, told }: CanaryState,
  cause: CanaryCause,
  at: MonotonicMs,
): boolean {
  if (told !== null) return told.cause !== cause && at - told.at >= otherCauseMs;
  // What lockwarden lacks to make an attempt no API server is still to take in.
  return provenAt !== null || cause === 'notPossible' || at - begunAt >= settleMs;
}
