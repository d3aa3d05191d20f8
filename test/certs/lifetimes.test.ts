import { describe, expect, it } from 'vitest';
import {
  backdateFor,
  defaultLifetimes,
  lifetimesProblem,
  type Lifetimes,
} from '../../src/certs/lifetimes.ts';
import { day, hour, second } from './support/rotation.ts';

const seconds: Lifetimes = {
  caValidityMs: 60 * second,
  leafValidityMs: 12 * second,
  renewFraction: 0.5,
  backdateMs: hour,
  publishDwellMs: 2 * second,
  retireAfterMs: 0,
  breakGlassMs: 2 * second,
};

describe('lifetimes', () => {
  it('can be a year and a month, or a minute and a few seconds', () => {
    expect(lifetimesProblem(defaultLifetimes)).toBeNull();
    expect(lifetimesProblem(seconds)).toBeNull();
  });

  it.each<[Partial<Lifetimes>, string]>([
    [{ retireAfterMs: -1 }, 'the wait before retiring must be a number that is not negative'],
    [{ backdateMs: Number.NaN }, 'the back-dating must be a number that is not negative'],
    [{ caValidityMs: 51 * 365 * day }, 'the validity of the authority must be 50 years at most'],
    [
      { renewFraction: 1 },
      'the part of a life at which to renew must lie between 0 and 1, and not be either',
    ],
    [
      { renewFraction: 0 },
      'the part of a life at which to renew must lie between 0 and 1, and not be either',
    ],
    [{ leafValidityMs: 9 * second }, 'the validity of the leaf must be 10 seconds at least'],
    [
      { caValidityMs: 11 * second },
      'the validity of the authority must not be shorter than that of the leaf, which cannot outlive it',
    ],
    [
      { renewFraction: 0.05, caValidityMs: 60 * second },
      'the validity of the authority leaves 3 s between its renewal and its end, which must be more than twice the wait after publishing (2 s)',
    ],
    [
      { breakGlassMs: 4 * second },
      'the validity of the leaf leaves 6 s between its renewal and its end, which must be more than the wait after publishing and the break-glass time together (6 s)',
    ],
  ])('with %j cannot work, and the sentence says why', (changed, problem) => {
    expect(lifetimesProblem({ ...seconds, ...changed })).toBe(problem);
  });

  it('back-date by an hour, and by half a life where that is less', () => {
    expect(backdateFor(30 * day, defaultLifetimes)).toBe(hour);
    expect(backdateFor(20 * second, defaultLifetimes)).toBe(10 * second);
  });
});
