/**
 * Bootstrap and loss: whatever is taken away from lockwarden (itself, its Secret, its Lease, its registration, the API server,
 * etcd, the time), it comes back by itself, and meanwhile nobody is shown a certificate that is not to be shown: every replica's
 * port is asked all the time, by a witness. What is printed at the end is how long each return took.
 */
import { Agent, request as httpsRequest } from 'node:https';
import { uptime } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test, vi } from 'vitest';

import { secretData, type AuthorityState } from '../../src/certs/authority-state.ts';
import { loadAuthority } from '../../src/certs/authority.ts';
import { splitBundle } from '../../src/certs/bundle.ts';
import { carryOut } from '../../src/certs/carry-out.ts';
import { readChain } from '../../src/certs/certificate.ts';
import { issueLeaf } from '../../src/certs/leaf.ts';
import { issueServingCertificate } from '../support/serving-certificate.ts';
import { defaultLifetimes } from '../../src/certs/lifetimes.ts';
import { readAuthority } from '../../src/certs/read-authority.ts';
import { systemClock } from '../../src/clock.ts';
import { serveConfigOf } from '../../src/config.ts';
import { Guard } from '../../src/guard/guard.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { arrayAt, objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { bundlesIn } from '../../src/replica/observed-bundle.ts';
import { presenceName } from '../../src/replica/presence.ts';
import { fenceIn } from '../../src/replica/secret-store.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { freePorts } from '../../src/sandbox/free-port.ts';
import { failureOf, leaderAnnotation, microTime, Namespace, withSpec } from '../kube/support/cluster.ts';
import { ClusterAuthority, configurationPath, secretPath } from './support/authority.ts';
import { installCrds } from './support/crds.ts';
import { Load } from './support/load.ts';
import { createOwnNamespace, ownNamespace, ReplicaSet, type Replica } from './support/replica-set.ts';
import { untilCalled, type LogLine } from './support/serve-process.ts';
import { Witness } from './support/witness.ts';

/** Locks here are of no worth without lockwarden, and here lockwarden's absence changes nothing. */
const closed = 'closed';
const open = 'open';
const leasePath = `/apis/coordination.k8s.io/v1/namespaces/${ownNamespace}/leases/lockwarden`;
const presencePath = `/api/v1/namespaces/${ownNamespace}/configmaps/${presenceName}`;
const policiesPath = '/apis/lockwarden.dev/v1alpha1/clusterlockpolicies';
const mergePatch = 'application/merge-patch+json';
const hour = 3_600_000;
/** LIMIT: what takes seconds on an idle machine takes ten times that on one that runs everything else too. */
const patience = { timeout: 90_000, interval: 50 };

let controlPlane: ControlPlane;
let client: KubeClient;
let authority: ClusterAuthority;
let replicas: ReplicaSet;
let witness: Witness;
const returns: { readonly what: string; readonly ms: number; readonly failed?: number }[] = [];

beforeAll(async () => {
  controlPlane = await startControlPlane({ binaries: inject('binaries') });
  client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  authority = new ClusterAuthority(client);
});

afterAll(async () => {
  const width = Math.max(...returns.map(({ what }) => what.length));
  const lines = returns.map(({ what, ms, failed }) => {
    const failures = failed === undefined ? '' : `, ${String(failed)} calls failed meanwhile`;
    return `  ${what.padEnd(width)} ${(ms / 1_000).toFixed(1).padStart(6)} s${failures}`;
  });
  console.log(`recovery: what was lost, and how long the return took\n${lines.join('\n')}`);
  client.close();
  await controlPlane.stop();
});

/** Replicas behind one address, and their witness. */
async function gather(args: readonly string[], withNamespace = true): Promise<void> {
  replicas = await ReplicaSet.create({ kubeconfig: controlPlane.kubeconfig, client, args, withNamespace });
  witness = new Witness(client, () => replicas.replicas);
}

async function dismiss(): Promise<void> {
  await witness.stop();
  await replicas.close();
  await remove(presencePath);
  expect(witness.wrongs()).toEqual([]);
  expect(witness.counts.shown).toBeGreaterThan(0);
}

/** Waits until `look` does not throw, and notes how long that was, from now or from `begunAt`. */
async function comesBack(
  what: string,
  look: () => Promise<unknown>,
  { load, begunAt = performance.now() }: { readonly load?: Load; readonly begunAt?: number } = {},
): Promise<void> {
  const failedBefore = load?.failures.length ?? 0;
  await vi.waitFor(look, patience);
  const ms = performance.now() - begunAt;
  const failed = load === undefined ? {} : { failed: load.failures.length - failedBefore };
  returns.push({ what, ms, ...failed });
}

async function remove(path: string): Promise<void> {
  const failure = await failureOf(client.request({ method: 'DELETE', path }));
  if (failure !== null && failure.kind !== 'not-found') throw failure;
}

