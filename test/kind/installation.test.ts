/** lockwarden as people install it, in a real cluster beside everything that works there. Each test leaves the cluster as it found it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { arrayAt, objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { switchNames } from '../../src/switch/policies.ts';
import { failureOf, microTime, Namespace } from '../kube/support/cluster.ts';
import { root } from '../../tools/kind/engine.ts';
import { stateFolder } from '../../tools/kind/state.ts';
import { ClusterAuthority, configurationPath } from '../conformance/support/authority.ts';
import { Load } from '../conformance/support/load.ts';
import { Applier } from '../conformance/support/manifests.ts';
import { runLockwarden, untilCalled } from '../conformance/support/serve-process.ts';
import { KindCluster, ownNamespace, replicaSelector } from './support/cluster.ts';
import { candidates, holderOf, impatient, rogue } from './support/electors.ts';

/** LIMIT: what takes seconds on an idle machine takes ten times that where a whole cluster has two cores. */
const patience = { timeout: 120_000, interval: 500 };
/** LIMIT: a lease of 15 s, as client-go has it, and whatever a busy machine adds. */
const takeover = { timeout: 60_000, interval: 250 };

const elections = 'elections';
const lock = 'orders';
const failing = 'fail.leases.lockwarden.dev';

let cluster: KindCluster;
let applier: Applier;
/** How often there was load, so that each has a namespace of its own. */
let loads = 0;
/** Who held the control plane's own locks before anything happened here, and for the how manieth time. */
let controlPlane: Awaited<ReturnType<typeof controlPlaneElections>>;

async function controlPlaneElections(): Promise<readonly object[]> {
  return Promise.all(
    ['kube-controller-manager', 'kube-scheduler'].map(async (name) => {
      const { holderIdentity, leaseTransitions } = await cluster.spec('kube-system', name);
      return { name, holderIdentity, leaseTransitions };
    }),
  );
}

beforeAll(async () => {
  cluster = await KindCluster.open();
  applier = new Applier(cluster.client);
  controlPlane = await controlPlaneElections();
  await cluster.untilRolledOut();
  for (const object of candidates(elections, lock, cluster.state.images.elector)) await applier.apply(object);
  await cluster.kubectl('-n', elections, 'rollout', 'status', `deployment/${lock}`, '--timeout=3m');
  await vi.waitFor(async () => {
    expect(await holderOf(cluster, elections, lock)).not.toBe('');
  }, patience);
});

afterAll(async () => {
  await cluster.kubectl('delete', 'namespace', elections, '--ignore-not-found', '--timeout=3m');
  cluster.close();
});

/** Does `work` while elections go on in a namespace that fails closed; no write of theirs may fail. */
async function underLoad(work: () => Promise<void>): Promise<{ readonly calls: number }> {
  loads += 1;
  const closed = `closed-${String(loads)}`;
  await Namespace.create(cluster.client, closed);
  await applier.apply({
    apiVersion: 'lockwarden.dev/v1alpha1',
    kind: 'LockPolicy',
    metadata: { name: closed, namespace: closed },
    spec: { match: { kinds: ['Lease'] }, failurePolicy: 'Fail' },
  });
  await vi.waitFor(async () => {
    const names = arrayAt(await cluster.get(configurationPath), 'webhooks').map((each) =>
      stringAt(each, 'name'),
    );
    expect(names).toContain(failing);
  }, patience);
  // What an API server has heard of only now it does not do yet.
  await sleep(2_000);
  const load = new Load(cluster.client, closed, { workers: 4, pauseMs: 50 });
  try {
    await work();
    // NB: a failure that comes with a delay is one too.
    await sleep(2_000);
  } finally {
    await load.stop();
    await cluster.kubectl('delete', 'namespace', closed, '--wait=false');
  }
  expect(load.failures).toEqual([]);
  console.log(`kind: ${JSON.stringify(load.done)} under failurePolicy Fail, none failed`);
  return { calls: load.calls };
}

/** Resolves once no pod of lockwarden is on its way out any more. */
async function untilNoneEnds(): Promise<void> {
  await vi.waitFor(
    async () => {
      const pods = await cluster.kubectl('-n', ownNamespace, 'get', 'pods', '-o', 'name');
      expect(pods.trim().split('\n')).toHaveLength((await cluster.replicas()).length);
    },
    { timeout: 300_000, interval: 1_000 },
  );
}

