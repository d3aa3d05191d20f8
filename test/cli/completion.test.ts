import { Argument, Command, Option } from 'commander';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { complete, completions } from '../../src/cli/completion.ts';
import { buildProgram, type Actions } from '../../src/cli/program.ts';

/** NB: there are no actions, so nothing can be started. */
function lockwarden(): Command {
  return buildProgram({} as Actions, '1.2.3', () => {
    throw new Error('a command ran');
  });
}

/** The values for a line whose last word is being typed, and `files` where the shell looks for them. */
function values(program: Command, line: string): readonly string[] {
  const { candidates, isFile } = completions(program, line.split(' '));
  return [...candidates.map(({ value }) => value), ...(isFile ? ['files'] : [])];
}

const of = (line: string): readonly string[] => values(lockwarden(), line);

async function printed(program: Command, words: readonly string[]): Promise<string> {
  let text = '';
  const exitCode = await complete(program, words, (part) => {
    text += part;
  });
  expect(exitCode).toBe(0);
  return text;
}

describe('completions of commands', () => {
  it('are all that help shows, and none that is hidden', () => {
    expect(of('')).toEqual([
      ...['serve', 'start', 'preflight', 'replay', 'locks', 'explain', 'lint', 'test', 'render', 'review'],
      ...['certs', 'completion', 'help'],
    ]);
  });

  it.each([
    ['l', ['locks', 'lint']],
    ['comp', ['completion']],
    ['nonsense', []],
    ['nonsense ', []],
    ['certs ', ['status', 'rotate', 'help']],
    ['certs st', ['status']],
    ['certs status ', []],
    ['certs rotate ', ['authority', 'leaf']],
    ['certs rotate le', ['leaf']],
    ['certs rotate leaf ', []],
    ['completion ', ['bash', 'zsh', 'fish']],
    ['help re', ['replay', 'render', 'review']],
    ['help help', []],
    ['help -', []],
    ['help lint ', []],
    ['certs help ', ['status', 'rotate']],
  ])('after `%s` are %j', (line, expected) => {
    expect(of(line)).toEqual(expected);
  });

  it('stand beside files where a command takes both', () => {
    expect(of('review ')).toEqual(['show', 'timeline', 'files']);
    expect(of('review sh')).toEqual(['show', 'files']);
    expect(of('review --cluster sh')).toEqual(['show', 'files']);
    expect(of('review a.log sh')).toEqual(['files']);
  });
});

describe('completions of arguments', () => {
  it.each([
    ['lint ', ['files']],
    ['lint a.yaml ', ['files']],
    ['test ', ['files']],
    ['replay a.log b.log c', ['files']],
    ['explain ', []],
    ['explain lease/x ', []],
    ['review show ', []],
    ['review show UID ', ['files']],
    ['review timeline lease/x a.log b', ['files']],
    ['serve ', []],
  ])('after `%s` are %j', (line, expected) => {
    expect(of(line)).toEqual(expected);
  });

  it('may begin with `-` after `--`', () => {
    expect(of('lint -- -')).toEqual(['files']);
    expect(of('-- li')).toEqual(['lint']);
    expect(of('-- lint -')).toEqual(['files']);
    expect(of('completion -- ba')).toEqual(['bash']);
  });
});

describe('completions of flags', () => {
  it('are those of the command, long and short', () => {
    expect(of('lint -')).toEqual(['--output', '-o', '--lockwarden-namespace', '--help', '-h']);
    expect(of('-')).toEqual(['--version', '-V', '--help', '-h']);
    expect(of('certs rotate --w')).toEqual(['--wait']);
    expect(of('lint -o')).toEqual(['-o']);
    expect(of('certs --')).toEqual(['--help']);
  });

  it('come when a word begins with `-`, and not before', () => {
    expect(of('explain ')).toEqual([]);
    expect(of('explain lease/x --ou')).toEqual(['--output']);
  });

  it.each([
    ['lint --output json --o'],
    ['lint --output=json --o'],
    ['lint -o json --o'],
    ['lint -ojson --o'],
    ['locks -Ao wide --ou'],
    ['locks -wAowide --ou'],
    ['lint --help --he'],
  ])('`%s`: are not those that were given', (line) => {
    expect(of(line)).toEqual([]);
  });

  it('are those that may be repeated, again', () => {
    expect(of('replay a.log -f p --policies q --pol')).toEqual(['--policies']);
  });

  it('are not those of another command', () => {
    expect(of('certs status --wa')).toEqual([]);
    expect(of('review --limit 3 timeline --lim')).toEqual([]);
    expect(of('review -n team show -n')).toEqual(['-n']);
  });
});

