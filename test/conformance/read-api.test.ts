/**
 * The read API on a real API server, with the rights of its manifests: tokens that it issues, RBAC for one namespace, and the very record of the
 * log.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';

import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { arrayAt, objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { rejectionMessage } from '../../src/review/record.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { createTestNamespace, type TestNamespace } from '../support/identities.ts';
import { createCandidate } from './support/candidate.ts';
import { Applier, kubeconfigOfServiceAccount, objectsWith } from './support/manifests.ts';
import { issueToken, publishedBundle, readApi, type Reply } from './support/read-api.ts';
import { auditPolicyFor, grantsOf, unused, usesIn } from './support/rights.ts';
import {
  onAnyPort,
  runLockwarden,
  startServe,
  untilCalled,
  type ServeProcess,
} from './support/serve-process.ts';

const rejections = '/apis/review/v1/rejections';
const serviceAccount = 'system:serviceaccount:lockwarden-system:lockwarden';
/** LIMIT: kustomize is built once, which takes two minutes on a busy machine. */
const buildTimeoutMs = 600_000;

let controlPlane: ControlPlane;
let client: KubeClient;
let team: TestNamespace;
let other: TestNamespace;
let lockwarden: ServeProcess;
let readPort: number;
let ca: string;
let folder: string;
let installed: readonly JsonObject[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockwarden-read-api-'));
  const auditPolicy = join(dirname(inject('kubeconfig')), 'audit-policy-read-api.yaml');
  await writeFile(auditPolicy, auditPolicyFor(serviceAccount));
  controlPlane = await startControlPlane({
    binaries: inject('binaries'),
    audit: true,
    apiserverFlags: [`--audit-policy-file=${auditPolicy}`],
  });
  client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  installed = await objectsWith(['read-api']);
  const applier = new Applier(client);
  for (const object of installed) await applier.apply(object);
  [team, other] = (await Promise.all(
    ['team', 'other'].map((name) => createTestNamespace(controlPlane.kubeconfig, name)),
  )) as [TestNamespace, TestNamespace];
  await team.serviceAccount('reader', []);
  await bind(team.name, 'reader', team.name);
  for (const namespace of [team, other]) await namespace.serviceAccount('candidate');
  lockwarden = startServe({
    kubeconfig: await kubeconfigOfServiceAccount(controlPlane, client),
    args: [...onAnyPort, '--read-port=0', '--leader-elect'],
  });
  await untilCalled(client);
  readPort = Number((await lockwarden.untilLine('read API listening'))['readPort']);
  ca = await publishedBundle(client);
}, buildTimeoutMs);

afterAll(async () => {
  await lockwarden.kill();
  client.close();
  await controlPlane.stop();
  await rm(folder, { recursive: true });
});

/** Lets a ServiceAccount of `namespace` read in `where`. */
async function bind(namespace: string, name: string, where: string): Promise<void> {
  await client.request({
    method: 'POST',
    path: `/apis/rbac.authorization.k8s.io/v1/namespaces/${where}/rolebindings`,
    body: {
      metadata: { name: `${name}-reads` },
      roleRef: {
        ...{ apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'lockwarden-review-reader' },
      },
      subjects: [{ kind: 'ServiceAccount', name, namespace }],
    },
  });
}

const tokenOf = (namespace: string, name: string, audiences: readonly string[]): Promise<string> =>
  issueToken(client, { namespace, name, audiences });

const get = (path: string, token: string | null): Promise<Reply> =>
  readApi({ port: readPort, ca }, path, token);

/** Has the lock `name` refused to a rogue, and resolves with the line that the log has of it. */
async function refusedIn(namespace: TestNamespace, name: string): Promise<JsonObject> {
  const [alice, rogue] = [
    await createCandidate(namespace, 'candidate', 'alice'),
    await createCandidate(namespace, 'candidate', 'rogue'),
  ];
  expect(await alice.create(name, 60)).toBeNull();
  expect(await rogue.take(name)).toMatchObject({ status: 403 });
  for (const each of [alice, rogue]) each.close();
  return lockwarden.untilLine(rejectionMessage, (line) => line['name'] === name);
}

test('a refusal is told by the API to whoever may see its namespace, as the very record of the log', async () => {
  const line = await refusedIn(team, 'orders');
  const ofTheLog = ['level', 'time', 'msg'];
  const record = Object.fromEntries(Object.entries(line).filter(([key]) => !ofTheLog.includes(key)));
  await refusedIn(other, 'hidden');
  const token = await tokenOf(team.name, 'reader', ['lockwarden-review']);
  const reply = await get(`${rejections}?namespace=${team.name}`, token);
  expect(reply).toMatchObject({ status: 200, body: { kind: 'RejectionList', items: [record] } });
  expect(arrayAt(reply.body, 'items')).toHaveLength(1);
  expect(JSON.stringify(reply.body)).not.toContain('hidden');

  for (const query of [`?namespace=${other.name}`, '', '?namespace=kube-system']) {
    const refused = await get(`${rejections}${query}`, token);
    expect(refused, query).toMatchObject({ status: 403, body: { kind: 'Status', reason: 'Forbidden' } });
    expect(JSON.stringify(refused.body)).not.toContain('hidden');
  }
});

