import { describe, expect, test } from 'vitest';

import { all, any, literal, not } from '../../src/kube/cel.ts';
import { leaseConditions, recordConditions } from '../../src/kube/match-conditions.ts';

const notLocks = [
  { namespace: 'kyverno', name: 'kyverno-health' },
  { namespace: "o'dd", name: 'a\\b' },
];
const names = (conditions: readonly { readonly name: string }[]): readonly string[] =>
  conditions.map((each) => each.name);

describe('match conditions', () => {
  test('skip plain renewals unless they are inspected', () => {
    expect(names(leaseConditions({ sent: 'changes', notLocks }))).toEqual(['not-a-plain-renewal']);
    expect(names(leaseConditions({ sent: 'everything', notLocks }))).toEqual(['a-lock']);
    expect(names(leaseConditions({ sent: 'everything', notLocks: [] }))).toEqual([]);
  });

  test('never send what carries no record, renewals inspected or not', () => {
    for (const sent of ['changes', 'everything'] as const)
      for (const { expression } of recordConditions({ sent, notLocks }))
        expect(expression).toMatch(
          /^\(\(\(object != null\) &&\n\('control-plane\.alpha\.kubernetes\.io\/leader' in /u,
        );
    expect(names(recordConditions({ sent: 'everything', notLocks: [] }))).toEqual(['a-lock']);
  });

  test('are one at the most, since all that there are would be evaluated for each write', () => {
    for (const conditions of [leaseConditions, recordConditions])
      for (const sent of ['changes', 'tracked-changes', 'untracked', 'untracked-and-renewals'] as const)
        expect(conditions({ sent, notLocks })).toHaveLength(1);
  });

  // The limits of the API server's validation; that each expression compiles and never fails is test/conformance's.
  test('have unique names of the permitted form, and balanced parentheses', () => {
    for (const conditions of [leaseConditions, recordConditions]) {
      const made = conditions({ sent: 'changes', notLocks });
      expect(new Set(names(made)).size).toBe(made.length);
      for (const { name, expression } of made) {
        expect(name).toMatch(/^[a-z]([-a-z]*[a-z])?$/u);
        const outside = expression.replaceAll(/'(?:[^'\\]|\\.)*'/gu, '');
        expect(outside.split('(')).toHaveLength(outside.split(')').length);
      }
    }
  });
});

describe('CEL', () => {
  test('terms are kept apart', () => {
    expect(all('a || b', 'c')).toBe('(a || b) &&\n(c)');
    expect(any('a && b', 'c')).toBe('(a && b) ||\n(c)');
    expect(not('a || b')).toBe('!(a || b)');
  });

  test('text cannot leave its literal', () => {
    expect(literal(`it's`)).toBe(String.raw`'it\'s'`);
    expect(literal('a\\')).toBe(String.raw`'a\\'`);
    expect(literal("\\' || true || '")).toBe(String.raw`'\\\' || true || \''`);
    expect(literal('a\nb')).toBe(String.raw`'a\nb'`);
  });
});
