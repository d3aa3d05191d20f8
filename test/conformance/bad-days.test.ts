/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- client-node declares its models as classes and takes plain objects: it serializes by attribute, never by instance */
/** What goes wrong around lockwarden, and what it makes of it. */
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { uptime } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { V1PolicyRule } from '@kubernetes/client-node';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';

import { systemClock, type Clock } from '../../src/clock.ts';
import { serveConfigOf } from '../../src/config.ts';
import { Guard } from '../../src/guard/guard.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { arrayAt, objectAt, type JsonObject } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { rejectionMessage } from '../../src/review/record.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { failureOf } from '../kube/support/cluster.ts';
import { createTestNamespace, type PodIdentity, type TestNamespace } from '../support/identities.ts';
import { createCandidate, holderOf, type Candidate } from './support/candidate.ts';
import {
  onAnyPort,
  runLockwarden,
  startServe,
  untilCalled,
  type LogLine,
  type ServeProcess,
} from './support/serve-process.ts';

const configurations = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
const configurationPath = `${configurations}/lockwarden`;
/** lockwarden's own. */
const ownNamespace = 'lockwarden-system';
const lockKinds = ['Lease', 'ConfigMap', 'Endpoints'];
const leaseDurationSeconds = 3;
/** LIMIT: a busy machine takes several times what an idle one does. */
const patience = { timeout: 30_000, interval: 100 };

let controlPlane: ControlPlane;
let client: KubeClient;
let namespace: TestNamespace;
let alice: Candidate;
let bob: Candidate;
let lockwarden: ServeProcess;

beforeAll(async () => {
  controlPlane = await startControlPlane({ binaries: inject('binaries') });
  client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  namespace = await createTestNamespace(controlPlane.kubeconfig, 'bad-days');
  await namespace.admin.core.createNamespace({ body: { metadata: { name: ownNamespace } } });
  await namespace.serviceAccount('candidate');
  alice = await createCandidate(namespace, 'candidate', 'alice');
  bob = await createCandidate(namespace, 'candidate', 'bob');
});

afterAll(async () => {
  alice.close();
  bob.close();
  client.close();
  await controlPlane.stop();
});

/** What the registration says, or null where there is none. */
async function registered(): Promise<JsonObject | null> {
  const failure = await failureOf(client.request({ method: 'GET', path: configurationPath }));
  if (failure?.kind === 'not-found') return null;
  const { body } = await client.request({ method: 'GET', path: configurationPath });
  return objectAt({ body }, 'body');
}

function linesOf(message: string): readonly LogLine[] {
  return lockwarden.lines.filter(({ msg }) => msg === message);
}

/** Ends lockwarden at once, and what it leaves behind. */
async function endLockwarden(): Promise<void> {
  await lockwarden.kill();
  await failureOf(client.request({ method: 'DELETE', path: configurationPath }));
}

describe('the API server', () => {
  afterAll(endLockwarden);

  test('is not there at the start: one line for each attempt, further and further apart, until it is', async () => {
    await controlPlane.apiserver.kill();
    const message = 'API server not reached';
    try {
      lockwarden = startServe({ kubeconfig: controlPlane.kubeconfig });
      await expect.poll(() => linesOf(message).length, { timeout: 20_000 }).toBeGreaterThanOrEqual(3);
      expect(await lockwarden.get('/livez')).toMatchObject({ status: 200 });
      const reason = `the API server at \`${controlPlane.server}\` cannot be reached: nothing listens there`;
      expect(await lockwarden.get('/readyz')).toMatchObject({
        status: 503,
        text: expect.stringContaining(`[-]certificate ${reason}\n`) as string,
      });
      const [first, , third] = linesOf(message);
      expect(first).toEqual({
        level: 'warn',
        time: expect.any(String) as string,
        reason,
        retryInMs: expect.any(Number) as number,
        msg: message,
      });
      expect(Number(third?.['retryInMs'])).toBeGreaterThan(Number(first?.['retryInMs']));
    } finally {
      await controlPlane.apiserver.start();
    }
    await lockwarden.untilReady();
    await lockwarden.untilLine('canary proven');
    expect(lockwarden.output).not.toMatch(/stack|\\n {4}at /);
    // While an API server starts, it answers 503 for a kind that it does not know yet, and 404 only later.
    const starting = 'watch on policies interrupted';
    // What follows from the proof.
    const later = ['switch asleep', 'switch written'];
    const said = lockwarden.lines
      .map(({ msg }) => msg)
      .filter((msg) => msg !== starting && !later.includes(msg));
    expect(new Set(said)).toEqual(
      new Set([
        'health port listening',
        message,
        'no serving certificate yet',
        'authority step',
        'serving certificate loaded',
        'webhook listening',
        'webhook registered',
        'lockwarden registered',
        'canary proven',
      ]),
    );
  });
});

