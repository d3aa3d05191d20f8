/** `lockwarden locks` as it is called: formats, exit codes, missing rights, and a watch. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { locks, type LocksOptions } from '../../src/cli/locks.ts';
import type { LocksIo } from '../../src/cli/locks-told.ts';
import { monotonicMs } from '../../src/core/time.ts';
import type { JsonObject } from '../../src/locks/json.ts';
import {
  failure,
  kubeconfigText,
  startFakeApiServer,
  type Asked,
  type FakeApiServer,
} from '../kube/support/fake-api-server.ts';
import { lease, orders, t0, type Written } from '../locks-report/support/leases.ts';

const deployed = 'web-7d4b9c6f5d-x2b4k';

type Stream = ReturnType<Asked['stream']>;

/** A cluster: what its API server lists by path, and the watches on it. */
class Cluster {
  readonly server: FakeApiServer;
  readonly lists = new Map<string, readonly JsonObject[]>();
  readonly forbidden = new Set<string>();
  readonly unwatchable = new Set<string>();
  readonly asked: string[] = [];
  readonly accepted = new Map<string, string>();
  readonly watches = new Map<string, Stream>();
  registered = true;

  private constructor(server: FakeApiServer) {
    this.server = server;
  }

  static async start(): Promise<Cluster> {
    const cluster = new Cluster(await startFakeApiServer());
    void (async () => {
      for (;;) cluster.#answer(await cluster.server.next());
    })();
    return cluster;
  }

  leases(namespace: string, written: Readonly<Record<string, Written>>): void {
    const items = Object.entries(written).map(([name, each]) => lease({ ...orders, namespace, name }, each));
    this.lists.set(`/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`, items);
    this.lists.set('/apis/coordination.k8s.io/v1/leases', items);
  }

  #answer(asked: Asked): void {
    const { pathname, searchParams } = asked.url;
    const date = { date: new Date(t0).toUTCString() };
    this.asked.push(`${asked.method} ${pathname}`);
    this.accepted.set(pathname, asked.headers.accept ?? '');
    if (asked.method !== 'GET') asked.reply(500, {});
    else if (this.forbidden.has(pathname)) asked.reply(403, refusal(pathname));
    else if (searchParams.get('watch') === 'true' && this.unwatchable.has(pathname))
      asked.reply(403, refusal(pathname, 'watch'));
    else if (searchParams.get('watch') === 'true') this.watches.set(pathname, asked.stream());
    else if (pathname === '/version') asked.reply(200, {}, date);
    else if (pathname.includes('lockwarden.dev')) asked.reply(404, failure(404, 'NotFound'));
    else if (pathname.endsWith('validatingwebhookconfigurations/lockwarden'))
      asked.reply(this.registered ? 200 : 404, this.registered ? {} : failure(404, 'NotFound'));
    else asked.reply(200, { metadata: { resourceVersion: '1' }, items: this.lists.get(pathname) ?? [] });
  }
}

function refusal(pathname: string, verb = 'list'): object {
  const [, resource = ''] = /([^/]+)$/.exec(pathname) ?? [];
  const [, namespace] = /namespaces\/([^/]+)\//.exec(pathname) ?? [];
  const where = namespace === undefined ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  const said = `${resource} is forbidden: User "eve" cannot ${verb} resource "${resource}" in API group "" ${where}`;
  return failure(403, 'Forbidden', said);
}

let folder: string;
let cluster: Cluster;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockwarden-locks-'));
});

afterAll(() => rm(folder, { recursive: true }));

afterEach(() => cluster.server.close());

/** A command under way, on a clock that stands still until it is told to go on. */
class Run {
  text = '';
  errors = '';
  readonly done: Promise<number>;
  #nowMs = 0;
  #wake: () => void = () => undefined;
  readonly #enough = Promise.withResolvers<undefined>();

