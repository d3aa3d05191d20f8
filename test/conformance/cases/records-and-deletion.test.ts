/**
 * Records in annotations of ConfigMaps and Endpoints, and locks that are deleted: by those who release that way, by
 * housekeeping, and by those who want to get around waiting.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { objectAt, stringAt } from '../../../src/kube/json.ts';
import { leaderAnnotation, microTime } from '../../kube/support/cluster.ts';
import { startGround, type Ground } from './support/ground.ts';
import { heldByA } from './support/held.ts';
import { clientGo, ruby } from './support/leases.ts';
import { clientGo23, fabric8ConfigMap, pythonConfigMap, withAnnotations } from './support/records.ts';
import type { Trial } from './support/trial.ts';
import { collectionOf, objectOf, type Writer } from './support/writer.ts';

// Most of a case's time is waiting until a lease has run out.
vi.setConfig({ maxConcurrency: 16 });

let ground: Ground;

beforeAll(async () => {
  ground = await startGround('records-and-deletion');
});

afterAll(() => ground.stop());

const claim = (holder: string, durationS = 15) => ({ holder, durationS });

/** DELETE as controllers send it: of this very object. */
async function deleteAs(writer: Writer, lock: Trial): Promise<void> {
  const uid = stringAt(objectAt(await lock.stored(), 'metadata'), 'uid');
  await lock.allows(() => writer.delete(lock, { preconditions: { uid }, propagationPolicy: 'Background' }), {
    record: null,
  });
}

describe.concurrent('records in annotations', () => {
  it('case 17: Python’s ConfigMap: naive local times, the duration a text, other annotations gone', async () => {
    const lock = ground.trial('case-17', { plural: 'configmaps' });
    const python = { a: pythonConfigMap(ground.a), b: pythonConfigMap(ground.b) };
    await lock.allows(() => ground.admin.post(lock, objectOf(lock, { annotations: { note: 'mine' } })));
    await lock.allows(() => python.a.take(lock, claim('a', 6)), {
      record: { holderIdentity: 'a', leaseDurationSeconds: '6', leaseTransitions: null },
    });
    const annotations = objectAt(objectAt(await lock.stored(), 'metadata'), 'annotations');
    expect(Object.keys(annotations)).toEqual([leaderAnnotation]);
    await lock.seen();
    await lock.refuses(() => python.b.take(lock, claim('b', 6)), 'U15 PrematureTakeover');
    await lock.allows(() => python.a.renew(lock));
    await lock.runsOut(6);
    await lock.allows(() => python.b.take(lock, claim('b', 6)), { record: { holderIdentity: 'b' } });
  });

  it('case 16: at the change to winter time its naive renew time goes back, which says nothing', async () => {
    const lock = ground.trial('case-16', { plural: 'configmaps' });
    const python = pythonConfigMap(ground.a);
    await lock.allows(() => python.create(lock, { ...claim('a'), clockMs: 3_600_000 }));
    await lock.allows(() => python.renew(lock, 0), { record: { holderIdentity: 'a' } });
  });

  it('case 24: Patroni’s own annotations on Endpoints, with an old count and acquire time', async () => {
    const lock = ground.trial('case-24', { plural: 'endpoints' });
    const iso = (offsetMs = 0) => microTime(offsetMs, 17).replace(/Z$/u, '+00:00');
    const annotations = {
      leader: 'pg-0',
      ttl: '30',
      acquireTime: iso(-3_600_000),
      renewTime: iso(),
      transitions: '7',
      optime: '67108864',
    };
    const patroni = ground.a.using('Patroni/4.0.6 Python/3.12.3 Linux');
    await lock.allows(() => patroni.post(lock, objectOf(lock, { annotations })));
    expect(objectAt(await lock.stored(), 'metadata')).toMatchObject({ annotations });
    const renewed = { metadata: { annotations: { renewTime: iso() } } };
    await lock.allows(() => patroni.patch(lock, 'strategic', renewed));
  });

  describe.each(['configmaps', 'endpoints'] as const)('of %s', (plural) => {
    const renewed = async (name: string): Promise<Trial> => {
      const lock = ground.trial(name, { plural });
      const holder = clientGo23(ground.a);
      await lock.allows(() => holder.create(lock, claim('a')));
      await lock.allows(() => holder.renew(lock));
      await lock.seen();
      return lock;
    };
    const overwrite = (writer: Writer, lock: Trial, record: string | undefined) => async () => {
      const { body } = await writer.get(lock);
      return writer.put(
        lock,
        withAnnotations(body, (each) => ({ ...each, [leaderAnnotation]: record })),
      );
    };

    it('case 51: somebody drops the record of a live lock', async () => {
      const lock = await renewed('case-51-dropped');
      await lock.refuses(overwrite(ground.b, lock, undefined), 'U16 StrippedRecord');
    });

    it('case 51: somebody makes it unreadable', async () => {
      const lock = await renewed('case-51-unreadable');
      const text = '{"holderIdentity":"a",';
      await lock.refuses(overwrite(ground.b, lock, text), 'U16 StrippedRecord');
      await lock.refuses(
        overwrite(ground.admin, lock, '{"holderIdentity":"a","HolderIdentity":"b"}'),
        'U16 StrippedRecord',
      );
    });
  });
});