describe.concurrent('what it is told cannot be used', () => {
  /** Ends with this one sentence. */
  async function expectEnd(
    args: readonly string[],
    end: { readonly code: number; readonly sentence: RegExp },
  ): Promise<void> {
    const { code, stderr } = await runLockwarden(['serve', ...args]);
    expect(stderr).toMatch(end.sentence);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(code).toBe(end.code);
  }

  test.for(['--port', '--health-port'])('%s is taken', async (flag) => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    try {
      const kubeconfig = `--kubeconfig=${controlPlane.kubeconfig}`;
      await expectEnd([kubeconfig, ...onAnyPort, `${flag}=${String(port)}`], {
        code: 1,
        sentence: new RegExp(
          `^lockwarden: cannot listen on \`127\\.0\\.0\\.1:${String(port)}\`: the port is taken; .* ${flag}\n$`,
        ),
      });
    } finally {
      other.close();
    }
    expect(await registered()).toBeNull();
  });

  test('the kubeconfig is missing', () =>
    expectEnd(['--kubeconfig=/nowhere/config'], {
      code: 2,
      sentence: /^lockwarden: the kubeconfig `\/nowhere\/config` does not exist; check --kubeconfig\n$/,
    }));

  test('the user of the kubeconfig authenticates in a way that is not supported', async () => {
    const file = join(dirname(controlPlane.kubeconfig), 'gcp');
    const config = {
      'current-context': 'c',
      clusters: [{ name: 'c', cluster: { server: controlPlane.server } }],
      users: [{ name: 'u', user: { 'auth-provider': { name: 'gcp' } } }],
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    };
    await writeFile(file, JSON.stringify(config));
    await expectEnd([`--kubeconfig=${file}`], {
      code: 2,
      sentence: /^lockwarden: the user `u` authenticates through `gcp`, which is not supported; use .*\n$/,
    });
  });
});

/** Everything that lockwarden needs, by the name of the right. */
const rights = {
  leases: { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['list', 'watch'] },
  configmaps: { apiGroups: [''], resources: ['configmaps'], verbs: ['list', 'watch'] },
  /** In its own namespace only. */
  facts: { apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'create', 'update'] },
  endpoints: { apiGroups: [''], resources: ['endpoints'], verbs: ['list', 'watch'] },
  pods: { apiGroups: [''], resources: ['pods'], verbs: ['get'] },
  webhooks: {
    apiGroups: ['admissionregistration.k8s.io'],
    resources: ['validatingwebhookconfigurations'],
    verbs: ['get', 'list', 'watch', 'create', 'update', 'delete'],
  },
  policies: {
    apiGroups: ['lockwarden.dev'],
    resources: ['lockpolicies', 'clusterlockpolicies'],
    verbs: ['list', 'watch'],
  },
  statuses: {
    apiGroups: ['lockwarden.dev'],
    resources: ['lockpolicies/status', 'clusterlockpolicies/status'],
    verbs: ['patch'],
  },
  namespaces: { apiGroups: [''], resources: ['namespaces'], verbs: ['list', 'watch'] },
} as const satisfies Record<string, V1PolicyRule>;

/** What it needs in its own namespace besides. */
const canaryRights = [
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
  {
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    resourceNames: ['lockwarden-canary'],
    verbs: ['get', 'update', 'delete'],
  },
  {
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    resourceNames: ['lockwarden-guard'],
    verbs: ['get', 'update'],
  },
] as const satisfies readonly V1PolicyRule[];

async function grantCanary(): Promise<void> {
  const metadata = { name: 'lockwarden' };
  const { rbac } = namespace.admin;
  await rbac.createNamespacedRole({ namespace: ownNamespace, body: { metadata, rules: [...canaryRights] } });
  await rbac.createNamespacedRoleBinding({
    namespace: ownNamespace,
    body: {
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'lockwarden' },
      subjects: [{ kind: 'ServiceAccount', name: 'lockwarden', namespace: namespace.name }],
    },
  });
}

/** `rights` with some verbs taken away. */
function without(lacking: Partial<Record<keyof typeof rights, readonly string[]>>): V1PolicyRule[] {
  return Object.entries(rights).map(([name, rule]) => ({
    ...rule,
    verbs: rule.verbs.filter((verb) => lacking[name as keyof typeof rights]?.includes(verb) !== true),
  }));
}