/** Kills all, and takes away what they said of themselves: the next ones would wait half a minute for the dead. */
async function killAll(): Promise<void> {
  for (const { name } of replicas.replicas) await replicas.kill(name);
  await remove(presencePath);
}

/** What the Secret says; throws while that cannot be used. */
async function stateOf(): Promise<AuthorityState> {
  const reading = readAuthority(objectAt(await authority.secret(), 'data'), Date.now());
  if (reading.kind !== 'state') throw new Error(`the Secret is ${JSON.stringify(reading)}`);
  return reading.state;
}

/** Throws unless the authority in the Secret is the only one, everybody trusts it, and every replica serves its leaf and is ready. */
async function allIsWell(): Promise<void> {
  const { current, next, retired, leaf, confirmedAtMs } = await stateOf();
  expect({ next, retired, isConfirmed: confirmedAtMs !== null }).toEqual({
    next: null,
    retired: [],
    isConfirmed: true,
  });
  const bundles = bundlesIn(await authority.configuration()) ?? [];
  expect(bundles.length).toBeGreaterThan(0);
  for (const bundle of bundles) {
    expect(splitBundle(bundle).map(({ fingerprint }) => fingerprint)).toEqual([
      current?.certificate.fingerprint,
    ]);
  }
  for (const { name, process } of replicas.replicas) {
    expect(witness.shownBy(name), name).toBe(leaf?.certificate.fingerprint);
    const { status, text } = await process.get('/readyz');
    expect(status, `${name}: ${text}`).toBe(200);
  }
  const leader = await replicas.leader();
  expect(leader !== null && leads(leader), 'somebody leads').toBe(true);
}

/** Whether a replica leads, by its own account. */
function leads({ process }: Replica): boolean {
  const told = process.lines.filter(
    (line) => line.msg === 'became leader' || (line.msg === 'candidacy ended' && line['led'] === true),
  );
  return told.at(-1)?.msg === 'became leader';
}

function untilAllIsWell(): Promise<void> {
  return vi.waitFor(allIsWell, patience);
}

function linesOf(of: readonly Replica[], message: string): readonly LogLine[] {
  return of.flatMap(({ process }) => process.lines.filter(({ msg }) => msg === message));
}

/** A line that `replica` says from now on. */
function nextLine(replica: Replica, message: string, where: (line: LogLine) => boolean = () => true) {
  const said = replica.process.lines.length;
  return () =>
    vi.waitUntil(
      () => replica.process.lines.slice(said).find((line) => line.msg === message && where(line)),
      patience,
    );
}

function leaderNow(): Promise<Replica> {
  return vi.waitUntil(() => replicas.leader(), patience);
}

async function transitionsNow(): Promise<number> {
  const { body } = await client.request({ method: 'GET', path: leasePath });
  return Number(objectAt(body, 'spec')['leaseTransitions'] ?? 0);
}

/** Another bundle in every entry of the configuration. */
async function writeBundle(pem: string): Promise<void> {
  await vi.waitFor(async () => {
    const found = await authority.configuration();
    const webhooks = arrayAt(found, 'webhooks').map((entry) => ({
      ...(entry as JsonObject),
      clientConfig: { ...objectAt(entry, 'clientConfig'), caBundle: btoa(pem) },
    }));
    await client.request({ method: 'PUT', path: configurationPath, body: { ...found, webhooks } });
  }, patience);
}

let furnished: Promise<void> | null = null;

/** Resolves once there are policies, and namespaces to elect in: one that fails closed, and one that does not. */
function furnish(): Promise<void> {
  furnished ??= (async () => {
    await installCrds(client);
    for (const name of [closed, open]) await Namespace.create(client, name);
    await createPolicy('closed', [closed]);
  })();
  return furnished;
}

/** A policy that fails closed for `namespaces`, and whatever else it says. */
async function createPolicy(
  name: string,
  namespaces: readonly string[],
  rest: JsonObject = {},
): Promise<void> {
  const spec = { match: { namespaces }, failurePolicy: 'Fail', ...rest };
  const body = { apiVersion: 'lockwarden.dev/v1alpha1', kind: 'ClusterLockPolicy', metadata: { name }, spec };
  await client.request({ method: 'POST', path: policiesPath, body });
}

/** Resolves once the API server fails closed for `namespace`. */
async function untilClosed(namespace: string): Promise<void> {
  await vi.waitFor(async () => {
    const entries = arrayAt(await authority.configuration(), 'webhooks') as readonly JsonObject[];
    const failing = entries.filter((entry) => entry['failurePolicy'] === 'Fail');
    expect(failing.map(({ namespaceSelector }) => namespaceSelector)).toContainEqual({
      matchExpressions: [
        expect.objectContaining({ operator: 'In', values: expect.arrayContaining([namespace]) as string[] }),
      ],
    });
  }, patience);
  // What an API server has heard of only now it does not do yet.
  await sleep(1_000);
}

