/**
 * What breaks the semantics of a Lease, and can be told by nothing but the object before and after, and its stamps: whoever guards
 * refuses it, lockwarden and the switch that stands in for it. Cases 31, 37 to 43, 47, 48 and 54 to 56.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { arrayAt, isObject, objectAt } from '../../../../src/kube/json.ts';
import { microTime } from '../../../kube/support/cluster.ts';
import type { Ground } from './ground.ts';
import { heldByA } from './held.ts';
import {
  camel,
  clientGo,
  codedependant,
  fabric8,
  java,
  kubeCoordinate,
  kubeLeaderElection,
  python,
  type Client,
} from './leases.ts';
import type { Trial } from './trial.ts';
import { messageOf, objectOf, type Answer } from './writer.ts';

/** Two writes at once, of which one must win and the other be refused. */
async function race(lock: Trial, writes: readonly (() => Promise<Answer>)[]): Promise<void> {
  const answers = await Promise.all(writes.map((write) => write()));
  const [refused, ...others] = answers.filter(({ status }) => status === 403);
  const won = answers.filter(({ status }) => status === 200);
  expect({ won: won.length, refused: answers.length - won.length }).toEqual({ won: 1, refused: 1 });
  expect(others).toEqual([]);
  expect(await lock.stored()).toEqual(won[0]?.body);
  expect(refused && messageOf(refused)).toContain('U15 PrematureTakeover');
  lock.logged({ rule: 'U15', reason: 'PrematureTakeover' });
}

