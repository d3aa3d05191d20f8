/** What guards a lock while lockwarden is down, in a word. Pure. */
import type { LockRef } from '../core/lock.ts';
import type { Effective } from '../policy/effective.ts';
import { standsInFor, type SwitchScope } from './terms.ts';

/**
 * `Switch`: the API server refuses what is certainly early, and failover works. `Closed`: a policy fails closed, so the lock changes hands
 * no more. `Nothing`: whoever may write the lock may take it.
 */
export type Protection = 'Switch' | 'Closed' | 'Nothing';

/** What each comes to, as a clause. */
export const protections: Readonly<Record<Protection, string>> = {
  Switch: 'the API server refuses premature takeovers by itself, and failover works',
  Closed: 'a policy fails closed, so the lock does not change hands at all',
  Nothing: 'whoever may write the lock may take it',
};

/** @param scope of the switch, as it is in force; null: there is none */
export function protectionOf(
  lock: LockRef,
  effective: Effective | null,
  scope: SwitchScope | null,
): Protection {
  if (effective === null) return 'Nothing';
  if (effective.failurePolicy === 'Fail') return 'Closed';
  return scope !== null && standsInFor(scope, lock) ? 'Switch' : 'Nothing';
}
