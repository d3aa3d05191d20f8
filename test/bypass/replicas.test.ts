/**
 * A thief who knows that there are several replicas: each step goes to another one, or to one that has just started. And
 * the honest, who must not suffer for what a replica does not know.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Decision } from '../../src/core/decision.ts';
import { Fleet } from '../support/fleet.ts';
import { pod, t0, user } from '../support/locks.ts';

const holder = pod('a');
const thief = pod('b');
const release = { holder: null, durationS: 1 };
const nothing = { holder: null, durationS: null, renewed: null, acquired: null, transitions: null };

let fleet: Fleet;

/** `a` has acquired the lock through A, and renewed it since, unseen. */
beforeEach(async () => {
  fleet = new Fleet('A', 'B');
  fleet.livingPods.add('a').add('b');
  await fleet.write('A', holder, { holder: 'a' });
  fleet.advance(2000);
  fleet.unseen('a', { holder: 'a', acquired: t0 });
  fleet.advance(500);
});

const ruleOf = ({ violations }: Decision): string | undefined =>
  violations[0] === undefined ? undefined : `${violations[0].enforcement} ${violations[0].clause}`;

describe('steps spread over replicas', () => {
  it('acquired at A, released by another at B: refused', async () => {
    fleet.hearAll();
    expect(ruleOf(await fleet.write('B', thief, release))).toBe('Deny U11');
  });

  it('acquired at A, cut short by another at B: refused', async () => {
    fleet.hearAll();
    expect(ruleOf(await fleet.write('B', thief, { holder: 'a', durationS: 1, renewed: t0 + 2000 }))).toBe(
      'Deny U6',
    );
  });

  it('deleted at A, re-created at B: refused', async () => {
    fleet.hearAll();
    expect((await fleet.delete('A', thief)).outcome).toBe('Allow');
    fleet.hearAll();
    expect(ruleOf(await fleet.write('B', thief, { holder: 'b' }))).toBe('Deny C3');
  });

  it('deleted at B, which knows the holder’s pod from A only, and re-created at A: refused', async () => {
    fleet.hearAll();
    await fleet.delete('B', thief);
    fleet.hearAll();
    expect(ruleOf(await fleet.write('A', thief, { holder: 'b' }))).toBe('Deny C3');
  });

  it('deleted at A, re-created without a holder at B, acquired at B: refused', async () => {
    fleet.hearAll();
    await fleet.delete('A', thief);
    fleet.hearAll();
    expect((await fleet.write('B', user('operator'), nothing)).outcome).toBe('Allow');
    expect(ruleOf(await fleet.write('B', thief, { holder: 'b' }))).toBe('Deny U3');
  });

  it('deleted at A, re-created in the holder’s name for a second at B: refused', async () => {
    fleet.hearAll();
    await fleet.delete('A', thief);
    fleet.hearAll();
    expect(ruleOf(await fleet.write('B', thief, { holder: 'a', durationS: 1 }))).toBe('Deny C3');
  });

  it('a thief who led once, at A, renews in the holder’s name at B: refused', async () => {
    fleet.advance(15_000);
    await fleet.write('A', thief, { holder: 'b', transitions: 1 });
    fleet.advance(15_000);
    await fleet.write('B', holder, { holder: 'a', transitions: 2 });
    fleet.hearAll();
    fleet.advance(1000);
    expect(ruleOf(await fleet.write('B', thief, { holder: 'a', transitions: 2 }))).toBe('Deny U8');
  });
});

describe('steps spread over a restart', () => {
  it('released by another at a replica that has just started: refused', async () => {
    fleet.join('C');
    fleet.hear('C');
    expect(ruleOf(await fleet.write('C', thief, release))).toBe('Deny U11');
  });

  it('deleted before all replicas restart, re-created after: refused', async () => {
    fleet.hearAll();
    await fleet.delete('A', thief);
    fleet.join('A');
    fleet.join('B');
    fleet.hearAll();
    fleet.advance(3000);
    expect(ruleOf(await fleet.write('B', thief, { holder: 'b' }))).toBe('Deny C3');
    expect(ruleOf(await fleet.write('A', thief, { holder: 'a', durationS: 1 }))).toBe('Deny C3');
  });

  it('the same with an empty lock in its place: refused', async () => {
    fleet.hearAll();
    await fleet.delete('A', thief);
    await fleet.write('B', user('operator'), nothing);
    fleet.join('C');
    fleet.hear('C');
    expect(ruleOf(await fleet.write('C', thief, { holder: 'b' }))).toBe('Deny U3');
    fleet.join('D');
    fleet.hear('D');
    expect(ruleOf(await fleet.write('D', thief, { holder: 'b' }))).toBe('Deny U3');
  });
});

