import { performance } from 'node:perf_hooks';
import { basename, dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lintRules, type Finding } from '../../src/lint/finding.ts';
import { lint } from '../../src/lint/lint.ts';
import { files, read } from '../style/tree.ts';

const ownNamespace = 'lockwarden-system';

/** What the files themselves expect: `# ! Rule part of what is said` at the end of a line, as often as needed. */
interface Expected {
  readonly line: number;
  readonly rule: string;
  readonly said: string;
}

function expectedIn(text: string): readonly Expected[] {
  return text.split('\n').flatMap((line, index) =>
    line
      .split(' # ! ')
      .slice(1)
      .map((mark) => {
        const [rule = '', ...said] = mark.split(' ');
        return { line: index + 1, rule, said: said.join(' ') };
      }),
  );
}

function nameOf(path: string): string {
  return `${basename(dirname(path))}/${basename(path)}`;
}

function findingsIn(path: string): readonly Finding[] {
  return lint([{ name: nameOf(path), text: read(path) }], ownNamespace).findings;
}

function find(text: string): readonly Finding[] {
  return lint([{ name: 'x.yaml', text }], ownNamespace).findings;
}

function policy(spec: string, head = 'kind: LockPolicy\nmetadata: { name: p, namespace: team }'): string {
  return `apiVersion: lockwarden.dev/v1alpha1\n${head}\nspec:\n${spec.replaceAll(/^/gm, '  ')}\n`;
}

const bad = files('test/lint/files/bad/*.yaml');
const good = files('test/lint/files/good/*.yaml');

describe('a good file', () => {
  it('is there', () => {
    expect(good.length).toBeGreaterThan(3);
  });

  it.each(good)('%s: nothing is found', (path) => {
    expect(findingsIn(path)).toEqual([]);
  });
});

