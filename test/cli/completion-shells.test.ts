/** The scripts in real shells, as far as those are there, and the program they ask. */
import { execFile, spawnSync } from 'node:child_process';
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shells } from '../../src/cli/completion-command.ts';
import { root } from '../style/tree.ts';

const run = promisify(execFile);
const program = join(root, 'bin/lockwarden.js');

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockwarden-completion-'));
  const command = join(folder, 'lockwarden');
  await writeFile(command, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`);
  await chmod(command, 0o755);
  for (const shell of shells) {
    await writeFile(join(folder, `script.${shell}`), (await run(command, ['completion', shell])).stdout);
  }
});

afterAll(() => rm(folder, { recursive: true }));

function node(args: readonly string[], env: NodeJS.ProcessEnv = process.env): ReturnType<typeof run> {
  return run(process.execPath, args, { env });
}

describe('lockwarden completion', () => {
  it.each(shells)('prints a script for %s that asks lockwarden', async (shell) => {
    const { stdout, stderr } = await node([program, 'completion', shell]);
    expect(stdout).toContain(`# ${shell} completion for lockwarden`);
    expect(stdout).toContain('lockwarden complete -- ');
    expect(stdout).not.toMatch(/\beval\b/);
    expect(stderr).toBe('');
  });

  it.each([[[]], [['tcsh']]])('%j is wrong usage', async (args) => {
    await expect(node([program, 'completion', ...args])).rejects.toMatchObject({ code: 2, stdout: '' });
  });

  it('has an example for each shell', async () => {
    const { stdout } = await node([program, 'completion', '--help']);
    for (const shell of shells) expect(stdout).toContain(`lockwarden completion ${shell}`);
  });
});

describe('what scripts ask', () => {
  it.each([
    [['--', 'lint', '--output', 'j'], 'json\n:4\n'],
    [['--', 'lint', '--', '-'], ':0\n'],
    [['lint', '--output', ''], 'text\njson\n:4\n'],
    [['lint', '--', '-'], ':0\n'],
    [['--help'], '--help\tdisplay help for command\n:4\n'],
    [['--', '--version', '--nonsense', 'nonsense', 'x'], ':4\n'],
  ])('%j is answered', async (words, expected) => {
    expect(await node([program, 'complete', ...words])).toEqual({ stdout: expected, stderr: '' });
  });

  it('is hidden in help', async () => {
    expect((await node([program, '--help'])).stdout).not.toMatch(/^ {2}complete /m);
  });

  it('is answered without the environment, and without what talks to clusters', async () => {
    const told = `
      import { registerHooks } from 'node:module';
      registerHooks({ resolve: (name, context, next) => (console.error(name), next(name, context)) });`;
    const env = {
      ...process.env,
      KUBECONFIG: '/nothing/SECRET',
      LOCKWARDEN_CONTEXT: 'SECRET',
      LOCKWARDEN_STAND_IN: 'SECRET',
    };
    const importing = ['--import', `data:text/javascript,${encodeURIComponent(told)}`];
    const { stdout, stderr } = await node([...importing, program, 'complete', '--', 'serve', '--'], env);
    expect(stdout).toMatch(/^--kubeconfig\t/);
    expect(stdout).not.toContain('SECRET');
    const loaded = String(stderr).trim().split('\n');
    expect(loaded).toContain('commander');
    const packages = loaded.filter((name) => !/^(?:\.|node:|data:|file:)/.test(name));
    expect(packages.filter((name) => name !== 'commander')).toEqual([]);
  });
});

/** Where the scripts find the program, and no file but the scripts. */
function surroundings(): { cwd: string; env: NodeJS.ProcessEnv } {
  const path = `${folder}${delimiter}${process.env['PATH'] ?? ''}`;
  return { cwd: folder, env: { ...process.env, PATH: path } };
}

interface Line {
  /** As bash takes it apart: at blanks, = and :. */
  readonly words: readonly string[];
  readonly line: string;
  /** The word the cursor is in: the last, if nothing else is said. */
  readonly at?: number;
  readonly point?: number;
  /** What of it bash would replace. */
  readonly current: string;
}