describe('with no more rights than it needs', () => {
  let account: Omit<PodIdentity, 'pod' | 'podUid'>;

  beforeAll(async () => {
    const metadata = { name: 'lockwarden' };
    const { rbac } = namespace.admin;
    await namespace.serviceAccount('lockwarden', []);
    await rbac.createClusterRole({
      body: { metadata, rules: without({ endpoints: ['list'], webhooks: ['create'] }) },
    });
    await rbac.createClusterRoleBinding({
      body: {
        metadata,
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'lockwarden' },
        subjects: [{ kind: 'ServiceAccount', name: 'lockwarden', namespace: namespace.name }],
      },
    });
    await grantCanary();
    account = await namespace.unbound('lockwarden');
    lockwarden = startServe({ kubeconfig: account.kubeconfig });
  });

  afterAll(endLockwarden);

  const grant = async (rules: V1PolicyRule[]): Promise<void> => {
    const body = { metadata: { name: 'lockwarden' }, rules };
    await namespace.admin.rbac.replaceClusterRole({ name: 'lockwarden', body });
  };

  test('one that is missing is named, it serves all the same, and is ready once it is granted', async () => {
    const unlisted = await lockwarden.untilLine('watch on locks interrupted');
    expect(unlisted).toMatchObject({
      level: 'warn',
      lockKind: 'Endpoints',
      reason: `\`${account.user}\` may not list endpoints in the whole cluster; grant it the verb \`list\` on \`endpoints\` of the core API group`,
    });
    const missing = await lockwarden.untilLine('webhook configuration missing');
    const refusal = `\`${account.user}\` may not create validatingwebhookconfigurations in the whole cluster; grant it the verb \`create\` on \`validatingwebhookconfigurations\` of the API group \`admissionregistration.k8s.io\``;
    const reason = `the ValidatingWebhookConfiguration \`lockwarden\` does not exist: apply lockwarden’s manifests again to have locks guarded, or let it create one (${refusal})`;
    expect(missing).toMatchObject({ level: 'error', reason });
    const text = `[+]certificate ok\n[+]caches going on without Endpoints\n[-]webhook ${reason}\n[+]serving ok\n[~]canary not proven yet\nreadyz check failed\n`;
    // The other caches may still be filling.
    await vi.waitFor(async () => {
      expect(await lockwarden.get('/readyz')).toEqual({ status: 503, text });
    }, patience);
    await grant(without({}));
    await lockwarden.untilReady();
    expect(await registered()).not.toBeNull();
    await lockwarden.untilLine('canary proven');
  });

  test.for([
    ['is set to fail writes', 'webhooks[0].failurePolicy', { failurePolicy: 'Fail' }],
    ['trusts another authority', 'webhooks[0].clientConfig.caBundle', 'caBundle'],
    ['has lost a rule', 'webhooks[0].rules[0].operations[2]', 'rule'],
    ['has lost an entry', 'webhooks[2]', 'entry'],
    ['is gone', 'the whole object', 'object'],
  ] as const)(
    'a registration that %s is put back, and the log says what it was: %s',
    async ([, path, edit]) => {
      const before = linesOf('webhook configuration put back').length;
      const object = (await registered()) ?? {};
      const [first, ...rest] = arrayAt(object, 'webhooks') as JsonObject[];
      await change(object, edit, first ?? {}, rest);
      await expect
        .poll(() => linesOf('webhook configuration put back').length, { timeout: 10_000 })
        .toBe(before + 1);
      expect(linesOf('webhook configuration put back').at(-1)).toMatchObject({
        level: 'warn',
        configuration: 'lockwarden',
        changed: [path],
      });
      expect(arrayAt(await registered(), 'webhooks')).toEqual(arrayAt(object, 'webhooks'));
      expect((await lockwarden.get('/readyz')).status).toBe(200);
    },
  );

  async function change(
    object: JsonObject,
    edit: string | JsonObject,
    first: JsonObject,
    rest: readonly JsonObject[],
  ): Promise<void> {
    if (edit === 'object') {
      await client.request({ method: 'DELETE', path: configurationPath });
      return;
    }
    const clientConfig = { ...objectAt(first, 'clientConfig'), caBundle: btoa(controlPlane.authority) };
    const [rule] = arrayAt(first, 'rules') as JsonObject[];
    const operations = arrayAt(rule, 'operations').slice(0, 2);
    const changed = {
      caBundle: [{ ...first, clientConfig }, ...rest],
      rule: [{ ...first, rules: [{ ...rule, operations }] }, ...rest],
      entry: [first, ...rest.slice(0, -1)],
    };
    const webhooks =
      typeof edit === 'string' ? changed[edit as keyof typeof changed] : [{ ...first, ...edit }, ...rest];
    await client.request({ method: 'PUT', path: configurationPath, body: { ...object, webhooks } });
  }

  test('a watch that is lost shows in the metrics, and denies nobody who is right', async () => {
    await untilCalled(client);
    expect(await alice.create('outage', leaseDurationSeconds)).toBeNull();
    expect(await alice.create('long', 3_600)).toBeNull();
    await grant(without({ leases: ['watch'] }));
    controlPlane.apiserver.pause();
    await sleep(500);
    await controlPlane.apiserver.kill();
    for (const kind of lockKinds) {
      await lockwarden.untilMetric('lockwarden_watch_connected', { kind }, (value) => value === 0);
    }
    await controlPlane.apiserver.start();
    await untilCalled(client);
    await lockwarden.untilLine('watch on locks interrupted', ({ reason }) =>
      String(reason).includes('may not watch leases'),
    );

    // Whether the lease has run out, only the API server's stamps can tell now.
    expect(await bob.take('outage')).toBeNull();
    expect(await bob.renew('outage')).toBeNull();
    expect(await alice.renew('long')).toBeNull();
    expect(await bob.take('long')).toMatchObject({ status: 403 });
    expect(await lockwarden.metric('lockwarden_watch_connected', { kind: 'Lease' })).toBe(0);

    await grant(without({}));
    for (const kind of lockKinds) {
      await lockwarden.untilMetric('lockwarden_watch_connected', { kind }, (value) => value === 1);
      await lockwarden.untilMetric('lockwarden_watch_restarts_total', { kind }, (value) => Number(value) > 0);
    }
    expect(await alice.renew('long')).toBeNull();
    expect(await bob.take('long')).toMatchObject({ status: 403 });
    // The switch, which was awake after the outage until the first proof, may have refused the first; nobody else was refused.
    const told = lockwarden.rejections().map(({ name, pod }) => [name, pod]);
    expect(told.filter(([name, pod]) => name !== 'long' || pod !== 'bob')).toEqual([]);
  });
});

