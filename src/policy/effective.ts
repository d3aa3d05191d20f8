/** What holds for a lock, and why: what resolution comes to. */
import type { Reason } from '../core/reasons.ts';
import type { Settings } from '../core/settings.ts';
import type { Layer } from './policy.ts';
import type { PolicyRef } from './policy-ref.ts';

/** A value that policies decide, by the name of the field that sets it; single rules as `rules[REASON]`. */
export type Field =
  | Exclude<keyof Layer, 'rules' | 'toleranceMs' | 'leaseDurationMs'>
  | 'tolerance'
  | 'leaseDuration'
  | `rules[${Reason}]`;

/** Two policies that are equally specific and disagree. */
export interface Conflict {
  readonly field: Field;
  readonly between: readonly PolicyRef[];
  readonly winner: PolicyRef;
}

/** What holds for one lock, and why. */
export interface Effective {
  readonly settings: Settings;
  readonly renewals: 'skip' | 'inspect';
  readonly failurePolicy: 'Ignore' | 'Fail';
  /** The policies that cover the lock, from the least to the most specific. */
  readonly policies: readonly PolicyRef[];
  /** Where each value comes from: a policy, a floor; a field that is absent comes from the built-in defaults. */
  readonly sources: ReadonlyMap<Field, string>;
  readonly conflicts: readonly Conflict[];
}
