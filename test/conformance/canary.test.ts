/** The canary on a real API server: what breaks between it and lockwarden is found, told, and mended where it can be. */
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { parse } from 'yaml';

import { issueServingCertificate } from '../support/serving-certificate.ts';
import { systemClock } from '../../src/clock.ts';
import { serveConfigOf } from '../../src/config.ts';
import { Guard } from '../../src/guard/guard.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { arrayAt, objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { freePorts, loopback } from '../../src/sandbox/free-port.ts';
import { failureOf, Namespace, withMetadata, withSpec } from '../kube/support/cluster.ts';
import { files, read } from '../style/tree.ts';
import type { LogLine } from './support/guarded.ts';
import { startStallingProxy } from './support/stalling-proxy.ts';

const configurationPath = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/lockwarden';
const crdCollection = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const crds = files('manifests/crds/lockwarden.dev_*.yaml').map((path) => parse(read(path)) as JsonObject);
const ownNamespace = 'lockwarden-system';
const lease = 'lockwarden-canary';
/** What the canary promises. */
const foundWithinMs = 10_000;
/** LIMIT: a busy machine takes several times what an idle one does. */
const patience = { timeout: 30_000, interval: 50 };

let controlPlane: ControlPlane;
let client: KubeClient;
let own: Namespace;

beforeAll(async () => {
  // So that the API server itself looks up who is behind a Service: there is no kube-proxy here that would.
  const apiserverFlags = ['--enable-aggregator-routing=true'];
  controlPlane = await startControlPlane({ binaries: inject('binaries'), apiserverFlags });
  client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  own = await Namespace.create(client, ownNamespace);
});

afterAll(async () => {
  client.close();
  await controlPlane.stop();
});

interface Watched {
  readonly guard: Guard;
  readonly lines: readonly LogLine[];
  /** Lines with that message after the first `from`. */
  readonly linesOf: (message: string, from?: number) => readonly LogLine[];
  readonly metrics: () => Promise<string>;
  /** NaN where there is none of that name and labels. */
  readonly metric: (name: string) => Promise<number>;
  readonly readyz: () => Promise<string>;
}

const running: Guard[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((guard) => guard.stop()));
});

interface Address {
  readonly namespace?: string;
  readonly webhookUrl?: string;
  readonly port?: number;
  readonly bindAddress?: string;
}

/** A guard whose canary need not be proven. */
async function start({
  namespace = ownNamespace,
  port = 0,
  bindAddress = loopback,
  ...address
}: Address = {}): Promise<Watched> {
  const lines: LogLine[] = [];
  const write = (line: string): void => {
    lines.push(JSON.parse(line) as LogLine);
  };
  const [healthPort = 0] = await freePorts(1);
  const config = serveConfigOf({
    kubeconfig: controlPlane.kubeconfig,
    namespace,
    port: String(port),
    healthPort: String(healthPort),
    bindAddress,
    inspectRenewals: false,
    logLevel: 'debug',
    ...address,
  });
  const log = pino({ level: 'debug', base: null }, { write });
  const guard = new Guard(config, { log, clock: systemClock() });
  running.push(guard);
  await guard.start();
  const get = async (path: string): Promise<string> =>
    (await fetch(`http://${bindAddress}:${String(healthPort)}${path}`)).text();
  return {
    guard,
    lines,
    linesOf: (message, from = 0) => lines.slice(from).filter(({ msg }) => msg === message),
    metrics: () => get('/metrics'),
    metric: async (name) => {
      const line = (await get('/metrics')).split('\n').find((each) => each.startsWith(`${name} `));
      return line === undefined ? NaN : Number(line.split(' ')[1]);
    },
    readyz: () => get('/readyz'),
  };
}

const provenAttempts = 'lockwarden_canary_attempts_total{outcome="proven"}';
const local = { webhookUrl: 'https://127.0.0.1' };

async function startProven(address: Address = local): Promise<Watched> {
  const watched = await start(address);
  await until(() => watched.linesOf('canary proven').length > 0);
  return watched;
}

/** Waits, and says how long it took. */
async function until(holds: () => boolean | Promise<boolean>): Promise<number> {
  const begunAt = performance.now();
  await vi.waitFor(async () => {
    expect(await holds()).toBe(true);
  }, patience);
  return performance.now() - begunAt;
}

function report(what: string, ms: number): void {
  console.log(`${what}: ${String(Math.round(ms))} ms`);
}

