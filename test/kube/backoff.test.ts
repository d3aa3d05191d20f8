import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { Backoff } from '../../src/kube/backoff.ts';

describe('back-off', () => {
  test('doubles up to the cap, and starts over when reset', () => {
    const backoff = new Backoff({ baseMs: 100, capMs: 1000, random: () => 0 });
    expect([1, 2, 3, 4, 5, 6].map(() => backoff.nextMs())).toEqual([50, 100, 200, 400, 500, 500]);
    expect(backoff.attempts).toBe(6);
    backoff.reset();
    expect(backoff.nextMs()).toBe(50);
  });

  test('never waits less than the server asks for', () => {
    const backoff = new Backoff({ baseMs: 100, random: () => 0 });
    expect(backoff.nextMs(2000)).toBe(2000);
    expect(backoff.nextMs()).toBe(100);
  });

  test('stays between half a step and the cap for any randomness and any number of attempts', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.nat(3000),
        (random, attempts) => {
          const backoff = new Backoff({ baseMs: 100, capMs: 1000, random: () => random });
          let delayMs = 0;
          for (let each = 0; each <= attempts; each += 1) delayMs = backoff.nextMs();
          return delayMs >= 50 && delayMs <= 1000 && Number.isInteger(delayMs);
        },
      ),
      { numRuns: 50 },
    );
  });
});
