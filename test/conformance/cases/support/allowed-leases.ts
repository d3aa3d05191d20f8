/**
 * What well-behaved clients write to Leases, odd as some of it looks: none of it may be refused. Cases 1 to 36, but for
 * deletions and records in annotations. Leases are scaled down to seconds, clocks and identities are not.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest';

import { objectAt, stringAt } from '../../../../src/kube/json.ts';
import { microTime } from '../../../kube/support/cluster.ts';
import { gateLabel, startGate } from './gate.ts';
import type { Ground, startGround } from './ground.ts';
import {
  bonny,
  clientGo,
  codedependant,
  dotnet,
  fabric8,
  istio,
  java,
  kubeLeaseManager,
  kubeLeaderElection,
  kubert,
  pekko,
  python,
  zio,
} from './leases.ts';
import { rulesIn, type Trial } from './trial.ts';
import { objectOf } from './writer.ts';

const hourMs = 3_600_000;
const patienceMs = 30_000;

/** Declares the cases, on a ground that `open` opens. */
export function allowedLeases(open: typeof startGround): void {
  // Most of a case's time is waiting until a lease has run out.
  vi.setConfig({ maxConcurrency: 16 });

  let ground: Ground;

  /** SOURCE: KEP-4355; LeaseCandidates are v1beta1 since Kubernetes 1.33, and elections are as here since then. */
  const isCoordinated = Number(inject('binaries').version.split('.')[1]) >= 33;

  beforeAll(async () => {
    // The API server coordinates elections itself for case 21.
    const flags = [
      '--feature-gates=CoordinatedLeaderElection=true',
      '--runtime-config=coordination.k8s.io/v1beta1=true',
    ];
    ground = await open('allowed-leases', isCoordinated ? flags : []);
  });

  afterAll(() => ground.stop());

  // First, since a coordinated election takes longest.
  describe.concurrent('what the API server does on its own', () => {
    const candidates = '/apis/coordination.k8s.io/v1beta1/namespaces';

    /** A LeaseCandidate; the API server prefers the one of the lower version. */
    async function stand(lock: Trial, name: string, version: string): Promise<void> {
      const spec = {
        leaseName: lock.name,
        renewTime: microTime(),
        binaryVersion: version,
        emulationVersion: version,
        strategy: 'OldestEmulationVersion',
      };
      const path = `${candidates}/${lock.namespace}/leasecandidates`;
      expect(await ground.admin.send('POST', path, { body: { metadata: { name }, spec } })).toMatchObject({
        status: 201,
      });
    }

    /** Resolves once the record is as wanted. Meanwhile the candidates answer when the API server asks for them. */
    async function until(lock: Trial, wanted: (record: Record<string, unknown>) => boolean): Promise<void> {
      const deadline = AbortSignal.timeout(patienceMs);
      for (;;) {
        const record = await lock.record();
        if (record !== null && wanted(record)) return;
        if (deadline.aborted) throw new Error(`not as wanted: ${JSON.stringify(record)}`);
        await answerPings(lock);
        await sleep(100);
      }
    }

    async function answerPings(lock: Trial): Promise<void> {
      const path = `${candidates}/${lock.namespace}/leasecandidates`;
      const { body } = await ground.admin.send('GET', path, {});
      for (const candidate of body['items'] as unknown[]) {
        const spec = objectAt(candidate, 'spec');
        if (stringAt(spec, 'pingTime') <= stringAt(spec, 'renewTime')) continue;
        await ground.admin.send('PATCH', `${path}/${stringAt(objectAt(candidate, 'metadata'), 'name')}`, {
          body: { spec: { renewTime: microTime() } },
          contentType: 'application/merge-patch+json',
        });
      }
    }

    it.runIf(isCoordinated)(
      'case 21: it elects, names a better candidate, and replaces a holder that has gone',
      async () => {
        const lock = ground.trial('case-21');
        await stand(lock, 'first', '1.36.0');
        await until(lock, ({ holderIdentity }) => holderIdentity === 'first');
        expect(await lock.record()).toMatchObject({ acquireTime: null, leaseTransitions: null });
        const { body } = await ground.a.get(lock);
        const renewed = { ...objectAt(body, 'spec'), acquireTime: microTime(), renewTime: microTime() };
        await lock.allows(() => ground.a.put(lock, { ...body, spec: renewed }));
        await stand(lock, 'second', '1.35.0');
        await until(lock, ({ preferredHolder }) => preferredHolder === 'second');
        expect(await lock.record()).toMatchObject({ holderIdentity: 'first', renewTime: renewed.renewTime });
        await until(lock, ({ holderIdentity }) => holderIdentity === 'second');
        expect(await lock.record()).toMatchObject({ acquireTime: null, leaseTransitions: null });
        expect(lock.rejections()).toEqual([]);
      },
    );

    it.runIf(isCoordinated)('case 21: it may take a live lock, with a warning', async () => {
      const lock = ground.trial('case-21-live');
      const apiServer = ground.admin.actingAs('system:apiserver', ['system:masters']);
      await lock.allows(() => clientGo(ground.a).create(lock, { holder: 'a', durationS: 15 }));
      await lock.allows(
        () =>
          apiServer.patch(lock, 'merge', {
            spec: { holderIdentity: 'b', renewTime: microTime(), acquireTime: null },
          }),
        {
          warns: ['U14 PrematureTakeover', 'W3 TransitionsOdd'],
          record: { holderIdentity: 'b', leaseTransitions: 0 },
        },
      );
    });

    it('case 34: it judges a patch again when another write comes first, each time under a new uid', async () => {
      const gate = await startGate(ground.admin);
      try {
        const lock = ground.trial('case-34');
        const elector = kubeLeaderElection(ground.b, 'b');
        const label = () =>
          ground.admin.patch(lock, 'merge', {
            metadata: { labels: { written: microTime().slice(0, -1).replaceAll(':', '.') } },
          });
        await lock.allows(() => ground.c.post(lock, objectOf(lock, { labels: gateLabel })));
        while (gate.passages.length === 0) await lock.allows(label);

        const held = gate.hold();
        const before = gate.passages.length;
        const patched = elector.take(lock, { holder: 'b', durationS: 15 });
        const pass = await held;
        await lock.allows(label);
        pass();
        expect(await patched).toMatchObject({
          status: 200,
          body: { spec: { holderIdentity: 'b' } },
          warnings: [],
        });
        expect(lock.rejections()).toEqual([]);

        const [first, , again, ...more] = gate.passages.slice(before);
        expect(more).toEqual([]);
        expect(again?.user).toBe(first?.user);
        expect(again?.uid).not.toBe(first?.uid);
        expect(Number(again?.oldVersion)).toBeGreaterThan(Number(first?.oldVersion));

        await lock.refuses(
          () => clientGo(ground.c).take(lock, { holder: 'c', durationS: 15 }),
          'U15 PrematureTakeover',
        );
        await lock.allows(() => elector.release(lock), { record: { holderIdentity: '' } });
      } finally {
        await gate.close();
      }
    });

    it('case 35: a dry run leaves nothing behind', async () => {
      const lock = ground.trial('case-35');
      await lock.allows(() => clientGo(ground.a).create(lock, { holder: 'a', durationS: 6 }));
      await lock.runsOut(6);
      const stored = await lock.stored();
      const taken = {
        spec: { holderIdentity: 'b', acquireTime: microTime(), renewTime: microTime(), leaseTransitions: 1 },
      };
      await lock.allows(() => ground.b.patch(lock, 'merge', taken, { dryRun: true }), {
        record: { holderIdentity: 'a' },
      });
      expect(await lock.stored()).toEqual(stored);
      await lock.allows(() => clientGo(ground.a).renew(lock), { record: { holderIdentity: 'a' } });
      await lock.seen();
      await lock.refuses(
        () => clientGo(ground.b).take(lock, { holder: 'b', durationS: 6 }),
        'U15 PrematureTakeover',
      );
    });
  });

  describe.concurrent('taking a lock', () => {
    it('case 1: client-go creates it', async () => {
      const lock = ground.trial('case-1');
      const write = () => clientGo(ground.a).create(lock, { holder: 'a', durationS: 15 });
      await lock.allows(write, {
        record: { holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0 },
      });
      const record = await lock.record();
      expect(record?.['acquireTime']).toBe(record?.['renewTime']);
    });

    it('case 2: client-go acquires it as soon as it is released', async () => {
      const lock = ground.trial('case-2');
      await lock.allows(() => clientGo(ground.a).create(lock, { holder: 'a', durationS: 15 }));
      await lock.allows(() => clientGo(ground.a).release(lock));
      await lock.allows(() => clientGo(ground.b).take(lock, { holder: 'b', durationS: 15 }), {
        record: { holderIdentity: 'b', leaseTransitions: 1 },
      });
    });

    it('case 3: client-go takes over after the duration it has watched, whatever the holder’s fast clock wrote', async () => {
      const lock = ground.trial('case-3');
      await lock.allows(() =>
        clientGo(ground.a).create(lock, { holder: 'a', durationS: 3, clockMs: 40_000 }),
      );
      await lock.runsOut(3);
      await lock.allows(() => clientGo(ground.b).take(lock, { holder: 'b', durationS: 3 }), {
        record: { holderIdentity: 'b', leaseTransitions: 1 },
      });
    });

    it('case 4: a takeover writes an earlier renew time than the one it replaces', async () => {
      const lock = ground.trial('case-4');
      await lock.allows(() => clientGo(ground.a).create(lock, { holder: 'a', durationS: 3, clockMs: 5_000 }));
      const then = (await lock.record())?.['renewTime'];
      await lock.runsOut(3);
      await lock.allows(() => clientGo(ground.b).take(lock, { holder: 'b', durationS: 3, clockMs: -2_000 }), {
        record: { holderIdentity: 'b' },
      });
      expect(String((await lock.record())?.['renewTime']) < String(then)).toBe(true);
    });

    it('case 22: Linkerd applies an empty lock with resource version 0', async () => {
      const lock = ground.trial('case-22');
      const create = () => kubert(ground.a).create(lock, { holder: 'a', durationS: 30 });
      await lock.allows(create, { record: { holderIdentity: null, renewTime: null } });
      expect(await create()).toMatchObject({ status: 422 });
      await lock.allows(() => kubert(ground.b).take(lock, { holder: 'b', durationS: 30 }), {
        record: { holderIdentity: 'b', leaseTransitions: 1 },
      });
    });

    it('case 23: CloudNativePG’s operator creates it free, and adopts it while it is held', async () => {
      const lock = ground.trial('case-23');
      const operator = ground.c.using('manager/v0.0.0 (linux/amd64) kubernetes/$Format');
      const owner = { apiVersion: 'postgresql.cnpg.io/v1', kind: 'Cluster', name: 'pg' };
      const owned = (uid: string) => ({ ownerReferences: [{ ...owner, uid }] });
      const adopt = async (uid: string) => {
        const { body } = await operator.get(lock);
        return operator.put(lock, { ...body, metadata: { ...objectAt(body, 'metadata'), ...owned(uid) } });
      };
      await lock.allows(() => operator.post(lock, objectOf(lock, owned('1'))), {
        record: { holderIdentity: null },
      });
      await lock.allows(() => adopt('2'));
      await lock.allows(() => clientGo(ground.a).take(lock, { holder: 'a', durationS: 15 }));
      await lock.allows(() => adopt('3'), { record: { holderIdentity: 'a' } });
      expect(objectAt(await lock.stored(), 'metadata')).toMatchObject(owned('3'));
    });

    it('case 24: a creation carries on an old count and an old acquire time', async () => {
      const lock = ground.trial('case-24');
      const spec = {
        holderIdentity: 'a',
        leaseDurationSeconds: 30,
        acquireTime: microTime(-hourMs),
        renewTime: microTime(),
        leaseTransitions: 7,
      };
      await lock.allows(() => ground.a.post(lock, { ...objectOf(lock), spec }), { record: spec });
    });

    it('case 28: fabric8 takes over on time by the recorded clock, though the holder’s write was long on its way', async () => {
      const lock = ground.trial('case-28');
      await lock.allows(() => clientGo(ground.c).create(lock, { holder: '', durationS: 1 }));
      await lock.allows(() => fabric8(ground.a).take(lock, { holder: 'a', durationS: 3, clockMs: -900 }));
      const storedAt = performance.now();
      await lock.seen();
      await sleep(storedAt + 3_000 - 800 - performance.now());
      const answer = await fabric8(ground.b).take(lock, { holder: 'b', durationS: 3 });
      // So near the end the guard may be in doubt, and then it says so.
      expect(answer).toMatchObject({ status: 200, body: { spec: { holderIdentity: 'b' } } });
      expect(['', 'U13 UncertainExpiry']).toContain(rulesIn(answer).join());
      expect(lock.rejections()).toEqual([]);
    });

    it('case 29: .NET reads its clock twice, and the times of an acquisition differ by microseconds', async () => {
      const lock = ground.trial('case-29');
      await lock.allows(() => clientGo(ground.c).create(lock, { holder: '', durationS: 1 }));
      await lock.allows(() => dotnet(ground.a).take(lock, { holder: 'a', durationS: 15 }));
      const taken = await lock.record();
      expect(taken?.['acquireTime']).not.toBe(taken?.['renewTime']);
      await sleep(2);
      await lock.allows(() => dotnet(ground.a).renew(lock), {
        record: { acquireTime: taken?.['acquireTime'] },
      });
    });

    it('case 30: Istio’s default revision takes a live lock in istio-system, with a warning, and nowhere else', async () => {
      await ground.openNamespace('istio-system');
      const canary = { holder: 'istiod-canary-1', durationS: 30 };
      const revision = { holder: 'istiod-default-1', durationS: 30 };
      const steal = (lock: Trial) => istio(ground.b, 'default').take(lock, revision);
      const own = ground.trial('istio-leader', { namespace: 'istio-system' });
      await own.allows(() => istio(ground.a, 'canary').create(own, canary));
      await own.allows(() => steal(own), {
        warns: ['U15 PrematureTakeover'],
        record: { holderIdentity: 'istiod-default-1' },
      });
      const elsewhere = ground.trial('istio-leader');
      await elsewhere.allows(() => istio(ground.a, 'canary').create(elsewhere, canary));
      await elsewhere.refuses(() => steal(elsewhere), 'U15 PrematureTakeover');
    });

    it('case 36: kubert’s count of sixteen bits starts again', async () => {
      const lock = ground.trial('case-36');
      await lock.allows(() => ground.c.post(lock, { ...objectOf(lock), spec: { leaseTransitions: 65_536 } }));
      await lock.allows(() => kubert(ground.a).take(lock, { holder: 'a', durationS: 30 }), {
        warns: ['W3 TransitionsOdd'],
        record: { holderIdentity: 'a', leaseTransitions: 1 },
      });
    });
  });

  describe.concurrent('renewing', () => {
    it('case 5: client-go renews a lease that ran out and that nobody took', async () => {
      const lock = ground.trial('case-5');
      await lock.allows(() => clientGo(ground.a).create(lock, { holder: 'a', durationS: 2 }));
      const created = await lock.record();
      await lock.runsOut(4);
      await lock.allows(() => clientGo(ground.a).renew(lock), {
        record: { holderIdentity: 'a', acquireTime: created?.['acquireTime'], leaseTransitions: 0 },
      });
      expect((await lock.record())?.['renewTime']).not.toBe(created?.['renewTime']);
    });

    it('case 6: a StatefulSet’s pod comes back under its identity, renews and leaves', async () => {
      const lock = ground.trial('case-6');
      const before = await ground.pod('web-0');
      await lock.allows(() => clientGo(before).create(lock, { holder: 'web-0', durationS: 15 }));
      await lock.seen();
      const after = await ground.pod('web-0');
      await lock.allows(() => clientGo(after).renew(lock), { record: { holderIdentity: 'web-0' } });
      await lock.allows(() => clientGo(after).release(lock), { record: { holderIdentity: '' } });
    });

    it('case 12: kubert acquires anew what it held before', async () => {
      const lock = ground.trial('case-12');
      const claim = { holder: 'a', durationS: 2 };
      await lock.allows(() => kubert(ground.a).create(lock, claim));
      await lock.allows(() => kubert(ground.a).take(lock, claim));
      await lock.runsOut(2);
      await lock.allows(() => kubert(ground.a).take(lock, claim), {
        record: { holderIdentity: 'a', leaseTransitions: 2 },
      });
      const record = await lock.record();
      expect(record?.['acquireTime']).toBe(record?.['renewTime']);
    });

    it('case 14: kube-lease-manager counts in a second request', async () => {
      const lock = ground.trial('case-14');
      const manager = kubeLeaseManager(ground.a, 'a');
      await lock.allows(() => manager.createEmpty(lock));
      await lock.allows(() => manager.take(lock, { holder: 'a', durationS: 30 }), {
        record: { holderIdentity: 'a', leaseTransitions: null },
      });
      await lock.allows(() => manager.count(lock), { record: { holderIdentity: 'a', leaseTransitions: 1 } });
    });

    it('case 15: kubernetes_asyncio writes the local time of UTC+9 as UTC, and another takes over', async () => {
      const lock = ground.trial('case-15');
      const tokyo = { durationS: 3, clockMs: 9 * hourMs };
      await lock.allows(() => python(ground.a).create(lock, { holder: 'a', ...tokyo }), {
        warns: ['W1 RenewTimeSkewed'],
      });
      await lock.runsOut(3);
      await lock.allows(() => python(ground.b).take(lock, { holder: 'b', ...tokyo }), {
        warns: ['W1 RenewTimeSkewed'],
        record: { holderIdentity: 'b', leaseTransitions: null },
      });
    });

    it('case 16: at the change to winter time its renew time goes back by an hour', async () => {
      const lock = ground.trial('case-16');
      const summer = { holder: 'a', durationS: 15, clockMs: hourMs };
      await lock.allows(() => python(ground.a).create(lock, summer), { warns: ['W1 RenewTimeSkewed'] });
      await lock.allows(() => python(ground.a).renew(lock, 0), { warns: ['W2 RenewTimeBackward'] });
    });

    it('case 18: zio-k8s counts renewals, starts at zero on a takeover, and drops labels', async () => {
      const lock = ground.trial('case-18');
      await lock.allows(() => zio(ground.a).create(lock, { holder: 'a', durationS: 3 }));
      await lock.allows(() => ground.admin.patch(lock, 'merge', { metadata: { labels: { team: 'x' } } }));
      await lock.allows(() => zio(ground.a).renew(lock), {
        record: { holderIdentity: 'a', leaseTransitions: 1 },
      });
      expect(objectAt(await lock.stored(), 'metadata')).not.toHaveProperty('labels');
      await lock.runsOut(3);
      await lock.allows(() => zio(ground.b).take(lock, { holder: 'b', durationS: 3 }), {
        warns: ['W3 TransitionsOdd'],
        record: { holderIdentity: 'b', leaseTransitions: 0 },
      });
    });

    it('case 19: pekko’s heartbeat is its acquire time, and nothing promises when it is over', async () => {
      const lock = ground.trial('case-19');
      await lock.allows(() => pekko(ground.a).createFree(lock));
      await lock.allows(() => ground.admin.patch(lock, 'merge', { metadata: { labels: { team: 'x' } } }));
      await lock.allows(() => pekko(ground.a).write(lock, 'a'));
      expect(objectAt(await lock.stored(), 'metadata')).not.toHaveProperty('labels');
      await sleep(2);
      await lock.allows(() => pekko(ground.a).write(lock, 'a'), { warns: ['W4 AcquireTimeChanged'] });
      await lock.allows(() => pekko(ground.b).write(lock, 'b'), {
        warns: ['U12 UntimedRecord'],
        record: { holderIdentity: 'b', renewTime: null, leaseDurationSeconds: null },
      });
    });

    it('case 20: a first term without a duration, by a slip in @codedependant/kubernetes-leader-election', async () => {
      const lock = ground.trial('case-20');
      await lock.allows(() => codedependant(ground.a).create(lock, { holder: 'a', durationS: 20 }), {
        record: { holderIdentity: 'a', leaseDurationSeconds: null },
      });
      await sleep(2);
      await lock.allows(() => codedependant(ground.a).renew(lock), {
        record: { leaseDurationSeconds: null },
      });
      await lock.allows(() => codedependant(ground.b).take(lock, { holder: 'b', durationS: 20 }), {
        warns: ['U12 UntimedRecord'],
        record: { holderIdentity: 'b', leaseDurationSeconds: 20 },
      });
    });
  });

  describe.concurrent('leaving', () => {
    it('case 7: client-go empties the holder', async () => {
      const lock = ground.trial('case-7');
      await lock.allows(() => clientGo(ground.a).create(lock, { holder: 'a', durationS: 15 }));
      await lock.allows(() => clientGo(ground.a).release(lock), {
        record: { holderIdentity: '', leaseDurationSeconds: 1, leaseTransitions: 0 },
      });
    });

    it('case 8: the official Java client leaves duration and count alone', async () => {
      const lock = ground.trial('case-8');
      await lock.allows(() => java(ground.a).create(lock, { holder: 'a', durationS: 15 }));
      await lock.allows(() => java(ground.a).release(lock), {
        record: { holderIdentity: null, acquireTime: null, renewTime: null, leaseDurationSeconds: 15 },
      });
      await lock.allows(() => java(ground.b).take(lock, { holder: 'b', durationS: 15 }), {
        record: { holderIdentity: 'b', leaseTransitions: 1 },
      });
    });

    it('case 9: fabric8 keeps its name and promises one second more', async () => {
      const lock = ground.trial('case-9');
      await lock.allows(() => fabric8(ground.a).create(lock, { holder: 'a', durationS: 15 }));
      await lock.allows(() => fabric8(ground.a).release(lock), {
        record: { holderIdentity: 'a', leaseDurationSeconds: 1 },
      });
      await sleep(1_100);
      await lock.allows(() => fabric8(ground.b).take(lock, { holder: 'b', durationS: 15 }), {
        record: { holderIdentity: 'b', leaseTransitions: 1 },
      });
    });

    it('case 10: Bonny shortens a promise that is older than what it leaves', async () => {
      const lock = ground.trial('case-10');
      await lock.allows(() => bonny(ground.a).create(lock, { holder: 'a', durationS: 15 }));
      const created = await lock.record();
      await sleep(1_100);
      await lock.allows(() => bonny(ground.a).release(lock), {
        record: { holderIdentity: 'a', leaseDurationSeconds: 1, renewTime: created?.['renewTime'] },
      });
      await lock.allows(() => bonny(ground.b).take(lock, { holder: 'b', durationS: 15 }), {
        record: { holderIdentity: 'b', leaseDurationSeconds: 15 },
      });
    });

    it('case 11: kubert takes everything out but the count', async () => {
      const lock = ground.trial('case-11');
      await lock.allows(() => kubert(ground.a).create(lock, { holder: 'a', durationS: 30 }));
      await lock.allows(() => kubert(ground.a).take(lock, { holder: 'a', durationS: 30 }));
      await lock.allows(() => kubert(ground.a).release(lock), {
        record: {
          holderIdentity: null,
          acquireTime: null,
          renewTime: null,
          leaseDurationSeconds: null,
          leaseTransitions: 1,
        },
      });
    });

    it('case 13: kube-lease-manager’s candidate empties an expired lease, and takes it in another request', async () => {
      const lock = ground.trial('case-13');
      const [holder, candidate] = [kubeLeaseManager(ground.a, 'a'), kubeLeaseManager(ground.b, 'b')];
      await lock.allows(() => holder.createEmpty(lock));
      await lock.allows(() => holder.take(lock, { holder: 'a', durationS: 3 }));
      await lock.allows(() => holder.count(lock));
      await lock.runsOut(3);
      await lock.allows(() => candidate.release(lock), {
        record: { holderIdentity: null, leaseTransitions: 1 },
      });
      await lock.allows(() => candidate.take(lock, { holder: 'b', durationS: 3 }), {
        warns: ['W3 TransitionsOdd'],
        record: { holderIdentity: 'b', leaseTransitions: 1 },
      });
    });
  });
}