test('locks are told of as the watch has them', async () => {
  const token = await tokenOf(team.name, 'reader', ['lockwarden-review']);
  const { status, body } = await get(`/apis/review/v1/locks?namespace=${team.name}`, token);
  expect(status).toBe(200);
  expect(arrayAt(body, 'items')).toMatchObject([
    {
      ...{ kind: 'Lease', namespace: team.name, name: 'orders', holder: 'alice', lease: 'live' },
      ...{ evidence: 'watched', leaseDurationMs: 60_000, guarded: true, enforcement: 'Deny' },
    },
  ]);
});

test('nobody is let in without a token for lockwarden', async () => {
  const path = `${rejections}?namespace=${team.name}`;
  const forServer = await tokenOf(team.name, 'reader', ['https://kubernetes.default.svc']);
  const forAnother = await tokenOf(team.name, 'reader', ['another']);
  const good = await tokenOf(team.name, 'reader', ['lockwarden-review']);
  const [header = '', payload = '', signature = ''] = good.split('.');
  const admin = Buffer.from(
    Buffer.from(payload, 'base64url').toString().replaceAll('reader', 'candidate'),
  ).toString('base64url');
  const before = (await usesIn(controlPlane.auditLog ?? '')).length;
  for (const token of [null, 'garbage', 'a.b.c', forServer, forAnother, `${header}.${admin}.${signature}`])
    expect((await get(path, token)).status, String(token)).toBe(401);
  // None of them was worth a question.
  await sleep(500);
  const since = (await usesIn(controlPlane.auditLog ?? '')).slice(before);
  expect(since.filter(({ resource }) => resource === 'tokenreviews')).toEqual([]);
  expect((await get(path, good)).status).toBe(200);
});

test('a token whose ServiceAccount is gone opens nothing a little later, and ends what it has opened', async () => {
  await team.serviceAccount('leaver', []);
  await bind(team.name, 'leaver', team.name);
  const token = await tokenOf(team.name, 'leaver', ['lockwarden-review']);
  const path = `${rejections}?namespace=${team.name}`;
  expect((await get(path, token)).status).toBe(200);
  const stream = followed(`${path}&watch=true`, token);
  await client.request({
    method: 'DELETE',
    path: `/api/v1/namespaces/${team.name}/serviceaccounts/leaver`,
  });
  const lines = await stream;
  expect(lines.at(-1)).toMatchObject({ type: 'ERROR', object: { code: 401 } });
  expect((await get(path, token)).status).toBe(401);
}, 90_000);

/** The lines of a stream, once it has ended. */
function followed(path: string, token: string): Promise<readonly JsonObject[]> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    request({ host: '127.0.0.1', port: readPort, path, headers, ca, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        resolve(
          text
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line) as JsonObject),
        );
      });
    })
      .on('error', reject)
      .end();
  });
}

test('the command reads it as a ServiceAccount, and shows what it would show of the log', async () => {
  const live = [
    ...['--live', '--kubeconfig', controlPlane.kubeconfig, '--service-account', 'reader', '-n', team.name],
    ...['--server', `https://127.0.0.1:${String(readPort)}`],
  ];
  const log = join(folder, 'replica.log');
  await writeFile(log, lockwarden.output);
  const [fromApi, fromLog] = [
    await runLockwarden(['review', ...live, '-o', 'json']),
    await runLockwarden(['review', log, '-n', team.name, '-o', 'json']),
  ];
  expect(fromApi).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(fromApi.stdout)).toEqual(JSON.parse(fromLog.stdout));
  const [record] = arrayAt(JSON.parse(fromApi.stdout), 'rejections');
  const story = await runLockwarden(['review', 'show', stringAt(record, 'reviewUid').slice(0, 13), ...live]);
  expect(story).toMatchObject({ code: 0, stderr: '' });
  expect(story.stdout).toContain('refused, PrematureTakeover');
  const refused = await runLockwarden([
    'review',
    ...live.slice(0, -4),
    '-n',
    other.name,
    '--service-account',
    `${team.name}/reader`,
    ...live.slice(-2),
  ]);
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toContain('you cannot list resource "rejections"');
});

test('what was done needed the rights of the manifests, all of them and no others', async () => {
  const uses = await usesIn(controlPlane.auditLog ?? '');
  // The canary is refused by lockwarden itself, again and again.
  const refused = uses.filter(({ code, name }) => [401, 403].includes(code) && name !== 'lockwarden-canary');
  expect(refused).toEqual([]);
  const role = installed.find(
    (each) =>
      stringAt(each, 'kind') === 'ClusterRole' &&
      stringAt(objectAt(each, 'metadata'), 'name') === 'lockwarden-read-api',
  );
  expect(unused(grantsOf(role ?? {}), uses)).toEqual([]);
});
