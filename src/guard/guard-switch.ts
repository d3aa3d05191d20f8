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
      const fields = vigilFields(vigil, memories, namespace);
      // Who ends the last replica knows that locks are unguarded; who loses it may not.
      if (vigil.orderly) logger.info(fields, 'switch stood watch');
      else logger.warn(fields, 'switch stood watch');
    },
  });
}

/**
 * What is told of the time for which the switch stood watch. Leases alone: it stands in for no other kind; and not lockwarden's own, which
 * change hands whenever it is down.
 */
export function vigilFields(vigil: Vigil, memories: LockMemories, ownNamespace: string): object {
  const { sinceMs, untilMs } = vigil;
  const span = {
    since: new Date(sinceMs).toISOString(),
    seconds: Math.round((untilMs - sinceMs) / 1000),
  };
  const leases = memories.states('Lease')?.filter(([{ namespace }]) => namespace !== ownNamespace);
  // What is not known yet is told by saying nothing.
  if (leases === undefined) return span;
  const { count, locks } = acquiredBetween(leases, vigil);
  return { ...span, acquired: count, locks };
}
