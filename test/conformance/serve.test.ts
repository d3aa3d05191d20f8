/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- client-node declares its models as classes and takes plain objects: it serializes by attribute, never by instance */
/** `lockwarden serve` as a user runs it: its flags, its ports, its registration, its log and its end. */
import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { hostname } from 'node:os';

import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';

import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { arrayAt, objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { rejectionMessage } from '../../src/review/record.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { freePorts } from '../../src/sandbox/free-port.ts';
import { failureOf } from '../kube/support/cluster.ts';
import { createTestNamespace, type PodIdentity, type TestNamespace } from '../support/identities.ts';
import { createCandidate, type Candidate } from './support/candidate.ts';
import {
  onAnyPort,
  runLockwarden,
  startServe,
  untilCalled,
  type ServeOptions,
  type ServeProcess,
} from './support/serve-process.ts';

const configurationPath = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/lockwarden';

let controlPlane: ControlPlane;
let client: KubeClient;
let namespace: TestNamespace;
/** An administrator whose secret is a token. */
let administrator: Omit<PodIdentity, 'pod' | 'podUid'>;
const served: ServeProcess[] = [];

beforeAll(async () => {
  controlPlane = await startControlPlane({ binaries: inject('binaries') });
  client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  namespace = await createTestNamespace(controlPlane.kubeconfig, 'serve');
  await namespace.admin.core.createNamespace({ body: { metadata: { name: 'lockwarden-system' } } });
  await namespace.serviceAccount('candidate');
  await namespace.serviceAccount('lockwarden', []);
  await namespace.admin.rbac.createClusterRoleBinding({
    body: {
      metadata: { name: 'lockwarden' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ kind: 'ServiceAccount', name: 'lockwarden', namespace: namespace.name }],
    },
  });
  administrator = await namespace.unbound('lockwarden');
});

afterAll(async () => {
  await Promise.all(served.map((each) => each.kill()));
  client.close();
  await controlPlane.stop();
});

function serve(options: ServeOptions = {}): ServeProcess {
  const lockwarden = startServe(options);
  served.push(lockwarden);
  return lockwarden;
}

/** The entries of the registration, or null where there is none. */
async function registered(): Promise<readonly JsonObject[] | null> {
  const failure = await failureOf(client.request({ method: 'GET', path: configurationPath }));
  if (failure?.kind === 'not-found') return null;
  const { body } = await client.request({ method: 'GET', path: configurationPath });
  return arrayAt(body, 'webhooks') as readonly JsonObject[];
}

async function leasesEntry(): Promise<JsonObject> {
  const [leases = {}] = (await registered()) ?? [];
  return leases;
}

function skipsRenewals(leases: JsonObject): boolean {
  return JSON.stringify(arrayAt(leases, 'matchConditions')).includes('not-a-plain-renewal');
}

/** It ends in order: first the switch is woken, where it slept, then the registration goes, then itself. */
async function expectEnd(lockwarden: ServeProcess, signal: NodeJS.Signals): Promise<void> {
  lockwarden.signal(signal);
  expect(await lockwarden.exit).toEqual({ code: 0, signal: null });
  expect(await registered()).toBeNull();
  expect(lockwarden.lines.filter(({ msg }) => msg !== 'switch awake').slice(-3)).toMatchObject([
    { msg: 'stopping', signal },
    { msg: 'webhook removed' },
    { msg: 'stopped' },
  ]);
}