  constructor(kubeconfig: string, options: Partial<LocksOptions>, terminal: boolean, env: LocksIo['env']) {
    const io: LocksIo = {
      stdout: { isTTY: terminal, write: (part) => (this.text += part) },
      stderr: { isTTY: terminal, write: (part) => (this.errors += part) },
      env,
      clock: { monotonicMs: () => monotonicMs(this.#nowMs), wallMs: () => 0 },
      sleep: () =>
        new Promise((resolve) => {
          this.#wake = () => {
            resolve(undefined);
          };
        }),
      interrupted: () => this.#enough.promise,
    };
    const all = {
      kubeconfig,
      allNamespaces: false,
      watch: false,
      output: 'table',
      sortBy: 'name',
      lockwardenNamespace: 'lockwarden-system',
      ...options,
    };
    this.done = locks(all, io);
    this.done.catch(() => undefined);
  }

  /** Lets a second pass, or more. */
  tick(ms = 1_000): void {
    this.#nowMs += ms;
    this.#wake();
  }

  end(): void {
    this.#enough.resolve(undefined);
  }
}

async function start(
  options: Partial<LocksOptions> = {},
  { terminal = false, env = {} }: { terminal?: boolean; env?: LocksIo['env'] } = {},
): Promise<Run> {
  const kubeconfig = join(folder, 'kubeconfig');
  await writeFile(kubeconfig, kubeconfigText(cluster.server.url, 'team'));
  return new Run(kubeconfig, options, terminal, env);
}

async function run(
  ...args: Parameters<typeof start>
): Promise<{ exitCode: number; text: string; errors: string }> {
  const started = await start(...args);
  const exitCode = await started.done;
  return { exitCode, text: started.text, errors: started.errors };
}

const pod = (name: string, namespace = 'team'): JsonObject => ({
  metadata: { name, namespace, uid: `uid-${name}`, resourceVersion: '1' },
});

async function someLocks(): Promise<void> {
  cluster = await Cluster.start();
  cluster.leases('team', {
    orders: { holder: `${deployed}_x`, transitions: 3 },
    payments: { holder: 'p-0', renewedAgoMs: 3_600_000, createdAgoMs: 7_200_000 },
  });
  for (const path of ['/api/v1/pods', '/api/v1/namespaces/team/pods'])
    cluster.lists.set(path, [pod(deployed)]);
}

describe('lockwarden locks', () => {
  it('lists the context’s namespace, with a sentence for each finding', async () => {
    await someLocks();
    const { exitCode, text, errors } = await run();
    expect(exitCode).toBe(0);
    expect(errors).toBe('');
    const [header, first, second, ...rest] = text.trimEnd().split('\n');
    expect(header).toMatch(/^LOCK +HOLDER +POD +RENEWED +LEASE +CHANGES +POLICY +ENFORCEMENT +FINDINGS$/);
    expect(first?.split(/ {2,}/)).toEqual([
      'lease/orders',
      `${deployed}_x`,
      deployed,
      '3s',
      '15s',
      '3',
      'defaults',
      'Deny',
      '-',
    ]);
    expect(second?.split(/ {2,}/)).toEqual([
      'lease/payments',
      'p-0',
      '-',
      '1h',
      '15s',
      '0',
      'defaults',
      'Deny',
      'expired',
    ]);
    expect(rest).toEqual([
      '',
      'lease/payments expired: its lease of 15 s ran out 59m 44s ago, and nobody has taken it',
    ]);
    expect(cluster.asked.filter((each) => !each.startsWith('GET '))).toEqual([]);
    for (const kind of ['configmaps', 'endpoints', 'pods'])
      expect(cluster.accepted.get(`/api/v1/namespaces/team/${kind}`)).toContain(
        'as=PartialObjectMetadataList',
      );
  });

  it('lists all namespaces with -A, and groups what nothing judges', async () => {
    cluster = await Cluster.start();
    cluster.leases('kube-node-lease', Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [name, {}])));
    const { text } = await run({ allNamespaces: true });
    expect(text).toMatch(/^NAMESPACE +LOCK /);
    expect(text).toMatch(/kube-node-lease +lease\/a .* - +- +unguarded\n/);
    expect(text.trimEnd().split('\n').at(-1)).toBe(
      '4 locks unguarded: it is not judged: locks in kube-node-lease are judged only where a ClusterLockPolicy gives that name',
    );
  });

  it('has more columns with -o wide, and colours on a terminal only', async () => {
    await someLocks();
    const { text } = await run({ output: 'wide' });
    expect(text).toMatch(/STATE +EVIDENCE +EVERY +CLOCK +CLIENT +FINDINGS/);
    expect(text).toMatch(/expired +stamp +- +in step/);
    expect(text).not.toContain('\u001b');
    expect((await run({}, { terminal: true })).text).toContain('\u001b[31mexpired');
    expect((await run({}, { terminal: true, env: { NO_COLOR: '1' } })).text).not.toContain('\u001b');
  });

