/**
 * The answer to one write: pure data, so that it can be logged, replayed and compared.
 */
import type { Expiry } from './expiry.ts';
import type { PodRef } from './facts.ts';
import type { LockState } from './lock.ts';
import type { Enforcement, Reason } from './reasons.ts';
import type { Transition } from './transition.ts';

/** Clauses of docs/semantics.md, one or more to a rule. */
export type Clause =
  | 'C3' | 'U3' | 'U6' | 'U7' | 'U8' | 'U11' | 'U12' | 'U13' | 'U14' | 'U15' | 'U16' | 'U17' | 'U18' | 'U19'
  | 'D4' | 'S1' | 'S2' | 'W1' | 'W2' | 'W3' | 'W4' | 'P1' | 'P2' | 'P3' | 'P4'; // prettier-ignore

/** What one rule found, and what that causes under the settings in force. `message` is one sentence for people. */
export interface Violation {
  readonly clause: Clause;
  readonly reason: Reason;
  readonly enforcement: Enforcement;
  readonly message: string;
}

/** Who a deletion is put down to, for the tombstone that may follow. */
export type Attribution = 'holder' | 'system' | 'other' | 'unknown';

/**
 * What the writer's replica should remember once the write is seen stored: which identity the requester's pod has
 * asserted, or who deleted the lock. Nothing for a dry run, a refusal, or a write that asserts nothing.
 */
export type Effect =
  | {
      readonly kind: 'asserted';
      readonly holder: string;
      readonly renewTime: string | null;
      readonly pod: PodRef | null;
    }
  | { readonly kind: 'deleted'; readonly state: LockState; readonly attribution: Attribution };

/** The whole answer. */
export interface Decision {
  readonly outcome: 'Allow' | 'Deny';
  /** Name of what set the rules: `built-in defaults` or a policy's. */
  readonly policy: string;
  readonly transition: Transition;
  /** Refusals first, then warnings, then what is only recorded. Empty for nearly every write. */
  readonly violations: readonly Violation[];
  /** What was known of the promise that the write met: the lock's own, or its tombstone's. */
  readonly expiry: Expiry;
  readonly effect: Effect | null;
  /** The pod whose existence would settle the decision: ask, and decide again. Null when nothing hangs on it. */
  readonly question: PodRef | null;
}
