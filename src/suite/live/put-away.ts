/** Leaving no lock behind, and no trace of one that would be held against the next test of the same lock. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { LockRef } from '../../core/lock.ts';
import { foundIn } from '../lock-object.ts';
import { plan } from '../requests.ts';
import type { Actor } from '../suite.ts';
import type { LiveGround } from './ground.ts';
import { LiveCluster } from './live-cluster.ts';

/** Whoever runs the tests. */
const janitor: Actor = {
  name: 'janitor',
  as: { kind: 'user', name: 'janitor', groups: [] },
  identity: 'janitor',
  clockMs: 0,
  leaseDurationMs: 1_000,
  fieldManager: 'lockwarden-test',
};

/** Releases the lock and deletes it. One that may not be released is deleted when its lease has run out. */
export async function putAway(lock: LockRef, { admin, time }: LiveGround): Promise<void> {
  const { signal } = new AbortController();
  const cluster = new LiveCluster(lock, { admin, time, signal, clientOf: () => admin });
  const object = await cluster.read();
  if (object === null) return;
  const scene = { lock, actor: janitor, object, wasDeleted: false, nowMs: cluster.nowMs() };
  const release = plan({ kind: 'release' }, scene);
  if (!('impossible' in release)) {
    const { status } = await cluster.write(janitor, release);
    if (status >= 300) await sleep(foundIn(lock.kind, object)?.leaseDurationMs ?? 0);
  }
  await cluster.write(janitor, { verb: 'delete' });
}