describe('an installation', () => {
  test('has its replicas on nodes of their own, and the API server asks them', async () => {
    const replicas = await cluster.replicas();
    expect(replicas).toHaveLength(2);
    const nodes = await Promise.all(
      replicas.map(async (name) =>
        stringAt(
          objectAt(await cluster.get(`/api/v1/namespaces/${ownNamespace}/pods/${name}`), 'spec'),
          'nodeName',
        ),
      ),
    );
    expect(new Set(nodes).size).toBe(2);
    await untilCalled(cluster.client);
  });

  test('has policies to stand in for it of which Kubernetes has nothing to say', async () => {
    for (const name of Object.values(switchNames)) {
      const path = `/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/${name}`;
      await vi.waitFor(async () => {
        const { metadata, spec, status } = (await cluster.get(path)) as Readonly<Record<string, JsonObject>>;
        expect(objectAt(spec, 'matchConstraints')).not.toEqual({});
        expect(arrayAt(spec, 'validations').length).toBeGreaterThan(0);
        expect(status?.['observedGeneration']).toBe(metadata?.['generation']);
        expect(objectAt(status, 'typeChecking')).toEqual({});
      }, patience);
    }
  });

  test('refuses a rogue pod that has the candidates’ own rights; the leader never notices, and the log names the pod', async () => {
    const holder = await holderOf(cluster, elections, lock);
    await applier.apply(rogue(elections, lock, cluster.state.images.lockwarden));
    await cluster.kubectl(
      ...['-n', elections, 'wait', 'pod/rogue', '--for=jsonpath={.status.phase}=Succeeded', '--timeout=2m'],
    );
    const answer = JSON.parse(await cluster.kubectl('-n', elections, 'logs', 'rogue')) as object;
    await cluster.kubectl('-n', elections, 'delete', 'pod', 'rogue', '--grace-period=0', '--force');
    expect(answer).toMatchObject({
      status: 403,
      text: expect.stringContaining('U15 PrematureTakeover') as string,
    });
    expect(await holderOf(cluster, elections, lock)).toBe(holder);
    await vi.waitFor(async () => {
      expect(await cluster.rejections()).toContainEqual(
        expect.objectContaining({
          name: lock,
          namespace: elections,
          holder,
          wouldBeHolder: 'rogue',
          pod: 'rogue',
        }),
      );
    }, patience);
  });

  test('a takeover that client-go attempts is one record in the logs of all replicas, on the lock, and in the read API', async () => {
    const { images, kubeconfig } = cluster.state;
    await applier.apply({
      ...{ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'RoleBinding' },
      metadata: { name: 'reads', namespace: elections },
      roleRef: {
        apiGroup: 'rbac.authorization.k8s.io',
        kind: 'ClusterRole',
        name: 'lockwarden-review-reader',
      },
      subjects: [{ kind: 'ServiceAccount', name: lock, namespace: elections }],
    });
    const holder = await holderOf(cluster, elections, lock);
    await applier.apply(impatient(elections, lock, images.elector));
    const review = async (...flags: readonly string[]): Promise<unknown> => {
      const which = ['-n', elections, '--lock', `lease/${lock}`, '--holder', 'impatient', '-o', 'json'];
      const ran = await runLockwarden(['review', ...flags, ...which, `--kubeconfig=${kubeconfig}`]);
      expect(ran, ran.stderr).toMatchObject({ code: 0 });
      return (JSON.parse(ran.stdout) as { rejections: unknown }).rejections;
    };
    const [record] = await vi.waitFor(async () => {
      const ofLogs = (await review('--cluster')) as readonly JsonObject[];
      expect(ofLogs.length).toBeGreaterThan(0);
      expect(await review('--live', '--service-account', lock)).toEqual(ofLogs);
      return ofLogs;
    }, patience);
    await cluster.kubectl('-n', elections, 'delete', 'pod', 'impatient', '--grace-period=0', '--force');
    expect(record).toMatchObject({
      ...{ lockKind: 'Lease', name: lock, namespace: elections, holder, wouldBeHolder: 'impatient' },
      ...{ pod: 'impatient', reason: 'PrematureTakeover', enforcement: 'Deny' },
    });
    await vi.waitFor(async () => {
      const described = await cluster.kubectl('-n', elections, 'describe', 'lease', lock);
      expect(described).toContain('PrematureTakeover');
      expect(described).toContain(`review ${stringAt(record, 'reviewUid')}`);
    }, patience);
    expect(await holderOf(cluster, elections, lock)).toBe(holder);
  });

  test('lets another candidate take over when the leader’s pod has gone without a word, and nobody else is refused', async () => {
    const refused = async (): Promise<number> =>
      (await cluster.rejections()).filter(
        ({ name, pod }) => name === lock && pod !== 'rogue' && pod !== 'impatient',
      ).length;
    const holder = await holderOf(cluster, elections, lock);
    await cluster.kubectl('-n', elections, 'delete', 'pod', holder, '--grace-period=0', '--force');
    await vi.waitFor(async () => {
      const next = await holderOf(cluster, elections, lock);
      expect(['', holder]).not.toContain(next);
    }, takeover);
    expect(await refused()).toBe(0);
  });

  test('passes every suite of the policies that come with it', { timeout: 900_000 }, async () => {
    const { kubeconfig } = cluster.state;
    const ran = await runLockwarden([
      'test',
      join(root, 'policies'),
      '--cluster',
      '--scale=0.5',
      `--kubeconfig=${kubeconfig}`,
    ]);
    expect(ran, ran.stdout + ran.stderr).toMatchObject({ code: 0 });
    console.log(`kind: ${ran.stdout.trim().split('\n').at(-1) ?? ''}`);
  });
});

