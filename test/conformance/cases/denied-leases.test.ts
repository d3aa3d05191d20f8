/**
 * What breaks the semantics of a Lease, by mistake or by clock, in the form in which each client would write it: all of
 * it is refused. Cases 31 and 37 to 56, but for deletions and records in annotations.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { arrayAt, isObject, objectAt } from '../../../src/kube/json.ts';
import { microTime } from '../../kube/support/cluster.ts';
import { startGround, type Ground } from './support/ground.ts';
import {
  camel,
  clientGo,
  codedependant,
  fabric8,
  java,
  kubeCoordinate,
  kubeLeaderElection,
  kubeLeaseManager,
  python,
  type Client,
} from './support/leases.ts';
import type { Trial } from './support/trial.ts';
import { messageOf, objectOf, type Answer } from './support/writer.ts';

// Most of a case's time is waiting until a lease has run out.
vi.setConfig({ maxConcurrency: 16 });

let ground: Ground;

beforeAll(async () => {
  ground = await startGround('denied-leases');
});

afterAll(() => ground.stop());

/** A lock that `a` holds by client-go, and that the guard has seen. */
async function heldByA(name: string, durationS = 15): Promise<Trial> {
  const lock = ground.trial(name);
  await lock.allows(() => clientGo(ground.a).create(lock, { holder: 'a', durationS }));
  await lock.seen();
  return lock;
}

/** Two writes at once, of which one must win and the other be refused. */
async function race(lock: Trial, writes: readonly (() => Promise<Answer>)[]): Promise<void> {
  const answers = await Promise.all(writes.map((write) => write()));
  const [refused, ...others] = answers.filter(({ status }) => status === 403);
  const won = answers.filter(({ status }) => status === 200);
  expect({ won: won.length, refused: answers.length - won.length }).toEqual({ won: 1, refused: 1 });
  expect(others).toEqual([]);
  expect(await lock.stored()).toEqual(won[0]?.body);
  expect(lock.rejections()).toMatchObject([{ rule: 'U15', reason: 'PrematureTakeover' }]);
  expect(refused && messageOf(refused)).toContain(lock.rejections()[0]?.detail);
}

describe.concurrent('takeovers by a wrong clock', () => {
  const fast = { holder: 'b', durationS: 15, clockMs: 20_000 };
  const fastClients: Readonly<Record<string, () => Pick<Client, 'take'>>> = {
    fabric8: () => fabric8(ground.b),
    JavaScript: () => codedependant(ground.b),
    'kube-leader-election': () => kubeLeaderElection(ground.b, 'b'),
  };

  for (const [client, writes] of Object.entries(fastClients)) {
    it(`case 37: ${client} with a clock twenty seconds fast takes what it believes expired`, async () => {
      const lock = await heldByA(`case-37-${client.toLowerCase()}`);
      await lock.refuses(() => writes().take(lock, fast), 'U15 PrematureTakeover');
    });
  }

  it('case 38: a holder whose clock is set back by a minute looks expired on paper', async () => {
    const lock = await heldByA('case-38');
    await lock.allows(() => clientGo(ground.a).renew(lock, -60_000), { warns: ['W2 RenewTimeBackward'] });
    await lock.refuses(
      () => fabric8(ground.b).take(lock, { holder: 'b', durationS: 15 }),
      'U15 PrematureTakeover',
    );
  });

  it('case 39: medik8s with a slow clock takes a renew time in the future for none', async () => {
    const lock = await heldByA('case-39');
    const slow = { holder: 'b', durationS: 15, clockMs: -10_000 };
    await lock.refuses(() => clientGo(ground.b).take(lock, slow), 'U15 PrematureTakeover');
  });

  it('case 42: a candidate waits for its own shorter duration (client-go up to 1.26, Java, Python)', async () => {
    const lock = await heldByA('case-42', 60);
    const own = { holder: 'b', durationS: 1 };
    await sleep(1_000);
    for (const client of [clientGo, java, python]) {
      await lock.refuses(() => client(ground.b).take(lock, own), 'U15 PrematureTakeover');
    }
  });

  it('case 43: a candidate whose clock is set forward by an hour (Java, Python)', async () => {
    const lock = await heldByA('case-43');
    const stepped = { holder: 'b', durationS: 15, clockMs: 3_600_000 };
    for (const client of [java, python]) {
      await lock.refuses(() => client(ground.b).take(lock, stepped), 'U15 PrematureTakeover');
    }
    // The second, of the same pod, is told of in numbers.
    expect(lock.rejections()).toMatchObject([{ alsoViolated: ['RenewTimeSkewed'] }]);
  });
});

