/** The policies that come with lockwarden. */
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { lint } from '../../src/lint/lint.ts';
import type { SourceFile } from '../../src/lint/subject.ts';
import { parsePolicy, type Policy } from '../../src/policy/policy.ts';
import { resolve } from '../../src/policy/resolve.ts';
import { readPolicyFile } from '../../src/suite/manifests.ts';
import { files, read } from '../style/tree.ts';

const folders = [
  'audit-only',
  'control-plane-guard',
  'default-cluster-guard',
  'deliberate-stealers',
  'kube-system-observe',
  'legacy-locks',
  'single-service-account',
  'strict-client-go',
];

const ownNamespace = 'lockwarden-system';

function policyOf(folder: string): SourceFile {
  const name = `policies/${folder}/policy.yaml`;
  return { name, text: read(name) };
}

function policiesOf(folder: string): readonly Policy[] {
  const { policies } = readPolicyFile(policyOf(folder).text);
  return policies.map(({ ref, spec }) => {
    const parsed = parsePolicy({ ref, generation: 1, spec });
    if (!parsed.ok) throw new Error(`${folder} is refused`);
    return parsed.policy;
  });
}

function lintOf(chosen: readonly string[]): readonly string[] {
  const { findings } = lint(chosen.map(policyOf), ownNamespace);
  return findings.map(({ file, line, rule, message }) => `${file}:${String(line)}: ${message} [${rule}]`);
}

describe('policies/', () => {
  it('has a folder for each', () => {
    expect(files('policies/*/policy.yaml')).toEqual(
      folders.map((folder) => `policies/${folder}/policy.yaml`),
    );
    expect(files('policies/*/README.md')).toEqual(folders.map((folder) => `policies/${folder}/README.md`));
  });

  it.each(folders)('%s lints clean', (folder) => {
    expect(lintOf([folder])).toEqual([]);
  });

  it.each(folders)('%s opens with what it is for', (folder) => {
    expect(policyOf(folder).text).toMatch(/^# .+[.]\n/u);
  });

  it.each(folders)('%s has a README that says when to use it and how to roll it out', (folder) => {
    const text = read(`policies/${folder}/README.md`);
    const lines = text.split('\n').filter((line) => line !== '').length;
    expect(lines).toBeGreaterThanOrEqual(9);
    expect(lines).toBeLessThanOrEqual(20);
    expect(text).toContain('**Use it**');
    expect(text).toContain('**Roll it out**');
    expect(text).toContain(`kubectl apply -f policies/${folder}/policy.yaml`);
  });

  it.each(folders)('%s links only to what is there', (folder) => {
    const links = [...read(`policies/${folder}/README.md`).matchAll(/\]\(\.\.\/([^)#]+)\)/gu)].map(
      ([, to]) => to ?? '',
    );
    for (const link of links) {
      const path = link.startsWith('../') ? link.slice(3) : `policies/${link}/README.md`;
      expect(files(path), link).toEqual([path]);
    }
  });

  it('work together', () => {
    expect(lintOf(folders)).toEqual([]);
  });

  it('refuse nothing while audit-only is there, and what they always did without it', () => {
    const enforcementWith = (chosen: readonly string[]): string | undefined =>
      resolve({
        lock: { kind: 'Lease', namespace: 'team', name: 'orders' },
        namespaceLabels: {},
        policies: chosen.flatMap(policiesOf),
        ownNamespace,
      })?.settings.enforcement.PrematureTakeover;
    expect(enforcementWith(folders)).toBe('Audit');
    expect(enforcementWith(folders.filter((folder) => folder !== 'audit-only'))).toBe('Deny');
  });

  it('have names of their own', () => {
    const names = folders.flatMap((folder) =>
      parseAllDocuments(policyOf(folder).text).map((document) =>
        String(document.getIn(['metadata', 'name'])),
      ),
    );
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThanOrEqual(folders.length);
  });
});
