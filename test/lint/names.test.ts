import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isName, isWithin, meet, nameFor } from '../../src/lint/names.ts';
import { labelsFor } from '../../src/lint/witnesses.ts';
import { matchesPattern } from '../../src/policy/pattern.ts';
import { selects, type LabelSelector } from '../../src/policy/selector.ts';

const long = 'a'.repeat(63);

describe('nameFor', () => {
  it.each([
    ['orders', 'orders'],
    ['*', 'x'],
    ['***', 'x'],
    ['*orders', 'orders'],
    ['orders-*', 'orders-x'],
    ['*-leader', 'x-leader'],
    ['a*b', 'ab'],
    ['a-*-b', 'a--b'],
    ['a-*.b', 'a-x.b'],
    ['a.*.b', 'a.x.b'],
    ['a..b', null],
    ['a-.b', null],
    ['*.-b', null],
    ['a'.repeat(253), 'a'.repeat(253)],
    [`${'a'.repeat(252)}*`, 'a'.repeat(252)],
  ])('%s: %s', (pattern, name) => {
    expect(nameFor(pattern, 'lock')).toBe(name);
  });

  it.each([
    ['team-*', 'team-x'],
    ['a.b', null],
    ['a*.b', null],
    [long, long],
    [`${long}*`, long],
    [`${long}a`, null],
    [`${long.slice(1)}-*`, null],
  ])('%s, a namespace: %s', (pattern, name) => {
    expect(nameFor(pattern, 'namespace')).toBe(name);
  });

  const pattern = fc.stringMatching(/^[ab*]([-.ab*]{0,6}[ab*])?$/);
  const name = fc.stringMatching(/^[ab]([-.ab]{0,6}[ab])?$/).filter((each) => isName(each, 'lock'));

  it('finds a name wherever there is one', () => {
    fc.assert(
      fc.property(pattern, name, (text, some) => {
        const found = nameFor(text, 'lock');
        if (found === null) expect(matchesPattern(text, some)).toBe(false);
        else expect(isName(found, 'lock') && matchesPattern(text, found)).toBe(true);
      }),
    );
  });

  it('meet: what matches its pattern matches both, and what matches both has a pattern', () => {
    fc.assert(
      fc.property(pattern, pattern, name, (a, b, some) => {
        const both = meet(a, b);
        const bothMatch = matchesPattern(a, some) && matchesPattern(b, some);
        if (both === null) expect(bothMatch).toBe(false);
        else if (matchesPattern(both, some)) expect(bothMatch).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it('isWithin: whatever matches the narrower matches the wider', () => {
    fc.assert(
      fc.property(pattern, pattern, name, (narrow, wide, some) => {
        if (isWithin(narrow, wide) && matchesPattern(narrow, some))
          expect(matchesPattern(wide, some)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['orders-*', 'orders*', true],
    ['orders*', 'orders-*', false],
    ['*', '*', true],
    ['*', 'a*', false],
    ['a*c', 'a*b*c', false],
    ['a*b*c', 'a*c', true],
    ['a', '*a*', true],
  ])('isWithin(%s, %s): %s', (narrow, wide, expected) => {
    expect(isWithin(narrow, wide)).toBe(expected);
  });
});

describe('labelsFor', () => {
  it.each<[string, readonly LabelSelector[]]>([
    ['nothing', []],
    ['an empty selector', [{}]],
    ['labels', [{ matchLabels: { a: '1', b: '2' } }]],
    [
      'requirements of two selectors',
      [
        { matchExpressions: [{ key: 'a', operator: 'In', values: ['1', '2'] }] },
        { matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['1'] }] },
      ],
    ],
    [
      'any other value',
      [
        {
          matchExpressions: [
            { key: 'a', operator: 'Exists' },
            { key: 'a', operator: 'NotIn', values: ['x', '1'] },
          ],
        },
      ],
    ],
    ['absence', [{ matchExpressions: [{ key: 'a', operator: 'DoesNotExist' }] }]],
    ['the name of the namespace', [{ matchLabels: { 'kubernetes.io/metadata.name': 'team' } }]],
  ])('meets %s', (_, selectors) => {
    const labels = labelsFor(selectors, 'team');
    expect(labels).not.toBeNull();
    for (const selector of selectors) expect(selects(selector, labels ?? {})).toBe(true);
  });

  it.each<[string, readonly LabelSelector[]]>([
    ['two values at once', [{ matchLabels: { a: '1' } }, { matchLabels: { a: '2' } }]],
    [
      'presence and absence',
      [{ matchLabels: { a: '1' }, matchExpressions: [{ key: 'a', operator: 'DoesNotExist' }] }],
    ],
    ['another name of the namespace', [{ matchLabels: { 'kubernetes.io/metadata.name': 'other' } }]],
  ])('gives up on %s', (_, selectors) => {
    expect(labelsFor(selectors, 'team')).toBeNull();
  });
});
