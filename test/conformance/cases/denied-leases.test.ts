/**
 * What breaks the semantics of a Lease, by mistake or by clock, in the form in which each client would write it: all of
 * it is refused. Cases 31 and 37 to 56, but for deletions and records in annotations.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { builtInDefaults } from '../../../src/core/settings.ts';
import { microTime } from '../../kube/support/cluster.ts';
import { startGround, type Ground } from './support/ground.ts';
import { heldByA } from './support/held.ts';
import { clientGo, kubeLeaderElection, kubeLeaseManager } from './support/leases.ts';
import { refusedByStamps } from './support/refused-by-stamps.ts';
import type { Trial } from './support/trial.ts';

// Most of a case's time is waiting until a lease has run out.
vi.setConfig({ maxConcurrency: 16 });

let ground: Ground;

beforeAll(async () => {
  ground = await startGround('denied-leases');
});

afterAll(() => ground.stop());

refusedByStamps(() => ground, builtInDefaults.toleranceMs);

describe.concurrent('releases by former holders', () => {
  it('case 44: client-go from 0.34 on, frozen beyond its lease, releases its successor’s', async () => {
    const lock = await heldByA(ground, 'case-44', 2);
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
    const lock = await heldByA(ground, 'case-45');
    await lock.refuses(() => kubeLeaseManager(ground.b, 'b').release(lock), 'U11 ForeignRelease');
  });

  it('case 46: somebody with kubectl empties the holder', async () => {
    const lock = await heldByA(ground, 'case-46');
    const kubectl = ground.admin.using('kubectl/v1.36.3 (linux/amd64) kubernetes/0000000');
    const patch = { spec: { holderIdentity: null } };
    await lock.refuses(
      () => kubectl.patch(lock, 'merge', patch, { manager: 'kubectl-patch' }),
      'U11 ForeignRelease',
    );
  });
});

describe('a guard that has just started', () => {
  let early: Trial;
  let heldFrom: number;
  let heldAt: number;
  let due: Trial;

  beforeAll(async () => {
    heldFrom = performance.now();
    early = await heldByA(ground, 'case-56-stamps', 30);
    due = await heldByA(ground, 'case-56-stamps-due', 4);
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
      const lock = await heldByA(ground, 'case-49', 2);
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
      const lock = await heldByA(ground, 'case-35-inspected', 2);
      await lock.runsOut(2);
      const taken = { spec: { holderIdentity: 'b', renewTime: microTime(), leaseTransitions: 1 } };
      await lock.allows(() => ground.b.patch(lock, 'merge', taken, { dryRun: true }));
      await lock.allows(() => clientGo(ground.a).renew(lock), { record: { holderIdentity: 'a' } });
    });
  });
});