  it('says the same as JSON and as YAML, and names as explain takes them', async () => {
    await someLocks();
    const json: unknown = JSON.parse((await run({ output: 'json' })).text);
    expect(json).toMatchObject({
      locks: [
        { name: 'orders', pod: { name: deployed, state: 'runs', told: 'identity' } },
        { name: 'payments', lease: 'expired', findings: [{ code: 'expired' }] },
      ],
      limits: [],
    });
    expect(parse((await run({ output: 'yaml' })).text)).toEqual(json);
    expect((await run({ output: 'name', sortBy: 'age' })).text).toBe('lease/payments\nlease/orders\n');
  });

  it.each([
    ['expired', 3],
    ['flapping,expired', 3],
    ['any', 3],
    ['flapping', 0],
    ['unguarded', 0],
  ])('--fail-on %s ends with %d', async (failOn, exitCode) => {
    await someLocks();
    expect((await run({ failOn })).exitCode).toBe(exitCode);
  });

  it('--fail-on any does not mean what nothing judges', async () => {
    cluster = await Cluster.start();
    cluster.leases('team', { orders: {} });
    cluster.registered = false;
    const { exitCode, text } = await run({ failOn: 'any' });
    expect(exitCode).toBe(0);
    expect(text).toContain('lease/orders unguarded: it is not judged: lockwarden is not registered');
    expect((await run({ failOn: 'any,unguarded' })).exitCode).toBe(3);
  });

  it('looks for a pod in other namespaces where its own has it not', async () => {
    await someLocks();
    cluster.lists.set('/api/v1/namespaces/team/pods', []);
    cluster.lists.set('/api/v1/pods', [pod(deployed, 'apps')]);
    expect((await run()).text).toContain(` apps/${deployed} `);
    cluster.lists.set('/api/v1/pods', []);
    expect((await run()).text).toContain(` ${deployed} (gone) `);
    cluster.forbidden.add('/api/v1/pods');
    const { text, errors } = await run();
    expect(text).toContain(` ${deployed} (?) `);
    expect(errors).toMatch(
      /^lockwarden: whether pods run is not known: `eve` may not list pods in the whole cluster/,
    );
  });

  it('says so where there are none', async () => {
    cluster = await Cluster.start();
    expect(await run()).toEqual({ exitCode: 0, text: '', errors: 'No locks found in team namespace.\n' });
    expect((await run({ allNamespaces: true })).errors).toBe('No locks found\n');
    expect((await run({ namespace: 'another', output: 'json' })).text).toContain('"locks": []');
  });

  it('names each right that is missing, and shows the rest', async () => {
    await someLocks();
    const core = '/api/v1/namespaces/team';
    for (const path of [
      `${core}/configmaps`,
      `${core}/pods`,
      '/api/v1/namespaces',
      '/api/v1/namespaces/lockwarden-system/configmaps',
      '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/lockwarden',
    ])
      cluster.forbidden.add(path);
    const { exitCode, text, errors } = await run();
    expect(exitCode).toBe(0);
    expect(text).toMatch(/lease\/orders .* \(\?\) /);
    const told = errors.trimEnd().split('\n');
    expect(told).toHaveLength(5);
    for (const each of [
      /ConfigMaps are left out: `eve` may not list configmaps in the namespace `team`/,
      /what policies say is not complete: `eve` may not list namespaces/,
      /which pods took locks is not known but from identities: .*`lockwarden-system`/,
      /whether lockwarden is registered is not known: /,
      /whether pods run is not known: `eve` may not list pods/,
    ])
      expect(told).toContainEqual(expect.stringMatching(each));
  });

  it('ends with the missing right where it may list no kind of lock', async () => {
    cluster = await Cluster.start();
    const core = '/api/v1/namespaces/team';
    const leases = '/apis/coordination.k8s.io/v1/namespaces/team/leases';
    for (const path of [leases, `${core}/configmaps`, `${core}/endpoints`]) cluster.forbidden.add(path);
    await expect(run()).rejects.toMatchObject({
      kind: 'forbidden',
      message: expect.stringContaining('grant it the verb `list` on `leases`') as string,
    });
  });

  it.each<[string, Partial<LocksOptions>]>([
    ['--output', { output: 'xml' }],
    ['--sort-by', { sortBy: 'luck' }],
    ['--fail-on', { failOn: 'expired,' }],
    ['--namespace', { namespace: 'a/b' }],
  ])('does not take a wrong %s', async (flag, options) => {
    cluster = await Cluster.start();
    await expect(run(options)).rejects.toMatchObject({
      code: 'UsageInvalid',
      message: expect.stringContaining(flag) as string,
    });
    expect(cluster.asked).toEqual([]);
  });
});