/** Declares the cases. `earlyMaxMs`: how long before the end of a lease a takeover may pass. */
export function refusedByStamps(ground: () => Ground, earlyMaxMs: number): void {
  describe.concurrent('takeovers by a wrong clock', () => {
    const fast = { holder: 'b', durationS: 15, clockMs: 20_000 };
    const fastClients: Readonly<Record<string, () => Pick<Client, 'take'>>> = {
      fabric8: () => fabric8(ground().b),
      JavaScript: () => codedependant(ground().b),
      'kube-leader-election': () => kubeLeaderElection(ground().b, 'b'),
    };

    for (const [client, writes] of Object.entries(fastClients)) {
      it(`case 37: ${client} with a clock twenty seconds fast takes what it believes expired`, async () => {
        const lock = await heldByA(ground(), `case-37-${client.toLowerCase()}`);
        await lock.refuses(() => writes().take(lock, fast), 'U15 PrematureTakeover');
      });
    }

    it('case 38: a holder whose clock is set back by a minute looks expired on paper', async () => {
      const lock = await heldByA(ground(), 'case-38');
      await lock.allows(() => clientGo(ground().a).renew(lock, -60_000), { warns: ['W2 RenewTimeBackward'] });
      await lock.refuses(
        () => fabric8(ground().b).take(lock, { holder: 'b', durationS: 15 }),
        'U15 PrematureTakeover',
      );
    });

    it('case 39: medik8s with a slow clock takes a renew time in the future for none', async () => {
      const lock = await heldByA(ground(), 'case-39');
      const slow = { holder: 'b', durationS: 15, clockMs: -10_000 };
      await lock.refuses(() => clientGo(ground().b).take(lock, slow), 'U15 PrematureTakeover');
    });

    it('case 42: a candidate waits for its own shorter duration (client-go up to 1.26, Java, Python)', async () => {
      const lock = await heldByA(ground(), 'case-42', 60);
      const own = { holder: 'b', durationS: 1 };
      await sleep(1_000);
      for (const client of [clientGo, java, python]) {
        await lock.refuses(() => client(ground().b).take(lock, own), 'U15 PrematureTakeover');
      }
    });

    it('case 43: a candidate whose clock is set forward by an hour (Java, Python)', async () => {
      const lock = await heldByA(ground(), 'case-43');
      const stepped = { holder: 'b', durationS: 15, clockMs: 3_600_000 };
      for (const client of [java, python]) {
        await lock.refuses(() => client(ground().b).take(lock, stepped), 'U15 PrematureTakeover');
      }
      // The second, of the same pod, is told of in numbers.
      lock.logged({ alsoViolated: ['RenewTimeSkewed'] });
    });
  });

  describe.concurrent('takeovers without a precondition, or on purpose', () => {
    it('case 31: Camel takes a live lock whose holder’s pod is not ready; its label exempts nobody', async () => {
      const lock = ground().trial('case-31');
      await lock.allows(() => camel(ground().a).create(lock, { holder: 'a', durationS: 30 }));
      await lock.refuses(
        () => camel(ground().b).take(lock, { holder: 'b', durationS: 30 }),
        'U15 PrematureTakeover',
      );
    });

    it('case 40: two of kube-leader-election patch an expired lock at once', async () => {
      const lock = await heldByA(ground(), 'case-40', 2);
      await lock.runsOut(2);
      await race(lock, [
        () => kubeLeaderElection(ground().b, 'b').take(lock, { holder: 'b', durationS: 15 }),
        () => kubeLeaderElection(ground().c, 'c').take(lock, { holder: 'c', durationS: 15 }),
      ]);
    });

    it('case 41: two standbys of kube-coordinate apply to a free lock at once', async () => {
      const lock = ground().trial('case-41');
      await lock.allows(() => ground().a.post(lock, { ...objectOf(lock), spec: { holderIdentity: '' } }));
      await race(lock, [
        () => kubeCoordinate(ground().b).take(lock, { holder: 'b', durationS: 15 }),
        () => kubeCoordinate(ground().c).take(lock, { holder: 'c', durationS: 15 }),
      ]);
    });
  });

  describe('releases by others', () => {
    it('case 47: another pod cuts the lease short', async () => {
      const lock = await heldByA(ground(), 'case-47');
      const patch = { spec: { leaseDurationSeconds: 1 } };
      await lock.refuses(() => ground().b.patch(lock, 'strategic', patch), 'U6 ForeignRelease');
    });
  });

  describe.concurrent('evidence', () => {
    const zeroTime = '0001-01-01T00:00:00.000000Z';

    it.each([
      ['the renew time', { renewTime: null }],
      ['the renew time, by Go’s zero time', { renewTime: zeroTime }],
      ['the duration', { leaseDurationSeconds: null }],
    ])('case 48: somebody removes %s', async (what, spec) => {
      const lock = await heldByA(ground(), `case-48-${String(what.length)}`);
      for (const writer of [ground().b, ground().a, ground().admin]) {
        await lock.refuses(() => writer.patch(lock, 'merge', { spec }), 'U7 StrippedTiming');
      }
    });

    it('case 55: so that nobody finds it without a renew time and takes it, as JavaScript clients would', async () => {
      const lock = await heldByA(ground(), 'case-55');
      const thief = codedependant(ground().b);
      await lock.refuses(
        () => ground().b.patch(lock, 'merge', { spec: { renewTime: null } }),
        'U7 StrippedTiming',
      );
      await lock.refuses(() => thief.take(lock, { holder: 'b', durationS: 15 }), 'U15 PrematureTakeover');
    });

    it('case 54: stamps are back-dated beside a label, and then the lock is taken', async () => {
      const lock = await heldByA(ground(), 'case-54');
      const thief = ground().b.using('thief/v1');
      const label = (value: string) =>
        thief.patch(lock, 'merge', { metadata: { labels: { harmless: value } } });
      const backdate = async (): Promise<Answer> => {
        const { body } = await thief.get(lock);
        const metadata = objectAt(body, 'metadata');
        const managedFields = arrayAt(metadata, 'managedFields').map((entry) => ({
          ...(isObject(entry) ? entry : {}),
          time: '2020-01-01T00:00:00Z',
        }));
        return thief.put(lock, {
          ...body,
          metadata: { ...metadata, labels: { harmless: 'no' }, managedFields },
        });
      };
      const take = () => clientGo(thief).take(lock, { holder: 'b', durationS: 15 });
      // With a first label the thief's entry is new beside a changed one, which could as well be planted.
      await lock.refuses(backdate, 'U19 EvidenceTampered');
      await lock.allows(() => label('yes'));
      await lock.refuses(backdate, 'U18 EvidenceTampered');
      await lock.refuses(take, 'U15 PrematureTakeover');
    });
  });

  describe.concurrent('the end of a lease', () => {
    const durationS = 4;

    it('case 56: whoever tries again and again is refused for as long as it is certainly early', async () => {
      const lock = ground().trial('case-56');
      const patch = () => ({
        spec: { holderIdentity: 'b', renewTime: microTime(), acquireTime: microTime() },
      });
      const sentAt = performance.now();
      await lock.allows(() => clientGo(ground().a).create(lock, { holder: 'a', durationS }));
      const storedAt = performance.now();
      const early: number[] = [];
      for (;;) {
        const triedAt = performance.now();
        const { status } = await ground().b.patch(lock, 'merge', patch());
        if (status === 200) break;
        expect(status).toBe(403);
        early.push(performance.now());
        // Refused at the latest while the lease was running by the clock of this test.
        expect(triedAt - storedAt).toBeLessThan(durationS * 1000);
        await sleep(50);
      }
      // The write that was let through was answered only after the lease had run out, but for what it may be early.
      expect(performance.now() - sentAt).toBeGreaterThanOrEqual(durationS * 1000 - earlyMaxMs);
      expect(early.length).toBeGreaterThan(5);
      // All but the first are told of in numbers, at ten seconds, or at the end.
      lock.logged({ rule: 'U15', wouldBeHolder: 'b', count: 1 });
      expect(await lock.record()).toMatchObject({ holderIdentity: 'b' });
    });

    it('case 56: at its end it is anybody’s, without a warning', async () => {
      const lock = await heldByA(ground(), 'case-56-end', durationS);
      await lock.runsOut(durationS);
      await lock.allows(() => clientGo(ground().b).take(lock, { holder: 'b', durationS }));
    });
  });
}
