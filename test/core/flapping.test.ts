import { describe, expect, it } from 'vitest';
import { flappingWindowMs, handedTo, isFlapping, type Hands } from '../../src/core/flapping.ts';
import { monotonicMs as ms } from '../../src/core/time.ts';

const through = (holders: readonly string[], everyMs: number): Hands =>
  holders.reduce<Hands>((hands, holder, index) => handedTo(hands, holder, ms(index * everyMs)), {
    last: '',
    changedAt: [],
  });

describe('a lock', () => {
  it('is not flapping while three replicas are replaced one by one', () => {
    expect(isFlapping(through(['b', 'c', 'd'], 1_000), ms(3_000))).toBe(false);
  });

  it('is flapping once it has changed hands four times within the window', () => {
    expect(isFlapping(through(['a', 'b', 'a', 'b'], 1_000), ms(3_000))).toBe(true);
  });

  it('has changed no hands by a holder that comes back', () => {
    expect(through(['a', 'a', 'a', 'a', 'a'], 1_000).changedAt).toEqual([0]);
  });

  it('stops flapping when the oldest of four changes has left the window', () => {
    const hands = through(['a', 'b', 'a', 'b'], 1_000);
    expect(isFlapping(hands, ms(flappingWindowMs - 1))).toBe(true);
    expect(isFlapping(hands, ms(flappingWindowMs))).toBe(false);
  });

  it('is not flapping when it changes hands as often, but slowly', () => {
    expect(isFlapping(through(['a', 'b', 'a', 'b', 'a'], 200_001), ms(800_004))).toBe(false);
  });

  it('keeps no more times than it takes to tell', () => {
    const holders = Array.from({ length: 1_000 }, (_, index) => String(index));
    expect(through(holders, 1).changedAt).toEqual([996, 997, 998, 999]);
  });
});