describe('who is no thief', () => {
  it.each(['A', 'B', 'C'])('a StatefulSet’s pod that has restarted releases at %s', async (at) => {
    fleet.hearAll();
    fleet.join('C');
    fleet.hear('C');
    fleet.livingPods.delete('a');
    fleet.unseen('a', { holder: 'a', acquired: t0 });
    expect((await fleet.write(at, pod('a', 'a-new'), release)).violations).toEqual([]);
  });

  it.each(['A', 'B'])(
    'the same once its renewal was judged at A: it releases at %s, told or not',
    async (at) => {
      fleet.livingPods.delete('a');
      fleet.livingPods.add('a-new');
      if (at === 'B') fleet.hearAll();
      await fleet.write('A', pod('a', 'a-new'), { holder: 'a', acquired: t0 });
      fleet.advance(1000);
      expect((await fleet.write(at, pod('a', 'a-new'), release)).violations).toEqual([]);
    },
  );

  it('a pod whose container has restarted under another identity releases where only the first is known', async () => {
    fleet.hearAll();
    fleet.advance(15_000);
    await fleet.write('A', holder, { holder: 'a-2', transitions: 1 });
    fleet.advance(1000);
    expect((await fleet.write('B', holder, release)).violations).toEqual([]);
  });

  it('the holder deletes at A, another creates at B', async () => {
    await fleet.delete('A', holder);
    fleet.hearAll();
    expect((await fleet.write('B', thief, { holder: 'b' })).violations).toEqual([]);
  });

  it('the holder deletes at A, another creates at a replica that has just started', async () => {
    await fleet.delete('A', holder);
    fleet.join('C');
    fleet.hear('C');
    expect((await fleet.write('C', thief, { holder: 'b' })).violations).toEqual([]);
  });

  it('of two who deleted one lock at two replicas, the most innocent counts everywhere', async () => {
    fleet.hearAll();
    await fleet.attemptDelete('A', thief);
    await fleet.delete('B', holder);
    for (const order of [
      [0, 1],
      [1, 0],
      [1, 0, 1],
    ]) {
      fleet.join('C');
      const told = fleet.told.filter(({ deleted }) => deleted !== null);
      expect(told).toHaveLength(2);
      fleet.hear('C', () => order.map((i) => told[i]!));
      expect((await fleet.attempt('C', thief, { holder: 'b' })).violations).toEqual([]);
    }
  });

  it('a deletion that nobody has told of warns, and refuses nothing', async () => {
    await fleet.delete('A', thief);
    expect(ruleOf(await fleet.write('B', thief, { holder: 'b' }))).toBe('Warn C3');
  });

  it('a lock that was deleted by a thief, taken back and released is free, told late or not', async () => {
    fleet.hearAll();
    await fleet.delete('A', thief);
    await fleet.write('A', holder, { holder: 'a' });
    await fleet.write('A', holder, release);
    for (const hear of [fleet.told, [...fleet.told].reverse(), fleet.told.filter(({ deleted }) => deleted)]) {
      fleet.join('C');
      fleet.hear('C', () => hear);
      expect((await fleet.attempt('C', thief, { holder: 'b', transitions: 1 })).violations).toEqual([]);
      fleet.hear('B', () => hear);
      expect((await fleet.attempt('B', thief, { holder: 'b', transitions: 1 })).violations).toEqual([]);
    }
  });

  it('the same where that lock is gone, too, and the first deletion is told last', async () => {
    fleet.hearAll();
    await fleet.delete('A', thief);
    const [told] = fleet.told.slice(-1);
    await fleet.write('B', holder, { holder: 'a' });
    await fleet.write('A', holder, release);
    await fleet.delete('A', thief);
    fleet.hear('B', () => [told!]);
    expect((await fleet.write('B', thief, { holder: 'b' })).violations).toEqual([]);
  });

  it('the same where nobody judged it, and a replica starts once that lock is gone, too', async () => {
    fleet.hearAll();
    await fleet.delete('A', thief);
    fleet.hearAll();
    fleet.unseen('a', { holder: 'a' });
    fleet.unseen('a', release);
    fleet.vanish();
    fleet.join('C');
    fleet.hear('C');
    expect((await fleet.write('C', thief, { holder: 'b' })).violations).toEqual([]);
  });

  it('the same where nobody saw it taken back: a free lock that has been held is no longer guarded', async () => {
    fleet.hearAll();
    await fleet.delete('A', thief);
    fleet.unseen('a', { holder: 'a' });
    fleet.unseen('a', release);
    fleet.join('C');
    fleet.hear('C');
    expect((await fleet.write('C', thief, { holder: 'b', transitions: 1 })).violations).toEqual([]);
  });

  it('the same where the telling comes before the list', async () => {
    fleet.hearAll();
    await fleet.delete('A', thief);
    fleet.unseen('a', { holder: 'a' });
    fleet.unseen('a', release);
    const found = fleet.state;
    fleet.state = null;
    fleet.join('C');
    fleet.hear('C');
    fleet.state = found;
    fleet.find('C');
    expect((await fleet.write('C', thief, { holder: 'b', transitions: 1 })).violations).toEqual([]);
  });

  it('nothing is guarded after a restart once the lease has run out', async () => {
    fleet.hearAll();
    await fleet.delete('A', thief);
    fleet.advance(17_500);
    fleet.join('C');
    fleet.hear('C');
    expect((await fleet.write('C', thief, { holder: 'b' })).violations).toEqual([]);
  });

  it('a change of holder that no replica judged makes everybody unknown, told of the former or not', async () => {
    fleet.advance(15_000);
    fleet.unseen('b', { holder: 'b', transitions: 1 });
    fleet.advance(15_000);
    fleet.unseen('z', { holder: 'a', transitions: 2 });
    fleet.join('C');
    fleet.hearAll();
    for (const name of ['A', 'B', 'C'])
      expect((await fleet.attempt(name, pod('z'), release)).violations).toEqual([]);
  });
});
