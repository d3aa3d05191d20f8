import { describe, expect, it } from 'vitest';
import type { ExplainOptions } from '../../src/cli/explain.ts';
import type { LintOptions } from '../../src/cli/lint.ts';
import type { LocksOptions } from '../../src/cli/locks.ts';
import type { PreflightOptions } from '../../src/cli/preflight.ts';
import type { RenderOptions } from '../../src/cli/render.ts';
import type { TestOptions } from '../../src/cli/test.ts';
import { buildProgram, type StartOptions } from '../../src/cli/program.ts';
import type { ServeOptions } from '../../src/config.ts';
import { findingCodes } from '../../src/locks-report/findings.ts';
import { sortKeys } from '../../src/locks-report/rows.ts';

function run(args: readonly string[]): {
  heard: () => number | null;
  serving: () => ServeOptions | null;
  starting: () => StartOptions | null;
  explaining: () => ExplainOptions | null;
  linting: () => LintOptions | null;
  listing: () => LocksOptions | null;
  looking: () => PreflightOptions | null;
  testing: () => TestOptions | null;
  rendering: () => RenderOptions | null;
  certs: () => object | null;
  reviewed: () => object | null;
  done: Promise<unknown>;
  text: () => string;
} {
  let heard: number | null = null;
  let serving: ServeOptions | null = null;
  let starting: StartOptions | null = null;
  let explaining: ExplainOptions | null = null;
  let linting: LintOptions | null = null;
  let listing: LocksOptions | null = null;
  let looking: PreflightOptions | null = null;
  let testing: TestOptions | null = null;
  let rendering: RenderOptions | null = null;
  let certs: object | null = null;
  let reviewed: object | null = null;
  const reviewing = (what: string) => (options: object) => {
    reviewed = { what, ...options };
    return Promise.resolve(0);
  };
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
      render: (options) => {
        rendering = options;
        return Promise.resolve(0);
      },
      preflight: (options) => {
        looking = options;
        return Promise.resolve(3);
      },
      replay: reviewing('replay'),
      locks: (options) => {
        listing = options;
        return Promise.resolve(3);
      },
      lint: (options) => {
        linting = options;
        return Promise.resolve(0);
      },
      explain: (options) => {
        explaining = options;
        return Promise.resolve(0);
      },
      review: reviewing('review'),
      reviewShow: reviewing('show'),
      reviewTimeline: reviewing('timeline'),
      certsStatus: (options) => {
        certs = options;
        return Promise.resolve(1);
      },
      certsRotate: (options) => {
        certs = options;
        return Promise.resolve(0);
      },
      completion: () => Promise.resolve(0),
      complete: () => Promise.resolve(0),
    },
    '1.2.3',
    (code) => {
      heard = code;
    },
  );
  const write = (part: string): void => {
    text += part;
  };
  for (const command of [program, ...program.commands.flatMap((each) => [each, ...each.commands])])
    command.exitOverride().configureOutput({ writeOut: write, writeErr: write });
  const done = program.parseAsync(args, { from: 'user' }).catch((error: unknown) => error);
  return {
    heard: () => heard,
    serving: () => serving,
    starting: () => starting,
    explaining: () => explaining,
    linting: () => linting,
    listing: () => listing,
    looking: () => looking,
    testing: () => testing,
    rendering: () => rendering,
    certs: () => certs,
    reviewed: () => reviewed,
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
      standIn: true,
      generatePolicies: true,
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

  it('the switch is left off by flag or by variable', async () => {
    const byFlag = run(['serve', '--stand-in', 'false']);
    await byFlag.done;
    expect(byFlag.serving()).toMatchObject({ standIn: false });
    process.env['LOCKWARDEN_STAND_IN'] = 'false';
    try {
      const byVariable = run(['serve']);
      await byVariable.done;
      expect(byVariable.serving()).toMatchObject({ standIn: false });
    } finally {
      delete process.env['LOCKWARDEN_STAND_IN'];
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
      'stand-in',
      'generate-policies',
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
    [['serve', '--stand-in', 'perhaps']],
    [['serve', '--generate-policies', 'perhaps']],
    [['certs', 'rotate', 'nonsense']],
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

  it('preflight watches all namespaces for a minute unless it is told otherwise', async () => {
    const { done, looking, heard } = run(['preflight']);
    await done;
    expect(looking()).toEqual({ for: '1m', output: 'table', lockwardenNamespace: 'lockwarden-system' });
    expect(heard()).toBe(3);
    const told = run(['preflight', '--for', '1h', '-n', 'team', '--context', 'C', '-o', 'wide']);
    await told.done;
    expect(told.looking()).toMatchObject({ for: '1h', namespace: 'team', context: 'C', output: 'wide' });
    const log = run(['preflight', '--audit-log', '-']);
    await log.done;
    expect(log.looking()).toMatchObject({ auditLog: '-' });
  });

  it('replay takes logs, and policies again and again, whose flag takes no log for one of them', async () => {
    const { done, reviewed } = run([
      'replay',
      '-f',
      'a.yaml',
      'audit.log',
      '-f',
      'policies/',
      'audit.log.gz',
    ]);
    await done;
    expect(reviewed()).toEqual({
      ...{ what: 'replay', files: ['audit.log', 'audit.log.gz'], policies: ['a.yaml', 'policies/'] },
      ...{ output: 'table', records: false, lockwardenNamespace: 'lockwarden-system' },
    });
    const nothing = run(['replay']);
    await nothing.done;
    expect(nothing.text()).toContain('missing required argument');
  });

  it('replay’s help says what its exit codes mean', async () => {
    const { done, text } = run(['replay', '--help']);
    await done;
    expect(text()).toContain('3 where --fail-on has found something');
  });

  it('preflight’s help says what its exit codes mean', async () => {
    const { done, text } = run(['preflight', '--help']);
    await done;
    for (const flag of ['--kubeconfig', '--context', '--namespace', '--for', '--audit-log', '--output'])
      expect(text()).toContain(flag);
    expect(text()).toContain('Examples:');
    expect(text()).toContain('3 when something would be');
  });

  it('locks takes kubectl’s flags, and lists the context’s namespace unless it is told otherwise', async () => {
    const { done, listing, heard } = run(['locks']);
    await done;
    expect(listing()).toEqual({
      allNamespaces: false,
      watch: false,
      output: 'table',
      sortBy: 'name',
      lockwardenNamespace: 'lockwarden-system',
    });
    expect(heard()).toBe(3);
    const told = run(['locks', '-A', '-w', '-o', 'wide', '--sort-by', 'age', '--fail-on', 'expired,any']);
    await told.done;
    expect(told.listing()).toMatchObject({
      allNamespaces: true,
      watch: true,
      output: 'wide',
      sortBy: 'age',
      failOn: 'expired,any',
    });
  });

  it('locks’ help names every finding and order that there is', async () => {
    const { done, text } = run(['locks', '--help']);
    await done;
    for (const code of findingCodes) expect(text()).toMatch(new RegExp(`^  ${code} `, 'm'));
    expect(text().replaceAll(/\s+/g, ' ')).toContain(
      `choices: ${sortKeys.map((key) => `"${key}"`).join(', ')}`,
    );
    expect(text()).toContain('Examples:');
    expect(text()).toContain('3 where --fail-on has found something');
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

  it('review reads logs, and its subcommands take the same flags for themselves', async () => {
    const sources = { cluster: false, previous: false, lockwardenNamespace: 'lockwarden-system' };
    const all = run(['review', 'a.log', '-', '-n', 'N', '--lock', 'lease/x', '-o', 'csv']);
    await all.done;
    expect(all.reviewed()).toEqual({
      ...{ what: 'review', ...sources, files: ['a.log', '-'], namespace: 'N', lock: 'lease/x' },
      ...{ output: 'csv', follow: false, limit: '200', live: false },
    });
    const show = run(['review', 'show', 'UID', '--cluster', '--since', '1h', '-o', 'json']);
    await show.done;
    expect(show.reviewed()).toEqual({
      ...{ what: 'show', ...sources, uid: 'UID', files: [], cluster: true, since: '1h', output: 'json' },
      live: false,
    });
    const timeline = run(['review', 'timeline', 'lease/x', 'a.log', '-n', 'N', '-o', 'html']);
    await timeline.done;
    expect(timeline.reviewed()).toEqual({
      ...{ what: 'timeline', ...sources, lock: 'lease/x', files: ['a.log'], namespace: 'N', output: 'html' },
    });
  });

  it('review asks replicas as somebody, and review show does', async () => {
    const whom = [
      '--live',
      '-n',
      'N',
      '--service-account',
      'reader',
      '--server',
      'https://x',
      '--ca-file',
      'F',
    ];
    const expected = {
      live: true,
      namespace: 'N',
      serviceAccount: 'reader',
      server: 'https://x',
      caFile: 'F',
    };
    for (const command of [['review'], ['review', 'show', 'UID']]) {
      const { done, reviewed } = run([...command, ...whom]);
      await done;
      expect(reviewed()).toMatchObject(expected);
    }
    const timeline = run(['review', 'timeline', 'lease/x', '--live']);
    await timeline.done;
    expect(timeline.text()).toContain('unknown option');
  });

  it('certs looks after lockwarden’s own namespace, and asks for an authority unless it is told otherwise', async () => {
    const status = run(['certs', 'status', '-n', 'N', '-o', 'json', '--context', 'C']);
    await status.done;
    expect(status.certs()).toEqual({ namespace: 'N', output: 'json', context: 'C' });
    expect(status.heard()).toBe(1);
    const rotate = run(['certs', 'rotate']);
    await rotate.done;
    expect(rotate.certs()).toEqual({
      namespace: 'lockwarden-system',
      what: 'authority',
      wait: false,
      timeout: '5m',
    });
    const leaf = run(['certs', 'rotate', 'leaf', '--wait', '--timeout', '30s']);
    await leaf.done;
    expect(leaf.certs()).toMatchObject({ what: 'leaf', wait: true, timeout: '30s' });
  });

  it('render takes files, or a cluster, and who lockwarden is', async () => {
    const byDefault = run(['render']);
    await byDefault.done;
    const own = { namespace: 'lockwarden-system', serviceAccount: 'lockwarden' };
    expect(byDefault.rendering()).toEqual({ files: [], output: 'yaml', ...own });
    const { done, rendering, text } = run([
      ...['render', 'policies/', '-', '-o', 'json', '--context', 'C'],
      ...['-n', 'own', '--service-account', 'guard'],
    ]);
    await done;
    expect(text()).toBe('');
    expect(rendering()).toEqual({
      ...{ files: ['policies/', '-'], output: 'json', context: 'C' },
      ...{ namespace: 'own', serviceAccount: 'guard' },
    });
  });

  it('explain says which formats there are', async () => {
    const { done, text } = run(['explain', 'lease/orders', '-o', 'xml']);
    await done;
    expect(text()).toContain('Allowed choices are table, json, yaml');
  });
});
