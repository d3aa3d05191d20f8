/**
 * What a rule is: it looks at one context and finds at most one thing wrong.
 */
import type { Context } from './context.ts';
import type { Clause } from './decision.ts';
import type { Enforcement, Reason } from './reasons.ts';

/** What a rule found. `atMost` caps the enforcement where the proof does not carry a refusal. */
export interface Finding {
  readonly clause: Clause;
  readonly reason: Reason;
  /** What is wrong beyond what the reason says, a clause in lower case; empty if nothing. */
  readonly detail: string;
  readonly atMost?: Enforcement;
}

/** Finds at most one thing wrong. */
export type Rule = (context: Context) => Finding | null;