/** What bash is told to put in, and whether it looks for files where that is nothing. */
async function bash({ words, line, at, point, current }: Line): Promise<readonly string[]> {
  const asked = `
    set -eu
    compopt() { echo "compopt $*"; }
    source "$0"
    COMP_LINE=$1 COMP_POINT=$2 COMP_CWORD=$3 current=$4
    shift 4
    COMP_WORDS=("$@")
    __lockwarden_complete lockwarden "$current" ''
    (( \${#COMPREPLY[@]} == 0 )) || printf '%s\\n' "\${COMPREPLY[@]}"`;
  const [position, index] = [point ?? line.length, at ?? words.length - 1].map(String);
  const { stdout, stderr } = await run(
    'bash',
    [
      ...['--noprofile', '--norc', '-c', asked, join(folder, 'script.bash')],
      ...[line, position ?? '', index ?? '', current, ...words],
    ],
    surroundings(),
  );
  expect(stderr).toBe('');
  return stdout.split('\n').filter((each) => each !== '');
}

/** Words with blanks between them, and nothing that bash would take apart. */
function plain(line: string): Line {
  const words = line.split(' ');
  return { words, line, current: words.at(-1) ?? '' };
}

const noFiles = 'compopt +o default';
const filesAtFirst = ['lockwarden', ...shells.map((shell) => `script.${shell}`).sort()];

async function filesThere(): Promise<readonly string[]> {
  return (await readdir(folder)).sort();
}

describe('the script for bash', () => {
  it('has files looked for where it has nothing', async () => {
    const asked = 'source "$0"; source "$0"; complete -p lockwarden';
    const script = join(folder, 'script.bash');
    expect(await run('bash', ['--noprofile', '--norc', '-c', asked, script])).toEqual({
      stdout: 'complete -o default -F __lockwarden_complete lockwarden\n',
      stderr: '',
    });
  });

  it('completes commands, flags, words and files', async () => {
    expect(await bash(plain('lockwarden l'))).toEqual([noFiles, 'locks', 'lint']);
    expect(await bash(plain('lockwarden certs '))).toEqual([noFiles, 'status', 'rotate', 'help']);
    expect(await bash(plain('lockwarden lint --ou'))).toEqual([noFiles, '--output']);
    expect(await bash(plain('lockwarden lint -o '))).toEqual([noFiles, 'text', 'json']);
    expect(await bash(plain('lockwarden lint pol'))).toEqual([]);
    expect(await bash(plain('lockwarden review '))).toEqual(['show', 'timeline']);
  });

  it('completes --flag=value, whether bash takes it apart or not', async () => {
    const line = 'lockwarden lint --output=';
    const words = ['lockwarden', 'lint', '--output', '='];
    expect(await bash({ line, words, current: '' })).toEqual([noFiles, 'text', 'json']);
    const more = { line: `${line}j`, words: [...words, 'j'] };
    expect(await bash({ ...more, current: 'j' })).toEqual([noFiles, 'json']);
    expect(await bash(plain('lockwarden lint --output=j'))).toEqual([noFiles, '--output=json']);
    const file = {
      line: 'lockwarden serve --kubeconfig=a',
      words: ['lockwarden', 'serve', '--kubeconfig', '='],
    };
    expect(await bash({ ...file, words: [...file.words, 'a'], current: 'a' })).toEqual([]);
  });

  it('takes words together that a colon parts, and none that a blank does', async () => {
    const lock = ['lockwarden', 'review', 'timeline', 'a', ':', 'b'];
    const line = 'lockwarden review timeline a:b ';
    // One argument, so files come next.
    expect(await bash({ line, words: [...lock, ''], current: '' })).toEqual([]);
    const apart = { line: 'lockwarden lint --output = ', words: ['lockwarden', 'lint', '--output', '=', ''] };
    expect(await bash({ ...apart, current: '' })).toEqual([]);
  });

  it('looks at what stands before the cursor', async () => {
    const line = 'lockwarden  certs status more';
    const words = ['lockwarden', 'certs', 'status', 'more'];
    const point = 'lockwarden  certs st'.length;
    expect(await bash({ line, words, at: 2, point, current: 'st' })).toEqual([noFiles, 'status']);
  });

  it('leaves redirections to bash, and what they name out', async () => {
    const files: readonly string[] = [];
    expect(await bash(plain('lockwarden locks > ou'))).toEqual(files);
    expect(await bash(plain('lockwarden locks 2>> '))).toEqual(files);
    const glued = { line: 'lockwarden locks >ou', words: ['lockwarden', 'locks', '>', 'ou'] };
    expect(await bash({ ...glued, current: 'ou' })).toEqual(files);
    expect(await bash(plain('lockwarden locks > out --all'))).toEqual([noFiles, '--all-namespaces']);
    expect(await bash(plain('lockwarden certs < in st'))).toEqual([noFiles, 'status']);
    expect(await bash(plain('lockwarden certs status x>y --wa'))).toEqual([noFiles]);
  });

  it('runs nothing of what is on the line', async () => {
    const line = 'lockwarden lint $(touch hit) > script.bash --ou';
    const words = ['lockwarden', 'lint', '$(touch hit)', '>', 'script.bash', '--ou'];
    expect(await bash({ line, words, current: '--ou' })).toEqual([noFiles, '--output']);
    expect(await filesThere()).toEqual(filesAtFirst);
    expect(await bash(plain('lockwarden certs s'))).toEqual([noFiles, 'status']);
  });

  it('leaves it to bash where there is no lockwarden', async () => {
    await chmod(join(folder, 'lockwarden'), 0o644);
    try {
      expect(await bash(plain('lockwarden certs s'))).toEqual([]);
    } finally {
      await chmod(join(folder, 'lockwarden'), 0o755);
    }
  });
});

