/** docs/election-parity.md names tests; they exist. */
import { describe, expect, it } from 'vitest';
import { files, read } from '../style/tree.ts';

const document = read('docs/election-parity.md');
const tests = new Map(
  ['test/election/*.test.ts', 'test/conformance/election.test.ts']
    .flatMap(files)
    .map((path) => [/([^/]+)\.test\.ts$/.exec(path)?.[1] ?? '', read(path)]),
);

/** `[machine] does this; ...`: file and name, up to the end of the cell, a semicolon or a full stop. */
const named = [...document.replaceAll(/\n(?!\||\n)/g, ' ').matchAll(/\[([\w-]+)\] ([^|;\n]+)/g)].map(
  ([, file = '', name = '']) => ({ file, name: name.trim().replace(/\.$/, '') }),
);

describe('docs/election-parity.md', () => {
  it('names tests', () => {
    expect(named.length).toBeGreaterThan(40);
  });

  it.each(named)('[$file] $name', ({ file, name }) => {
    const text = (tests.get(file) ?? '').replaceAll("\\'", "'");
    // As a name of its own, a row of a table, or the end of a name with a prefix.
    const quoted = ["'", '"', '`'].some((quote) => text.includes(`${quote}${name}${quote}`));
    expect(quoted).toBe(true);
  });

  it.each([
    // The cases of client-go v0.36.3, and one of its main branch.
    'acquire from no object',
    'acquire from object without annotations',
    'acquire from led object with the lease duration seconds',
    'acquire from unled object',
    'acquire from led, unacked object',
    'acquire from empty led, acked object',
    "don't acquire from led, acked object",
    'renew already acquired object',
    'release acquired lock from no object',
    'release acquired lock on cancellation of update',
    'release acquired lock on cancellation of get',
    'Exercise fast path after lock acquired',
    'Fallback to slow path after fast path fails',
    'Lock identity is empty',
  ])('has a row for %s', (name) => {
    expect(document).toMatch(new RegExp(`^\\| \`[^\`]*/${name}\``, 'm'));
  });
});
