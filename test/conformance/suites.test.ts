/** Suites on a cluster that lockwarden guards: what they say offline, a real API server must say too. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import { parse } from 'yaml';
import { test, type TestIo, type TestOptions } from '../../src/cli/test.ts';
import { systemClock } from '../../src/clock.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { arrayAt, isObject, objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import type { LockRequest } from '../../src/suite/cluster.ts';
import { LiveCluster } from '../../src/suite/live/live-cluster.ts';
import { ServerTime } from '../../src/suite/live/server-time.ts';
import { ApiServerModel } from '../../src/suite/model/api-server.ts';
import type { Actor } from '../../src/suite/suite.ts';
import { files, read, root } from '../style/tree.ts';
import { FaultyProxy } from '../support/faulty-proxy.ts';
import { startGuarded, type Guarded } from './support/guarded.ts';

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const policies = '/apis/lockwarden.dev/v1alpha1/clusterlockpolicies';
/** LIMIT: an API server takes up a new kind, and lockwarden its watch, within seconds; a busy machine takes longer. */
const eventually = { timeout: 30_000, interval: 100 };

let plane: ControlPlane;
let admin: KubeClient;
let guarded: Guarded;

beforeAll(async () => {
  plane = await startControlPlane({ binaries: inject('binaries') });
  admin = createKubeClient(loadKubeconfig({ file: plane.kubeconfig }));
  for (const path of files('manifests/crds/lockwarden.dev_*.yaml')) {
    await admin.request({ method: 'POST', path: definitions, body: parse(read(path)) });
  }
  await vi.waitFor(() => admin.request({ method: 'GET', path: policies }), eventually);
  guarded = await startGuarded(plane.kubeconfig);
});

afterAll(async () => {
  await guarded.stop();
  admin.close();
  await plane.stop();
});

interface Report {
  readonly passed: number;
  readonly suites: readonly {
    readonly name: string;
    readonly tests: readonly {
      readonly name: string;
      readonly why: string | null;
      readonly steps: readonly { readonly got: string | null; readonly message: string | null }[];
    }[];
  }[];
}

interface Ran {
  readonly code: number;
  readonly report: Report;
  readonly told: string;
}

async function run(
  options: Partial<TestOptions>,
  signal = new AbortController().signal,
  onTold: (line: string) => void = () => undefined,
): Promise<Ran> {
  let [stdout, stderr] = ['', ''];
  const io: TestIo = {
    stdin: process.stdin,
    stdout: { write: (text) => (stdout += text) },
    stderr: {
      write: (text) => {
        onTold(text);
        return (stderr += text);
      },
    },
    env: {},
    clock: systemClock(),
    signal,
  };
  const code = await test(
    { paths: [], output: 'json', watch: false, cluster: false, scale: '1', ...options },
    io,
  );
  return { code, report: JSON.parse(stdout === '' ? '{}' : stdout) as Report, told: stderr };
}

function onCluster(paths: readonly string[], signal?: AbortSignal): Promise<Ran> {
  return run({ paths, cluster: true, kubeconfig: plane.kubeconfig, scale: '0.2' }, signal);
}

/** What came of each step, by suite and test. What is only recorded is, seen from outside, allowed. */
function outcomes({ suites }: Report): ReadonlyMap<string, readonly unknown[]> {
  return new Map(
    suites.flatMap((suite) =>
      suite.tests.map(({ name, why, steps }): [string, readonly unknown[]] => [
        `${suite.name}/${name}`,
        [why, ...steps.map(({ got }) => (got?.startsWith('audit') === true ? 'allow' : got))],
      ]),
    ),
  );
}

async function names(path: string): Promise<readonly string[]> {
  const { body } = await admin.request({ method: 'GET', path });
  return arrayAt(body, 'items').map((item) => stringAt(objectAt(item, 'metadata'), 'name'));
}

const shipped = files('policies/*/*.locktest.yaml').map((path) => `${root}/${path}`);

