import { beforeEach, describe, expect, it } from 'vitest';
import type { Decision } from '../../src/core/decision.ts';
import { Fleet } from '../support/fleet.ts';
import { pod, t0 } from '../support/locks.ts';

const release = { holder: null, durationS: 1 };
const ruleOf = ({ violations }: Decision): string | undefined =>
  violations[0] === undefined ? undefined : `${violations[0].enforcement} ${violations[0].clause}`;

let fleet: Fleet;

/** `a` holds the lock; A has judged it. */
beforeEach(async () => {
  fleet = new Fleet('A', 'B');
  fleet.livingPods.add('a').add('b');
  await fleet.write('A', pod('a'), { holder: 'a', transitions: 3 });
  fleet.advance(1000);
});

describe('E7: what other replicas have judged', () => {
  it('E7: who asserted the holder is told once for a change of holder, and never for a renewal', async () => {
    expect(fleet.told).toHaveLength(1);
    const renewed = async (at: string, by: ReturnType<typeof pod>): Promise<number> => {
      fleet.advance(1000);
      expect((await fleet.write(at, by, { holder: 'a', acquired: t0, transitions: 3 })).violations).toEqual(
        [],
      );
      return fleet.told.length;
    };
    expect(await renewed('A', pod('a'))).toBe(1);
    fleet.hearAll();
    expect(await renewed('B', pod('a'))).toBe(1);
    expect(await renewed('B', pod('a', 'a-new'))).toBe(2);
    expect(await renewed('B', pod('a', 'a-new'))).toBe(2);
  });

  it('E7: what was judged and not stored is not told', async () => {
    fleet.advance(15_000);
    await fleet.attempt('A', pod('b'), { holder: 'b', transitions: 4 });
    await fleet.attemptDelete('A', pod('b'));
    expect(fleet.told).toHaveLength(1);
  });

  it('E7: not told is unknown, and refuses nothing', async () => {
    expect((await fleet.attempt('B', pod('b'), release)).violations).toEqual([]);
    fleet.hear('B');
    expect(ruleOf(await fleet.attempt('B', pod('b'), release))).toBe('Deny U11');
  });

  it('E7: of an earlier tenure nothing counts, as the marks in the record show', async () => {
    fleet.unseen('c', { holder: 'c', transitions: 4 });
    fleet.unseen('z', { holder: 'a', transitions: 5 });
    fleet.join('C');
    fleet.hear('C');
    expect((await fleet.attempt('C', pod('b'), release)).violations).toEqual([]);
  });

  it('E7: a deletion is guarded against only while the lease can be live', async () => {
    await fleet.delete('A', pod('b'));
    fleet.join('C');
    fleet.hear('C');
    expect(ruleOf(await fleet.attempt('C', pod('b'), { holder: 'b' }))).toBe('Deny C3');
    fleet.advance(16_500);
    fleet.join('C');
    fleet.hear('C');
    expect((await fleet.attempt('C', pod('b'), { holder: 'b' })).violations).toEqual([]);
  });
});