describe('an empty cluster', () => {
  beforeAll(() => gather(['--publish-dwell=2s', '--retire-after=1s'], false));
  afterAll(dismiss);

  test('three replicas that start at once, before their namespace is there, wait for it and say so', async () => {
    await replicas.start(3);
    for (const { process } of replicas.replicas) {
      await vi.waitFor(async () => {
        const { status, text } = await process.get('/readyz');
        expect(status).toBe(503);
        expect(text).toContain('[-]certificate the Secret is missing\n');
        expect(text).toContain('[+]serving ok\n');
      }, patience);
      expect((await process.get('/livez')).status).toBe(200);
    }
    expect(witness.counts.shown).toBe(0);
    await createOwnNamespace(client);
    await comesBack('start, from the moment that the namespace is there', allIsWell);
    await untilCalled(client);
  });

  test('they make one authority and one leaf between them', () => {
    const made = linesOf(replicas.history, 'authority step').filter(({ step }) => step === 'create');
    expect(made).toHaveLength(1);
    const served = linesOf(replicas.history, 'serving certificate loaded').map(
      ({ fingerprint }) => fingerprint,
    );
    expect(served).toHaveLength(3);
    expect(new Set(served).size).toBe(1);
  });

  test('three more, at once, on what is empty but for the namespace', { timeout: 120_000 }, async () => {
    await killAll();
    for (const path of [configurationPath, secretPath, leasePath, presencePath]) await remove(path);
    const before = replicas.history.length;
    await replicas.start(3);
    await comesBack('start of three at once, processes included', allIsWell);
    const started = replicas.history.slice(before);
    const made = linesOf(started, 'authority step').filter(({ step }) => step === 'create');
    expect(made).toHaveLength(1);
  });
});