const hourMs = 3_600_000;

describe('this machine’s clock', () => {
  const stopping: Promise<void>[] = [];
  let wallOffsetMs = 0;
  const clock: Clock = systemClock({
    runningMs: () => performance.now(),
    bootMs: () => uptime() * 1_000,
    wallMs: () => Date.now() + wallOffsetMs,
  });

  afterAll(() => Promise.all(stopping));

  async function startGuard(): Promise<{ readonly guard: Guard; readonly lines: readonly LogLine[] }> {
    const lines: LogLine[] = [];
    const write = (line: string): void => {
      lines.push(JSON.parse(line) as LogLine);
    };
    const config = serveConfigOf({
      kubeconfig: controlPlane.kubeconfig,
      namespace: ownNamespace,
      port: '0',
      healthPort: '0',
      bindAddress: '127.0.0.1',
      webhookUrl: 'https://127.0.0.1',
      inspectRenewals: false,
      logLevel: 'info',
    });
    const guard = new Guard(config, { log: pino({ base: null }, { write }), clock });
    await guard.start();
    await untilCalled(client);
    return { guard, lines };
  }

  test.for([
    ['is right', [0, 0, 0]],
    ['is an hour fast', [hourMs, hourMs, hourMs]],
    ['is an hour slow', [-hourMs, -hourMs, -hourMs]],
    ['steps ahead, and back', [0, hourMs, -hourMs]],
  ] as const)(
    '%s: what is early is refused, and what is due is not',
    async ([how, [atFirst, then, atLast]]) => {
      const lock = how.replaceAll(/\W+/g, '-');
      wallOffsetMs = atFirst;
      const { guard, lines } = await startGuard();
      try {
        expect(await alice.create(lock, leaseDurationSeconds)).toBeNull();
        expect(await bob.take(lock)).toMatchObject({ status: 403 });
        wallOffsetMs = then;
        expect(await bob.take(lock)).toMatchObject({ status: 403 });
        expect(await alice.renew(lock)).toBeNull();
        wallOffsetMs = atLast;
        expect(await bob.take(lock)).toMatchObject({ status: 403 });
        await sleep(leaseDurationSeconds * 1_000);
        expect(await bob.take(lock)).toBeNull();
        expect(await holderOf(bob.locks, lock)).toBe('bob');
      } finally {
        wallOffsetMs = 0;
        // The next one need not wait for the last connections of this one.
        stopping.push(guard.stop());
        await expect.poll(registered, { timeout: 20_000 }).toBeNull();
      }
      // What was folded is told at the end.
      const refused = (): number =>
        lines
          .filter(
            ({ msg, name, reason }) =>
              msg === rejectionMessage && name === lock && reason === 'PrematureTakeover',
          )
          .reduce((sum, { count }) => sum + Number(count), 0);
      await expect.poll(refused, { timeout: 20_000 }).toBe(3);
    },
  );
});