const isThere = (shell: string): boolean => spawnSync(shell, ['-c', 'exit 0']).status === 0;

/** What zsh is given: candidates with their descriptions, and `files` where it looks for them. `typed` is the part before the cursor. */
async function zsh(words: readonly string[], typed: string): Promise<readonly string[]> {
  const asked = `
    compdef() { : }
    _describe() { print -rl -- "\${(@P)argv[-1]}" }
    _files() { print -r -- "files for $PREFIX" }
    source "$1"
    PREFIX=$2 IPREFIX=
    words=(lockwarden "\${@[3,-1]}" "$2")
    CURRENT=$#words
    _lockwarden`;
  const { stdout, stderr } = await run(
    'zsh',
    ['-f', '-c', asked, 'zsh', join(folder, 'script.zsh'), typed, ...words],
    surroundings(),
  );
  expect(stderr).toBe('');
  return stdout.split('\n').filter((each) => each !== '');
}

describe.skipIf(!isThere('zsh'))('the script for zsh', () => {
  it('completes commands, flags, words and files', async () => {
    expect(await zsh(['certs'], 's')).toEqual([
      'status:Say whom API servers trust, what each replica serves, where a rotation stands and what comes next.',
    ]);
    expect(await zsh(['lint'], '--output=')).toEqual(['text', 'json']);
    expect(await zsh(['lint', '-o'], '')).toEqual(['text', 'json']);
    expect(await zsh(['lint'], 'pol')).toEqual(['files for pol']);
    expect(await zsh(['serve'], '--kubeconfig=a')).toEqual(['files for a']);
    expect(await zsh(['review', 'timeline', "'a b'"], 'x')).toEqual(['files for x']);
  });

  it('runs nothing of what is on the line', async () => {
    for (const word of ['$(touch hit)', '`touch hit`', '--x=$(touch hit)=', "'--x=;touch hit;='"]) {
      await zsh(['lint', word], '--ou');
      await zsh(['lint'], word);
      expect(await filesThere()).toEqual(filesAtFirst);
    }
  });
});

/** What fish offers for a line. */
async function fish(line: string): Promise<readonly string[]> {
  const { stdout, stderr } = await run(
    'fish',
    ['--no-config', '-c', 'source $argv[1]; complete -C $argv[2]', join(folder, 'script.fish'), line],
    surroundings(),
  );
  expect(stderr).toBe('');
  return stdout.split('\n').flatMap((each) => (each === '' ? [] : [each.split('\t')[0] ?? '']));
}

describe.skipIf(!isThere('fish'))('the script for fish', () => {
  it('completes commands, flags, words and files', async () => {
    expect(await fish('lockwarden certs s')).toEqual(['status']);
    expect(await fish('lockwarden lint --output=')).toEqual(['--output=json', '--output=text']);
    expect(await fish('lockwarden lint -o ')).toEqual(['json', 'text']);
    expect(await fish('lockwarden lint scr')).toEqual(shells.map((shell) => `script.${shell}`).sort());
    expect(await fish('lockwarden serve --kubeconfig=script.b')).toEqual(['--kubeconfig=script.bash']);
    expect(await fish("lockwarden review timeline 'a b' lock")).toEqual(['lockwarden']);
    expect(await fish('lockwarden certs status ')).toEqual([]);
  });

  it('runs nothing of what is on the line', async () => {
    for (const word of ['(touch hit)', '--x=(touch hit)=', "'--x=;touch hit;='"]) {
      await fish(`lockwarden lint ${word} --ou`);
      await fish(`lockwarden lint ${word}`);
      expect(await filesThere()).toEqual(filesAtFirst);
    }
  });
});