describe('under load', () => {
  const image = (name: string): Promise<string> =>
    cluster.kubectl('-n', ownNamespace, 'set', 'image', 'deployment/lockwarden', `lockwarden=${name}`);

  test('an upgrade and its roll-back fail no write', { timeout: 1_200_000 }, async () => {
    const { calls } = await underLoad(async () => {
      await image(cluster.state.images.next);
      await cluster.untilRolledOut();
      await cluster.kubectl('-n', ownNamespace, 'rollout', 'undo', 'deployment/lockwarden');
      await cluster.untilRolledOut();
      await untilNoneEnds();
    });
    expect(calls).toBeGreaterThan(500);
  });

  test('a node that is drained fails no write', { timeout: 1_200_000 }, async () => {
    const [name = ''] = await cluster.replicas();
    const pod = await cluster.get(`/api/v1/namespaces/${ownNamespace}/pods/${name}`);
    const node = stringAt(objectAt(pod, 'spec'), 'nodeName');
    try {
      const { calls } = await underLoad(async () => {
        await cluster.kubectl(
          ...['drain', node, '--ignore-daemonsets', '--delete-emptydir-data', '--force', '--timeout=10m'],
        );
        await cluster.untilRolledOut();
      });
      expect(calls).toBeGreaterThan(50);
    } finally {
      await cluster.kubectl('uncordon', node);
    }
    expect(await cluster.replicas()).not.toContain(name);
  });

  test('certificates that are rotated fail no write', async () => {
    const authority = new ClusterAuthority(cluster.client);
    const before = { leaf: await authority.leaf(), ca: await authority.text('ca.crt') };
    const options = ['--wait', '--timeout=5m', `--kubeconfig=${cluster.state.kubeconfig}`];
    const { calls } = await underLoad(async () => {
      expect(await runLockwarden(['certs', 'rotate', 'leaf', ...options])).toMatchObject({ code: 0 });
      expect(await authority.leaf()).not.toBe(before.leaf);
      expect(await authority.text('ca.crt')).toBe(before.ca);
      expect(await runLockwarden(['certs', 'rotate', ...options])).toMatchObject({ code: 0 });
      expect(await authority.text('ca.crt')).not.toBe(before.ca);
    });
    expect(calls).toBeGreaterThan(200);
  });

  test('a leader that is killed is followed by another, which is asked', async () => {
    const leader = await vi.waitUntil(() => cluster.leader(), patience);
    await cluster.kubectl('-n', ownNamespace, 'delete', 'pod', leader, '--grace-period=0', '--force');
    const next = await vi.waitUntil(() => cluster.leader(), patience);
    expect(next).not.toBe(leader);
    await cluster.untilRolledOut();
    await untilCalled(cluster.client);
  });
});

