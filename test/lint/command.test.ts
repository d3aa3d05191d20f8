import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lint } from '../../src/cli/lint.ts';

const clean = `apiVersion: lockwarden.dev/v1alpha1
kind: LockPolicy
metadata: { name: clean, namespace: team }
spec: { match: { names: [orders] } }
`;
const faulty = clean.replace('clean', 'faulty').replace('names: [orders]', 'nmes: [orders]');
const doubtful = clean.replace('clean', 'doubtful').replace('spec: {', 'spec: { failurePolicy: Fail,');

let folder: string;

async function put(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  return path;
}

interface Ran {
  readonly exitCode: number;
  readonly text: string;
}

async function run(files: readonly string[], output = 'text', standardInput = ''): Promise<Ran> {
  let text = '';
  const exitCode = await lint(
    { files, output, namespace: 'lockwarden-system' },
    {
      readStandardInput: () => Promise.resolve(standardInput),
      write: (part) => {
        text += part;
      },
    },
  );
  return { exitCode, text };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockwarden-lint-'));
});

afterAll(() => rm(folder, { recursive: true }));

describe('lockwarden lint', () => {
  it('is content with a clean file', async () => {
    const path = await put('clean.yaml', clean);
    expect(await run([path])).toEqual({ exitCode: 0, text: '1 policy in 1 file: 0 errors, 0 warnings\n' });
  });

  it('tells where, what and what to do, and fails', async () => {
    const path = await put('faulty.yaml', faulty);
    expect(await run([path])).toEqual({
      exitCode: 1,
      text: [
        `${path}:4:18: error: \`spec.match\` has no field \`nmes\`; the API server would drop it [UnknownField]`,
        '  did you mean `names`?',
        '1 policy in 1 file: 1 error, 0 warnings',
        '',
      ].join('\n'),
    });
  });

  it('does not fail for a warning', async () => {
    const path = await put('doubtful.yaml', doubtful);
    const { exitCode, text } = await run([path]);
    expect(exitCode).toBe(0);
    expect(text).toContain(`${path}:4:9: warning: `);
    expect(text).toContain('0 errors, 1 warning\n');
  });

  it('reads standard input', async () => {
    const { exitCode, text } = await run(['-'], 'text', faulty);
    expect(exitCode).toBe(1);
    expect(text).toContain('<standard input>:4:18: error: ');
  });

  it('writes JSON', async () => {
    const path = await put('faulty.yaml', faulty);
    const { exitCode, text } = await run([path], 'json');
    expect(exitCode).toBe(1);
    expect(JSON.parse(text)).toEqual({
      findings: [
        {
          file: path,
          line: 4,
          column: 18,
          severity: 'error',
          rule: 'UnknownField',
          message: '`spec.match` has no field `nmes`; the API server would drop it',
          suggestion: 'did you mean `names`?',
        },
      ],
      files: 1,
      policies: 1,
      errors: 1,
      warnings: 0,
    });
  });

  it('reads the policies of a folder, and nothing else in it', async () => {
    await put('tree/a/policy.yaml', clean);
    await put('tree/b/policy.yml', faulty);
    await put(
      'tree/b/policy.json',
      JSON.stringify({ apiVersion: 'lockwarden.dev/v1alpha1', kind: 'LockPolcy' }),
    );
    await put('tree/b/suite.locktest.yaml', faulty);
    await put('tree/b/chart.yaml', '{{ if .Values.x }}');
    await put('tree/node_modules/x/policy.yaml', faulty);
    await put('tree/README.md', faulty);
    const { text } = await run([join(folder, 'tree')], 'json');
    const { files, findings } = JSON.parse(text) as { files: number; findings: { file: string }[] };
    expect(files).toBe(3);
    expect(findings.map(({ file }) => file)).toEqual([
      join(folder, 'tree/b/policy.json'),
      join(folder, 'tree/b/policy.yml'),
    ]);
  });

  it('reads a file once, however often it is named', async () => {
    const path = await put('clean.yaml', clean);
    expect((await run([path, path])).text).toBe('1 policy in 1 file: 0 errors, 0 warnings\n');
  });

  it.each<[string, () => Promise<Ran>, string]>([
    ['nothing', () => run([]), 'name files or folders'],
    ['a file that is not there', () => run([join(folder, 'none.yaml')]), 'there is no such file or folder'],
    [
      'a folder without policies',
      async () => run([dirname(await put('empty/README.md', ''))]),
      'holds no policies',
    ],
    ['an unknown output', () => run(['-'], 'xml'), '--output cannot be `xml`'],
    [
      'a file without end',
      async () => {
        const path = await put('large.yaml', '');
        await truncate(path, 2 ** 25);
        return run([path]);
      },
      'larger than 16 MiB',
    ],
  ])('cannot be used on %s', async (_, running, message) => {
    await expect(running()).rejects.toMatchObject({
      code: 'UsageInvalid',
      message: expect.stringContaining(message) as string,
    });
  });
});
