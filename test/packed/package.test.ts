/** The package as npm makes it, installed into a project that has nothing else. */
import { globSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

import { publint } from 'publint';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { root } from '../style/tree.ts';
import { run, type Ended } from './support.ts';

let folder: string;
let project: string;
let tarball: string;
/** Where the package is installed. */
let installed: string;
let packed: readonly string[];

/** LIMIT: packing compiles everything, installing fetches a hundred packages; twenty seconds each on a busy machine. */
const patienceMs = 240_000;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockwarden-package-'));
  project = join(folder, 'project');
  installed = join(project, 'node_modules', 'lockwarden');
  await mkdir(project);
  const pack = await run('npm', ['pack', '--json', '--silent', '--pack-destination', folder], root);
  expect(pack.code, pack.stderr).toBe(0);
  const [made] = JSON.parse(pack.stdout) as { filename: string; files: { path: string }[] }[];
  packed = made!.files.map(({ path }) => path).sort();
  tarball = join(folder, made!.filename);
  await writeFile(
    join(project, 'package.json'),
    JSON.stringify({ name: 'a-project', private: true, type: 'module' }),
  );
  const flags = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund'];
  const install = await run('npm', ['install', ...flags, tarball], project);
  expect(install.code, install.stderr).toBe(0);
}, patienceMs);

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the package', () => {
  it('holds what is used and nothing else', () => {
    const places = [
      ...new Set(packed.map((path) => path.replace(/(?<=^[^/]*\/)[^/]*$|(?<=^(?:src|test)\/[^/]*\/).*/, ''))),
    ];
    const others = places.filter((path) => !/^(?:dist|policies|manifests|certs)\//.test(path));
    expect(others).toEqual([
      ...['CHANGELOG.md', 'LICENSE', 'README.md', 'bin/', 'package.json', 'src/sandbox/', 'test/client-go/'],
    ]);
    expect(packed.filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))).toEqual([]);
    expect(packed.filter((path) => /\.(?:map|log|tgz|test\.js)$/.test(path))).toEqual([]);
  });

  it('has every file that one of its modules or declarations imports or looks for', async () => {
    const modules = globSync('{bin,dist}/**/*.{js,d.ts}', { cwd: installed });
    const missing: string[] = [];
    for (const module of modules) {
      const text = await readFile(join(installed, module), 'utf8');
      const wanted = text.matchAll(/(?:from |import |import\(|new URL\()['"`](?<path>\.{1,2}\/[^'"`$]*)/g);
      for (const { groups } of wanted) {
        // NB: TypeScript leaves a declaration's imports as they stand in the source.
        const name = module.endsWith('.d.ts') ? groups!['path']!.replace(/\.ts$/, '.d.ts') : groups!['path']!;
        const path = resolve(installed, dirname(module), name);
        // NB: the command looks for its sources first, which only a checkout has.
        if (globSync(`${path}*`).length === 0 && !path.endsWith('/src/main.ts'))
          missing.push(`${module}: ${name}`);
      }
    }
    expect(modules.length).toBeGreaterThan(200);
    expect(modules).toContain('dist/election/elector.d.ts');
    expect(missing).toEqual([]);
  });

  it('is put together as publint asks', async () => {
    const bytes = new Uint8Array(await readFile(tarball)).buffer;
    const { messages } = await publint({ pack: { tarball: bytes }, strict: true, level: 'warning' });
    expect(messages).toEqual([]);
  });

  it('shows its types in every way in which TypeScript looks for those of a module', async () => {
    const attw = await run('npx', ['--no-install', 'attw', tarball, '--profile', 'esm-only'], root);
    expect(attw.code, attw.stdout).toBe(0);
    expect(attw.stdout).toContain('lockwarden/election');
  });
});

describe('in an empty project', () => {
  const bin = (...args: string[]): Promise<Ended> =>
    run(join(project, 'node_modules', '.bin', 'lockwarden'), args, project);

  it('the command runs', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
    expect(await bin('--version')).toMatchObject({ code: 0, stdout: `${version}\n` });
  });

  it('the policies that come along are in order, and their tests pass', async () => {
    const policies = join(installed, 'policies');
    expect(await bin('lint', policies)).toMatchObject({ code: 0 });
    const { code, stdout } = await bin('test', policies);
    expect(stdout).toMatch(/^[1-9]\d* passed in/m);
    expect(code).toBe(0);
  });

  it('plain JavaScript imports lockwarden/election', async () => {
    const script = `import { Elector, leaseLock } from 'lockwarden/election'; console.log(typeof Elector, typeof leaseLock);`;
    const ended = await run(process.execPath, ['--input-type=module', '--eval', script], project);
    expect(ended).toMatchObject({ code: 0, stdout: 'function function\n' });
  });

  it('nothing else of it can be imported', async () => {
    const script = `await import('lockwarden/dist/main.js')`;
    const ended = await run(process.execPath, ['--input-type=module', '--eval', script], project);
    expect(ended.stderr).toContain('ERR_PACKAGE_PATH_NOT_EXPORTED');
  });

  it('TypeScript with NodeNext knows the types of lockwarden/election, wrong use included', async () => {
    const program = `import { Elector, NotLeading, type ElectorOptions, type Term } from 'lockwarden/election';
export function elect(options: ElectorOptions): Elector { return new Elector(options); }
export function isOver(term: Term, error: unknown): boolean { return error instanceof NotLeading && term.signal.aborted; }
// @ts-expect-error -- an elector needs its options
export const wrong = new Elector();
`;
    await writeFile(join(project, 'elect.ts'), program);
    const flags = [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--skipLibCheck',
      '--types',
      'node',
    ];
    const tsc = await run(
      process.execPath,
      [join(root, 'node_modules/typescript/bin/tsc'), ...flags, 'elect.ts'],
      project,
    );
    expect(tsc.stdout).toBe('');
    expect(tsc.code).toBe(0);
  });
});