describe('with three replicas', () => {
  beforeAll(async () => {
    await furnish();
    await gather(['--publish-dwell=2s', '--retire-after=1s', '--shutdown-grace-period=6s']);
    await replicas.start(3);
    await untilAllIsWell();
    await untilClosed(closed);
  });
  afterAll(dismiss);

  describe('the Secret', () => {
    let load: Load;

    beforeAll(() => {
      load = new Load(client, closed, { workers: 4, pauseMs: 10 });
    });
    afterAll(() => load.stop());

    /** The Secret's keys with some changed; null removes one. */
    async function tamper(texts: Readonly<Record<string, string | null>>): Promise<void> {
      const data = Object.fromEntries(
        Object.entries(texts).map(([key, text]) => [key, text === null ? null : btoa(text)]),
      );
      await client.request({ method: 'PATCH', path: secretPath, contentType: mergePatch, body: { data } });
    }

    /** A leaf of the cluster's own authority, from `fromMs` to `toMs` from now, which is not to be shown. */
    async function leafOfOurs(fromMs: number, toMs: number): Promise<Record<string, string>> {
      const ours = await loadAuthority(await authority.text('ca.crt'), await authority.text('ca.key'));
      const validity = { notBeforeMs: Date.now() + fromMs, notAfterMs: Date.now() + toMs };
      const { certPem, keyPem } = await issueLeaf(ours, ['127.0.0.1'], validity);
      witness.forbid(readChain(certPem)?.[0].fingerprint ?? '', 'a leaf that is out of its time');
      return { 'tls.crt': certPem, 'tls.key': keyPem };
    }

    async function ofAnotherCluster(): Promise<Record<string, string | null>> {
      const action = { writes: 'secret', kind: 'create', why: '', serveAtOnce: true, token: null } as const;
      const terms = {
        nowMs: Date.now(),
        hosts: ['127.0.0.1'],
        lifetimes: defaultLifetimes,
        cluster: 'another',
      };
      const created = await carryOut(action, null, terms);
      const theirs = await carryOut({ writes: 'secret', kind: 'confirm', why: '' }, created, terms);
      witness.forbid(theirs.leaf?.certificate.fingerprint ?? '', 'the leaf of another cluster');
      const data = Object.entries(secretData(theirs)).map(([key, value]) => [key, atob(value)]);
      const mine = Object.keys(objectAt(await authority.secret(), 'data')).map((key) => [key, null]);
      return Object.fromEntries([...mine, ...data]) as Record<string, string | null>;
    }

    async function withInstants(change: (instants: JsonObject) => JsonObject): Promise<void> {
      await tamper({ 'state.json': JSON.stringify(change(await authority.state())) });
    }

    const losses: readonly (readonly [string, RegExp, () => Promise<void>])[] = [
      ['is deleted', /there is no authority yet/, () => remove(secretPath)],
      [
        'has a certificate that is cut short',
        /`tls\.crt` is cut short/,
        async () => tamper({ 'tls.crt': (await authority.text('tls.crt')).slice(0, 200) }),
      ],
      [
        'has garbage for its instants',
        /`state\.json` is cut short or is not JSON/,
        () => tamper({ 'state.json': '{"version":' }),
      ],
      ['has lost the key of its authority', /`ca\.key` is missing/, () => tamper({ 'ca.key': null })],
      [
        'has the key of somebody else',
        /`tls\.key` is not the key of `tls\.crt`/,
        async () => {
          const { keyPem } = await issueServingCertificate({
            hosts: ['127.0.0.1'],
            nowMs: Date.now(),
            validityMs: hour,
            backdateMs: hour,
          });
          await tamper({ 'tls.key': keyPem });
        },
      ],
      [
        'was confirmed in the future',
        /says `confirmed` of .*, which is in the future/,
        () => withInstants((state) => ({ ...state, confirmed: new Date(Date.now() + hour).toISOString() })),
      ],
      [
        'has a leaf from the future',
        /`tls\.crt` is valid only from .*, which is in the future/,
        async () => tamper(await leafOfOurs(hour, 2 * hour)),
      ],
      [
        'has a leaf that has expired',
        /the leaf has expired/,
        async () => tamper(await leafOfOurs(-1_000 * 3_600, -60_000)),
      ],
      ['is that of another cluster', /another cluster/, async () => tamper(await ofAnotherCluster())],
    ];

    /** It is repaired, with the reason told once, and no call has failed. */
    async function expectRepair(what: string, reason: RegExp, lose: () => Promise<void>): Promise<void> {
      const said = replicas.history.map(({ process }) => process.lines.length);
      const leaf = await authority.leaf();
      await lose();
      await comesBack(
        `the Secret ${what}`,
        async () => {
          expect(await authority.leaf()).not.toBe(leaf);
          await allIsWell();
        },
        { load },
      );
      const steps = replicas.history
        .flatMap(({ process }, index) => process.lines.slice(said[index]))
        .filter(({ msg }) => msg === 'authority step')
        .map((line) => stringAt(line, 'reason'));
      expect(steps.filter((each) => reason.test(each))).toHaveLength(1);
      expect(load.failures).toEqual([]);
    }

    test.for(losses)('%s: it is repaired, and no call fails', { timeout: 120_000 }, ([what, reason, lose]) =>
      expectRepair(what, reason, lose),
    );

    test.for([
      ['prepare', losses[0]!],
      ['switch', losses[2]!],
    ] as const)(
      'in a rotation, after its step %s, as well',
      { timeout: 120_000 },
      async ([step, [what, reason, lose]]) => {
        const leader = await leaderNow();
        const isDone = nextLine(leader, 'authority step', (line) => line['step'] === step);
        await authority.rotate('authority');
        await isDone();
        await expectRepair(`${what}, after ${step}`, reason, lose);
      },
    );
  });

  describe('the Lease of the election', () => {
    test('is deleted: somebody leads within seconds, and rotates', { timeout: 120_000 }, async () => {
      await remove(leasePath);
      await comesBack('the Lease is deleted', async () => {
        expect((await replicas.leader())?.name).toBeDefined();
      });
      await (await authority.rotate('leaf')).untilDone();
      await untilAllIsWell();
    });

    test(
      'is gone when all return: the fence counts from zero, and rotations go on',
      { timeout: 120_000 },
      async () => {
        // So that the fence in the Secret is more than nothing.
        await replicas.kill((await leaderNow()).name);
        await remove(presencePath);
        await replicas.start(1);
        await vi.waitFor(async () => {
          expect(await transitionsNow()).toBeGreaterThan(0);
          await leaderNow();
        }, patience);
        await (await authority.rotate('leaf')).untilDone();
        await killAll();
        await remove(leasePath);
        const fence = fenceIn(await authority.secret());
        expect(fence).toBeGreaterThan(0);
        await replicas.start(3);
        await comesBack('the Lease is gone when all start', allIsWell);
        await (await authority.rotate('authority')).untilDone();
        expect(fenceIn(await authority.secret())).toBeLessThan(fence);
      },
    );
  });

  describe('the registration', () => {
    let load: Load;

    beforeAll(() => {
      load = new Load(client, closed, { workers: 4, pauseMs: 10 });
    });
    afterAll(() => load.stop());

    /** Calls succeed again, all of them. */
    async function expectCalls(): Promise<void> {
      // What an API server has heard of only now it does not do yet.
      await sleep(1_000);
      const [failed, done] = [load.failures.length, load.calls];
      await vi.waitUntil(() => load.calls > done + 50, patience);
      expect(load.failures.slice(failed)).toEqual([]);
    }

    const isTrusted = async (): Promise<void> => {
      const trusted = await authority.trusted();
      expect(trusted.length).toBeGreaterThan(0);
      expect(trusted).not.toContain(0);
      await untilCalled(client);
    };

    test('is deleted: it is put back, and no call fails', { timeout: 120_000 }, async () => {
      const failed = load.failures.length;
      await remove(configurationPath);
      await comesBack('the registration is deleted', isTrusted, { load });
      await untilAllIsWell();
      expect(load.failures.slice(failed)).toEqual([]);
    });

    test('loses its bundle in the middle of a rotation: both are mended', { timeout: 120_000 }, async () => {
      const leader = await leaderNow();
      const isPrepared = nextLine(leader, 'authority step', (line) => line['step'] === 'prepare');
      const rotation = await authority.rotate('authority');
      await isPrepared();
      await writeBundle('');
      await comesBack('the bundle is emptied in a rotation', isTrusted, { load });
      await rotation.untilDone();
      await untilAllIsWell();
      await expectCalls();
    });

    test.for([
      ['is deleted', () => remove(configurationPath)],
      ['loses its bundle', () => writeBundle('')],
    ] as const)(
      '%s while the leader is frozen: the others put it back',
      { timeout: 120_000 },
      async ([what, lose]) => {
        const leader = await leaderNow();
        leader.process.signal('SIGSTOP');
        onTestFinished(() => {
          leader.process.signal('SIGCONT');
        });
        await lose();
        // Trust is widened by whoever finds it missing; to register is the next leader's.
        await comesBack(`the registration ${what}, leader frozen`, isTrusted, { load });
        await vi.waitFor(async () => {
          expect((await leaderNow()).name).not.toBe(leader.name);
        }, patience);
        leader.process.signal('SIGCONT');
        await untilAllIsWell();
        await expectCalls();
      },
    );
  });

  describe('a leader', () => {
    test.for(['prepare', 'switch'])(
      'that is frozen after its step %s, for longer than its lease, writes nothing when it goes on',
      { timeout: 120_000 },
      async (step) => {
        const leader = await leaderNow();
        const before = await authority.text('ca.crt');
        const isDone = nextLine(leader, 'authority step', (line) => line['step'] === step);
        const rotation = await authority.rotate('authority');
        await isDone();
        leader.process.signal('SIGSTOP');
        onTestFinished(() => {
          leader.process.signal('SIGCONT');
        });
        const next = await vi.waitUntil(async () => {
          const found = await replicas.leader();
          return found !== null && found.name !== leader.name && found;
        }, patience);
        await vi.waitFor(async () => {
          expect(await authority.text('ca.crt')).not.toBe(before);
        }, patience);
        const resumedAtMs = Date.now();
        leader.process.signal('SIGCONT');
        const fences: number[] = [];
        await comesBack(`the leader goes on after a freeze at ${step}`, async () => {
          fences.push(fenceIn(await authority.secret()));
          expect((await authority.state())['rotatedFor']).toBe(rotation.token);
          await allIsWell();
        });
        // A write of the past would have put its own fence back.
        expect(fences).toEqual(fences.toSorted((one, other) => one - other));
        const said = leader.process.lines
          .filter(({ time }) => Date.parse(time) >= resumedAtMs)
          .map(({ msg }) => msg);
        expect(said).toContain('candidacy ended');
        expect(said).not.toContain('became leader');
        expect((await leaderNow()).name).toBe(next.name);
        expect(fences.at(-1)).toBe(await transitionsNow());
      },
    );
  });

  describe('nothing of lockwarden’s own is judged', () => {
    beforeAll(async () => {
      await createPolicy('nothing-passes', ['*', ownNamespace], {
        enforcement: 'Deny',
        profile: 'Strict',
        inspectRenewals: true,
        deletion: 'Deny',
        conditions: [{ name: 'never', expression: 'false' }],
      });
    });
    afterAll(() => remove(`${policiesPath}/nothing-passes`));

    /** Every write that would be refused anywhere else. */
    async function write(round: string): Promise<void> {
      const own = new Namespace(client, ownNamespace);
      const now = microTime();
      const spec = { holderIdentity: 'a', leaseDurationSeconds: 3_600, acquireTime: now, renewTime: now };
      await own.post('leases', `lock-${round}`, { spec });
      await own.put('leases', `lock-${round}`, (object) => withSpec(object, { holderIdentity: 'b' }));
      await own.delete('leases', `lock-${round}`);
      const record = JSON.stringify({ holderIdentity: 'a', leaseDurationSeconds: 15, renewTime: now });
      await own.post('configmaps', `lock-${round}`, {
        metadata: { annotations: { [leaderAnnotation]: record } },
      });
      await own.delete('configmaps', `lock-${round}`);
      const metadata = { labels: { 'recovery.example.org/round': round } };
      for (const path of [leasePath, secretPath, presencePath]) {
        await client.request({ method: 'PATCH', path, contentType: mergePatch, body: { metadata } });
      }
    }

    const elsewhere = (): Promise<unknown> =>
      new Namespace(client, open).post('leases', 'elsewhere', { spec: { holderIdentity: 'a' } });

    test('while it is up, under a policy that lets nothing pass', { timeout: 120_000 }, async () => {
      await vi.waitFor(async () => {
        expect((await failureOf(elsewhere()))?.message).toContain('ConditionNotMet');
      }, patience);
      // Whoever is asked may know the policy before the leader has registered it, and one that is killed registers nothing.
      await untilClosed(open);
      await write('up');
      await (await authority.rotate('leaf')).untilDone();
    });

    test(
      'while it is down, under policies that fail closed, and so it returns',
      { timeout: 120_000 },
      async () => {
        for (const { name } of replicas.replicas) await replicas.kill(name);
        expect((await failureOf(elsewhere()))?.message).toContain('failed calling webhook');
        await write('down');
        await remove(presencePath);
        await replicas.start(3);
        await comesBack('all of it, under a policy that lets nothing pass', allIsWell);
      },
    );
  });

  describe('etcd', () => {
    /** Everybody lives, and goes on serving what it served before. */
    async function expectAlive(): Promise<void> {
      for (const { name, process } of replicas.replicas) {
        expect((await process.get('/livez')).status).toBe(200);
        expect(witness.shownBy(name)).not.toBeNull();
      }
    }

    /** The leader of now, and how much it has said. */
    async function leaderAndSaid(): Promise<readonly [Replica, number]> {
      const leader = await leaderNow();
      return [leader, leader.process.lines.length];
    }

    /** Whoever led has given it up, and says so; whoever leads now can rotate. */
    async function expectGivenUp(leader: Replica, said: number): Promise<void> {
      expect(leader.process.lines.slice(said)).toContainEqual(
        expect.objectContaining({ msg: 'candidacy ended', why: 'lost', led: true }),
      );
      await (await authority.rotate('leaf')).untilDone();
      await untilAllIsWell();
      await untilCalled(client);
    }

    test(
      'hangs for twenty seconds: leadership is given up, and all comes back',
      { timeout: 180_000 },
      async () => {
        const [leader, said] = await leaderAndSaid();
        controlPlane.etcd.pause();
        onTestFinished(() => {
          controlPlane.etcd.resume();
        });
        for (let second = 0; second < 20; second += 1) {
          await sleep(1_000);
          await vi.waitFor(expectAlive, patience);
        }
        const begunAt = performance.now();
        controlPlane.etcd.resume();
        await comesBack('etcd hangs for 20 s', allIsWell, { begunAt });
        await expectGivenUp(leader, said);
      },
    );

    test('is killed, and away for longer than a lease', { timeout: 180_000 }, async () => {
      const [leader, said] = await leaderAndSaid();
      await controlPlane.etcd.kill();
      await sleep(4_000);
      await expectAlive();
      const begunAt = performance.now();
      await controlPlane.etcd.start();
      await comesBack('etcd is killed, from its start on', allIsWell, { begunAt });
      await expectGivenUp(leader, said);
    });

    test('is fine and the API server is killed', { timeout: 180_000 }, async () => {
      const [leader, said] = await leaderAndSaid();
      await controlPlane.apiserver.kill();
      await sleep(4_000);
      await expectAlive();
      const begunAt = performance.now();
      await controlPlane.apiserver.start();
      await comesBack('the API server is killed, from its start on', allIsWell, { begunAt });
      await expectGivenUp(leader, said);
    });
  });

  describe('the end of a replica', () => {
    /** A caller that keeps its connection, as an API server does. */
    async function startCaller(port: number): Promise<() => Promise<string | undefined>> {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      onTestFinished(() => {
        agent.destroy();
      });
      const call = (): Promise<string | undefined> =>
        new Promise((resolve, reject) => {
          httpsRequest(
            { host: '127.0.0.1', port, path: '/validate', method: 'POST', agent, rejectUnauthorized: false },
            (response) => {
              response.resume().once('end', () => {
                resolve(response.headers.connection);
              });
            },
          )
            .once('error', reject)
            .end('{}');
        });
      await call();
      return call;
    }

    async function untilDraining({ process }: Replica): Promise<void> {
      await vi.waitFor(async () => {
        const { status, text } = await process.get('/readyz');
        expect({ status, text }).toMatchObject({
          status: 503,
          text: expect.stringContaining('[-]serving draining\n') as string,
        });
      }, patience);
    }

    test(
      'SIGTERM: unready at once, connections closed with their next answer, and an end in order',
      { timeout: 120_000 },
      async () => {
        const leader = await leaderNow();
        const call = await startCaller(leader.port);
        expect(await call()).not.toBe('close');
        const begunAt = performance.now();
        const ended = replicas.end(leader.name);
        await untilDraining(leader);
        expect(await call()).toBe('close');
        await vi.waitUntil(async () => {
          const next = await replicas.leader();
          return next !== null && next.name !== leader.name;
        }, patience);
        returns.push({ what: 'another leads after a SIGTERM', ms: performance.now() - begunAt });
        expect(await ended).toBe(0);
        expect(leader.process.lines.at(-1)?.msg).toBe('stopped');
      },
    );

    test('a second signal ends at once, whatever is still open', { timeout: 120_000 }, async () => {
      const [replica] = replicas.replicas;
      await startCaller(replica!.port);
      const ended = replicas.end(replica!.name);
      await untilDraining(replica!);
      const begunAt = performance.now();
      replica!.process.signal('SIGTERM');
      expect(await ended).toBe(0);
      const ms = performance.now() - begunAt;
      returns.push({ what: 'the end after a second signal', ms });
      // The first signal alone would have taken the grace period, because a connection is open.
      expect(ms).toBeLessThan(5_000);
    });

    describe('while the API server hangs', () => {
      let leader: Replica;

      beforeAll(async () => {
        await replicas.start(1);
        await untilAllIsWell();
        leader = await leaderNow();
        const isPrepared = nextLine(leader, 'authority step', (line) => line['step'] === 'prepare');
        await authority.rotate('authority');
        await isPrepared();
        // In the middle of its next step.
        controlPlane.apiserver.pause();
      });
      afterAll(() => {
        controlPlane.apiserver.resume();
      });

      test('a leader ends within its grace period all the same', { timeout: 120_000 }, async () => {
        const begunAt = performance.now();
        expect(await replicas.end(leader.name)).toBe(0);
        const ms = performance.now() - begunAt;
        returns.push({ what: 'the end of a leader while the API server hangs', ms });
        // Six seconds of grace, and one for the end itself; a request that hangs would take ten at least.
        expect(ms).toBeLessThan(10_000);
      });

      test('a second signal ends at once all the same', { timeout: 120_000 }, async () => {
        const [replica] = replicas.replicas;
        const ended = replicas.end(replica!.name);
        await untilDraining(replica!);
        const begunAt = performance.now();
        replica!.process.signal('SIGTERM');
        expect(await ended).toBe(0);
        const ms = performance.now() - begunAt;
        returns.push({ what: 'the same after a second signal', ms });
        expect(ms).toBeLessThan(5_000);
      });
    });
  });
});

