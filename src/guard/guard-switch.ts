/** The guard Lease of a guard, with what it tells: how long the switch stood watch, and what was taken meanwhile. */
import type { LockMemories } from '../admission/lock-memories.ts';
import { acquiredBetween } from './acquired-between.ts';
import { GuardLease, type GuardLeaseOptions } from './guard-lease.ts';
import type { Vigil } from './guard-record.ts';

/** What the guard Lease of a guard needs. */
export interface GuardSwitchOptions extends Omit<GuardLeaseOptions, 'onVigil' | 'serverTimeAt'> {
  readonly memories: LockMemories;
}

/** The guard Lease; `start()` it with the watches. */
export function guardSwitch({ memories, ...options }: GuardSwitchOptions): GuardLease {
  const { logger, namespace } = options;
  return new GuardLease({
    ...options,
    serverTimeAt: (at) => memories.serverTimeAt(at),
    onVigil: (vigil) => {
      const fields = { ...spanOf(vigil), ...acquiredIn(vigil, memories, namespace) };
      // Who ends the last replica knows that locks are unguarded; who loses it may not.
      if (vigil.orderly) logger.info(fields, 'switch stood watch');
      else logger.warn(fields, 'switch stood watch');
    },
  });
}

function spanOf({ sinceMs, untilMs }: Vigil): object {
  return { since: new Date(sinceMs).toISOString(), seconds: Math.round((untilMs - sinceMs) / 1000) };
}

/** Leases alone: the switch stands in for no other kind. lockwarden's own change hands whenever it is down, and are of no interest. */
function acquiredIn(vigil: Vigil, memories: LockMemories, ownNamespace: string): object {
  const leases = memories.states('Lease')?.filter(([{ namespace }]) => namespace !== ownNamespace);
  // Not known is told by saying nothing.
  if (leases === undefined) return {};
  const { count, locks } = acquiredBetween(leases, vigil);
  return { acquired: count, locks };
}
