/** `lockwarden test` as a function: paths in, text and exit codes out. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { test, type TestOptions } from '../../src/cli/test.ts';
import { monotonicMs } from '../../src/core/time.ts';

const good = `apiVersion: lockwarden.dev/v1alpha1
kind: LockTest
tests:
  - name: an early takeover is refused
    lock: { start: { holder: a } }
    steps: [{ at: 5s, actor: b, action: takeOver, expect: { deny: PrematureTakeover } }]
  - name: a late one is not
    lock: { start: { holder: a } }
    steps: [{ at: 15s, actor: b, action: takeOver, expect: allow }]
`;
const failing = good.replace('{ deny: PrematureTakeover }', 'allow');

const plain: TestOptions = { paths: [], output: 'tree', watch: false, cluster: false, scale: '1' };
const clock = { monotonicMs: () => monotonicMs(0) };

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'suites-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function put(path: string, text: string): Promise<string> {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  return file;
}

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface Surroundings {
  readonly stdin?: string;
  readonly isTTY?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

/** What is written to a stream. */
class Written {
  text = '';
  readonly isTTY: boolean;

  constructor(isTTY = false) {
    this.isTTY = isTTY;
  }

  write(text: string): void {
    this.text += text;
  }
}

async function run(options: Partial<TestOptions>, surroundings: Surroundings = {}): Promise<Ran> {
  const { stdin = '', isTTY = false, env = {} } = surroundings;
  const [stdout, stderr] = [new Written(isTTY), new Written()];
  const code = await test(
    { ...plain, paths: [folder], ...options },
    {
      stdin: Readable.from([stdin]),
      stdout,
      stderr,
      env,
      clock,
      signal: new AbortController().signal,
    },
  );
  return { code, stdout: stdout.text, stderr: stderr.text };
}