/** Nothing is left of the replicas before. */
async function clearAway(): Promise<void> {
  for (const path of [configurationPath, secretPath, leasePath, presencePath]) await remove(path);
}

describe('certificates that live for seconds', () => {
  beforeAll(async () => {
    await furnish();
    await clearAway();
    await gather([
      '--certificate-validity=15s',
      '--ca-validity=20s',
      '--publish-dwell=1s',
      '--retire-after=1s',
    ]);
    await replicas.start(3);
    await vi.waitFor(isServing, patience);
  });
  afterAll(dismiss);

  /** Every replica serves something, API servers take it, and the registration is in effect. */
  async function isServing(): Promise<void> {
    for (const { name, process } of replicas.replicas) {
      expect(witness.shownBy(name), name).not.toBeNull();
      expect((await process.get('/readyz')).status, name).toBe(200);
    }
    await untilCalled(client);
  }

  /** When the authorities of a Secret, and so everything that they have signed, have been over for a second. */
  function endOf({ current, next }: AuthorityState): number {
    return Math.max(...[current, next].map((each) => each?.certificate.notAfterMs ?? 0)) + 1_000;
  }

  test(
    'expire while the API server hangs: they are shown to the end of their lives, and then nothing is',
    { timeout: 180_000 },
    async () => {
      const state = await stateOf();
      controlPlane.apiserver.pause();
      onTestFinished(() => {
        controlPlane.apiserver.resume();
      });
      await sleep(endOf(state) - Date.now());
      await vi.waitFor(async () => {
        for (const { name, process } of replicas.replicas) {
          expect(witness.shownBy(name), name).toBeNull();
          const { status, text } = await process.get('/readyz');
          expect(status).toBe(503);
          expect(text).toMatch(/^\[-\]certificate .* expired/m);
        }
      }, patience);
      controlPlane.apiserver.resume();
      await comesBack('certificates have expired while the API server hung', isServing);
      expect(witness.wrongs()).toEqual([]);
    },
  );

  test(
    'expire while all of lockwarden is down: elections go on, and it returns with new ones',
    { timeout: 180_000 },
    async () => {
      const locks = new Namespace(client, closed);
      const now = microTime();
      const spec = { holderIdentity: 'steady', leaseDurationSeconds: 15, acquireTime: now, renewTime: now };
      await locks.post('leases', 'steady', { spec });
      await untilClosed(closed);
      await killAll();
      const load = new Load(client, open, { workers: 2, pauseMs: 20 });
      onTestFinished(() => load.stop());
      const old = await stateOf();
      while (Date.now() < endOf(old)) {
        // Under `Fail`, and with nobody there to ask: a plain renewal needs nobody.
        await locks.put('leases', 'steady', (object) => withSpec(object, { renewTime: microTime() }));
        await sleep(500);
      }
      witness.forbid(old.leaf?.certificate.fingerprint ?? '', 'the leaf that has expired');
      await replicas.start(3);
      await comesBack('certificates have expired while all was down', isServing, { load });
      expect(load.calls).toBeGreaterThan(50);
      expect(load.failures).toEqual([]);
      expect(witness.wrongs()).toEqual([]);
      await locks.delete('leases', 'steady');
    },
  );
});