describe('the shipped suites', () => {
  it('are there for every shipped policy', () => {
    const folders = files('policies/*/policy.yaml').map((path) => path.split('/')[1] ?? '');
    expect(folders.length).toBeGreaterThan(5);
    for (const folder of folders) expect(files(`policies/${folder}/suite.locktest.yaml`)).toHaveLength(1);
  });

  it('come out on a cluster as they do offline, and leave nothing behind', { timeout: 400_000 }, async () => {
    const offline = await run({ paths: shipped });
    const live = await onCluster(shipped);
    expect(outcomes(live.report)).toEqual(outcomes(offline.report));
    expect([offline.code, live.code]).toEqual([0, 0]);
    expect(live.report.passed).toBeGreaterThan(30);
    expect(live.told).not.toContain('could not be removed');
    expect(await names(policies)).toEqual([]);
    expect(await names('/api/v1/pods')).toEqual([]);
    const left = await names('/apis/coordination.k8s.io/v1/namespaces/kube-system/leases');
    expect(left.filter((name) => !name.startsWith('apiserver-'))).toEqual([]);
  });
});

describe('a suite on a cluster', () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'suites-'));
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function suite(name: string, text: string): Promise<readonly string[]> {
    const path = join(folder, `${name}.locktest.yaml`);
    await writeFile(path, `apiVersion: lockwarden.dev/v1alpha1\nkind: LockTest\n${text}`);
    return [path];
  }

  const leases = '/apis/coordination.k8s.io/v1/namespaces/default/leases';
  const policyText = (spec: string): string =>
    `policies: [{ apiVersion: lockwarden.dev/v1alpha1, kind: ClusterLockPolicy, metadata: { name: mine }, spec: ${spec} }]\n`;
  const early = `tests:
  - name: early
    lock: { start: { holder: a } }
    steps: [{ at: 5s, actor: b, action: takeOver, expect: allow }, { at: 6s, actor: a, action: renew, expect: allow }]
`;

  it('fails where something else comes of a step, with lockwarden’s own sentence', async () => {
    const { code, report } = await onCluster(await suite('early', early));
    expect(code).toBe(1);
    expect(report.suites[0]?.tests[0]?.steps).toMatchObject([
      {
        got: 'deny PrematureTakeover',
        message: expect.stringMatching(
          /^lease\/locktest-\S+\/lock: .*\[lockwarden U15 PrematureTakeover/,
        ) as string,
      },
      { got: null },
    ]);
  });

  it('plays a test again that the cluster was too slow for', { timeout: 120_000 }, async () => {
    const network = await FaultyProxy.start(admin.server);
    const kubeconfig = join(folder, 'slow.kubeconfig');
    const direct = await readFile(plane.kubeconfig, 'utf8');
    const { port } = new URL(admin.server);
    await writeFile(kubeconfig, direct.replace(`:${port}`, `:${String(network.port)}`));
    const playings: string[] = [];
    // From when it begins to play until it has: an early takeover then comes when it is due.
    const followed = (line: string): void => {
      const [, done] = /playing early \((\d) of 1 tests/.exec(line) ?? [];
      if (done === undefined || done === playings.at(-1)) return;
      if (playings.push(done) === 1) network.delay(1_000);
      else network.pass();
    };
    try {
      const paths = await suite(
        'early',
        early.replace('expect: allow', 'expect: { deny: PrematureTakeover }'),
      );
      const signal = new AbortController().signal;
      const options = { paths, cluster: true, kubeconfig, scale: '0.2' };
      expect(await run(options, signal, followed)).toMatchObject({ code: 0, report: { passed: 1 } });
      // On a busy machine the second time may be too late as well.
      expect(playings.slice(0, 4)).toEqual(['0', '1', '0', '1']);
    } finally {
      await network.close();
    }
  });

  it('touches no lock that it has not made', async () => {
    const spec = { holderIdentity: 'somebody', leaseDurationSeconds: 60 };
    await admin.request({ method: 'POST', path: leases, body: { metadata: { name: 'theirs' }, spec } });
    const text = early.replace('lock: {', 'lock: { namespace: default, name: theirs,');
    const { code, report } = await onCluster(await suite('theirs', text));
    expect(code).toBe(1);
    expect(report.suites[0]?.tests[0]?.why).toBe(
      'lease/default/theirs is in the cluster already, and may be in use',
    );
    const { body } = await admin.request({ method: 'GET', path: `${leases}/theirs` });
    expect(objectAt(body, 'spec')).toMatchObject(spec);
  });

  it('uses no policy of the cluster for one of its own, and leaves it there', async () => {
    const spec = { enforcement: 'Warn' };
    const body = {
      apiVersion: 'lockwarden.dev/v1alpha1',
      kind: 'ClusterLockPolicy',
      metadata: { name: 'mine' },
    };
    await admin.request({ method: 'POST', path: policies, body: { ...body, spec } });
    try {
      const paths = await suite('mine', policyText('{ enforcement: Audit }') + early);
      await expect(onCluster(paths)).rejects.toThrow(
        'clusterlockpolicy/mine is in the cluster already, and says something else than that of the suite',
      );
      const same = await suite(
        'same',
        policyText('{ enforcement: Warn }') + early.replace('allow }', '{ warn: PrematureTakeover } }'),
      );
      expect(await onCluster(same)).toMatchObject({
        code: 1,
        report: { suites: [{ tests: [{ why: null }] }] },
      });
      expect(await names(policies)).toEqual(['mine']);
    } finally {
      await admin.request({ method: 'DELETE', path: `${policies}/mine` });
    }
  });

  it('that is ended in the middle leaves nothing behind', async () => {
    const ending = new AbortController();
    const paths = await suite(
      'ended',
      policyText('{ deletion: Deny }') + early.replace('5s', '50s').replace('6s', '60s'),
    );
    const running = onCluster(paths, ending.signal);
    await vi.waitFor(async () => {
      expect(await names('/api/v1/pods')).toEqual(['a', 'b']);
    }, eventually);
    expect(await names(policies)).toEqual(['mine']);
    ending.abort();
    expect(await running).toMatchObject({ code: 1, told: expect.stringContaining('called off') as string });
    expect(await names(policies)).toEqual([]);
    expect(await names('/api/v1/pods')).toEqual([]);
    const { body } = await admin.request({ method: 'GET', path: '/api/v1/namespaces' });
    const own = arrayAt(body, 'items')
      .map((item) => objectAt(item, 'metadata'))
      .filter((metadata) => stringAt(metadata, 'name').startsWith('locktest-'));
    expect(own.length).toBeGreaterThan(0);
    expect(own.filter((metadata) => stringAt(metadata, 'deletionTimestamp') === '')).toEqual([]);
  });
});

