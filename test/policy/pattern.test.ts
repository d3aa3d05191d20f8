import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { durationMs } from '../../src/policy/duration.ts';
import { matchesPattern, narrownessOf } from '../../src/policy/pattern.ts';
import { selects } from '../../src/policy/selector.ts';

describe('matchesPattern', () => {
  it.each([
    ['a', 'a', true],
    ['a', 'ab', false],
    ['*', '', true],
    ['a*', 'a', true],
    ['a*', 'ba', false],
    ['*a', 'ba', true],
    ['a*b', 'ab', true],
    ['a*ba', 'aba', true],
    ['ab*ba', 'aba', false],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*b', 'a-b', false],
    ['a**b', 'a-b', true],
    ['*-leader-*', 'my-leader-election', true],
  ])('%s and %s: %s', (pattern, name, expected) => {
    expect(matchesPattern(pattern, name)).toBe(expected);
  });

  it('agrees with a regular expression', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 8 });
    fc.assert(
      fc.property(text, fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 8 }), (pattern, name) => {
        expect(matchesPattern(pattern, name)).toBe(
          new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(name),
        );
      }),
    );
  });

  it('is not slowed down by a pattern that would make a regular expression backtrack for ever', () => {
    expect(matchesPattern('*a'.repeat(120), 'a'.repeat(253))).toBe(true);
    expect(matchesPattern(`${'*a'.repeat(120)}b`, 'a'.repeat(253))).toBe(false);
  });

  it('counts a name narrower than any pattern, and a longer pattern narrower than a shorter', () => {
    const order = ['*', 'a*', 'a*b', `${'a'.repeat(252)}*`, 'a'];
    expect(order.toSorted((a, b) => narrownessOf(a) - narrownessOf(b))).toEqual(order);
  });
});

describe('durationMs', () => {
  it.each([
    ['500ms', 500],
    ['1.5s', 1_500],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['0s', 0],
    ['1', null],
    ['-1s', null],
    ['1 s', null],
    ['', null],
  ])('%s is %s', (text, expected) => {
    expect(durationMs(text)).toBe(expected);
  });
});

describe('selects', () => {
  const labels = { team: 'a', tier: 'gold' };

  it.each([
    ['an empty selector', {}, true],
    ['an equal label', { matchLabels: { team: 'a' } }, true],
    ['another value', { matchLabels: { team: 'b' } }, false],
    ['In', { matchExpressions: [{ key: 'team', operator: 'In', values: ['a', 'b'] }] }, true],
    ['In, absent', { matchExpressions: [{ key: 'x', operator: 'In', values: ['a'] }] }, false],
    ['NotIn', { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['a'] }] }, false],
    ['NotIn, absent', { matchExpressions: [{ key: 'x', operator: 'NotIn', values: ['a'] }] }, true],
    ['Exists', { matchExpressions: [{ key: 'tier', operator: 'Exists' }] }, true],
    ['DoesNotExist', { matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' }] }, false],
    [
      'all of several',
      { matchLabels: { team: 'a' }, matchExpressions: [{ key: 'x', operator: 'Exists' }] },
      false,
    ],
  ] as const)('%s', (_, selector, expected) => {
    expect(selects(structuredClone(selector) as Parameters<typeof selects>[0], labels)).toBe(expected);
  });
});