describe('a replica whose clock is an hour off', () => {
  const name = 'skewed';
  let guard: Guard;
  let port: number;
  let healthPort: number;
  let wallOffsetMs = 0;
  const clock = systemClock({
    runningMs: () => performance.now(),
    bootMs: () => uptime() * 1_000,
    wallMs: () => Date.now() + wallOffsetMs,
  });

  beforeAll(async () => {
    await clearAway();
    await gather(['--publish-dwell=2s', '--retire-after=1s', '--shutdown-grace-period=6s']);
    await replicas.start(2);
    await untilAllIsWell();
    [port = 0, healthPort = 0] = await freePorts(2);
    const config = serveConfigOf({
      kubeconfig: controlPlane.kubeconfig,
      namespace: ownNamespace,
      port: String(port),
      healthPort: String(healthPort),
      bindAddress: '127.0.0.1',
      webhookUrl: `https://127.0.0.1:${String(replicas.balancer.port)}`,
      inspectRenewals: false,
      leaderElect: true,
      leaderElectLeaseDuration: '3s',
      leaderElectRenewDeadline: '2s',
      leaderElectRetryPeriod: '400ms',
      replicaName: name,
      publishDwell: '2s',
      retireAfter: '1s',
      shutdownGracePeriod: '6s',
      logLevel: 'info',
    });
    guard = new Guard(config, { log: pino({ base: null, enabled: false }), clock });
    wallOffsetMs = hour;
    await witness.stop();
    witness = new Witness(client, () => [...replicas.replicas, { name, port }]);
    await guard.start();
    replicas.balancer.add({ name, port, healthPort });
  });

  afterAll(async () => {
    const stopping = guard.stop();
    void guard.stop();
    await stopping;
    replicas.balancer.remove(name);
    await dismiss();
  });

  /** Who holds the Lease, and how often it has changed hands. */
  async function leadership(): Promise<readonly [string, number]> {
    const { body } = await client.request({ method: 'GET', path: leasePath });
    return [stringAt(objectAt(body, 'spec'), 'holderIdentity').split('_')[0] ?? '', await transitionsNow()];
  }

  /** The clock is set to each in turn, and for longer than a lease nothing comes of it. */
  async function expectNothingOf(offsets: readonly number[]): Promise<void> {
    const before = await leadership();
    const leaf = await authority.leaf();
    for (const offset of offsets) {
      wallOffsetMs = offset;
      await sleep(4_000);
      expect(await leadership(), `with its clock ${String(offset / hour)} h off`).toEqual(before);
      expect(witness.shownBy(name)).toBe(leaf);
      expect(guard.readiness.ready).toBe(true);
    }
    await allIsWell();
  }

  test('follows: it serves what the others serve, and leads no earlier', { timeout: 120_000 }, async () => {
    await vi.waitFor(async () => {
      expect(witness.shownBy(name)).toBe(await authority.leaf());
      expect(guard.readiness.ready).toBe(true);
    }, patience);
    expect((await leadership())[0]).not.toBe(name);
    await expectNothingOf([hour, -hour]);
  });

  test(
    'leads: it goes on leading, and what it issues is valid when it should be',
    { timeout: 120_000 },
    async () => {
      wallOffsetMs = hour;
      await killAll();
      await replicas.start(1);
      await vi.waitFor(async () => {
        expect((await leadership())[0]).toBe(name);
        for (const { process } of replicas.replicas) expect((await process.get('/readyz')).status).toBe(200);
      }, patience);
      for (const offset of [hour, -hour]) {
        wallOffsetMs = offset;
        const before = await leadership();
        await (await authority.rotate('authority')).untilDone();
        const { current, leaf } = await stateOf();
        for (const certificate of [current?.certificate, leaf?.certificate]) {
          expect(Math.abs((certificate?.notBeforeMs ?? 0) + hour - Date.now())).toBeLessThan(120_000);
        }
        await sleep(4_000);
        expect(await leadership()).toEqual(before);
      }
    },
  );
});