// One after another, where the guard asks whether the holder's pod still runs: it waits 300 ms for the answer at most.
describe('deletions of live locks', () => {
  it('case 25: medik8s releases by deleting, and another creates at once', async () => {
    const lock = await heldByA(ground, 'case-25');
    await lock.allows(() => ground.a.delete(lock), { record: null });
    await lock.allows(() => clientGo(ground.b).create(lock, claim('b')), { record: { holderIdentity: 'b' } });
  });

  it('case 27: the garbage collector deletes it when its pod is gone, and another creates at once', async () => {
    const lock = ground.trial('case-27');
    const holder = await ground.pod('owner');
    const owner = { name: 'owner', uid: await ground.uidOf('owner') };
    await lock.allows(() => ruby(holder, owner).create(lock, claim('owner', 60)));
    await lock.seen();
    await ground.deletePod('owner');
    const collector = ground.admin.actingAs('system:serviceaccount:kube-system:generic-garbage-collector', [
      'system:serviceaccounts',
      'system:serviceaccounts:kube-system',
      'system:authenticated',
    ]);
    await deleteAs(collector, lock);
    const successor = ruby(ground.b, { name: 'b', uid: await ground.uidOf('b') });
    await lock.allows(() => successor.create(lock, claim('b', 60)), { record: { holderIdentity: 'b' } });
  });

  describe('Flink’s ConfigMaps for high availability, deleted by their label', () => {
    const labels = (job: string) => ({ app: job, 'configmap-type': 'high-availability' });

    const deletedByOperator = async (job: string): Promise<Trial> => {
      const lock = ground.trial(job, { plural: 'configmaps' });
      const operator = await ground.pod(`operator-of-${job}`);
      const query = { labelSelector: `app=${job},configmap-type=high-availability` };
      await lock.allows(() => fabric8ConfigMap(ground.a, labels(job)).create(lock, claim('a')));
      await lock.seen();
      await lock.allows(() => operator.send('DELETE', collectionOf(lock), { query }), { record: null });
      return lock;
    };

    it('case 32: the operator may, and for the rest of the lease nobody else takes the lock', async () => {
      const lock = await deletedByOperator('case-32');
      const other = fabric8ConfigMap(ground.b, labels('case-32'));
      await lock.refuses(() => other.create(lock, claim('b')), 'C3 PrematureRecreation');
    });

    it('case 33: its holder creates it again', async () => {
      const lock = await deletedByOperator('case-33');
      const holder = fabric8ConfigMap(ground.a, labels('case-33'));
      await lock.allows(() => holder.create(lock, claim('a')), { record: { holderIdentity: 'a' } });
      await lock.allows(() => holder.renew(lock), { record: { holderIdentity: 'a' } });
    });
  });

  it('case 52: another replica deletes it and creates its own, which it may when the lease has run out', async () => {
    const lock = await heldByA(ground, 'case-52', 7);
    const heldAt = performance.now();
    await deleteAs(ground.b, lock);
    await lock.refuses(() => clientGo(ground.b).create(lock, claim('b')), 'C3 PrematureRecreation');
    await sleep(Math.max(0, heldAt + 7_000 - performance.now()));
    await lock.allows(() => clientGo(ground.b).create(lock, claim('b')), { record: { holderIdentity: 'b' } });
  });

  it('case 53: an operator creates it anew without a holder, which is no way around', async () => {
    const lock = await heldByA(ground, 'case-53');
    await deleteAs(ground.b, lock);
    await lock.allows(() => ground.c.post(lock, { ...objectOf(lock), spec: {} }));
    await lock.refuses(() => clientGo(ground.b).take(lock, claim('b')), 'U3 PrematureRecreation');
    await lock.allows(() => clientGo(ground.a).take(lock, claim('a')), { record: { holderIdentity: 'a' } });
  });

  it('case 26: Ruby’s candidate deletes a lease that ran out, and creates its own', async () => {
    const lock = ground.trial('case-26');
    const owner = async (name: string) => ({ name, uid: await ground.uidOf(name) });
    const berlin = { durationS: 2, clockMs: 3_600_000 };
    const holder = ruby(ground.a, await owner('a'));
    await lock.allows(() => holder.create(lock, { holder: 'a', ...berlin }), {
      warns: ['W1 RenewTimeSkewed'],
    });
    await lock.runsOut(4);
    await lock.allows(() => ground.b.delete(lock), { record: null });
    const candidate = ruby(ground.b, await owner('b'));
    await lock.allows(() => candidate.create(lock, { holder: 'b', ...berlin }), {
      warns: ['W1 RenewTimeSkewed'],
      record: { holderIdentity: 'b' },
    });
  });
});
