/**
 * No failed call: three replicas behind one address, `failurePolicy: Fail`, and elections that go on all the while, through
 * renewals, rotations, restarts and leaders that are killed at each step. What the figures count is printed at the end:
 * calls as the API server counted them, and every write that failed.
 */
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';

import { issueServingCertificate } from '../support/serving-certificate.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { arrayAt, objectAt, stringAt } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { Namespace, textOf } from '../kube/support/cluster.ts';
import { ClusterAuthority, configurationPath } from './support/authority.ts';
import { installCrds } from './support/crds.ts';
import { Load } from './support/load.ts';
import { ownNamespace, ReplicaSet } from './support/replica-set.ts';

const namespace = 'closed';
const failing = 'fail.leases.lockwarden.dev';
const callsMin = 10_000;
const leafRenewals = 20;
const authorityRotations = 5;
/** Messages of the lines that the leader writes after each step of a rotation, in their order. */
const steps = [
  ['authority step', 'prepare'],
  ['trust published', null],
  ['authority step', 'switch'],
  ['authority step', 'confirm'],
  ['authority step', 'retire'],
] as const;
/** LIMIT: what takes seconds on an idle machine takes ten times that on one that runs everything else too. */
const patience = { timeout: 60_000, interval: 100 };

let controlPlane: ControlPlane;
let client: KubeClient;

beforeAll(async () => {
  controlPlane = await startControlPlane({ binaries: inject('binaries') });
  client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  await installCrds(client);
  await Namespace.create(client, namespace);
});

afterAll(async () => {
  client.close();
  await controlPlane.stop();
});

/** Calls to a webhook entry and failures of such calls, as the API server counts them. */
async function counted(entry: string): Promise<{ calls: number; failed: number }> {
  const metrics = await textOf(loadKubeconfig({ file: controlPlane.kubeconfig }), '/metrics');
  const sum = (metric: string, where: RegExp): number =>
    metrics
      .split('\n')
      .filter((line) => line.startsWith(`${metric}{`) && line.includes(`name="${entry}"`) && where.test(line))
      .reduce((total, line) => total + Number(line.split(' ').at(-1)), 0);
  return {
    calls: sum('apiserver_admission_webhook_request_total', /./),
    failed: sum('apiserver_admission_webhook_rejection_count', /error_type="calling_webhook_error"/),
  };
}

