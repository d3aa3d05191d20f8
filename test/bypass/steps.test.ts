/**
 * A thief with update rights, two and three harmless-looking steps at a time. Every test ends with the lock still
 * its holder's: either a step was refused, or the steps together gained nothing.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { recordOf } from '../../src/core/stamps.ts';
import { entry, pod, record, t0, user, withEntries } from '../support/locks.ts';
import { World, type WorldOptions } from '../support/world.ts';

const holder = pod('a');
const thief = pod('b');

/** `a` holds the lock for 15 s and has renewed it once; two seconds have passed since. */
async function heldWorld(options: WorldOptions = {}): Promise<World> {
  const world = new World(options);
  world.livingPods.add('a').add('b');
  await world.write(holder, { holder: 'a' });
  world.advance(2000);
  await world.write(holder, { holder: 'a', acquired: t0 });
  world.deliver();
  world.advance(2000);
  return world;
}

const nowHeldBy = (world: World) => (world.state === null ? null : (recordOf(world.state)?.holder ?? null));

describe.each([
  ['with the watch in step', {}],
  ['with the watch lagging behind', { watching: false }],
  ['an untracked lock', { untracked: true }],
] as const)('a thief without patience (%s)', (_, options) => {
  let world: World;
  beforeEach(async () => {
    world = await heldWorld(options);
  });

  it('takes the lock: refused', async () => {
    expect((await world.write(thief, { holder: 'b', transitions: 1 })).allowed).toBe(false);
  });

  it('releases it for the holder, then takes it: refused at the release', async () => {
    expect((await world.write(thief, { holder: null, durationS: 1 })).decision.violations[0]?.clause).toBe(
      'U11',
    );
    expect(nowHeldBy(world)).toBe('a');
  });

  it('cuts the lease to one second, waits, then takes it: refused at the cut', async () => {
    expect((await world.write(thief, { holder: 'a', durationS: 1, renewed: t0 + 2000 })).allowed).toBe(false);
    world.advance(1500);
    expect((await world.write(thief, { holder: 'b', transitions: 1 })).allowed).toBe(false);
  });

  it('strips the renew time so that others think it expired: refused', async () => {
    expect((await world.write(thief, { holder: 'a', renewed: null })).allowed).toBe(false);
  });

  it('strips the duration: refused', async () => {
    expect((await world.write(thief, { holder: 'a', durationS: null, renewed: t0 + 2000 })).allowed).toBe(
      false,
    );
  });

  it('deletes the lock and creates its own: refused at the creation', async () => {
    expect((await world.delete(thief)).allowed).toBe(true);
    expect((await world.write(thief, { holder: 'b' })).decision.violations[0]?.clause).toBe('C3');
    expect(nowHeldBy(world)).toBeNull();
  });

  it('deletes it, has it re-created without a holder, then takes it: refused at the taking', async () => {
    await world.delete(thief);
    const empty = { holder: null, durationS: null, renewed: null, acquired: null, transitions: null };
    expect((await world.write(user('operator'), empty)).allowed).toBe(true);
    expect((await world.write(thief, { holder: 'b' })).decision.violations[0]?.clause).toBe('U3');
  });

  it('launders through two deletions: refused all the same', async () => {
    await world.delete(thief);
    const empty = { holder: null, durationS: null, renewed: null, acquired: null, transitions: null };
    await world.write(thief, empty);
    await world.delete(thief);
    expect((await world.write(thief, { holder: 'b' })).allowed).toBe(false);
  });

  it('deletes it and re-creates it in the holder’s name with a lease of one second: refused', async () => {
    await world.delete(thief);
    expect((await world.write(thief, { holder: 'a', durationS: 1 })).decision.violations[0]?.clause).toBe(
      'C3',
    );
  });

  it('rehearses with dry runs: they leave nothing behind, and the holder goes on', async () => {
    expect((await world.write(thief, { holder: 'b', transitions: 1 }, { dryRun: true })).allowed).toBe(false);
    world.advance(15_500);
    expect((await world.write(thief, { holder: 'b', transitions: 1 }, { dryRun: true })).allowed).toBe(true);
    expect((await world.write(holder, { holder: 'a', acquired: t0 })).allowed).toBe(true);
    expect((await world.write(thief, { holder: 'b', transitions: 1 })).allowed).toBe(false);
  });

  it('races the winner of a legal takeover: refused', async () => {
    world.advance(15_000);
    expect((await world.write(pod('c'), { holder: 'c', transitions: 1 })).allowed).toBe(true);
    world.advance(10);
    expect((await world.write(thief, { holder: 'b', transitions: 2 })).allowed).toBe(false);
  });
});