async function configuration(): Promise<JsonObject> {
  return objectAt(await client.request({ method: 'GET', path: configurationPath }), 'body');
}

/** GET, change, PUT, until nobody has written in between. */
async function edit(change: (object: JsonObject) => JsonObject): Promise<void> {
  await until(async () => (await failureOf(own.put('leases', lease, change))) === null);
}

/** The configuration with another bundle in all entries. */
async function writeBundle(caPem: string): Promise<void> {
  const found = await configuration();
  const webhooks = arrayAt(found, 'webhooks').map((entry) => ({
    ...(entry as JsonObject),
    clientConfig: { ...objectAt(entry, 'clientConfig'), caBundle: btoa(caPem) },
  }));
  await client.request({ method: 'PUT', path: configurationPath, body: { ...found, webhooks } });
}

/** Entries of managers that there are not, which own what they like. */
function planted(count: number): readonly JsonObject[] {
  return Array.from({ length: count }, (_, index) => ({
    manager: `m${String(index)}`,
    operation: 'Update',
    apiVersion: 'coordination.k8s.io/v1',
    time: '2020-01-01T00:00:00Z',
    fieldsType: 'FieldsV1',
    fieldsV1: { 'f:spec': { 'f:renewTime': {}, 'f:holderIdentity': {} } },
  }));
}

/** Does something ten times a second, whether it succeeds or not, until what it returns is called. */
function again(act: () => Promise<unknown>): () => Promise<void> {
  const ending = new AbortController();
  const running = (async () => {
    while (!ending.signal.aborted) {
      await failureOf(act());
      await sleep(100);
    }
  })();
  return () => {
    ending.abort();
    return running;
  };
}

const servicePath = `/api/v1/namespaces/${ownNamespace}/services`;
const slicePath = `/apis/discovery.k8s.io/v1/namespaces/${ownNamespace}/endpointslices`;

const endpointsPath = `/api/v1/namespaces/${ownNamespace}/endpoints`;

function serviceTo(targetPort: number): JsonObject {
  return {
    metadata: { name: 'lockwarden' },
    spec: { ports: [{ name: 'https', port: 443, targetPort }] },
  };
}

