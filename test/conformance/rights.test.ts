/**
 * The rights that the manifests grant, against what replicas do with them: nothing is refused, and nothing is granted that is
 * never used.
 */
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';

import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { arrayAt, objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { failureOf, Namespace, withMetadata } from '../kube/support/cluster.ts';
import { secretsOf } from '../../src/replica/secret-store.ts';
import { createTestNamespace } from '../support/identities.ts';
import { issueServingCertificate } from '../support/serving-certificate.ts';
import { ClusterAuthority } from './support/authority.ts';
import { createCandidate } from './support/candidate.ts';
import { Load } from './support/load.ts';
import {
  Applier,
  describeObject,
  kubeconfigOfServiceAccount,
  namespaceController,
  objectsIn,
  objectsWith,
} from './support/manifests.ts';
import { ownNamespace, ReplicaSet } from './support/replica-set.ts';
import { auditPolicyFor, grantsOf, unused, usesIn, type Use } from './support/rights.ts';
import { untilCalled } from './support/serve-process.ts';
import { read } from '../style/tree.ts';

const serviceAccount = `system:serviceaccount:${ownNamespace}:lockwarden`;
/** LIMIT: what takes seconds on an idle machine takes ten times that on one that runs everything else too. */
const patience = { timeout: 60_000, interval: 250 };

const install = objectsIn(read('manifests/install.yaml'));
const grants = install
  .filter((each) => stringAt(objectAt(each, 'metadata'), 'name') === 'lockwarden')
  .filter((each) => ['Role', 'ClusterRole'].includes(stringAt(each, 'kind')))
  .flatMap(grantsOf);

const readsLeases = 'ClusterRole: get leases.coordination.k8s.io';

let controlPlane: ControlPlane;
let client: KubeClient;
let replicas: ReplicaSet;
let load: Load;

beforeAll(async () => {
  // NB: the API server reads its audit policy before there is a folder of the control plane to put one into.
  const auditPolicy = join(dirname(inject('kubeconfig')), 'audit-policy-rights.yaml');
  await writeFile(auditPolicy, auditPolicyFor(serviceAccount));
  controlPlane = await startControlPlane({
    binaries: inject('binaries'),
    audit: true,
    apiserverFlags: [`--audit-policy-file=${auditPolicy}`],
  });
  client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  const applier = new Applier(client);
  // Nothing runs a Deployment here; what it would start is started below.
  for (const object of install) await applier.apply(object);
  for (const name of ['team', 'next-team']) await Namespace.create(client, name);
  replicas = await createReplicas(['--publish-dwell=1s', '--retire-after=1s']);
});

afterAll(async () => {
  await (load as Load | undefined)?.stop();
  await (replicas as ReplicaSet | undefined)?.close();
  client.close();
  await controlPlane.stop();
});

async function createReplicas(args: readonly string[]): Promise<ReplicaSet> {
  return ReplicaSet.create({
    kubeconfig: await kubeconfigOfServiceAccount(controlPlane, client),
    client,
    args: [...args, '--shutdown-grace-period=2s'],
    withNamespace: false,
  });
}

const uses = (): Promise<readonly Use[]> => usesIn(controlPlane.auditLog ?? '');

/** Resolves once a request was let through that `matches`. */
async function untilUsed(what: string, matches: (use: Use) => boolean): Promise<void> {
  await vi.waitFor(async () => {
    if (!(await uses()).some((use) => use.code < 300 && matches(use))) throw new Error(`not seen: ${what}`);
  }, patience);
}

test(
  'come up, and are asked, with the rights of the manifests and no others',
  { timeout: 120_000 },
  async () => {
    await replicas.start(2);
    await replicas.untilReady();
    await untilCalled(client);
    load = new Load(client, 'team', { workers: 2, pauseMs: 20 });
  },
);

test('write the status of policies of both kinds', { timeout: 120_000 }, async () => {
  const group = '/apis/lockwarden.dev/v1alpha1';
  const places = [`${group}/clusterlockpolicies`, `${group}/namespaces/team/lockpolicies`];
  for (const collection of places) {
    const kind = collection.includes('cluster') ? 'ClusterLockPolicy' : 'LockPolicy';
    const body = {
      apiVersion: 'lockwarden.dev/v1alpha1',
      kind,
      metadata: { name: 'rights' },
      spec: { tolerance: '1s' },
    };
    await client.request({ method: 'POST', path: collection, body });
    await vi.waitFor(async () => {
      const { body: found } = await client.request({ method: 'GET', path: `${collection}/rights` });
      expect(arrayAt(objectAt(found, 'status'), 'conditions')).not.toEqual([]);
    }, patience);
  }
});

test('ask after the pod that a lock is taken from', { timeout: 120_000 }, async () => {
  const namespace = await createTestNamespace(controlPlane.kubeconfig, 'rights');
  await namespace.serviceAccount('candidate');
  const [holder, thief] = await Promise.all(
    ['holder', 'thief'].map((name) => createCandidate(namespace, 'candidate', name)),
  );
  expect(await holder!.create('lock', 60)).toBeNull();
  const release = { spec: { holderIdentity: null } };
  // Until every replica has been told who holds it, a release in its name passes; so it is not made in earnest.
  await vi.waitFor(async () => {
    const refused = await failureOf(
      thief!.locks.client.request({
        method: 'PATCH',
        path: thief!.locks.path('leases', 'lock'),
        query: { dryRun: 'All' },
        contentType: 'application/merge-patch+json',
        body: release,
      }),
    );
    expect(refused?.message).toContain('ForeignRelease');
  }, patience);
  for (const each of [holder, thief]) each?.close();
});

test('show refusals on the lock, wherever it is', { timeout: 120_000 }, async () => {
  const namespace = await createTestNamespace(controlPlane.kubeconfig, 'rights-events');
  await namespace.serviceAccount('candidate');
  const [holder, thief] = await Promise.all(
    ['holder', 'thief'].map((name) => createCandidate(namespace, 'candidate', name)),
  );
  expect(await holder!.create('lock', 600)).toBeNull();
  const isEvent = (use: Use): boolean => use.resource === 'events' && use.namespace === namespace.name;
  // What happens again is counted in the Event that is there.
  await vi.waitFor(async () => {
    expect(await thief!.take('lock')).toMatchObject({ status: 403 });
    const verbs = (await uses()).filter((use) => isEvent(use) && use.code < 300).map(({ verb }) => verb);
    expect(new Set(verbs)).toEqual(new Set(['create', 'patch']));
  }, patience);
  for (const each of [holder, thief]) each?.close();
});

test('rotate leaf and authority, twice, and tell of it in Events', { timeout: 180_000 }, async () => {
  const authority = new ClusterAuthority(client);
  await authority.untilRegistered();
  for (const what of ['leaf', 'authority', 'leaf'] as const) await (await authority.rotate(what)).untilDone();
});

test('make the canary anew when somebody has spoilt it', { timeout: 120_000 }, async () => {
  const canary = new Namespace(client, ownNamespace);
  await canary.put('leases', 'lockwarden-canary', (object) => withMetadata(object, { managedFields: [{}] }));
  await untilUsed(
    'the canary deleted',
    ({ verb, name }) => verb === 'delete' && name === 'lockwarden-canary',
  );
});

test('keep the guard Lease, and make it anew when it was deleted', { timeout: 120_000 }, async () => {
  const own = new Namespace(client, ownNamespace);
  await untilUsed(
    'the guard Lease renewed',
    ({ verb, name }) => verb === 'update' && name === 'lockwarden-guard',
  );
  // Nobody else may, whatever his rights.
  expect(await failureOf(own.delete('leases', 'lockwarden-guard'))).toMatchObject({ status: 403 });
  const controller = await namespaceController(controlPlane, client);
  await new Namespace(controller, ownNamespace).delete('leases', 'lockwarden-guard');
  controller.close();
  await vi.waitFor(() => own.get('leases', 'lockwarden-guard'), patience);
});

test('put back what was edited, and elect another when the leader goes', { timeout: 120_000 }, async () => {
  const path = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/lockwarden';
  const body = { webhooks: null };
  const contentType = 'application/merge-patch+json';
  await client.request({ method: 'PATCH', path, contentType, body });
  await untilCalled(client);
  const leader = await replicas.leader();
  expect(leader).not.toBeNull();
  // Connections that the API server keeps are cut after two seconds here, so nobody may be calling.
  await load.stop();
  expect(await replicas.end(leader!.name)).toBe(0);
  await replicas.start(1);
  await vi.waitFor(async () => {
    expect(await replicas.leader()).not.toBeNull();
  }, patience);
  await replicas.untilReady();
  expect(load.failures).toEqual([]);
  load = new Load(client, 'next-team', { workers: 2, pauseMs: 20 });
});

test('race for the same fact, and read what the other has written', { timeout: 120_000 }, async () => {
  const own = `/api/v1/namespaces/${ownNamespace}/configmaps`;
  // Shards that are taken away under those who write them; replicas notice by a conflict, and read what is there.
  const spoiling = new AbortController();
  const spoil = async (): Promise<void> => {
    while (!spoiling.signal.aborted) {
      const { body } = await client.request({ method: 'GET', path: own });
      for (const item of arrayAt(body, 'items')) {
        const name = stringAt(objectAt(item, 'metadata'), 'name');
        if (!name.startsWith('lockwarden-facts-')) continue;
        const annotations = { touched: String(performance.now()) };
        await failureOf(
          client.request({
            method: 'PATCH',
            path: `${own}/${name}`,
            contentType: 'application/merge-patch+json',
            body: { metadata: { annotations } },
          }),
        );
      }
      await sleep(5);
    }
  };
  const spoilt = spoil();
  try {
    await untilUsed('a shard read', ({ verb, resource }) => verb === 'get' && resource === 'configmaps');
  } finally {
    spoiling.abort();
    await spoilt;
  }
});

test('were refused nothing, were granted nothing that they never used, and end in good order', async () => {
  await load.stop();
  expect(load.failures).toEqual([]);
  for (const { name } of replicas.replicas) expect(await replicas.end(name)).toBe(0);
  const made = await uses();
  expect(made.length).toBeGreaterThan(100);
  const refused = made.filter(({ code }) => code === 403);
  // The canary is refused on purpose: by lockwarden, and in a dry run.
  const isCanary = ({ verb, name, uri }: Use): boolean =>
    verb === 'update' && name === 'lockwarden-canary' && uri.includes('dryRun=All');
  expect(refused.filter((use) => !isCanary(use)).map(({ verb, uri }) => `${verb} ${uri}`)).toEqual([]);
  expect(refused.length).toBeGreaterThan(0);
  expect(grants.length).toBeGreaterThan(30);
  // No request of theirs shows it: the API server demands it of whoever puts back that the switch reads a Lease.
  expect(unused(grants, made)).toEqual([readsLeases]);
});

test(
  'could not put back an edited switch without the right to read Leases',
  { timeout: 120_000 },
  async () => {
    const role = install.find((each) => describeObject(each) === 'ClusterRole/lockwarden') ?? {};
    const rules = (arrayAt(role, 'rules') as readonly JsonObject[]).map((rule) =>
      arrayAt(rule, 'resources').includes('leases') ? { ...rule, verbs: ['list', 'watch'] } : rule,
    );
    expect(rules).not.toEqual(role['rules']);
    await new Applier(client).apply({ ...role, rules });
    const file = await kubeconfigOfServiceAccount(controlPlane, client);
    const theirs = createKubeClient(loadKubeconfig({ file }));
    const path = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/lockwarden-switch';
    const { body: whole } = await client.request({ method: 'GET', path });
    const contentType = 'application/merge-patch+json';
    const spec = { paramKind: null, matchConditions: null, variables: null, validations: null };
    await client.request({ method: 'PATCH', path, contentType, body: { spec } });
    await vi.waitFor(async () => {
      const { body } = await theirs.request({ method: 'GET', path });
      const mended = { ...objectAt({ body }, 'body'), spec: objectAt(whole, 'spec') };
      const failure = await failureOf(
        theirs.request({ method: 'PUT', path, query: { dryRun: 'All' }, body: mended }),
      );
      expect(failure?.message).toContain('paramKind');
    }, patience);
    theirs.close();
    await new Applier(client).apply(role);
  },
);

test(
  'with a certificate of cert-manager read that Secret, and need no other',
  { timeout: 120_000 },
  async () => {
    const objects = await objectsWith(['cert-manager']);
    const role = objects.find((each) => describeObject(each) === 'Role/lockwarden') ?? {};
    const applier = new Applier(client);
    await applier.apply(role);
    const { certPem, keyPem, caPem } = await issueServingCertificate({
      hosts: ['127.0.0.1'],
      nowMs: Date.now(),
      validityMs: 3_600_000,
      backdateMs: 3_600_000,
    });
    await client.request({
      method: 'POST',
      path: secretsOf(ownNamespace),
      body: {
        metadata: { name: 'lockwarden-tls' },
        stringData: { 'tls.crt': certPem, 'tls.key': keyPem, 'ca.crt': caPem },
      },
    });
    const before = (await uses()).length;
    await replicas.close();
    replicas = await createReplicas(['--tls-secret=lockwarden-tls']);
    await replicas.start(1);
    await replicas.untilReady();
    await untilCalled(client);
    const made = (await uses()).slice(before);
    const ofSecrets = made.filter(({ resource }) => resource === 'secrets');
    expect(ofSecrets.filter(({ code }) => code >= 300)).toEqual([]);
    const granted = grantsOf(role).filter(({ resource }) => resource === 'secrets');
    expect(granted.length).toBeGreaterThan(1);
    expect(unused(granted, made)).toEqual([]);
  },
);

test('a verb that is granted and never used would be found, and so would a namespace too many', () => {
  const role: JsonObject = {
    kind: 'Role',
    metadata: { namespace: ownNamespace },
    rules: [{ apiGroups: [''], resources: ['secrets'], resourceNames: ['a', 'b'], verbs: ['get'] }],
  };
  const made = { group: '', resource: 'secrets', verb: 'get', name: 'a', code: 200, uri: '' };
  expect(unused(grantsOf(role), [{ ...made, namespace: ownNamespace }])).toEqual(['Role: get secrets b']);
  const everywhere = { ...role, kind: 'ClusterRole', metadata: {} };
  const both = [...grantsOf(role), ...grantsOf(everywhere)];
  expect(unused(both, [{ ...made, namespace: ownNamespace }])).toEqual([
    'Role: get secrets b',
    'ClusterRole: get secrets a',
    'ClusterRole: get secrets b',
  ]);
});