describe.concurrent('called', () => {
  test('for help, it lists every flag with its variable', async () => {
    const { code, stdout, stderr } = await runLockwarden(['serve', '--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const flags = [
      '--kubeconfig',
      '--context',
      '--namespace',
      '--port',
      '--health-port',
      '--bind-address',
      '--webhook-url',
      '--inspect-renewals',
      '--stand-in',
      '--generate-policies',
      '--log-level',
    ];
    for (const flag of flags) {
      expect(stdout).toContain(` ${flag} `);
      expect(stdout).toContain(`LOCKWARDEN_${flag.slice(2).toUpperCase().replaceAll('-', '_')}`);
    }
  });

  test.for([
    [['serve', '--nonsense'], {}, /^error: unknown option '--nonsense'\n\(run `lockwarden --help`.*\)\n$/],
    [
      ['serve', '--port=1'],
      { LOCKWARDEN_LOG_LEVEL: 'all' },
      /^lockwarden: --log-level does not take `all`: give one of .*\n$/,
    ],
  ] as const)(
    'wrongly (%j %j), it says so in one sentence and ends with 2',
    async ([args, env, sentence]) => {
      const { code, stdout, stderr } = await runLockwarden(args, env);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toMatch(sentence);
    },
  );
});

describe('serving', () => {
  let lockwarden: ServeProcess;
  let alice: Candidate;
  let bob: Candidate;

  beforeAll(async () => {
    lockwarden = serve({ kubeconfig: administrator.kubeconfig });
    alice = await createCandidate(namespace, 'candidate', 'alice');
    bob = await createCandidate(namespace, 'candidate', 'bob');
  });

  afterAll(() => {
    alice.close();
    bob.close();
  });

  test('it lives at once, and is ready when it has a certificate, its caches and its registration', async () => {
    await lockwarden.untilLine('health port listening');
    expect(await lockwarden.get('/livez')).toEqual({ status: 200, text: 'ok\n' });
    await lockwarden.untilReady();
    await lockwarden.untilLine('canary proven');
    expect(await lockwarden.get('/readyz?verbose')).toEqual({
      status: 200,
      text: '[+]certificate ok\n[+]caches ok\n[+]webhook ok\n[+]serving ok\n[+]canary ok\nreadyz check passed\n',
    });
    expect(await registered()).not.toBeNull();
    for (const kind of ['Lease', 'ConfigMap', 'Endpoints']) {
      await lockwarden.untilMetric('lockwarden_watch_connected', { kind }, (value) => value === 1);
    }
  });

  test('its registration names its URL, and an authority that vouches for who answers there', async () => {
    const { port } = await lockwarden.untilLine('webhook listening');
    const entries = (await registered()) ?? [];
    expect(entries.map((entry) => [stringAt(entry, 'name'), entry['failurePolicy']])).toEqual([
      ['leases.lockwarden.dev', 'Ignore'],
      ['records.lockwarden.dev', 'Ignore'],
      ['canary.lockwarden.dev', 'Fail'],
    ]);
    for (const entry of entries) {
      const { url, caBundle } = objectAt(entry, 'clientConfig');
      expect(url).toBe(`https://127.0.0.1:${String(port)}/validate`);
      expect(entry).toMatchObject({ timeoutSeconds: 2 });
      const ca = Buffer.from(String(caBundle), 'base64').toString();
      expect(new X509Certificate(ca).ca).toBe(true);
      expect(await answerOf(String(url), ca)).toMatchObject({
        status: 405,
        review: { kind: 'AdmissionReview', response: { allowed: false } },
      });
    }
  });

  test('a refused takeover is one line with the agreed keys, and one sentence to the client', async () => {
    await untilCalled(client);
    expect(await alice.create('taken', 15)).toBeNull();
    const lock = await alice.locks.get('leases', 'taken');
    const refusal = await bob.take('taken');
    expect(refusal).toMatchObject({ status: 403 });
    expect(refusal?.message).toMatch(
      /lease\/\S+\/taken: another identity takes the lock .* held by `alice` for 15 s at a time; last renewed .* ago \(as lockwarden observed\); free in at most \d+ s; \[lockwarden U15 PrematureTakeover, built-in defaults\]$/,
    );
    await lockwarden.untilLine(rejectionMessage, ({ name }) => name === 'taken');
    const labels = { kind: 'Lease', outcome: 'Deny', reason: 'PrematureTakeover' };
    expect(await lockwarden.metric('lockwarden_admission_decisions_total', labels)).toBe(1);
    expect(
      await lockwarden.metric('lockwarden_admission_evidence_total', { verdict: 'live' }),
    ).toBeGreaterThan(0);
    expect(await lockwarden.metric('lockwarden_decision_duration_seconds_count')).toBeGreaterThan(0);
    expect(await lockwarden.metric('lockwarden_held_locks', { kind: 'Lease' })).toBeGreaterThan(0);
    expect(await lockwarden.metric('lockwarden_lock_holders', { kind: 'Lease' })).toBeGreaterThan(0);
    expect(await lockwarden.metric('lockwarden_watch_lag_seconds_count', { kind: 'Lease' })).toBeGreaterThan(
      0,
    );
    expect(await lockwarden.metric('lockwarden_ready')).toBe(1);
    expect(lockwarden.rejections()).toEqual([
      {
        level: 'warn',
        time: anyOf(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        msg: 'lock write rejected',
        recordVersion: 1,
        lockKind: 'Lease',
        namespace: namespace.name,
        name: 'taken',
        lockUid: stringAt(objectAt(lock, 'metadata'), 'uid'),
        operation: 'UPDATE',
        transition: 'takeover',
        holder: 'alice',
        wouldBeHolder: 'bob',
        requester: bob.user,
        pod: 'bob',
        podUid: bob.podUid,
        rule: 'U15',
        reason: 'PrematureTakeover',
        alsoViolated: [],
        policy: 'built-in defaults',
        detail: refusal?.message.replace(/^.*denied the request: /, ''),
        evidence: 'observed',
        elapsedMinMs: expect.any(Number) as number,
        elapsedMaxMs: expect.any(Number) as number,
        leaseDurationMs: 15_000,
        remainingMinMs: expect.any(Number) as number,
        remainingMaxMs: expect.any(Number) as number,
        reviewUid: anyOf(/^[\da-f-]{36}$/),
        dryRun: false,
        enforcement: 'Deny',
        instance: hostname(),
        count: 1,
        firstSeen: anyOf(/^\d{4}-\d\d-\d\dT[\d:.]{12}Z$/),
        lastSeen: lockwarden.rejections()[0]?.['firstSeen'],
      },
    ]);
    const msOf = (key: string): number => Number(lockwarden.rejections()[0]?.[key]);
    expect(msOf('elapsedMinMs') + msOf('remainingMaxMs')).toBe(15_000);
    expect(msOf('elapsedMaxMs') + msOf('remainingMinMs')).toBe(15_000);
    expect(msOf('elapsedMinMs')).toBeLessThanOrEqual(msOf('elapsedMaxMs'));
  });

  test('on SIGTERM it removes its registration, and ends with 0', () => expectEnd(lockwarden, 'SIGTERM'));
});

describe('ending', () => {
  test('on a second signal it ends at once, and says what it leaves behind and how to remove it', async () => {
    const lockwarden = serve({ kubeconfig: administrator.kubeconfig });
    await lockwarden.untilReady();
    controlPlane.apiserver.pause();
    try {
      lockwarden.signal('SIGTERM');
      await lockwarden.untilLine('stopping');
      const secondAtMs = Date.now();
      lockwarden.signal('SIGTERM');
      await lockwarden.exit;
      // LIMIT: alone, it would wait ten seconds for the API server, and two and a half for the last caller.
      expect(Date.now() - secondAtMs).toBeLessThan(5_000);
      expect(lockwarden.lines).toContainEqual(
        expect.objectContaining({
          level: 'error',
          msg: 'webhook configuration not removed',
          remedy: 'kubectl delete validatingwebhookconfiguration lockwarden',
        }),
      );
    } finally {
      controlPlane.apiserver.resume();
    }
    await client.request({ method: 'DELETE', path: configurationPath });
  });
});

describe('told by variables', () => {
  /** A kubeconfig in which nobody finds the cluster without being told the context. */
  let kubeconfig: string;

  beforeAll(async () => {
    const config = JSON.parse(await readFile(administrator.kubeconfig, 'utf8')) as JsonObject;
    kubeconfig = `${administrator.kubeconfig}.elsewhere`;
    await writeFile(kubeconfig, JSON.stringify({ ...config, 'current-context': 'elsewhere' }));
  });

  test('each stands for its flag, and on SIGINT it ends as on SIGTERM', async () => {
    const [port = 0, healthPort = 0] = await freePorts(2);
    const lockwarden = serve({
      args: [],
      env: {
        LOCKWARDEN_KUBECONFIG: kubeconfig,
        LOCKWARDEN_CONTEXT: administrator.config.currentContext,
        LOCKWARDEN_NAMESPACE: 'guards',
        LOCKWARDEN_PORT: String(port),
        LOCKWARDEN_HEALTH_PORT: String(healthPort),
        LOCKWARDEN_BIND_ADDRESS: '127.0.0.1',
        LOCKWARDEN_WEBHOOK_URL: `https://127.0.0.1:${String(port)}`,
        LOCKWARDEN_INSPECT_RENEWALS: 'true',
      },
    });
    await lockwarden.untilReady();
    expect(await lockwarden.untilLine('health port listening')).toMatchObject({ healthPort });
    expect(await lockwarden.untilLine('webhook listening')).toMatchObject({ port });
    const leases = await leasesEntry();
    expect(objectAt(leases, 'clientConfig')['url']).toBe(`https://127.0.0.1:${String(port)}/validate`);
    expect(JSON.stringify(leases['namespaceSelector'])).toContain('"guards"');
    expect(skipsRenewals(leases)).toBe(false);
    await expectEnd(lockwarden, 'SIGINT');
  });

  test('a flag wins over its variable', async () => {
    const lockwarden = serve({
      kubeconfig: administrator.kubeconfig,
      args: [...onAnyPort, '--namespace=flags', '--log-level=error'],
      env: { LOCKWARDEN_KUBECONFIG: 'nowhere', LOCKWARDEN_NAMESPACE: 'guards', LOCKWARDEN_LOG_LEVEL: 'info' },
    });
    await expect.poll(registered, { timeout: 20_000 }).not.toBeNull();
    const leases = await leasesEntry();
    expect(JSON.stringify(leases['namespaceSelector'])).toContain('"flags"');
    expect(skipsRenewals(leases)).toBe(true);
    expect(lockwarden.lines).toEqual([]);
  });
});

test('nothing of all this has let out a secret, or said anything but lines of JSON', () => {
  const output = served.map((each) => each.output).join('');
  expect(output.length).toBeGreaterThan(1_000);
  for (const part of administrator.token.split('.')) expect(output).not.toContain(part);
  expect(output).not.toMatch(/PRIVATE KEY|Bearer/);
  const lines = served.flatMap((each) => each.lines);
  expect(lines.filter(({ level, time }) => level === '' || time === '')).toEqual([]);
  const written = served.flatMap((each) => each.output.split('\n')).filter((line) => line !== '');
  expect(written).toHaveLength(lines.length);
});

function anyOf(pattern: RegExp): string {
  return expect.stringMatching(pattern) as string;
}

/** Asks whoever listens at `url`, provided that `ca` vouches for it. */
function answerOf(url: string, ca: string): Promise<{ readonly status: number; readonly review: unknown }> {
  return new Promise((resolve, reject) => {
    request(url, { ca, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, review: JSON.parse(text) });
      });
    })
      .on('error', reject)
      .end();
  });
}