describe.concurrent('takeovers without a precondition, or on purpose', () => {
  it('case 31: Camel takes a live lock whose holder’s pod is not ready; its label exempts nobody', async () => {
    const lock = ground.trial('case-31');
    await lock.allows(() => camel(ground.a).create(lock, { holder: 'a', durationS: 30 }));
    await lock.refuses(
      () => camel(ground.b).take(lock, { holder: 'b', durationS: 30 }),
      'U15 PrematureTakeover',
    );
  });

  it('case 40: two of kube-leader-election patch an expired lock at once', async () => {
    const lock = await heldByA('case-40', 2);
    await lock.runsOut(2);
    await race(lock, [
      () => kubeLeaderElection(ground.b, 'b').take(lock, { holder: 'b', durationS: 15 }),
      () => kubeLeaderElection(ground.c, 'c').take(lock, { holder: 'c', durationS: 15 }),
    ]);
  });

  it('case 41: two standbys of kube-coordinate apply to a free lock at once', async () => {
    const lock = ground.trial('case-41');
    await lock.allows(() => ground.a.post(lock, { ...objectOf(lock), spec: { holderIdentity: '' } }));
    await race(lock, [
      () => kubeCoordinate(ground.b).take(lock, { holder: 'b', durationS: 15 }),
      () => kubeCoordinate(ground.c).take(lock, { holder: 'c', durationS: 15 }),
    ]);
  });
});

describe.concurrent('releases by former holders', () => {
  it('case 44: client-go from 0.34 on, frozen beyond its lease, releases its successor’s', async () => {
    const lock = await heldByA('case-44', 2);
    await lock.runsOut(2);
    await lock.allows(() => clientGo(ground.b).take(lock, { holder: 'b', durationS: 15 }));
    await lock.seen();
    await lock.refuses(() => clientGo(ground.a).release(lock), 'U11 ForeignRelease');
    await lock.allows(() => clientGo(ground.b).release(lock));
  });
});

// One after another: the guard asks whether the holder's pod still runs, and waits 300 ms for the answer at most.
describe('releases by others', () => {
  it('case 45: kube-lease-manager with a fast clock empties a live lease', async () => {
    const lock = await heldByA('case-45');
    await lock.refuses(() => kubeLeaseManager(ground.b, 'b').release(lock), 'U11 ForeignRelease');
  });

  it('case 46: somebody with kubectl empties the holder', async () => {
    const lock = await heldByA('case-46');
    const kubectl = ground.admin.using('kubectl/v1.36.3 (linux/amd64) kubernetes/0000000');
    const patch = { spec: { holderIdentity: null } };
    await lock.refuses(
      () => kubectl.patch(lock, 'merge', patch, { manager: 'kubectl-patch' }),
      'U11 ForeignRelease',
    );
  });

  it('case 47: another pod cuts the lease short', async () => {
    const lock = await heldByA('case-47');
    const patch = { spec: { leaseDurationSeconds: 1 } };
    await lock.refuses(() => ground.b.patch(lock, 'strategic', patch), 'U6 ForeignRelease');
  });
});

