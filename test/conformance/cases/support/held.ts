import type { Ground } from './ground.ts';
import { clientGo } from './leases.ts';
import type { Trial } from './trial.ts';

/** A Lease that `a` holds by client-go, and that the guard has seen. */
export async function heldByA(ground: Ground, name: string, durationS = 15): Promise<Trial> {
  const lock = ground.trial(name);
  await lock.allows(() => clientGo(ground.a).create(lock, { holder: 'a', durationS }));
  await lock.seen();
  return lock;
}
