import { describe, expect, it } from 'vitest';
import { nearest } from '../../src/yaml/nearest.ts';

describe('the nearest name', () => {
  it.each([
    ['expct', ['expect', 'actor'], 'expect'],
    ['acotr', ['actor', 'action'], 'actor'],
    ['leaseduration', ['leaseDuration', 'lock'], 'leaseDuration'],
    ['PrematureTakover', ['PrematureTakeover', 'PrematureRecreation'], 'PrematureTakeover'],
    ['take-over', ['takeOver', 'renew'], 'takeOver'],
  ])('of %s is %s', (name, known, meant) => {
    expect(nearest(name, known)).toBe(meant);
  });

  it.each([
    ['lock', ['clock', 'step'], 'clock'],
    ['at', ['is'], null],
    ['colour', ['actor', 'lock'], null],
    ['x', [], null],
  ])('of %s among %s is %s', (name, known, meant) => {
    expect(nearest(name, known)).toBe(meant);
  });
});
