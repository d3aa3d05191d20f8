/**
 * The lock that lockwarden tries to steal from itself, to know that the API server asks it: the Lease `lockwarden-canary` in its own
 * namespace. What holds for that lock no policy can change, or a policy that is mild to everybody would make the proof fail.
 */
import type { LockWrite } from './lock.ts';
import { builtInDefaults, type Settings } from './settings.ts';

/** Name of the Lease. */
export const canaryName = 'lockwarden-canary';

/** What is in force for an attempt on the canary. */
export const canarySettings: Settings = { ...builtInDefaults, policy: 'built-in canary' };

/** Whether a write is an attempt on the canary. */
export type IsCanary = (write: LockWrite) => boolean;

/**
 * The attempts on the canary of the lockwarden in `ownNamespace`: dry runs only. A write that is to be stored is none: the namespace is
 * unguarded, so that nothing about lockwarden needs lockwarden to be up.
 */
export function canaryIn(ownNamespace: string): IsCanary {
  return ({ operation, dryRun, lock: { kind, namespace, name } }) =>
    dryRun && operation === 'UPDATE' && kind === 'Lease' && namespace === ownNamespace && name === canaryName;
}