describe('lockwarden locks --watch', () => {
  const leases = '/apis/coordination.k8s.io/v1/namespaces/team/leases';

  /** Resolves with the watch on leases, once everything is watched. */
  async function watched(): Promise<Stream> {
    await expect.poll(() => cluster.watches.size).toBe(4);
    return cluster.watches.get(leases)!;
  }

  /** Lets seconds pass until the text has it. */
  async function until(started: Run, text: RegExp): Promise<void> {
    await expect
      .poll(() => {
        started.tick(0);
        return started.text;
      })
      .toMatch(text);
  }

  it('prints a lock that changes, what is found anew, and what is gone; not renewals', async () => {
    await someLocks();
    const started = await start({ watch: true });
    const watch = await watched();
    const whole = started.text;
    expect(whole).toMatch(
      /^LOCK .*\nlease\/orders .*\nlease\/payments .*expired\n\nlease\/payments expired: /,
    );
    const held = (holder: string, version: number): JsonObject =>
      lease(orders, {
        holder,
        version,
        transitions: 3,
        renewedAgoMs: 0,
        durationS: holder === 'b-0' ? null : 15,
      });
    watch.event('MODIFIED', held(`${deployed}_x`, 2));
    watch.event('DELETED', lease({ ...orders, name: 'payments' }, { version: 3 }));
    await until(started, /\(deleted\)\n$/);
    expect(started.text.slice(whole.length)).toMatch(/^lease\/payments +\(deleted\)\n$/);
    const before = started.text.length;
    watch.event('MODIFIED', held('b-0', 4));
    await until(started, /b-0/);
    expect(started.text.slice(before)).toMatch(
      /^lease\/orders +b-0 .* untimed\n {2}untimed: it is held without a duration/,
    );
    started.end();
    expect(await started.done).toBe(0);
  });

  it('sees a pod end, whose lock nobody has taken yet', async () => {
    await someLocks();
    const started = await start({ watch: true });
    await watched();
    const before = started.text.length;
    const pods = cluster.watches.get('/api/v1/namespaces/team/pods')!;
    pods.event('ADDED', pod('p-0'));
    await until(started, / p-0 +p-0 /);
    pods.event('DELETED', pod(deployed));
    await until(started, /\(gone\)/);
    started.end();
    expect(await started.done).toBe(0);
    const told = started.text.slice(before).trimEnd().split('\n');
    expect(told.map((line) => line.split(/ {2,}/).slice(0, 3))).toEqual([
      ['lease/payments', 'p-0', 'p-0'],
      ['lease/orders', `${deployed}_x`, `${deployed} (gone)`],
    ]);
  });

  it('sees a lease run out by itself, and ends with 3 where it is told to', async () => {
    cluster = await Cluster.start();
    cluster.leases('team', { orders: { renewedAgoMs: 1_000 } });
    const started = await start({ watch: true, output: 'json', failOn: 'expired' });
    await watched();
    started.tick(60_000);
    expect(await started.done).toBe(3);
    const told = started.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { lease: string });
    expect(told.map(({ lease: state }) => state)).toEqual(['live', 'expired']);
  });

  it('says at once what it may list and not watch, also beside JSON', async () => {
    await someLocks();
    cluster.forbidden.add('/api/v1/namespaces');
    cluster.unwatchable.add('/api/v1/namespaces/team/endpoints');
    const started = await start({ watch: true, output: 'json' });
    await expect.poll(() => started.errors).toContain('may not watch endpoints in the namespace `team`');
    expect(started.errors).toContain('may not list namespaces');
    started.end();
    expect(await started.done).toBe(0);
  });

  it('ends at once where what it is to end for is there already', async () => {
    await someLocks();
    const { exitCode } = await run({ watch: true, failOn: 'expired', output: 'yaml' });
    expect(exitCode).toBe(3);
    expect(cluster.watches.size).toBe(0);
  });

  it('looks around again, and says once what it may not read any more', async () => {
    await someLocks();
    const started = await start({ watch: true });
    await watched();
    cluster.forbidden.add('/api/v1/namespaces');
    const asked = (): number => cluster.asked.filter((each) => each === 'GET /api/v1/namespaces').length;
    for (const times of [2, 3]) {
      started.tick(10_000);
      await expect
        .poll(() => {
          started.tick(0);
          return asked();
        })
        .toBe(times);
    }
    started.end();
    expect(await started.done).toBe(0);
    expect(started.errors).toMatch(/^lockwarden: what policies say is not complete: [^\n]*\n$/);
  });
});