function sliceOf(address: string, port: number): JsonObject {
  return {
    metadata: { name: 'lockwarden', labels: { 'kubernetes.io/service-name': 'lockwarden' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
    ports: [{ name: 'https', port, protocol: 'TCP' }],
  };
}

/** The same for API servers that do not look at EndpointSlices yet, such as those of 1.30. */
function endpointsOf(address: string, port: number): JsonObject {
  return {
    metadata: { name: 'lockwarden' },
    subsets: [{ addresses: [{ ip: address }], ports: [{ name: 'https', port }] }],
  };
}

/** An address of this machine that is not the loopback's, which no endpoint may have. */
function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const found = addresses.find(({ family, internal }) => family === 'IPv4' && !internal);
  if (found === undefined) throw new Error('this machine has no address but the loopback');
  return found.address;
}

async function foreignAuthority(): Promise<string> {
  const { caPem } = await issueServingCertificate({
    hosts: ['127.0.0.1'],
    nowMs: Date.now(),
    validityMs: 3_600_000,
    backdateMs: 3_600_000,
  });
  return caPem;
}

/** Lines of the metrics page that count a decision; the series that are exported as 0 from the start are none. */
function decisionsCounted(page: string): string[] {
  const decisions = page
    .split('\n')
    .filter((line) => line.startsWith('lockwarden_admission_decisions_total{'));
  expect(decisions).not.toEqual([]);
  return decisions.filter((line) => !line.endsWith(' 0'));
}

describe('the canary', () => {
  test('is proven within seconds, and told of as a metric, a detail and one line, and as nothing else', async () => {
    const begunAt = performance.now();
    const { guard, lines, linesOf, metric, metrics, readyz } = await startProven();
    report('proven after the start', performance.now() - begunAt);
    expect(await metric('lockwarden_canary_proven')).toBe(1);
    expect(await metric('lockwarden_canary_last_proof_age_seconds')).toBeLessThan(4);
    expect(await readyz()).toContain('[+]canary ok\n');
    const before = await metric(provenAttempts);
    await until(async () => (await metric(provenAttempts)) >= before + 2);
    expect(linesOf('canary proven')).toHaveLength(1);
    expect(linesOf('canary not proven')).toEqual([]);
    expect(linesOf('lock write rejected')).toEqual([]);
    expect(await metric('lockwarden_canary_reviews_total{outcome="Deny"}')).toBeGreaterThan(before);
    expect(decisionsCounted(await metrics())).toEqual([]);
    report(
      'time of a proof, on average',
      ((await metric('lockwarden_canary_duration_seconds_sum')) /
        (await metric('lockwarden_canary_duration_seconds_count'))) *
        1000,
    );
    expect(guard.readiness.ready).toBe(true);
    expect(lines.filter(({ level }) => level >= 50)).toEqual([]);
  });

  test('lets whoever may write its Lease do so, and makes it what it must be again', async () => {
    const { linesOf, metric } = await startProven();
    const cases: readonly (readonly [string, () => Promise<unknown>])[] = [
      ['deleted', () => own.delete('leases', lease)],
      ['held by somebody else', () => edit((object) => withSpec(object, { holderIdentity: 'somebody' }))],
      ['emptied', () => edit((object) => ({ ...object, spec: {} }))],
      ['cut short', () => edit((object) => withSpec(object, { leaseDurationSeconds: 1 }))],
      ['back-dated', () => edit((object) => withSpec(object, { renewTime: '2020-01-01T00:00:00.000000Z' }))],
      ['planted with stamps', () => edit((object) => withMetadata(object, { managedFields: planted(100) }))],
      ['without stamps for good', () => edit((object) => withMetadata(object, { managedFields: [{}] }))],
    ];
    for (const [what, change] of cases) {
      await change();
      const before = await metric(provenAttempts);
      const ms = await until(
        async () =>
          stringAt(objectAt(await own.get('leases', lease).catch(() => ({})), 'spec'), 'holderIdentity') ===
            lease && (await metric(provenAttempts)) > before,
      );
      report(`proven again after its Lease was ${what}`, ms);
      expect(ms, what).toBeLessThan(foundWithinMs);
      expect(objectAt(await own.get('leases', lease), 'spec')).toMatchObject({
        holderIdentity: lease,
        leaseDurationSeconds: 3_600,
      });
    }
    expect(linesOf('lock write rejected')).toEqual([]);
    expect(await metric('lockwarden_canary_reviews_total{outcome="Allow"}')).toBeNaN();
  });

  test('does not care for a policy that only records', async () => {
    const { linesOf, metric } = await startProven();
    const spec = { match: { namespaces: ['*'] }, enforcement: 'Audit' };
    for (const crd of crds) await client.request({ method: 'POST', path: crdCollection, body: crd });
    const policies = '/apis/lockwarden.dev/v1alpha1/clusterlockpolicies';
    const policy = {
      apiVersion: 'lockwarden.dev/v1alpha1',
      kind: 'ClusterLockPolicy',
      metadata: { name: 'all' },
      spec,
    };
    await until(
      async () =>
        (await failureOf(client.request({ method: 'POST', path: policies, body: policy }))) === null,
    );
    await until(() => linesOf('lock policy in force').length > 0);
    const before = await metric(provenAttempts);
    await until(async () => (await metric(provenAttempts)) > before + 1);
    expect(linesOf('canary not proven')).toEqual([]);
    await client.request({ method: 'DELETE', path: `${policies}/all` });
  });

  test('is proven in a namespace of the system’s own', async () => {
    const { linesOf } = await startProven({ ...local, namespace: 'kube-system' });
    expect(linesOf('canary not proven')).toEqual([]);
  });

  test('says what it lacks where its namespace does not exist, and is proven as soon as it does', async () => {
    const namespace = 'to-be-created';
    const { linesOf, readyz, guard } = await start({ ...local, namespace });
    await until(() => linesOf('canary not proven').length > 0);
    expect(linesOf('canary not proven')).toMatchObject([
      { cause: 'notPossible', detail: expect.stringContaining(namespace) as string },
    ]);
    expect(await readyz()).toMatch(/^\[~\]canary not proven: notPossible: .*\nreadyz check passed\n$/mu);
    expect(guard.readiness.ready).toBe(true);
    await Namespace.create(client, namespace);
    report('proven after its namespace was created', await until(() => linesOf('canary proven').length > 0));
  });
});

describe('the canary finds, within ten seconds,', () => {
  test('that the bundle is another’s, which is put back', async () => {
    const { linesOf, lines, metric } = await startProven();
    const putBack = 'webhook configuration put back';
    await writeBundle(await foreignAuthority());
    report('bundle put back by the watch', await until(() => linesOf(putBack).length > 0));

    // Whoever fights for the configuration wins for a while: then it is the canary that tells.
    const authority = await foreignAuthority();
    const from = lines.length;
    const begunAt = performance.now();
    const endFight = again(() => writeBundle(authority));
    await until(() => linesOf('canary not proven', from).length > 0);
    const ms = performance.now() - begunAt;
    report('foreign bundle found', ms);
    expect(ms).toBeLessThan(foundWithinMs);
    expect(linesOf('canary not proven', from)).toMatchObject([{ cause: 'untrusted' }]);
    expect(await metric('lockwarden_canary_proven')).toBe(0);
    await endFight();
    report('proven again after the fight', await until(() => linesOf('canary proven', from).length > 0));
    expect(linesOf('canary proven', from)).toMatchObject([{ unprovenForMs: expect.any(Number) as number }]);
  });

  test('that the registration is gone, which is put back', async () => {
    const { linesOf, lines } = await startProven();
    const from = lines.length;
    await client.request({ method: 'DELETE', path: configurationPath });
    report(
      'registration put back',
      await until(() => linesOf('webhook configuration put back', from).length > 0),
    );

    const begunAt = performance.now();
    const endFight = again(() => client.request({ method: 'DELETE', path: configurationPath }));
    await until(() => linesOf('canary not proven', from).length > 0);
    const ms = performance.now() - begunAt;
    report('missing registration found', ms);
    expect(ms).toBeLessThan(foundWithinMs);
    expect(linesOf('canary not proven', from)).toMatchObject([{ cause: 'allowed' }]);
    await endFight();
    report('proven again after the fight', await until(() => linesOf('canary proven', from).length > 0));
  });

  test('that there is no Service, and that nobody is behind it, and when somebody is', async () => {
    const address = ownAddress();
    const [port = 0] = await freePorts(1);
    const { linesOf, lines, metric, readyz, guard } = await start({ port, bindAddress: address });
    const ms = await until(() => linesOf('canary not proven').length > 0);
    report('missing Service found', ms);
    expect(ms).toBeLessThan(foundWithinMs);
    expect(linesOf('canary not proven')).toMatchObject([{ cause: 'noService' }]);
    expect(await readyz()).toContain('[~]canary not proven: noService: ');
    expect(guard.readiness.ready).toBe(true);

    await client.request({ method: 'POST', path: servicePath, body: serviceTo(port) });
    await until(async () => (await metric(`lockwarden_canary_attempts_total{outcome="noEndpoints"}`)) > 0);
    await client.request({ method: 'POST', path: slicePath, body: sliceOf(address, port) });
    await client.request({ method: 'POST', path: endpointsPath, body: endpointsOf(address, port) });
    report('proven through a Service', await until(() => linesOf('canary proven').length > 0));

    const from = lines.length;
    for (const path of [slicePath, endpointsPath])
      await client.request({ method: 'DELETE', path: `${path}/lockwarden` });
    report('missing endpoints found', await until(() => linesOf('canary not proven', from).length > 0));
    expect(linesOf('canary not proven', from)).toMatchObject([{ cause: 'noEndpoints' }]);
    await client.request({ method: 'DELETE', path: `${servicePath}/lockwarden` });
  });

  test.for(['all', 'new'] as const)(
    'that the path is blocked for %s connections, and when it no longer is',
    async (which) => {
      const [port = 0] = await freePorts(1);
      const proxy = await startStallingProxy(port);
      try {
        const { linesOf, lines, metric, guard } = await startProven({
          port,
          webhookUrl: `https://127.0.0.1:${String(proxy.port)}`,
        });
        const from = lines.length;
        proxy.stall(which);
        const foundMs = await until(() => linesOf('canary not proven', from).length > 0);
        report('blocked path found', foundMs);
        expect(foundMs).toBeLessThan(foundWithinMs);
        expect(linesOf('canary not proven', from)).toMatchObject([{ cause: 'timeout' }]);
        expect(await metric('lockwarden_canary_proven')).toBe(0);
        expect(guard.readiness.ready).toBe(true);
        proxy.pass();
        report('open path found', await until(() => linesOf('canary proven', from).length > 0));
        expect(await metric('lockwarden_canary_proven')).toBe(1);
        await proxy.close();
        report('closed port found', await until(() => linesOf('canary not proven', from).length > 1));
        expect(linesOf('canary not proven', from)[1]).toMatchObject({ cause: 'refused' });
      } finally {
        await proxy.close();
      }
    },
  );
});
