/** What the documents promise exists, and what exists is documented. */
import { describe, expect, it } from 'vitest';
import { reasons } from '../../src/core/reasons.ts';
import { files, read } from './tree.ts';

const semantics = read('docs/semantics.md');
const specified = new Set(
  [...semantics.matchAll(/\*\*([CUDESWP]\d+)(?:\*\*|[:.])/g)].map(([, clause]) => clause ?? ''),
);
const tested = files('test/semantics/*.test.ts').map(read).join('\n');

describe('docs/semantics.md', () => {
  it('has clauses', () => {
    expect(specified.size).toBeGreaterThan(35);
  });

  it.each([...specified])('%s has a test named after it', (clause) => {
    expect(tested).toMatch(new RegExp(`it(?:\\.each[^\\n]*)?\\(\\s*[\`']${clause}:`));
  });

  it('specifies every clause that the code can name', () => {
    const union = /export type Clause =([\s\S]*?);/.exec(read('src/core/decision.ts'))?.[1] ?? '';
    const named = [...union.matchAll(/'(\w+)'/g)].map(([, clause]) => clause ?? '');
    expect(named.length).toBeGreaterThan(15);
    expect(named.filter((clause) => !specified.has(clause))).toEqual([]);
  });

  it.each(Object.keys(reasons))('%s is explained', (reason) => {
    expect(semantics).toContain(`\`${reason}\``);
  });
});

describe('docs/dependencies.md', () => {
  it('gives a reason for each dependency', () => {
    const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<
      string,
      Record<string, string>
    >;
    const documented = read('docs/dependencies.md');
    const names = [...Object.keys(dependencies ?? {}), ...Object.keys(devDependencies ?? {})];
    expect(names.length).toBeGreaterThan(10);
    expect(names.filter((name) => !documented.includes(`\`${name}\``))).toEqual([]);
  });
});