describe('a thief who knows about stamps', () => {
  it('back-dates them under cover of a label, then takes the lock: refused twice', async () => {
    const world = await heldWorld();
    const label = entry('kubectl', t0 + world.nowMs);
    const backdate = await world.patch(thief, (state) =>
      withEntries(state, [
        ...state.stamps.entries.map((each) => ({ ...each, at: entry('x', t0 - 60_000).at })),
        label,
      ]),
    );
    expect(backdate.decision.violations[0]?.reason).toBe('EvidenceTampered');
    expect((await world.write(thief, { holder: 'b', transitions: 1 })).allowed).toBe(false);
  });

  it('resets them, waits for lockwarden to restart and takes the lock: refused at the reset', async () => {
    const world = await heldWorld();
    expect((await world.patch(thief, (state) => withEntries(state, []))).allowed).toBe(false);
  });

  it('resets them while taking an expired lock, and is guarded by what was observed from then on', async () => {
    const world = await heldWorld();
    world.advance(16_000);
    const taken = await world.write(pod('c'), { holder: 'c', transitions: 1 });
    expect(taken.allowed).toBe(true);
    expect((await world.patch(thief, (state) => withEntries(state, []))).allowed).toBe(false);
  });

  it('plants an entry a step until renewals time out: refused once the list is too long', async () => {
    const world = await heldWorld();
    let planted = 0;
    for (let step = 0; step < 100; step++) {
      const outcome = await world.patch(thief, (state) =>
        withEntries(state, [...state.stamps.entries, entry(`x${String(step)}`, t0 + world.nowMs)]),
      );
      if (!outcome.allowed) break;
      planted += 1;
    }
    expect(planted).toBeLessThanOrEqual(63);
    expect((await world.write(holder, { holder: 'a', acquired: t0 })).allowed).toBe(true);
  });

  it('writes a renew time in the year 9999 into its own record to hold for ever: only its lease counts', async () => {
    const world = await heldWorld();
    world.advance(15_000);
    await world.write(thief, { holder: 'b', renewed: Date.parse('9999-12-31T00:00:00Z'), transitions: 1 });
    world.advance(15_500);
    expect((await world.write(holder, { holder: 'a', transitions: 2 })).allowed).toBe(true);
  });

  it('replays an old record of its own to look like the leader it was: refused', async () => {
    const world = await heldWorld();
    world.advance(15_000);
    await world.write(thief, { holder: 'b', transitions: 1 });
    const old = t0 + world.nowMs;
    world.advance(2000);
    await world.write(thief, { holder: null, durationS: 1 });
    world.advance(5000);
    const replay = await world.write(thief, { holder: 'b', renewed: old, transitions: 2 });
    expect(replay.decision.violations[0]?.clause).toBe('S2');
  });
});

describe('a thief with excuses of its own making', () => {
  it('claims nothing that exempts it: the record has no field for that', async () => {
    const world = await heldWorld();
    const terminating = await world.patch(thief, (state) => ({
      ...state,
      terminating: true,
      reading: { kind: 'record', record: record({ holder: 'b', renewed: t0 + world.nowMs }) },
    }));
    expect(terminating.allowed).toBe(false);
  });

  it('makes the record unreadable first: refused', async () => {
    const world = await heldWorld();
    const odd = await world.patch(thief, (state) => ({
      ...state,
      reading: { kind: 'unreadable', why: 'two holders' },
    }));
    expect(odd.decision.violations[0]?.clause).toBe('U16');
  });

  it('takes the record away first: refused', async () => {
    const world = await heldWorld();
    expect((await world.patch(thief, (state) => ({ ...state, reading: { kind: 'none' } }))).allowed).toBe(
      false,
    );
  });

  it('renews the dead holder’s lease for ever from its own pod, having led before: refused', async () => {
    const world = await heldWorld();
    world.advance(15_000);
    await world.write(thief, { holder: 'b', transitions: 1 });
    world.advance(15_000);
    await world.write(holder, { holder: 'a', transitions: 2 });
    const fake = await world.write(thief, { holder: 'a', acquired: t0 + world.nowMs });
    world.advance(1000);
    expect(fake.allowed).toBe(true); // Nothing changed yet: same renew time.
    expect((await world.write(thief, { holder: 'a' })).decision.violations[0]?.clause).toBe('U8');
  });
});

describe('who is no thief', () => {
  it('a StatefulSet pod that restarted releases: its old pod is gone', async () => {
    const world = await heldWorld();
    world.livingPods.delete('a');
    expect((await world.write(pod('a', 'a-new'), { holder: null, durationS: 1 })).allowed).toBe(true);
    expect(world.questions).toBe(1);
  });

  it('medik8s deletes its own live lock, another creates 50 ms later', async () => {
    const world = await heldWorld();
    await world.delete(holder);
    world.advance(50);
    expect((await world.write(thief, { holder: 'b' })).decision.violations).toEqual([]);
  });

  it('the garbage collector deletes a live lock, another pod creates at once', async () => {
    const world = await heldWorld();
    await world.delete(user('system:serviceaccount:kube-system:generic-garbage-collector'));
    expect((await world.write(thief, { holder: 'b' })).decision.violations).toEqual([]);
  });

  it('the holder re-creates its deleted lock, releases it, and the next one acquires at once', async () => {
    const world = await heldWorld();
    await world.delete(thief);
    expect((await world.write(holder, { holder: 'a' })).allowed).toBe(true);
    world.advance(100);
    expect((await world.write(holder, { holder: null, durationS: 1 })).allowed).toBe(true);
    expect((await world.write(thief, { holder: 'b', transitions: 1 })).decision.violations).toEqual([]);
  });

  it('a restarted lockwarden does not deny what it cannot prove: a lock nobody can date', async () => {
    const world = await heldWorld({ untracked: true });
    world.restart();
    const taken = await world.write(thief, { holder: 'b', transitions: 1 });
    expect(taken.allowed).toBe(true);
    expect(taken.decision.violations).toMatchObject([{ reason: 'UncertainExpiry', enforcement: 'Warn' }]);
  });

  it('a restarted lockwarden judges tracked locks by the stamps at once', async () => {
    const world = await heldWorld();
    world.restart();
    expect((await world.write(thief, { holder: 'b', transitions: 1 })).decision.violations).toMatchObject([
      { clause: 'U15', enforcement: 'Deny' },
    ]);
  });
});