describe('lockwarden test', () => {
  it('runs every suite below a folder, and is content when all pass', async () => {
    await put('b/deep/orders.locktest.yml', good);
    await put('a/suite.locktest.yaml', good);
    await put('a/values.yaml', 'nothing: of interest');
    await put('node_modules/x/suite.locktest.yaml', failing);
    await put('.cache/suite.locktest.yaml', failing);
    const { code, stdout } = await run({});
    expect(code).toBe(0);
    expect(stdout.match(/^\S+ .*locktest.*$/gm)).toEqual([
      `a ${folder}/a/suite.locktest.yaml`,
      `orders ${folder}/b/deep/orders.locktest.yml`,
    ]);
    expect(stdout).toMatch(/\n4 passed in 0 ms\n$/);
  });

  it('fails when a test fails', async () => {
    const file = await put('orders.locktest.yaml', failing);
    const { code, stdout } = await run({ paths: [file] });
    expect(code).toBe(1);
    expect(stdout).toContain('1 failed, 1 passed');
  });

  it('says what is wrong with suites and their policies, where, and runs nothing', async () => {
    await put('good.locktest.yaml', good);
    const bad = await put(
      'bad.locktest.yaml',
      good.replace('action', 'acton').replace('kind', 'policies: [p.yaml]\nkind'),
    );
    const policy = await put('p.yaml', 'kind: LockPolicy\n');
    expect(await run({})).toEqual({
      code: 2,
      stdout: '',
      stderr: `${bad}:7:13: \`action\` is missing\n${bad}:7:33: the field \`acton\` is not known; did you mean \`action\`?\n`,
    });
    await put('bad.locktest.yaml', good.replace('kind', 'policies: [p.yaml]\nkind'));
    expect(await run({})).toEqual({
      code: 2,
      stdout: '',
      stderr: `${policy}:1:1: the apiVersion is not \`lockwarden.dev/v1alpha1\`\n`,
    });
  });

  it('reads a suite from standard input', async () => {
    expect(await run({ paths: ['-'] }, { stdin: good })).toMatchObject({ code: 0 });
    expect(await run({ paths: ['-'] }, { stdin: 'tests: 1' })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('-:1:1: `tests` does not take `1`: give a list') as string,
    });
  });

  it('runs only the tests that are asked for', async () => {
    await put('orders.locktest.yaml', failing);
    expect(await run({ run: 'late' })).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('1 passed') as string,
    });
    expect(await run({ run: '^orders/an ' })).toMatchObject({ code: 1 });
  });

  it.each(['json', 'junit'])('writes %s', async (output) => {
    await put('orders.locktest.yaml', good);
    const { stdout } = await run({ output });
    expect(stdout).toMatch(output === 'json' ? /^{\n {2}"apiVersion"/ : /^<\?xml/);
  });

  it.each<[boolean, Record<string, string>, boolean]>([
    [true, {}, true],
    [true, { NO_COLOR: '' }, true],
    [true, { NO_COLOR: '1' }, false],
    [true, { TERM: 'dumb' }, false],
    [false, {}, false],
  ])('on a terminal (%s) with %j is coloured: %s', async (isTTY, env, isColoured) => {
    await put('orders.locktest.yaml', good);
    const { stdout } = await run({}, { isTTY, env });
    expect(stdout.includes('\u001b[')).toBe(isColoured);
  });

  it.each<[string, Partial<TestOptions>, RegExp]>([
    ['a path where nothing is', { paths: ['/nowhere/x'] }, /^`\/nowhere\/x` does not exist/],
    ['a folder without suites', {}, /^there is no suite in `/],
    [
      'an output that there is not',
      { output: 'xml' },
      /^--output does not take `xml`: give tree, json or junit$/,
    ],
    ['a regular expression that is none', { run: '(' }, /^--run does not take `\(`: /],
    ['a cluster that is to be watched', { cluster: true, watch: true }, /^--watch cannot be used like this/],
    [
      'a scale of nothing',
      { cluster: true, scale: '0' },
      /^--scale does not take `0`: give a number above 0/,
    ],
    ['a scale beyond the full time', { cluster: true, scale: '1.5' }, /^--scale does not take `1.5`/],
    [
      'a scale where nothing waits',
      { scale: '0.5' },
      /^--scale cannot be used like this: it needs --cluster/,
    ],
    ['a kubeconfig without a cluster', { kubeconfig: 'x' }, /^--kubeconfig cannot be used like this/],
    ['a context without a cluster', { context: 'x' }, /^--context cannot be used like this/],
    [
      'standard input that is to be watched',
      { paths: ['-'], watch: true },
      /^--watch cannot be used like this/,
    ],
  ])('does not take %s', async (_, options, message) => {
    await expect(run(options)).rejects.toMatchObject({
      name: 'LockwardenError',
      code: 'UsageInvalid',
      message: expect.stringMatching(message) as string,
    });
  });

  it('does not take a selection of nothing', async () => {
    await put('orders.locktest.yaml', good);
    await expect(run({ run: 'never' })).rejects.toThrow(
      '--run cannot be used like this: `never` finds nothing in the name of any test',
    );
  });
});

describe('lockwarden test --watch', () => {
  it('runs again when a suite, a policy of one, or the folder changes, until it is ended', async () => {
    const policy =
      'apiVersion: lockwarden.dev/v1alpha1\nkind: ClusterLockPolicy\nmetadata: { name: p }\nspec: {}\n';
    await put('policies/p.yaml', policy);
    const file = await put(
      'suites/a.locktest.yaml',
      good.replace('tests:', 'policies: [../policies/p.yaml]\ntests:'),
    );
    const [stdout, stderr] = [new Written(), new Written()];
    const ending = new AbortController();
    const over = test(
      { ...plain, paths: [join(folder, 'suites')], watch: true },
      { stdin: Readable.from([]), stdout, stderr, env: {}, clock, signal: ending.signal },
    );
    const summaries = (): readonly string[] => stdout.text.match(/^.*(passed|failed) in .*$/gm) ?? [];
    const until = (count: number): Promise<void> =>
      vi.waitFor(
        () => {
          expect(summaries()).toHaveLength(count);
        },
        { timeout: 10_000, interval: 20 },
      );
    await until(1);
    await put('policies/p.yaml', policy.replace('{}', '{ enforcement: Audit }'));
    await until(2);
    await put('suites/b.locktest.yaml', good);
    await until(3);
    await put('suites/b.locktest.yaml', 'kind: LockTest\n');
    await vi.waitFor(
      () => {
        expect(stderr.text).toContain('b.locktest.yaml:1:1: `tests` is missing');
      },
      { timeout: 10_000, interval: 20 },
    );
    await rm(file);
    await put('suites/b.locktest.yaml', good);
    await until(4);
    ending.abort();
    expect(await over).toBe(0);
    expect(summaries()).toEqual([
      '2 passed in 0 ms',
      '1 failed, 1 passed in 0 ms',
      '1 failed, 3 passed in 0 ms',
      '2 passed in 0 ms',
    ]);
  });
});