describe.concurrent('evidence', () => {
  const zeroTime = '0001-01-01T00:00:00.000000Z';

  it.each([
    ['the renew time', { renewTime: null }],
    ['the renew time, by Go’s zero time', { renewTime: zeroTime }],
    ['the duration', { leaseDurationSeconds: null }],
  ])('case 48: somebody removes %s', async (what, spec) => {
    const lock = await heldByA(`case-48-${String(what.length)}`);
    for (const writer of [ground.b, ground.a, ground.admin]) {
      await lock.refuses(() => writer.patch(lock, 'merge', { spec }), 'U7 StrippedTiming');
    }
  });

  it('case 55: so that nobody finds it without a renew time and takes it, as JavaScript clients would', async () => {
    const lock = await heldByA('case-55');
    const thief = codedependant(ground.b);
    await lock.refuses(
      () => ground.b.patch(lock, 'merge', { spec: { renewTime: null } }),
      'U7 StrippedTiming',
    );
    await lock.refuses(() => thief.take(lock, { holder: 'b', durationS: 15 }), 'U15 PrematureTakeover');
  });

  it('case 54: stamps are back-dated beside a label, and then the lock is taken', async () => {
    const lock = await heldByA('case-54');
    const thief = ground.b.using('thief/v1');
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
  const toleranceMs = 1_000;

  it('case 56: whoever tries again and again is refused for as long as it is certainly early', async () => {
    const lock = ground.trial('case-56');
    const patch = () => ({ spec: { holderIdentity: 'b', renewTime: microTime(), acquireTime: microTime() } });
    const sentAt = performance.now();
    await lock.allows(() => clientGo(ground.a).create(lock, { holder: 'a', durationS }));
    const storedAt = performance.now();
    const early: number[] = [];
    for (;;) {
      const triedAt = performance.now();
      const { status } = await ground.b.patch(lock, 'merge', patch());
      if (status === 200) break;
      expect(status).toBe(403);
      early.push(performance.now());
      // Refused at the latest while the lease was running by the clock of this test.
      expect(triedAt - storedAt).toBeLessThan(durationS * 1000);
      await sleep(50);
    }
    // The write that was let through was answered only after the lease had run out, but for the tolerance.
    expect(performance.now() - sentAt).toBeGreaterThanOrEqual(durationS * 1000 - toleranceMs);
    expect(early.length).toBeGreaterThan(5);
    // All but the first are told of in numbers, at ten seconds, or at the end.
    expect(lock.rejections()).toMatchObject([{ rule: 'U15', wouldBeHolder: 'b', count: 1 }]);
    expect(await lock.record()).toMatchObject({ holderIdentity: 'b' });
  });

  it('case 56: at its end it is anybody’s, without a warning', async () => {
    const lock = await heldByA('case-56-end', durationS);
    await lock.runsOut(durationS);
    await lock.allows(() => clientGo(ground.b).take(lock, { holder: 'b', durationS }));
  });
});

describe('a guard that has just started', () => {
  let early: Trial;
  let heldFrom: number;
  let heldAt: number;
  let due: Trial;

  beforeAll(async () => {
    heldFrom = performance.now();
    early = await heldByA('case-56-stamps', 30);
    due = await heldByA('case-56-stamps-due', 4);
    heldAt = performance.now();
    await ground.restartGuard({ inspectRenewals: true });
  });

  it('case 56: by the API server’s stamps alone it refuses what is certainly early', async () => {
    const triedAt = performance.now();
    const take = () => clientGo(ground.b).take(early, { holder: 'b', durationS: 30 });
    await early.refuses(take, 'U15 PrematureTakeover');
    const [{ elapsedMinMs, elapsedMaxMs } = {}] = early.rejections();
    expect(elapsedMinMs).toBeLessThanOrEqual(performance.now() - heldFrom);
    expect(elapsedMaxMs).toBeGreaterThanOrEqual(triedAt - heldAt);
  });

  it('case 56: and allows what is not', async () => {
    await sleep(Math.max(0, heldAt + 4_000 - performance.now()));
    await due.allows(() => clientGo(ground.b).take(due, { holder: 'b', durationS: 4 }), {
      record: { holderIdentity: 'b' },
    });
  });

  describe.concurrent('and that inspects renewals', () => {
    it('case 49: kube-leader-election renews what another has taken over meanwhile', async () => {
      const lock = await heldByA('case-49', 2);
      await lock.runsOut(2);
      await lock.allows(() => kubeLeaderElection(ground.b, 'b').take(lock, { holder: 'b', durationS: 15 }));
      await lock.seen();
      await lock.refuses(() => kubeLeaderElection(ground.a, 'a').renew(lock), 'U8 ForeignRenewal');
      await lock.allows(() => kubeLeaderElection(ground.b, 'b').renew(lock));
    });

    it('case 50: two pods go by one identity, and renew in turns', async () => {
      const lock = ground.trial('case-50');
      await lock.allows(() => clientGo(ground.a).create(lock, { holder: 'same', durationS: 15 }));
      await lock.seen();
      await lock.allows(() => clientGo(ground.b).renew(lock));
      await lock.seen();
      await lock.refuses(() => clientGo(ground.a).renew(lock), 'U8 DuplicateIdentity');
    });

    it('case 6: a StatefulSet’s pod that comes back renews at once', async () => {
      const lock = ground.trial('case-6-inspected');
      const before = await ground.pod('web-0');
      await lock.allows(() => clientGo(before).create(lock, { holder: 'web-0', durationS: 15 }));
      await lock.seen();
      const after = await ground.pod('web-0');
      await lock.allows(() => clientGo(after).renew(lock));
    });

    it('case 35: after a dry run of a takeover the old holder renews', async () => {
      const lock = await heldByA('case-35-inspected', 2);
      await lock.runsOut(2);
      const taken = { spec: { holderIdentity: 'b', renewTime: microTime(), leaseTransitions: 1 } };
      await lock.allows(() => ground.b.patch(lock, 'merge', taken, { dryRun: true }));
      await lock.allows(() => clientGo(ground.a).renew(lock), { record: { holderIdentity: 'a' } });
    });
  });
});
