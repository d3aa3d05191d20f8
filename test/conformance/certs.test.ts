/** `lockwarden certs` as somebody runs it who looks after a cluster with several replicas. */
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { parse } from 'yaml';

import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { arrayAt, objectAt, type JsonObject } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { Namespace } from '../kube/support/cluster.ts';
import { ClusterAuthority, configurationPath } from './support/authority.ts';
import { Load } from './support/load.ts';
import { ReplicaSet } from './support/replica-set.ts';
import { runLockwarden, type Finished } from './support/serve-process.ts';

/** LIMIT: what takes seconds on an idle machine takes ten times that on one that runs everything else too. */
const patience = { timeout: 60_000, interval: 250 };

let controlPlane: ControlPlane;
let client: KubeClient;
let authority: ClusterAuthority;
let replicas: ReplicaSet;

beforeAll(async () => {
  controlPlane = await startControlPlane({ binaries: inject('binaries') });
  client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  authority = new ClusterAuthority(client);
  await Namespace.create(client, 'team');
});

afterAll(async () => {
  await (replicas as ReplicaSet | undefined)?.close();
  client.close();
  await controlPlane.stop();
});

const certs = (...args: readonly string[]): Promise<Finished> =>
  runLockwarden(['certs', ...args, `--kubeconfig=${controlPlane.kubeconfig}`]);

async function status(): Promise<JsonObject> {
  return JSON.parse((await certs('status', '-o', 'json')).stdout) as JsonObject;
}

test('on a cluster without lockwarden both say so, in a sentence and an exit code', async () => {
  const looked = await certs('status');
  expect(looked.code).toBe(1);
  expect(looked.stdout).toContain('The namespace `lockwarden-system` does not exist');
  const asked = await certs('rotate');
  expect(asked).toMatchObject({ code: 1, stdout: '' });
  expect(asked.stderr).toMatch(/^lockwarden: the namespace `lockwarden-system` does not exist: .*\n$/);
});

test('with replicas all is in order, in every format', { timeout: 120_000 }, async () => {
  replicas = await ReplicaSet.create({
    kubeconfig: controlPlane.kubeconfig,
    client,
    args: ['--publish-dwell=1s', '--retire-after=1s'],
  });
  await replicas.start(2);
  await replicas.untilReady();
  await authority.untilRegistered();
  await vi.waitFor(async () => {
    expect(await status()).toMatchObject({ ok: true, findings: [], rotation: { phase: 'Stable' } });
  }, patience);
  const table = await certs('status');
  expect(table.code).toBe(0);
  expect(table.stdout).toContain('all is in order.');
  for (const { name } of replicas.replicas) expect(table.stdout).toMatch(new RegExp(`^${name} `, 'm'));
  const yaml = parse((await certs('status', '-o', 'yaml')).stdout) as JsonObject;
  expect(yaml).toMatchObject({ ok: true, source: 'own' });
  expect(arrayAt(yaml, 'replicas')).toHaveLength(2);
  expect(arrayAt(yaml, 'replicas')).toContainEqual(
    expect.objectContaining({ leads: true, isInSecret: true }),
  );
});

test(
  'a new leaf and a new authority are seen through step by step, and no call fails',
  { timeout: 180_000 },
  async () => {
    const load = new Load(client, 'team', { workers: 2, pauseMs: 20 });
    const before = [await authority.leaf(), await authority.text('ca.crt')];
    const leaf = await certs('rotate', 'leaf', '--wait', '--timeout=60s');
    expect(leaf).toMatchObject({ code: 0, stderr: '' });
    expect(leaf.stdout).toMatch(/^asked for a new leaf: replica-\d+ leads, and makes it$/m);
    expect(leaf.stdout).toMatch(/^renewed: /m);
    expect(await authority.leaf()).not.toBe(before[0]);
    const renewed = await certs('rotate', '--wait', '--timeout=90s');
    expect(renewed).toMatchObject({ code: 0, stderr: '' });
    const done = renewed.stdout.split('\n').flatMap((line) => /^(\w+): /.exec(line)?.[1] ?? []);
    expect(done).toEqual(['prepared', 'published', 'switched', 'confirmed']);
    expect(await authority.text('ca.crt')).not.toBe(before[1]);
    await load.stop();
    expect(load.failures).toEqual([]);
  },
);

test(
  'with everybody gone it says what that means, and who asks for a rotation learns what it waits for',
  { timeout: 120_000 },
  async () => {
    for (const { name } of replicas.replicas) await replicas.kill(name);
    const asked = await certs('rotate', '--wait', '--timeout=1s');
    expect(asked.code).toBe(1);
    expect(asked.stderr).toMatch(
      /^lockwarden: the new authority is not confirmed within 1s: it waits for .*\n$/,
    );
    const { body } = await client.request({ method: 'GET', path: configurationPath });
    const webhooks = arrayAt(body, 'webhooks').map((each) => ({
      ...(each as JsonObject),
      clientConfig: { ...objectAt(each, 'clientConfig'), caBundle: '' },
    }));
    await client.request({
      method: 'PUT',
      path: configurationPath,
      body: { ...(body as JsonObject), webhooks },
    });
    await vi.waitFor(async () => {
      const { ok, findings, rotation } = await status();
      expect({ ok, asked: objectAt({ rotation }, 'rotation')['asked'] }).toEqual({
        ok: false,
        asked: 'authority',
      });
      const text = JSON.stringify(findings);
      for (const part of ['trusts no authority', 'nobody leads', 'no replica has told of itself']) {
        expect(text).toContain(part);
      }
    }, patience);
  },
);

test('wrong words are told with what can be said, and change nothing', async () => {
  const wrong = await certs('rotate', 'everything');
  expect(wrong).toMatchObject({
    code: 2,
    stderr:
      "error: command-argument value 'everything' is invalid for argument 'what'. Allowed choices are authority, leaf.\n" +
      '(run `lockwarden --help` for what can be said)\n',
  });
  expect((await certs('status', '-o', 'xml')).code).toBe(2);
});
