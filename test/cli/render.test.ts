import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { render, type RenderOptions } from '../../src/cli/render.ts';
import { PolicyStore } from '../../src/policy/store.ts';
import { inertObjects, switchObjects } from '../../src/switch/policies.ts';
import { switchScope } from '../../src/switch/terms.ts';

const policy = (spec: string, name = 'p'): string => `apiVersion: lockwarden.dev/v1alpha1
kind: ClusterLockPolicy
metadata: { name: ${name} }
spec: ${spec}
`;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockwarden-render-'));
});

afterAll(() => rm(folder, { recursive: true }));

interface Ran {
  readonly text: string;
  readonly warnings: readonly string[];
}

async function run(standardInput: string, options: Partial<RenderOptions> = {}): Promise<Ran> {
  let text = '';
  const warnings: string[] = [];
  const byDefault = { namespace: 'lockwarden-system', serviceAccount: 'lockwarden', output: 'yaml' };
  const exitCode = await render(
    { files: ['-'], ...byDefault, ...options },
    {
      readStandardInput: () => Promise.resolve(standardInput),
      write: (part) => {
        text += part;
      },
      warn: (line) => warnings.push(line),
    },
  );
  expect(exitCode).toBe(0);
  return { text, warnings };
}

const objectsIn = ({ text }: Ran): readonly unknown[] =>
  parseAllDocuments(text).map((document) => document.toJS() as unknown);

describe('lockwarden render', () => {
  it('prints what the leader would write', async () => {
    const ownNamespace = 'own';
    const store = new PolicyStore(ownNamespace);
    const ref = { kind: 'ClusterLockPolicy', namespace: '', name: 'p' } as const;
    store.put({ ref, generation: 1, spec: { tolerance: '5s' } });
    const ran = await run(policy('{ tolerance: 5s }'), { namespace: 'own', serviceAccount: 'guard' });
    expect(objectsIn(ran)).toEqual(
      switchObjects({
        scope: switchScope(store, ownNamespace),
        ownNamespace,
        username: 'system:serviceaccount:own:guard',
      }),
    );
    expect(ran.warnings).toEqual([]);
  });

  it('prints a List in JSON', async () => {
    const { text } = await run(policy('{ enforcement: Audit }'), { output: 'json' });
    expect(JSON.parse(text)).toEqual({
      apiVersion: 'v1',
      kind: 'List',
      items: inertObjects('lockwarden-system'),
    });
  });

  it('reads files and folders', async () => {
    await writeFile(join(folder, 'policy.yaml'), policy('{ tolerance: 7s }'));
    expect((await run('', { files: [folder] })).text).toContain('7000');
  });

  it('goes by the labels of namespaces that are among the files, and says so', async () => {
    const selecting = policy(
      '{ match: { namespaceSelector: { matchLabels: { tier: gold } } }, tolerance: 7s }',
    );
    const namespace = `---
apiVersion: v1
kind: Namespace
metadata: { name: team, labels: { tier: gold } }
`;
    expect((await run(selecting)).text).not.toContain('7000');
    const ran = await run(selecting + namespace);
    expect(ran.text).toContain('7000');
    expect(ran.warnings).toHaveLength(1);
    expect(ran.warnings[0]).toContain('selects namespaces by labels');
  });

  it('prints nothing of policies with a mistake, and names the first', async () => {
    await expect(run(policy('{ tolerance: soon }'))).rejects.toMatchObject({ code: 'UsageInvalid' });
    await expect(run(policy('{ tolerance: soon }'))).rejects.toThrow(/<standard input>:4/);
  });

  it('knows two formats', async () => {
    await expect(run(policy('{}'), { output: 'xml' })).rejects.toThrow('--output does not take `xml`');
  });
});
