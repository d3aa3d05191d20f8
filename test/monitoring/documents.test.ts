/** docs/metrics.md has every metric that the program exports, with its type and labels, and no other. */
import { describe, expect, it } from 'vitest';
import { files, read } from '../style/tree.ts';
import { exported } from './exported.ts';

const metrics = await exported();
const rows = read('docs/metrics.md')
  .split('\n')
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .filter(([, name, type]) => /^`\w+`$/u.test(name ?? '') && /^(counter|gauge|histogram)$/u.test(type ?? ''));
const unquoted = (text = ''): string[] => [...text.matchAll(/`(\w+)`/gu)].map(([, word]) => word ?? '');

describe('docs/metrics.md', () => {
  it('has every metric with its type and labels, once, and no other', () => {
    const documented = rows.map(
      ([, name, type, labels]) => `${unquoted(name).join()} ${type ?? ''} ${unquoted(labels).sort().join()}`,
    );
    const real = metrics.map(({ name, type, labels }) => `${name} ${type} ${[...labels].sort().join()}`);
    expect(documented.length).toBeGreaterThan(60);
    expect(documented.sort()).toEqual(real.sort());
  });

  it('says what each of lockwarden’s own means', () => {
    for (const [, name, , , meaning = ''] of rows.filter(
      ([, each]) => each?.includes('lockwarden_') === true,
    ))
      expect(meaning.length, name).toBeGreaterThan(10);
  });

  it('says what values each label of lockwarden’s own metrics has', () => {
    const [, values = ''] = read('docs/metrics.md').split('## Values of labels');
    const labels = metrics
      .filter(({ name }) => /^lockwarden|^leader/u.test(name))
      .flatMap((each) => each.labels);
    expect([...new Set(labels)].filter((label) => !values.includes(`| \`${label}\` |`))).toEqual([]);
  });
});

describe('the documents', () => {
  it('name no metric that is not exported', () => {
    const names = new Set(metrics.map(({ name }) => name));
    const wrong = ['README.md', 'SECURITY.md', ...files('docs/**/*.md')].flatMap((path) =>
      [...read(path).matchAll(/\b((?:lockwarden|leader_election)_[a-z_]*[a-z])\b/gu)]
        .map(([, name]) => name ?? '')
        .filter((name) => !names.has(name))
        .map((name) => `${path}: ${name}`),
    );
    expect(wrong).toEqual([]);
  });
});