/** Where no webhook has a say. */
const lock = { kind: 'Lease', namespace: 'kube-system', name: 'model' } as const;

const bare = {
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name: lock.name, namespace: lock.namespace },
};
const planted = (count: number): readonly JsonObject[] =>
  Array.from({ length: count }, (_, index) => ({
    manager: `planted-${String(index).padStart(2, '0')}`,
    operation: 'Update',
    apiVersion: 'coordination.k8s.io/v1',
    time: `2026-01-01T00:00:${String(index).padStart(2, '0')}Z`,
    fieldsType: 'FieldsV1',
    fieldsV1: {
      'f:spec': { [`f:${['holderIdentity', 'renewTime', 'leaseTransitions'][index % 3] ?? ''}`]: {} },
    },
  }));

const time = (second: number): string => `2026-01-01T00:00:0${String(second)}.000000Z`;
const merge = (patch: JsonObject): LockRequest => ({ verb: 'merge', patch });

/** Writes in order, each by a field manager. */
const writes: readonly (readonly [what: string, manager: string, request: LockRequest])[] = [
  ['a patch of nothing', 'a', merge({ spec: { holderIdentity: 'a' } })],
  [
    'a creation',
    'a',
    {
      verb: 'create',
      object: {
        ...bare,
        spec: { holderIdentity: 'a', leaseDurationSeconds: 15, renewTime: time(0), leaseTransitions: 0 },
      },
    },
  ],
  ['a second creation', 'b', { verb: 'create', object: bare }],
  ['a renewal', 'a', merge({ spec: { renewTime: time(1) } })],
  ['a takeover', 'b', merge({ spec: { holderIdentity: 'b', renewTime: time(2) } })],
  [
    'labels and annotations',
    'c',
    merge({ metadata: { labels: { x: 'y', z: '1' }, annotations: { n: 'm' } } }),
  ],
  ['one label less, another value', 'b', merge({ metadata: { labels: { x: null, z: '2' } } })],
  ['no annotations', 'b', merge({ metadata: { annotations: null } })],
  ['a time in another zone', 'b', merge({ spec: { renewTime: '2026-01-01T02:00:03.000000+02:00' } })],
  ['a time without a fraction', 'b', merge({ spec: { renewTime: '2026-01-01T00:00:04Z' } })],
  ['the zero time', 'b', merge({ spec: { acquireTime: '0001-01-01T00:00:00.000000Z' } })],
  ['a duration of nothing', 'b', merge({ spec: { leaseDurationSeconds: 0 } })],
  ['a text for a number', 'b', merge({ spec: { leaseDurationSeconds: '15' } })],
  ['a field that there is not', 'b', merge({ spec: { colour: 'red' } })],
  ['nobody as the holder', 'c', merge({ spec: { holderIdentity: '' } })],
  ['no holder', 'c', merge({ spec: { holderIdentity: null } })],
  ['planted stamps', 'd', merge({ spec: { holderIdentity: 'd' }, metadata: { managedFields: planted(9) } })],
  [
    'stamps of an operation that there is not',
    'd',
    merge({ metadata: { managedFields: [{ manager: 'x', operation: 'Steal' }] } }),
  ],
  [
    'too many stamps',
    'd',
    merge({ spec: { holderIdentity: 'e' }, metadata: { managedFields: planted(14) } }),
  ],
  ['another uid', 'd', merge({ metadata: { uid: 'other' } })],
  ['another version', 'd', merge({ metadata: { resourceVersion: '1' } })],
  ['no stamps', 'd', merge({ metadata: { managedFields: [] } })],
  ['a write without stamps', 'd', merge({ spec: { renewTime: time(5) } })],
  ['a finalizer', 'd', merge({ metadata: { finalizers: ['example.com/hold'] } })],
  ['a deletion', 'd', { verb: 'delete' }],
  ['a change of what is being deleted', 'd', merge({ spec: { renewTime: time(6) } })],
  ['the end of the finalizer', 'd', merge({ metadata: { finalizers: null } })],
  [
    'a creation with an empty entry',
    'a',
    {
      verb: 'create',
      object: { ...bare, metadata: { ...bare.metadata, managedFields: [{}] }, spec: { holderIdentity: 'a' } },
    },
  ],
  ['another deletion', 'a', { verb: 'delete' }],
  ['a creation of nothing', 'a', { verb: 'create', object: { ...bare, spec: {} } }],
  ['a write to what was created empty', 'a', merge({ spec: { holderIdentity: 'a', renewTime: time(7) } })],
  ['the last deletion', 'a', { verb: 'delete' }],
];