describe('under failurePolicy Fail', () => {
  let replicas: ReplicaSet;
  let authority: ClusterAuthority;
  let load: Load;

  beforeAll(async () => {
    authority = new ClusterAuthority(client);
    const spec = { match: { kinds: ['Lease'] }, failurePolicy: 'Fail' };
    await client.request({
      method: 'POST',
      path: `/apis/lockwarden.dev/v1alpha1/namespaces/${namespace}/lockpolicies`,
      body: { apiVersion: 'lockwarden.dev/v1alpha1', kind: 'LockPolicy', metadata: { name: 'closed' }, spec },
    });
    replicas = await ReplicaSet.create({
      kubeconfig: controlPlane.kubeconfig,
      client,
      args: ['--publish-dwell=1s', '--retire-after=1s', '--shutdown-grace-period=100s'],
    });
    await replicas.start(3);
    await replicas.untilReady();
    await vi.waitFor(async () => {
      const names = arrayAt(await authority.configuration(), 'webhooks').map((each) =>
        stringAt(each, 'name'),
      );
      expect(names).toContain(failing);
    }, patience);
    // What an API server has heard of only now it does not do yet.
    await sleep(1_000);
    load = new Load(client, namespace, { workers: 6, pauseMs: 10 });
  });

  afterAll(async () => {
    // NB: against its type, where what comes before has failed.
    await (load as Load | undefined)?.stop();
    await replicas.close();
  });

  /**
   * Stands for replicas that behave as they should: whatever they say at the level of an error. The canary sends calls of its
   * own, which nobody holds while a replica is killed.
   */
  function errors(): readonly string[] {
    return replicas.history.flatMap(({ name, process }) =>
      process.lines
        .filter(({ level, msg }) => level === 'error' && msg !== 'canary not proven')
        .map((line) => `${name}: ${JSON.stringify(line)}`),
    );
  }

  test(`${String(leafRenewals)} renewals of the leaf fail no call`, { timeout: 240_000 }, async () => {
    const seen = new Set([await authority.leaf()]);
    for (let renewal = 0; renewal < leafRenewals; renewal += 1) {
      await (await authority.rotate('leaf')).untilDone();
      seen.add(await authority.leaf());
    }
    expect(seen.size).toBe(leafRenewals + 1);
    expect(load.failures).toEqual([]);
  });

  test(
    `${String(authorityRotations)} rotations of the authority fail no call`,
    { timeout: 240_000 },
    async () => {
      const seen = new Set([await authority.text('ca.crt')]);
      for (let rotation = 0; rotation < authorityRotations; rotation += 1) {
        await (await authority.rotate('authority')).untilDone();
        seen.add(await authority.text('ca.crt'));
      }
      expect(seen.size).toBe(authorityRotations + 1);
      expect(load.failures).toEqual([]);
    },
  );

  test(
    'a leader that is killed at any step of a rotation fails no call, and the next one finishes it',
    { timeout: 400_000 },
    async () => {
      for (const [message, step] of steps) {
        const leader = await vi.waitUntil(() => replicas.leader(), patience);
        const before = await authority.text('ca.crt');
        const said = leader.process.lines.length;
        const rotation = await authority.rotate('authority');
        // NB: whoever was killed the last time is waited for until it counts as dead, which takes half a minute.
        await vi.waitUntil(
          () =>
            leader.process.lines
              .slice(said)
              .some((line) => line.msg === message && (step === null || line['step'] === step)),
          patience,
        );
        await load.between(() => replicas.kill(leader.name));
        await replicas.start(1);
        await rotation.untilDone();
        expect(await authority.text('ca.crt'), `after ${message} ${step ?? ''}`).not.toBe(before);
        await replicas.untilReady();
      }
      expect(load.failures).toEqual([]);
    },
  );

  test('a rolling restart fails no call', { timeout: 500_000 }, async () => {
    for (const { name } of replicas.replicas) {
      await replicas.start(1);
      await replicas.untilReady();
      expect(await replicas.end(name)).toBe(0);
    }
    expect(load.failures).toEqual([]);
  });

  test('elections and steps of rotations are seen from outside: in metrics, Events, readiness and the log', async () => {
    const ask = async (name: string, labels?: Record<string, string>): Promise<readonly (number | null)[]> =>
      Promise.all(replicas.replicas.map(({ process }) => process.metric(name, labels)));
    await vi.waitFor(async () => {
      const leading = await ask('leader_election_master_status', { name: 'lockwarden' });
      expect(leading.filter((value) => value === 1)).toHaveLength(1);
      const expiries = await ask('lockwarden_certificate_expiration_timestamp_seconds', {
        certificate: 'leaf',
      });
      for (const expiry of expiries) expect(Number(expiry) * 1000).toBeGreaterThan(Date.now());
      const leader = await replicas.leader();
      expect(await leader?.process.metric('lockwarden_canary_proven')).toBe(1);
      expect((await leader?.process.get('/readyz'))?.text).toContain('[+]election this replica leads\n');
    }, patience);
    const path = `/apis/events.k8s.io/v1/namespaces/${ownNamespace}/events`;
    const { body } = await client.request({ method: 'GET', path });
    const events = arrayAt(body, 'items').map((each) => [
      stringAt(each, 'reason'),
      stringAt(objectAt(each, 'regarding'), 'kind'),
      stringAt(each, 'action'),
    ]);
    expect(events).toContainEqual(['LeaderElection', 'Lease', 'Elect']);
    for (const action of ['Prepare', 'Switch', 'Confirm', 'Retire', 'RenewLeaf']) {
      expect(events).toContainEqual(['CertificateRotation', 'Secret', action]);
    }
    const told = replicas.history
      .flatMap(({ process }) => process.lines)
      .filter(({ msg }) => msg === 'authority step');
    expect(told.length).toBeGreaterThan(leafRenewals + 4 * authorityRotations);
    for (const line of told) expect(line['reason']).toMatch(/./);
  });

  test(`of ${String(callsMin)} calls none has failed`, { timeout: 300_000 }, async () => {
    await vi.waitUntil(() => load.calls >= callsMin, { timeout: 280_000, interval: 500 });
    await load.stop();
    const { calls, failed } = await counted(failing);
    console.log(
      `rotation: ${String(calls)} calls counted by the API server (${JSON.stringify(load.done)}), ` +
        `${String(failed)} of them failed, ${String(load.failures.length)} writes failed`,
    );
    expect(calls).toBeGreaterThanOrEqual(callsMin);
    expect({ failed, failures: load.failures, errors: errors() }).toEqual({
      failed: 0,
      failures: [],
      errors: [],
    });
  });
});

