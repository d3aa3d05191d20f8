import { describe, expect, it } from 'vitest';
import type { ExplainOptions } from '../../src/cli/explain.ts';
import type { LintOptions } from '../../src/cli/lint.ts';
import type { TestOptions } from '../../src/cli/test.ts';
import { buildProgram, type StartOptions } from '../../src/cli/program.ts';
import type { ServeOptions } from '../../src/config.ts';

function run(args: readonly string[]): {
  heard: () => number | null;
  serving: () => ServeOptions | null;
  starting: () => StartOptions | null;
  explaining: () => ExplainOptions | null;
  linting: () => LintOptions | null;
  testing: () => TestOptions | null;
  done: Promise<unknown>;
  text: () => string;
} {
  let heard: number | null = null;
  let serving: ServeOptions | null = null;
  let starting: StartOptions | null = null;
  let explaining: ExplainOptions | null = null;
  let linting: LintOptions | null = null;
  let testing: TestOptions | null = null;
  let text = '';
  const program = buildProgram(
    {
      serve: (options) => {
        serving = options;
        return Promise.resolve(0);
      },
      start: (options) => {
        starting = options;
        return Promise.resolve(1);
      },
      test: (options) => {
        testing = options;
        return Promise.resolve(0);
      },
      lint: (options) => {
        linting = options;
        return Promise.resolve(0);
      },
      explain: (options) => {
        explaining = options;
        return Promise.resolve(0);
      },
    },
    '1.2.3',
    (code) => {
      heard = code;
    },
  );
  const write = (part: string): void => {
    text += part;
  };
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({ writeOut: write, writeErr: write });
  const done = program.parseAsync(args, { from: 'user' }).catch((error: unknown) => error);
  return {
    heard: () => heard,
    serving: () => serving,
    starting: () => starting,
    explaining: () => explaining,
    linting: () => linting,
    testing: () => testing,
    done,
    text: () => text,
  };
}

describe('the command line', () => {
  it('serve has defaults for everything but the cluster', async () => {
    const { done, serving, heard } = run(['serve']);
    await done;
    expect(serving()).toMatchObject({
      namespace: 'lockwarden-system',
      port: '9443',
      healthPort: '8080',
      inspectRenewals: false,
      logLevel: 'info',
    });
    expect(heard()).toBe(0);
  });

  it('serve takes kubectl’s flags', async () => {
    const { done, serving } = run([
      'serve',
      '--kubeconfig',
      'F',
      '--context',
      'C',
      '-n',
      'N',
      '--webhook-url',
      'https://h',
      '--inspect-renewals',
    ]);
    await done;
    expect(serving()).toMatchObject({
      kubeconfig: 'F',
      context: 'C',
      namespace: 'N',
      webhookUrl: 'https://h',
      inspectRenewals: true,
    });
  });

  it('start can end after the scene, and its exit code is heard', async () => {
    const { done, starting, heard } = run(['start', '--once']);
    await done;
    expect(starting()?.once).toBe(true);
    expect(heard()).toBe(1);
  });

  it('a variable stands for each flag, and a flag wins over it', async () => {
    process.env['LOCKWARDEN_HEALTH_PORT'] = '1';
    process.env['LOCKWARDEN_PORT'] = '2';
    try {
      const { done, serving } = run(['serve', '--port', '3']);
      await done;
      expect(serving()).toMatchObject({ healthPort: '1', port: '3' });
    } finally {
      delete process.env['LOCKWARDEN_HEALTH_PORT'];
      delete process.env['LOCKWARDEN_PORT'];
    }
  });

  it.each([
    ['true', true],
    ['false', false],
  ])('a variable that says %s about a flag without a value means it', async (value, inspectRenewals) => {
    process.env['LOCKWARDEN_INSPECT_RENEWALS'] = value;
    try {
      const { done, serving } = run(['serve']);
      await done;
      expect(serving()).toMatchObject({ inspectRenewals });
    } finally {
      delete process.env['LOCKWARDEN_INSPECT_RENEWALS'];
    }
  });

  it('help names each flag with its variable, and gives examples', async () => {
    const { done, text } = run(['serve', '--help']);
    await done;
    const flags = [
      'kubeconfig',
      'context',
      'namespace',
      'port',
      'health-port',
      'bind-address',
      'webhook-url',
      'inspect-renewals',
      'log-level',
    ];
    for (const flag of flags) {
      expect(text()).toContain(`--${flag}`);
      expect(text()).toContain(`LOCKWARDEN_${flag.toUpperCase().replaceAll('-', '_')}`);
    }
    expect(text()).toContain('Examples:');
  });

  it.each([
    [['serve', '--nonsense']],
    [['nonsense']],
    [['serve', '--port']],
    [['serve', '--inspect-renewals', 'perhaps']],
  ])('%j is wrong usage', async (args) => {
    const { done, text } = run(args);
    expect(await done).toMatchObject({ name: 'CommanderError' });
    expect(text()).toContain('error:');
  });

  it('explain takes a lock and kubectl’s flags', async () => {
    const { done, explaining } = run([
      'explain',
      'lease/orders',
      '-n',
      'team',
      '--context',
      'C',
      '-o',
      'json',
    ]);
    await done;
    expect(explaining()).toEqual({
      lock: 'lease/orders',
      namespace: 'team',
      context: 'C',
      output: 'json',
      lockwardenNamespace: 'lockwarden-system',
    });
  });

  it('lint takes files and folders', async () => {
    const { done, linting } = run(['lint', 'a.yaml', 'policies', '-o', 'json']);
    await done;
    expect(linting()).toEqual({
      files: ['a.yaml', 'policies'],
      output: 'json',
      namespace: 'lockwarden-system',
    });
  });

  it('test takes suites and folders, and a cluster', async () => {
    const { done, testing } = run([
      'test',
      'policies',
      '--run',
      'x',
      '--cluster',
      '--kubeconfig',
      'F',
      '--scale',
      '0.5',
    ]);
    await done;
    expect(testing()).toEqual({
      paths: ['policies'],
      run: 'x',
      cluster: true,
      kubeconfig: 'F',
      scale: '0.5',
      output: 'tree',
      watch: false,
    });
  });

  it('explain says which formats there are', async () => {
    const { done, text } = run(['explain', 'lease/orders', '-o', 'xml']);
    await done;
    expect(text()).toContain('Allowed choices are table, json, yaml');
  });
});