describe('completions of the values of flags', () => {
  it.each([
    ['lint --output ', ['text', 'json']],
    ['lint --output j', ['json']],
    ['lint -o j', ['json']],
    ['lint --output=', ['text', 'json']],
    ['lint --output=j', ['json']],
    ['locks -Awo n', ['name']],
    ['lint -o=j', []],
    ['lint --help=', []],
    ['lint --nonsense=', []],
    ['lint --nonsense ', ['files']],
    ['lint --output --', []],
    ['lint --output json ', ['files']],
    ['lint --output=json ', ['files']],
    ['serve --kubeconfig ', ['files']],
    ['serve --kubeconfig=a', ['files']],
    ['serve --tls-dir ', ['files']],
    ['replay -f ', ['files']],
    ['review --live --token-file ', ['files']],
    ['serve --context ', []],
    ['serve --port=', []],
    ['serve --log-level ', ['error', 'warn', 'info', 'debug']],
    ['replay --fail-on ', ['Deny', 'Warn', 'Audit', 'any']],
    ['locks --fail-on ex', ['expired']],
  ])('`%s`: %j', (line, expected) => {
    expect(of(line)).toEqual(expected);
  });

  it('may be left out, where help says so', () => {
    expect(of('serve --stand-in ')).toEqual(['true', 'false']);
    expect(of('serve --stand-in=f')).toEqual(['false']);
    expect(of('serve --stand-in --gen')).toEqual(['--generate-policies']);
    expect(of('serve --stand-in false --stand')).toEqual([]);
  });
});

describe('completions of what lockwarden does not have', () => {
  const program = new Command('other').enablePositionalOptions();
  program.command('secret', { hidden: true });
  program
    .command('build')
    .alias('make')
    .addArgument(new Argument('<colour>', 'which').choices(['red', 'green']))
    .addArgument(new Argument('[folders...]'))
    .addOption(new Option('--with <parts...>', 'several\n  at once').choices(['wheel', 'window']))
    .addOption(new Option('--secret <word>').choices(['x']).hideHelp())
    .addOption(new Option('--from <path>', 'one of two').choices(['here', 'there']))
    .addOption(new Option('--no-paint', 'bare'))
    .helpCommand(false)
    .helpOption(false);

  it.each([
    ['', ['build', 'help']],
    ['make ', ['red', 'green']],
    ['build g', ['green']],
    ['build green ', ['files']],
    ['build green a b', ['files']],
    ['build -', ['--with', '--from', '--no-paint']],
    ['build --with wi', ['window']],
    ['build --with wheel w', ['wheel', 'window']],
    ['build --with wheel --', ['--with', '--from', '--no-paint']],
    ['build --with wheel --no-paint ', ['red', 'green']],
    ['build --with wheel -- ', ['red', 'green']],
    ['build --with=wheel ', ['red', 'green']],
    ['build --from t', ['there']],
    ['build --sec', []],
    ['build --secret ', ['x']],
    ['build --secret y ', ['red', 'green']],
    ['secret ', []],
  ])('`%s`: %j', (line, expected) => {
    expect(values(program, line)).toEqual(expected);
  });

  it('are printed on one line each', async () => {
    expect(await printed(program, ['build', '-'])).toBe(
      '--with\tseveral at once\n--from\tone of two\n--no-paint\tbare\n:4\n',
    );
  });
});

describe('what is printed', () => {
  it('is value and description, and what to do besides', async () => {
    expect(await printed(lockwarden(), ['certs', 'r'])).toBe(
      'rotate\tAsk the leader for a new authority, or a new leaf under the present one.\n:4\n',
    );
    expect(await printed(lockwarden(), ['lint', '--output', ''])).toBe('text\njson\n:4\n');
    expect(await printed(lockwarden(), ['lint', ''])).toBe(':0\n');
  });

  it('is the same without a word as with an empty one', async () => {
    expect(await printed(lockwarden(), [])).toBe(await printed(lockwarden(), ['']));
  });

  it('holds to it for any nonsense', async () => {
    const sensible = [
      'lint',
      'review',
      'show',
      'help',
      'serve',
      '--',
      '-',
      '--output',
      '--stand-in',
      '-Aw',
      '',
    ];
    const word = fc.oneof(fc.constantFrom(...sensible), fc.string());
    await fc.assert(
      fc.asyncProperty(fc.array(word), async (words) => {
        expect(await printed(lockwarden(), words)).toMatch(/^(?:[^\s:]+(?:\t[^\t\n]+)?\n)*:[04]\n$/);
      }),
    );
  });
});
