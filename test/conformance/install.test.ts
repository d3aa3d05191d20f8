/**
 * Installing and removing, in any order, twice and by halves, with the replicas that the Deployment would run: whatever is there and
 * whatever is not, writes of locks and namespaces go on, lockwarden comes up once everything is there, and nothing of it stays behind.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, afterEach, beforeAll, describe, expect, inject, test, vi } from 'vitest';

import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { arrayAt, objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { failureOf, Namespace } from '../kube/support/cluster.ts';
import { read } from '../style/tree.ts';
import { configurationPath } from './support/authority.ts';
import { Load } from './support/load.ts';
import {
  Applier,
  describeObject,
  kubeconfigOfServiceAccount,
  namespaceController,
  objectsIn,
} from './support/manifests.ts';
import { ownNamespace, ReplicaSet } from './support/replica-set.ts';
import { untilCalled } from './support/serve-process.ts';

const install = objectsIn(read('manifests/install.yaml'));
const configurationName = 'ValidatingWebhookConfiguration/lockwarden';
const namespaceName = `Namespace/${ownNamespace}`;
/** LIMIT: back-offs are capped at ten seconds; a busy machine takes its time. */
const patience = { timeout: 60_000, interval: 100 };
const timeout = 180_000;

let controlPlane: ControlPlane;
let client: KubeClient;
let controller: KubeClient;
let applier: Applier;
let replicas: ReplicaSet | null = null;
let load: Load;
let namespaces: NamespaceLoad;

beforeAll(async () => {
  controlPlane = await startControlPlane({ binaries: inject('binaries') });
  client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  controller = await namespaceController(controlPlane, client);
  applier = new Applier(client);
  await Namespace.create(client, 'team');
  load = new Load(client, 'team', { workers: 1, pauseMs: 20 });
  namespaces = new NamespaceLoad(client);
});

afterEach(async () => {
  await replicas?.close();
  replicas = null;
});

afterAll(async () => {
  await Promise.all([load.stop(), namespaces.stop()]);
  client.close();
  controller.close();
  await controlPlane.stop();
});

/** Creates a namespace in a dry run, again and again. */
class NamespaceLoad {
  readonly failures: string[] = [];
  done = 0;
  #stopped = false;
  readonly #working: Promise<void>;

  constructor(client: KubeClient) {
    this.#working = this.#work(client);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#working;
  }

  async #work(client: KubeClient): Promise<void> {
    while (!this.#stopped) {
      const body = { metadata: { name: `probe-${String(this.done)}` } };
      const query = { dryRun: 'All' };
      const failure = await failureOf(
        client.request({ method: 'POST', path: '/api/v1/namespaces', query, body }),
      );
      if (failure !== null) this.failures.push(failure.message);
      this.done += 1;
      await sleep(50);
    }
  }
}

/** Linear congruential, so that an order which failed can be had again. */
function shuffled<T>(items: readonly T[], seed: number): readonly T[] {
  let state = seed;
  const next = (): number => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
  return items
    .map((item) => ({ item, at: next() }))
    .sort((one, other) => one.at - other.at)
    .map(({ item }) => item);
}

/** Applies one after another, as kubectl does: what fails is told, and the rest is applied all the same. */
async function apply(objects: readonly JsonObject[]): Promise<readonly string[]> {
  const failed: string[] = [];
  for (const object of objects) {
    const failure = await failureOf(applier.apply(object));
    // Its namespace is yet to come; nothing else may be wrong.
    if (failure !== null && failure.kind !== 'not-found') throw failure;
    if (failure !== null) failed.push(describeObject(object));
    await runPods();
  }
  return failed;
}

/** Starts what a Deployment starts, as soon as there is one, and the ServiceAccount without which no pod is admitted. */
async function runPods(): Promise<void> {
  if (replicas !== null) return;
  const own = `namespaces/${ownNamespace}`;
  for (const path of [
    `/apis/apps/v1/${own}/deployments/lockwarden`,
    `/api/v1/${own}/serviceaccounts/lockwarden`,
  ]) {
    if ((await failureOf(client.request({ method: 'GET', path }))) !== null) return;
  }
  replicas = await ReplicaSet.create({
    kubeconfig: await kubeconfigOfServiceAccount(controlPlane, client),
    client,
    withNamespace: false,
  });
  await replicas.start(2);
}

async function untilUp(): Promise<void> {
  await replicas?.untilReady();
  await untilCalled(client);
}

/** Deletes one after another; what goes with its namespace may have gone already. */
async function remove(objects: readonly JsonObject[]): Promise<void> {
  for (const object of objects) {
    const failure = await failureOf(applier.delete(object));
    if (failure !== null && failure.kind !== 'not-found') throw failure;
    if (describeObject(object) === namespaceName) await emptyNamespace();
  }
}

const collections = [
  '/api/v1:configmaps,secrets,services,serviceaccounts,resourcequotas',
  '/apis/apps/v1:deployments',
  '/apis/coordination.k8s.io/v1:leases',
  '/apis/events.k8s.io/v1:events',
  '/apis/networking.k8s.io/v1:networkpolicies',
  '/apis/policy/v1:poddisruptionbudgets',
  '/apis/rbac.authorization.k8s.io/v1:rolebindings,roles',
].flatMap((each) => {
  const [group = '', plurals = ''] = each.split(':');
  return plurals.split(',').map((plural) => `${group}/namespaces/${ownNamespace}/${plural}`);
});