describe('beside others', () => {
  test('a namespace with live locks can be deleted', async () => {
    const namespace = await Namespace.create(cluster.client, 'leaving');
    const now = microTime();
    const spec = { holderIdentity: 'a', leaseDurationSeconds: 3_600, acquireTime: now, renewTime: now };
    await namespace.post('leases', 'live', { spec });
    const record = { holderIdentity: 'a', leaseDurationSeconds: 3_600, renewTime: now, acquireTime: now };
    await namespace.post('configmaps', 'live', {
      metadata: { annotations: { 'control-plane.alpha.kubernetes.io/leader': JSON.stringify(record) } },
    });
    await cluster.kubectl('delete', 'namespace', 'leaving', '--timeout=2m');
  });

  test('all replicas killed at once: elections go on, and they come back by themselves', async () => {
    const holder = await holderOf(cluster, elections, lock);
    const renewed = async (): Promise<unknown> => (await cluster.spec(elections, lock))['renewTime'];
    const before = await renewed();
    await cluster.kubectl(
      ...['-n', ownNamespace, 'delete', 'pods', '-l', 'app.kubernetes.io/component=webhook'],
      ...['--grace-period=0', '--force'],
    );
    await vi.waitFor(async () => {
      expect(await renewed()).not.toBe(before);
    }, takeover);
    expect(await holderOf(cluster, elections, lock)).toBe(holder);
    await cluster.untilRolledOut();
    await untilCalled(cluster.client);
  });

  test('with no replica left, the API server stands in: thefts are refused, failover works, and nobody else notices', async () => {
    const holder = await holderOf(cluster, elections, lock);
    await cluster.kubectl('-n', ownNamespace, 'scale', 'deployment/lockwarden', '--replicas=0');
    await cluster.kubectl(
      ...['-n', ownNamespace, 'delete', 'pods', '-l', replicaSelector, '--grace-period=0', '--force'],
    );
    const awakeMs = await untilStoodIn();
    await cluster.kubectl('-n', elections, 'delete', 'pod', holder, '--grace-period=0', '--force');
    await vi.waitFor(async () => {
      const next = await holderOf(cluster, elections, lock);
      expect(['', holder]).not.toContain(next);
      // While they elect, nobody steals.
      expect(await theft()).toContain(ofSwitch);
    }, takeover);
    await cluster.kubectl('-n', ownNamespace, 'scale', 'deployment/lockwarden', '--replicas=2');
    await cluster.untilRolledOut();
    await untilCalled(cluster.client);
    await vi.waitFor(async () => {
      expect(await theft()).toContain('admission webhook');
      const logs = await cluster.kubectl('-n', ownNamespace, 'logs', '-l', replicaSelector, '--tail=-1');
      expect(logs).toContain('switch stood watch');
    }, patience);
    console.log(`kind: the switch woke ${(awakeMs / 1_000).toFixed(1)} s after the last replica was killed`);
  });

  test('cut off from the API server by a NetworkPolicy, the same', async () => {
    const rules = await cluster.kubectl('-n', ownNamespace, 'get', 'networkpolicy/lockwarden', '-o', 'json');
    const { ingress } = objectAt(JSON.parse(rules), 'spec');
    const patch = (spec: object): Promise<string> =>
      cluster.kubectl(
        ...['-n', ownNamespace, 'patch', 'networkpolicy/lockwarden', '--type=merge'],
        `--patch=${JSON.stringify({ spec })}`,
      );
    await patch({ ingress: [] });
    let awakeMs: number;
    try {
      awakeMs = await untilStoodIn();
    } finally {
      await patch({ ingress });
    }
    await untilCalled(cluster.client);
    await vi.waitFor(async () => {
      expect(await theft()).toContain('admission webhook');
    }, patience);
    await cluster.untilRolledOut();
    console.log(`kind: the switch woke ${(awakeMs / 1_000).toFixed(1)} s after the webhook was cut off`);
  });

  test('uninstalled while its replicas live, it leaves nothing behind, and can be installed again', async () => {
    const overlay = join(stateFolder, 'overlay');
    const holder = await holderOf(cluster, elections, lock);
    await cluster.kubectl('delete', '-k', overlay, '--timeout=5m');
    const left = await cluster.kubectl(
      ...[
        'get',
        'validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings,clusterroles,crds',
        '-o',
        'name',
      ],
    );
    expect(left).not.toContain('lockwarden');
    const namespaces = await cluster.kubectl('get', 'namespaces', '-o', 'name');
    expect(namespaces).not.toContain(ownNamespace);
    const pod = `${elections}/nobody-guards`;
    expect(await failureOf(steal(pod))).toBeNull();
    expect(await holderOf(cluster, elections, lock)).toBe(holder);
    await cluster.kubectl('apply', '-k', overlay);
    await cluster.untilRolledOut();
    await untilCalled(cluster.client);
  });

  test('no election of the control plane was disturbed by any of this', async () => {
    expect(await controlPlaneElections()).toEqual(controlPlane);
  });
});

const ofSwitch = 'lockwarden is down';
let thefts = 0;

/** What is said to a thief; empty: he may. */
async function theft(): Promise<string> {
  thefts += 1;
  return (await failureOf(steal(`${elections}/stolen-${String(thefts)}`)))?.message ?? '';
}

/** Resolves once the API server refuses thefts in lockwarden's place, with how long that took, in milliseconds. */
async function untilStoodIn(): Promise<number> {
  const beganAt = performance.now();
  await vi.waitFor(async () => {
    expect(await theft()).toContain(ofSwitch);
  }, patience);
  return performance.now() - beganAt;
}

/** Takes a lock from a holder that lives. */
async function steal(path: string): Promise<void> {
  const [namespace = '', name = ''] = path.split('/');
  const leases = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
  const now = microTime();
  const spec = { holderIdentity: 'a', leaseDurationSeconds: 600, acquireTime: now, renewTime: now };
  await cluster.client.request({ method: 'POST', path: leases, body: { metadata: { name }, spec } });
  await cluster.client.request({
    method: 'PATCH',
    path: `${leases}/${name}`,
    contentType: 'application/merge-patch+json',
    body: { spec: { holderIdentity: 'rogue' } },
  });
}