describe('a bad file', () => {
  it.each(bad)('%s: what its comments say, on their lines, and nothing else', (path) => {
    const expected = expectedIn(read(path));
    expect(expected.length).toBeGreaterThan(0);
    const findings = findingsIn(path);
    const byLine = (list: readonly { line: number; rule: string }[]): readonly string[] =>
      list.map(({ line, rule }) => `${String(line)} ${rule}`).sort();
    expect(byLine(findings)).toEqual(byLine(expected));
    for (const { line, rule, said } of expected) {
      const found = findings.filter((each) => each.line === line && each.rule === rule);
      const texts = found.map(({ message, suggestion }) => `${message}\n${suggestion}`);
      expect(
        texts.some((text) => text.includes(said)),
        `${String(line)}: ${said}\n${texts.join('\n')}`,
      ).toBe(true);
    }
  });

  it('is there for each rule', () => {
    const seen = new Set(bad.flatMap((path) => expectedIn(read(path)).map(({ rule }) => rule)));
    const elsewhere = ['InvalidYaml', 'NoPolicy'];
    expect([...seen, ...elsewhere].sort()).toEqual(Object.keys(lintRules).sort());
  });

  it('is told of in house style', () => {
    for (const { message, suggestion } of bad.flatMap(findingsIn)) {
      expect(message).toMatch(/^[a-z`]/u);
      expect(message).not.toMatch(/[.\n]$/u);
      expect(suggestion).not.toBe('');
    }
  });
});

describe('YAML that is none', () => {
  it.each([
    ['a quote that does not end', 'a: "b', 1, 6],
    ['a key that stands twice', 'a: 1\nb: 2\na: 3\n', 3, 1],
    ['an alias of nothing', 'a: 1\nb: *c\n', 2, 4],
    ['a tab', 'a:\n\tb: 1\n', 2, 1],
  ])('%s', (_, text, line, column) => {
    const [first] = find(text);
    expect(first).toMatchObject({ rule: 'InvalidYaml', severity: 'error', line, column });
  });

  it('does not hide what other files hold', () => {
    const { findings } = lint(
      [
        { name: 'a', text: '[' },
        { name: 'b', text: policy('enforcment: Deny') },
      ],
      ownNamespace,
    );
    expect(findings.map(({ file, rule }) => [file, rule])).toEqual([
      ['a', 'InvalidYaml'],
      ['b', 'UnknownField'],
    ]);
  });
});

describe('lint', () => {
  it.each(['', '# nothing\n', '---\n---\n', 'a: 1', 'just text', '[1, 2]', 'kind: List\nitems: 5', 'null'])(
    'warns of a file without a policy: %j',
    (text) => {
      expect(find(text)).toMatchObject([{ rule: 'NoPolicy', severity: 'warning', line: 1, column: 1 }]);
    },
  );

  it('gives the column of the field', () => {
    expect(find(policy('match: { names: [a], nmes: [b] }'))).toMatchObject([
      { rule: 'UnknownField', line: 5, column: 24 },
    ]);
  });

  it('gives the place within a List', () => {
    const item = policy('enforcment: Deny').trimEnd().replaceAll('\n', '\n  ');
    expect(find(`kind: List\nitems:\n- ${item}\n`)).toMatchObject([
      { rule: 'UnknownField', line: 7, column: 5 },
    ]);
  });

  it('reads JSON', () => {
    const text = JSON.stringify(
      {
        apiVersion: 'lockwarden.dev/v1alpha1',
        kind: 'LockPolicy',
        metadata: { name: 'p' },
        spec: { enforcement: 'x' },
      },
      null,
      2,
    );
    expect(find(text)).toMatchObject([{ rule: 'InvalidValue', line: 8 }]);
  });

  it('looks at the policies of several files together', () => {
    const floor = policy('floor: { enforcement: Deny }', 'kind: ClusterLockPolicy\nmetadata: { name: c }');
    const { findings, policies } = lint(
      [
        { name: 'floor.yaml', text: floor },
        { name: 'a.yaml', text: policy('enforcement: Warn') },
        {
          name: 'b.yaml',
          text: policy('enforcement: Deny', 'kind: LockPolicy\nmetadata: { name: q, namespace: team }'),
        },
      ],
      ownNamespace,
    );
    expect(policies).toBe(3);
    expect(findings.map(({ file, line, rule }) => [file, line, rule])).toEqual([
      ['a.yaml', 5, 'ConflictingPolicies'],
      ['a.yaml', 5, 'BelowFloor'],
    ]);
  });

  it('takes a policy without a namespace for one of `default`, as kubectl does', () => {
    const nameless = policy('enforcement: Warn', 'kind: LockPolicy\nmetadata: { name: a }');
    const named = policy('enforcement: Deny', 'kind: LockPolicy\nmetadata: { name: b, namespace: default }');
    expect(find(`${nameless}---\n${named}`)).toMatchObject([{ rule: 'ConflictingPolicies', line: 5 }]);
  });

  it('knows lockwarden’s own namespace by what it is told', () => {
    const text = policy('enforcement: Warn', 'kind: LockPolicy\nmetadata: { name: p, namespace: guards }');
    const rules = (own: string): readonly string[] =>
      lint([{ name: 'x', text }], own).findings.map(({ rule }) => rule);
    expect(rules('guards')).toEqual(['NeverCovered']);
    expect(rules('lockwarden-system')).toEqual([]);
  });
});

describe('bad days', () => {
  it.each<[string, string]>([
    ['a policy of 1 MiB in one line', policy(`message: ${'x'.repeat(2 ** 20)}`)],
    ['20,000 conditions', policy(`conditions:\n${'- { name: a, expression: after.held }\n'.repeat(20_000)}`)],
    [
      '20,000 unknown fields',
      policy(Array.from({ length: 20_000 }, (_, i) => `f${String(i)}: 1`).join('\n')),
    ],
    ['lists within lists', policy(`match: ${'['.repeat(100_000)}`)],
    ['aliases of aliases', bomb()],
    ['an expression of brackets', policy(`conditions: [{ name: a, expression: "${'('.repeat(1_000)}" }]`)],
    [
      'patterns of stars',
      policy(`match: { names: ["${'*a'.repeat(126)}"], excludeNames: ["${'*a'.repeat(125)}b"] }`),
    ],
  ])('%s: told within seconds', (_, text) => {
    const started = performance.now();
    expect(find(text).length).toBeGreaterThan(0);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it('5,000 policies over 1,000 namespaces, under a floor: within seconds', () => {
    const texts = Array.from({ length: 5_000 }, (_, index) => {
      const namespace = `team-${String(index % 1_000)}`;
      const name = `p${String(index)}`;
      return policy(
        `match: { names: [${name}-*] }\ntolerance: 2s`,
        `kind: LockPolicy\nmetadata: { name: ${name}, namespace: ${namespace} }`,
      );
    });
    const floor = policy('floor: { toleranceMax: 1s }', 'kind: ClusterLockPolicy\nmetadata: { name: c }');
    const started = performance.now();
    const findings = find([...texts, floor].join('---\n'));
    expect(findings).toHaveLength(5_000);
    expect(new Set(findings.map(({ rule }) => rule))).toEqual(new Set(['BelowFloor']));
    expect(performance.now() - started).toBeLessThan(15_000);
  });
});

/** Nine levels of ten aliases each: a billion values. */
function bomb(): string {
  const levels = Array.from({ length: 9 }, (_, level) => {
    const value = level === 0 ? 'x' : `*l${String(level - 1)}`;
    return `l${String(level)}: &l${String(level)} [${Array(10).fill(value).join(', ')}]`;
  });
  return `${levels.join('\n')}\n`;
}