/** What the namespace controller does, which does not run here: empties the namespace, and lets it go. */
async function emptyNamespace(): Promise<void> {
  for (const collection of collections) {
    const { body } = await client.request({ method: 'GET', path: collection });
    for (const item of arrayAt(body, 'items')) {
      const metadata = objectAt(item, 'metadata');
      // INVARIANT: nothing of lockwarden's waits for lockwarden in order to be deleted.
      expect(arrayAt(metadata, 'finalizers')).toEqual([]);
      const path = `${collection}/${stringAt(metadata, 'name')}`;
      const failure = await failureOf(controller.request({ method: 'DELETE', path }));
      if (failure !== null && failure.kind !== 'not-found') throw failure;
    }
  }
  const path = `/api/v1/namespaces/${ownNamespace}`;
  const { body } = await client.request({ method: 'GET', path });
  const finalized = { ...(body as JsonObject), spec: { finalizers: [] } };
  await client.request({ method: 'PUT', path: `${path}/finalize`, body: finalized });
  expect(await failureOf(client.request({ method: 'GET', path }))).toMatchObject({ kind: 'not-found' });
}

/** Nothing is there any more, and nothing comes back, though replicas still run. */
async function expectNothingLeft(): Promise<void> {
  // LIMIT: longer than the three seconds in which another leader is elected, who might put something back.
  await sleep(4_000);
  for (const object of install) {
    // A CRD is deleted once the API server has deleted what is of its kind.
    await vi.waitFor(async () => {
      const failure = await failureOf(applier.get(object));
      expect(failure?.kind, describeObject(object)).toBe('not-found');
    }, patience);
  }
}

function expectNothingBlocked(): void {
  expect(load.failures).toEqual([]);
  expect(namespaces.failures).toEqual([]);
}

/** Nobody has refused them anything meanwhile, and they have not stood still either. */
async function expectGoingOn(): Promise<void> {
  const before = [load.calls, namespaces.done];
  await vi.waitFor(() => {
    expect(load.calls).toBeGreaterThan((before[0] ?? 0) + 5);
    expect(namespaces.done).toBeGreaterThan((before[1] ?? 0) + 5);
  }, patience);
  expectNothingBlocked();
}

describe.each([
  ['as they stand', install, install.toReversed()],
  ['backwards', install.toReversed(), install],
  ...[1, 2].map(
    (seed) => [`shuffled (${String(seed)})`, shuffled(install, seed), shuffled(install, seed + 100)] as const,
  ),
] as const)('the objects %s', (_, applied, removed) => {
  test('are applied, taken up, and deleted under replicas that still run', { timeout }, async () => {
    const failed = await apply(applied);
    expectNothingBlocked();
    const at = applied.findIndex((object) => describeObject(object) === namespaceName);
    const isIn = (object: JsonObject): boolean => objectAt(object, 'metadata')['namespace'] !== undefined;
    expect(failed).toEqual(applied.slice(0, at).filter(isIn).map(describeObject));
    // The second time everything has its place, and the third changes nothing.
    expect(await apply(applied)).toEqual([]);
    await untilUp();
    const { body: before } = await client.request({ method: 'GET', path: configurationPath });
    expect(await apply(applied)).toEqual([]);
    const { body: after } = await client.request({ method: 'GET', path: configurationPath });
    expect(arrayAt(before, 'webhooks').length).toBeGreaterThan(1);
    expect(objectAt(after, 'metadata')['resourceVersion']).toBe(
      objectAt(before, 'metadata')['resourceVersion'],
    );
    await expectGoingOn();
    await remove(removed);
    await expectNothingLeft();
    await expectGoingOn();
  });
});

describe('in an emergency', () => {
  test(
    'the registration is deleted for good, until the manifests are applied again',
    { timeout },
    async () => {
      await apply(install);
      await untilUp();
      await client.request({ method: 'DELETE', path: configurationPath });
      const said = await Promise.any(
        (replicas?.replicas ?? []).map(({ process }) => process.untilLine('webhook configuration missing')),
      );
      expect(said['reason']).toContain('apply lockwarden’s manifests again');
      // LIMIT: a few looks of a leader, and an attempt of the canary.
      await sleep(4_000);
      expect(await failureOf(client.request({ method: 'GET', path: configurationPath }))).toMatchObject({
        kind: 'not-found',
      });
      const lines = (replicas?.replicas ?? []).flatMap(({ process }) => process.lines);
      expect(lines.filter(({ msg }) => msg === 'webhook configuration missing')).toHaveLength(1);
      for (const { process } of replicas?.replicas ?? []) {
        const { status, text } = await process.get('/readyz?verbose');
        expect(status).toBe(200);
        expect(text).toContain('[~]webhook');
      }
      await expectGoingOn();
      const before = performance.now();
      await apply(install.filter((object) => describeObject(object) === configurationName));
      await untilCalled(client);
      // LIMIT: it is filled in as soon as the watch tells of it, and not when somebody next looks.
      expect(performance.now() - before).toBeLessThan(5_000);
      await remove(install.toReversed());
    },
  );

  test('without its CRDs lockwarden guards by the built-in defaults', { timeout }, async () => {
    const without = install.filter((object) => stringAt(object, 'kind') !== 'CustomResourceDefinition');
    await apply(without);
    await untilUp();
    await expectGoingOn();
    await remove(without.toReversed());
  });
});

test('nothing was ever blocked', () => {
  expect(load.calls).toBeGreaterThan(500);
  expectNothingBlocked();
});