describe('a webhook that does what lockwarden avoids', () => {
  let server: Server;

  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await client.request({ method: 'DELETE', path: configurationPath });
  });

  const certificate = () =>
    issueServingCertificate({
      hosts: ['127.0.0.1'],
      nowMs: Date.now(),
      validityMs: 3_600_000,
      backdateMs: 3_600_000,
    });

  /** Registers the naive webhook for all Leases, in the place of lockwarden. */
  async function register(caPem: string): Promise<void> {
    const { port } = server.address() as AddressInfo;
    const webhook = {
      name: 'naive.lockwarden.dev',
      clientConfig: {
        url: `https://127.0.0.1:${String(port)}/`,
        caBundle: Buffer.from(caPem).toString('base64'),
      },
      rules: [
        {
          apiGroups: ['coordination.k8s.io'],
          apiVersions: ['v1'],
          operations: ['CREATE', 'UPDATE', 'DELETE'],
          resources: ['leases'],
        },
      ],
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
      failurePolicy: 'Fail',
      sideEffects: 'None',
      admissionReviewVersions: ['v1'],
      timeoutSeconds: 2,
    };
    const body = {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: 'lockwarden' },
      webhooks: [webhook],
    };
    await client.request({
      method: 'PATCH',
      path: configurationPath,
      query: { fieldManager: 'naive', force: 'true' },
      contentType: 'application/apply-patch+yaml',
      body,
    });
  }

  beforeAll(async () => {
    await client.request({ method: 'DELETE', path: configurationPath }).catch(() => undefined);
    const { certPem, keyPem, caPem } = await certificate();
    server = createServer({ cert: certPem, key: keyPem, keepAliveTimeout: 120_000 }, (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { request: asked } = JSON.parse(Buffer.concat(chunks).toString()) as {
          request: { uid: string };
        };
        const review = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' };
        const body = JSON.stringify({ ...review, response: { uid: asked.uid, allowed: true } });
        response.setHeader('content-type', 'application/json').end(body);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    await register(caPem);
    await sleep(1_000);
  });

  /** The failures of three seconds of elections while `act` goes on. */
  async function failuresWhile(act: () => Promise<void>): Promise<readonly string[]> {
    const load = new Load(client, namespace, { workers: 6, pauseMs: 2 });
    await sleep(500);
    await act();
    await sleep(1_000);
    await load.stop();
    return load.failures.map(({ message }) => message);
  }

  test('drops the old leaf at once, and calls fail by its certificate', async () => {
    const failures = await failuresWhile(async () => {
      const { certPem, keyPem, caPem } = await certificate();
      server.setSecureContext({ cert: certPem, key: keyPem });
      server.closeIdleConnections();
      await sleep(500);
      await register(caPem);
    });
    expect(failures.filter((message) => message.includes('x509')).length).toBeGreaterThan(0);
  });

  test('closes idle connections, and calls fail by their connections', async () => {
    const failures = await failuresWhile(async () => {
      for (let time = 0; time < 300; time += 1) {
        server.closeIdleConnections();
        await sleep(5);
      }
    });
    expect(failures.filter((message) => /EOF|reset|broken pipe/.test(message)).length).toBeGreaterThan(0);
  });
});