/** What differs from server to server, and from moment to moment, left out. */
function lasting(object: JsonObject | null): unknown {
  if (object === null) return null;
  const { managedFields, deletionTimestamp, ...metadata } = objectAt(object, 'metadata');
  const changing = ['uid', 'resourceVersion', 'creationTimestamp', 'deletionGracePeriodSeconds'];
  const entries = arrayAt({ managedFields }, 'managedFields').filter(isObject);
  return {
    ...object,
    metadata: {
      ...Object.fromEntries(Object.entries(metadata).filter(([key]) => !changing.includes(key))),
      isTerminating: deletionTimestamp !== undefined,
      isTracked: managedFields !== undefined,
      managedFields: entries.map((entry) => JSON.stringify(sorted({ ...entry, time: '' }))).sort(),
    },
  };
}

function sorted(object: JsonObject): readonly unknown[] {
  return Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1));
}

describe('the model of the API server', () => {
  it('stores what a real one stores, stamps it alike, and refuses what it refuses', async () => {
    const time = new ServerTime(systemClock());
    const { signal } = new AbortController();
    await time.measure(admin, signal);
    const live = new LiveCluster(lock, { admin, clientOf: () => admin, time, signal });
    const model = new ApiServerModel(lock, {
      nowMs: () => time.nowMs(),
      admit: () => Promise.resolve([]),
      onEvent: () => undefined,
    });
    for (const [what, manager, request] of writes) {
      const { status } = await live.write(actorOf(manager), request);
      const handled = await send(model, manager, request);
      // A real one tells 400 from 422, and 201 from 200; which it is makes no difference to a test.
      expect([what, handled.status < 300]).toEqual([what, status < 300]);
      expect([what, lasting(model.object)]).toEqual([what, lasting(await live.read())]);
    }
  });
});

function actorOf(fieldManager: string): Actor {
  const as = { kind: 'user', name: 'admin', groups: [] } as const;
  return { name: 'admin', as, identity: 'admin', clockMs: 0, leaseDurationMs: 15_000, fieldManager };
}

function send(
  model: ApiServerModel,
  fieldManager: string,
  request: LockRequest,
): Promise<{ status: number }> {
  const caller = { userInfo: { username: 'admin', groups: [], extra: {} }, fieldManager };
  switch (request.verb) {
    case 'create':
      return model.create(request.object, caller);
    case 'replace':
      return model.replace(request.object, caller);
    case 'merge':
      return model.merge(request.patch, caller);
    case 'delete':
      return model.delete(caller);
  }
}
