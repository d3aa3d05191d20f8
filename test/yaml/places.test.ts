import { describe, expect, it } from 'vitest';
import { faultsMax, readYaml, type Fault, type YamlDocument } from '../../src/yaml/places.ts';

function documents(text: string): readonly YamlDocument[] {
  const yaml = readYaml(text);
  if ('faults' in yaml) throw new Error(yaml.faults.map(({ message }) => message).join('; '));
  return yaml.documents;
}

function faults(text: string): readonly Fault[] {
  const yaml = readYaml(text);
  return 'faults' in yaml ? yaml.faults : [];
}

describe('readYaml', () => {
  const text = 'a:\n  b: [1, 2]\n  - c\n'.replace('  - c\n', '  "c.d": x\n');
  const [document] = documents(text);

  it.each([
    ['the root', [], 1, 1],
    ['a key', ['a', 'b'], 2, 3],
    ['an item', ['a', 'b', 1], 2, 10],
    ['a key with a dot', ['a', 'c.d'], 3, 3],
    ['what is not there: its parent', ['a', 'x', 'y'], 1, 1],
    ['an item that is not there: the list', ['a', 'b', 5], 2, 3],
  ])('places %s', (_, path, line, column) => {
    expect(document?.placeOf(path)).toEqual({ line, column });
  });

  it('places what an alias stands for where it was written', () => {
    const [aliased] = documents('a: &x { b: 1 }\nc: *x\n');
    expect(aliased?.value).toEqual({ a: { b: 1 }, c: { b: 1 } });
    expect(aliased?.placeOf(['c', 'b'])).toEqual({ line: 1, column: 9 });
  });

  it('merges maps, as kubectl does', () => {
    expect(documents('a: &x { b: 1 }\nc: { <<: *x, d: 2 }\n')[0]?.value).toEqual({
      a: { b: 1 },
      c: { b: 1, d: 2 },
    });
  });

  it('counts lines over documents, and leaves empty ones out', () => {
    const found = documents('---\n# nothing\n---\na: 1\n---\nb: 1\n');
    expect(found.map(({ value }) => value)).toEqual([{ a: 1 }, { b: 1 }]);
    expect(found[1]?.placeOf(['b'])).toEqual({ line: 6, column: 1 });
  });

  it.each([
    ['a key that stands twice', 'a: 1\nb: { c: 1, c: 2 }\n', 2, 12, 'the key `c` stands twice'],
    ['an alias of nothing', 'a: 1\nb: *c\n', 2, 4, 'there is no anchor `&c` before it'],
    ['an alias of what comes later', 'b: *c\na: &c 1\n', 1, 4, 'there is no anchor `&c` before it'],
    ['a bracket that does not end', 'a: [1\n', 2, 1, 'flow sequence'],
  ])('tells of %s', (_, wrong, line, column, message) => {
    const [first] = faults(wrong);
    expect(first).toMatchObject({ line, column });
    expect(first?.message).toContain(message);
  });

  it('tells of the first of many', () => {
    expect(faults('a: 1\n'.repeat(100))).toHaveLength(faultsMax);
  });

  it('takes a megabyte of keys in seconds', () => {
    const keys = Array.from({ length: 100_000 }, (_, index) => `k${String(index)}: 1`).join('\n');
    const started = performance.now();
    expect(Object.keys(documents(keys)[0]?.value as object)).toHaveLength(100_000);
    expect(performance.now() - started).toBeLessThan(15_000);
  });
});
