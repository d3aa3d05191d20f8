/** The dead man's switch on a real API server, alone: no lockwarden runs here. */
import { setTimeout as sleep } from 'node:timers/promises';

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';

import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import type { KubeError } from '../../src/kube/errors.ts';
import { arrayAt, objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { collectionOf } from '../../src/switch/places.ts';
import { guardLeaseName, switchObjects } from '../../src/switch/policies.ts';
import type { SwitchScope, Terms } from '../../src/switch/terms.ts';
import { failureOf, microTime, Namespace, withMetadata, withSpec } from '../kube/support/cluster.ts';
import { createTestNamespace, type TestNamespace } from '../support/identities.ts';
import { createCandidate } from './support/candidate.ts';
import { installSwitch, ownNamespace } from './support/switch.ts';

const terms: Terms = {
  toleranceMs: 1_000,
  names: null,
  excludeNames: ['left-out', 'known-*'],
  exempt: { usernames: [], groups: ['break-glass'] },
  shortening: true,
  stamps: true,
};
const scope: SwitchScope = { unguarded: ['kube-system', ownNamespace], others: terms, classes: [] };

let controlPlane: ControlPlane;
let client: KubeClient;
let tenants: TestNamespace;
let ns: Namespace;
let own: Namespace;
let locks = 0;

/** The guard Lease as it would be had it been renewed `ageMs` ago, for ten seconds. */
async function renewGuard(ageMs: number): Promise<void> {
  const spec = { holderIdentity: 'lockwarden', leaseDurationSeconds: 10, renewTime: microTime(-ageMs) };
  await own.put('leases', guardLeaseName, (object) => withSpec(object, spec));
}

beforeAll(async () => {
  controlPlane = await startControlPlane({ binaries: inject('binaries') });
  client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  tenants = await createTestNamespace(controlPlane.kubeconfig, 'switch');
  await tenants.serviceAccount('candidate');
  ns = new Namespace(client, tenants.name);
  own = await installSwitch(client, scope);
  await untilAwake();
});

afterAll(async () => {
  client.close();
  await controlPlane.stop();
});

/** A lock that `a` has just taken, or renewed, for `seconds`. */
async function lock(seconds = 15, manager = 'elector'): Promise<string> {
  locks += 1;
  const name = `lock-${String(locks)}`;
  const renewTime = microTime();
  const spec = {
    ...{ holderIdentity: 'a', leaseDurationSeconds: seconds, renewTime, acquireTime: renewTime },
    leaseTransitions: 0,
  };
  await ns.post('leases', name, { spec }, manager);
  return name;
}

const taken = (): JsonObject => ({ holderIdentity: 'b', renewTime: microTime(), acquireTime: microTime() });

/** Why `b` may not take the lock over; null: it may, and has. */
const take = (name: string, manager = 'elector'): Promise<KubeError | null> =>
  failureOf(ns.put('leases', name, (object) => withSpec(object, taken()), manager));

/** The policies are taken in within a second or so. */
async function untilAwake(): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const failure = await take(await lock());
    if (failure !== null) return;
    await sleep(100);
  }
  throw new Error('the switch does not wake');
}

function expectRefusal(failure: KubeError | null, what: string): void {
  expect(failure?.status, failure?.message).toBe(403);
  expect(failure?.message).toContain(what);
}

const entriesIn = (object: JsonObject): readonly JsonObject[] =>
  arrayAt(objectAt(object, 'metadata'), 'managedFields') as readonly JsonObject[];

describe('awake', () => {
  test('it refuses a premature takeover, says that lockwarden is down, and how long to wait', async () => {
    const name = await lock(60);
    const failure = await take(name);
    expectRefusal(failure, `lockwarden is down: lease/${ns.name}/${name}: another identity takes the lock`);
    expect(failure?.message).toMatch(
      /held by a; free in at most (60|59|58) s; \[lockwarden U15 PrematureTakeover, switch\]$/,
    );
  });

  test.each(['merge', 'strategic', 'apply'] as const)('and by %s patch', async (type) => {
    expectRefusal(
      await failureOf(ns.patch('leases', await lock(), type, { spec: taken() }, 'b')),
      'takes the lock',
    );
  });

  test('and one that writes no time at all', async () => {
    const name = await lock();
    const bare = { holderIdentity: 'b', renewTime: null, leaseDurationSeconds: null };
    expectRefusal(
      await failureOf(ns.put('leases', name, (object) => withSpec(object, bare))),
      'takes the lock',
    );
  });

  test('lets a takeover pass once the lease has run out, and a little before, and never much before', async () => {
    const name = await lock(3);
    const beganAt = Date.now();
    let failure = await take(name);
    expectRefusal(failure, 'takes the lock');
    while (failure !== null) {
      await sleep(50);
      failure = await take(name);
    }
    // A tolerance of a second, and the second of each stamp.
    expect(Date.now() - beganAt).toBeGreaterThan(1_000);
    expect(Date.now() - beganAt).toBeLessThan(3_000);
  });

  test('lets renewals, releases and acquisitions pass', async () => {
    const name = await lock();
    const renewed = { renewTime: microTime(1_000) };
    expect(await failureOf(ns.put('leases', name, (object) => withSpec(object, renewed)))).toBeNull();
    expect(
      await failureOf(ns.patch('leases', name, 'merge', { spec: { renewTime: microTime(2_000) } })),
    ).toBeNull();
    const released = { holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime() };
    expect(await failureOf(ns.put('leases', name, (object) => withSpec(object, released)))).toBeNull();
    expect(await take(name)).toBeNull();
    const freed = { holderIdentity: null, acquireTime: null, renewTime: null, leaseDurationSeconds: null };
    expect(await failureOf(ns.put('leases', name, (object) => withSpec(object, freed)))).toBeNull();
    expect(await take(name)).toBeNull();
  });

  test('judges by the holder’s stamp, whatever its clock says', async () => {
    const [fast, slow] = [await lock(2), await lock()];
    const at = (ms: number) => (object: JsonObject) => withSpec(object, { renewTime: microTime(ms) });
    await ns.put('leases', fast, at(3_600_000));
    await ns.put('leases', slow, at(-3_600_000));
    expectRefusal(await take(slow), 'takes the lock');
    await sleep(3_000);
    expect(await take(fast)).toBeNull();
  });

  test.each([
    ['the renew time', { renewTime: null }],
    ['the duration', { leaseDurationSeconds: null }],
    ['both', { renewTime: null, leaseDurationSeconds: null }],
  ])('refuses that %s is stripped', async (_what, change) => {
    const name = await lock();
    expectRefusal(
      await failureOf(ns.put('leases', name, (object) => withSpec(object, change))),
      'StrippedTiming',
    );
    expectRefusal(
      await failureOf(ns.patch('leases', name, 'merge', { spec: change }, 'thief')),
      'StrippedTiming',
    );
  });

  test('refuses that another cuts the lease short, and lets the holder’s own program', async () => {
    const name = await lock();
    const short = (ms: number): JsonObject => ({
      spec: { leaseDurationSeconds: 1, renewTime: microTime(ms) },
    });
    expectRefusal(
      await failureOf(ns.patch('leases', name, 'merge', { spec: { leaseDurationSeconds: 1 } }, 'thief')),
      'ForeignRelease',
    );
    expect(await failureOf(ns.patch('leases', name, 'merge', short(0)))).toBeNull();
    const other = await lock();
    expect(
      await failureOf(ns.patch('leases', other, 'merge', { spec: { leaseDurationSeconds: 1 } })),
    ).toBeNull();
  });

  test.each([
    ['emptied', []],
    ['reset', [{}]],
  ])('refuses that stamps are %s, with a takeover or without', async (_what, managedFields) => {
    const name = await lock();
    expectRefusal(
      await failureOf(ns.put('leases', name, (object) => withMetadata(object, { managedFields }))),
      'stamps',
    );
    const both = (object: JsonObject): JsonObject =>
      withMetadata(withSpec(object, taken()), { managedFields });
    expectRefusal(await failureOf(ns.put('leases', name, both)), '');
  });

  const stamp = (ms: number): string => `${new Date(Date.now() + ms).toISOString().slice(0, 19)}Z`;
  const owned = { 'f:spec': { 'f:renewTime': {}, 'f:holderIdentity': {}, 'f:leaseDurationSeconds': {} } };
  const forged = (ms: number, manager: string): JsonObject => ({
    ...{ manager, operation: 'Update', apiVersion: 'coordination.k8s.io/v1', time: stamp(ms) },
    ...{ fieldsType: 'FieldsV1', fieldsV1: owned },
  });

  test.each([
    ['in the past', -3_600_000],
    ['in the future', 3_600_000],
    ['of now', 0],
  ])('refuses an entry planted %s, and a takeover that brings one', async (_what, ms) => {
    const name = await lock();
    const plant = (object: JsonObject): JsonObject =>
      withMetadata(object, { managedFields: [...entriesIn(object), forged(ms, 'planted')] });
    const failure = await failureOf(ns.put('leases', name, plant, 'thief'));
    if (failure === null) expectRefusal(await take(name), 'takes the lock');
    else expectRefusal(failure, 'EvidenceTampered');
    expectRefusal(
      await failureOf(ns.put('leases', name, (object) => plant(withSpec(object, taken())), 'thief')),
      '',
    );
  });

  test('refuses that the holder’s own stamp is moved back', async () => {
    const name = await lock();
    // NB: a write that changes nothing but times changes nothing at all: the label makes it one.
    const backdate = (object: JsonObject): JsonObject =>
      withMetadata(object, {
        labels: { team: 'thief' },
        managedFields: entriesIn(object).map((entry) => ({ ...entry, time: stamp(-3_600_000) })),
      });
    expectRefusal(await failureOf(ns.put('leases', name, backdate, 'thief')), 'EvidenceTampered');
    expectRefusal(
      await failureOf(ns.put('leases', name, (object) => backdate(withSpec(object, taken())), 'thief')),
      '',
    );
    // Under the holder's own name the API server stamps that very entry anew.
    expect(await failureOf(ns.put('leases', name, backdate))).toBeNull();
    expectRefusal(await take(name), 'takes the lock');
  });

  describe('refuses that the stamp is walked back in steps that are small enough each', () => {
    const toldBack = (entry: JsonObject): JsonObject => ({
      ...entry,
      time: `${new Date(Date.parse(String(entry['time'])) - 2_000).toISOString().slice(0, 19)}Z`,
    });

    /** Writes again and again, until that is refused. */
    async function walkBack(
      name: string,
      step: (object: JsonObject, count: number) => JsonObject,
    ): Promise<void> {
      for (let count = 1; ; count += 1) {
        const failure = await failureOf(ns.put('leases', name, (object) => step(object, count), 'thief'));
        if (failure !== null) {
          expectRefusal(failure, 'EvidenceTampered');
          // One step may pass; the lease of fifteen seconds is far from over by it.
          expect(count).toBeLessThanOrEqual(2);
          break;
        }
      }
      expectRefusal(await take(name), 'takes the lock');
    }

    test('in an entry that only the API server itself has', async () => {
      const renewTimeOnly = { 'f:spec': { 'f:renewTime': {} } };
      const others = { 'f:spec': { 'f:holderIdentity': {}, 'f:leaseDurationSeconds': {} } };
      await walkBack(await lock(), (object, count) => {
        const isAncient = ({ manager }: JsonObject): boolean => manager === 'ancient-changes';
        const entries = entriesIn(object).filter((entry) => entry['manager'] !== 'thief');
        const [owner = {}] = entries;
        const ancient = entries.find(isAncient) ?? { ...owner, manager: 'ancient-changes' };
        return withMetadata(object, {
          labels: { step: String(count) },
          managedFields: [
            ...entries.filter((entry) => !isAncient(entry)).map((entry) => ({ ...entry, fieldsV1: others })),
            { ...toldBack(ancient), fieldsV1: renewTimeOnly },
          ],
        });
      });
    });

    test('in the holder’s own, beside a label that goes', async () => {
      const name = await lock();
      const labels = { a: '', b: '', c: '', d: '', e: '', f: '', g: '' };
      await ns.patch('leases', name, 'merge', { metadata: { labels } }, 'labeller');
      await walkBack(name, (object, count) =>
        withMetadata(object, {
          labels: Object.fromEntries(Object.entries(labels).slice(count)),
          managedFields: entriesIn(object).map((entry) =>
            entry['manager'] === 'elector' ? toldBack(entry) : entry,
          ),
        }),
      );
    });
  });

  test('lets a release pass that takes away all that its writer had written, and so all stamps', async () => {
    const name = `released-${String(locks)}`;
    const spec = {
      holderIdentity: 'a',
      leaseDurationSeconds: 15,
      renewTime: microTime(),
      acquireTime: microTime(),
    };
    await ns.post('leases', name, { spec });
    const gone = { holderIdentity: null, leaseDurationSeconds: null, renewTime: null, acquireTime: null };
    expect(await failureOf(ns.patch('leases', name, 'merge', { spec: gone }))).toBeNull();
    expect(entriesIn(await ns.get('leases', name))).toEqual([]);
    expect(await take(name)).toBeNull();
  });

  test('an owner without a time, as a forced apply of the same values leaves one, makes no lock look expired, nor alive for ever', async () => {
    const name = await lock(4);
    const { spec } = (await ns.get('leases', name)) as { spec: JsonObject };
    await ns.patch('leases', name, 'apply', { spec }, 'applier');
    expectRefusal(await take(name), 'takes the lock');
    await sleep(5_000);
    expect(await take(name)).toBeNull();
  });

  test('a lock without stamps, or held without times, passes', async () => {
    const untimed = 'untimed';
    await ns.post('leases', untimed, { spec: { holderIdentity: 'a' } });
    expect(await take(untimed)).toBeNull();
  });

  test('labels and such are nobody’s business', async () => {
    const name = await lock();
    const labels = { metadata: { labels: { team: 'a' } } };
    expect(await failureOf(ns.patch('leases', name, 'merge', labels, 'kubectl-label'))).toBeNull();
    expect(await failureOf(ns.patch('leases', name, 'apply', labels, 'argo'))).toBeNull();
    expectRefusal(await take(name), 'takes the lock');
  });

  test('what is left out by name, or who is exempt, passes', async () => {
    const renewTime = microTime();
    for (const name of ['left-out', 'known-stealer']) {
      await ns.post('leases', name, { spec: { holderIdentity: 'a', leaseDurationSeconds: 60, renewTime } });
      expect(await take(name)).toBeNull();
    }
  });

  test('a namespace that is not guarded is left alone', async () => {
    const spec = { holderIdentity: 'a', leaseDurationSeconds: 60, renewTime: microTime() };
    await own.post('leases', 'mine', { spec });
    expect(await failureOf(own.put('leases', 'mine', (object) => withSpec(object, taken())))).toBeNull();
  });
});

describe('whatever is written', () => {
  const text = fc.oneof(
    fc.constantFrom('', 'a', 'b', '2026-13-45T99:99:99Z'),
    fc.string({ maxLength: 600, unit: 'grapheme' }),
  );
  const time = fc.oneof(
    fc.constantFrom(
      ...[
        '0001-01-01T00:00:00.000000Z',
        '9999-12-31T23:59:59.999999Z',
        '1970-01-01T00:00:00.000000Z',
        '1700-01-01T00:00:00.000000Z',
      ],
      ...['2999-01-01T00:00:00.000000Z', null],
    ),
    fc.integer({ min: -100_000, max: 100_000 }).map((ms) => microTime(ms)),
  );
  const spec = fc.record(
    {
      holderIdentity: fc.option(text),
      leaseDurationSeconds: fc.option(
        fc.oneof(fc.constantFrom(1, 15, 2_147_483_647), fc.integer({ min: 1 })),
      ),
      renewTime: time,
      acquireTime: time,
      leaseTransitions: fc.option(fc.nat()),
    },
    { requiredKeys: [] },
  );
  const entry = fc.record(
    {
      manager: fc.constantFrom('elector', 'thief', 'planted', ''),
      operation: fc.constantFrom('Update', 'Apply'),
      apiVersion: fc.constantFrom('coordination.k8s.io/v1', 'coordination.k8s.io/v1beta1'),
      time: fc.constantFrom('2026-01-01T00:00:00Z', '2999-01-01T00:00:00Z', '0001-01-01T00:00:00Z', null),
      fieldsType: fc.constant('FieldsV1'),
      fieldsV1: fc.constantFrom<unknown>(
        {},
        { 'f:spec': {} },
        { 'f:spec': { 'f:renewTime': {}, 'f:holderIdentity': {} } },
        { 'f:metadata': {} },
      ),
      subresource: fc.constantFrom('', 'status'),
    },
    { requiredKeys: ['operation', 'apiVersion', 'fieldsType'] },
  );
  const metadata = fc.record(
    {
      managedFields: fc.oneof(fc.array(entry, { maxLength: 4 }), fc.constant([{}])),
      labels: fc.constantFrom({}, { a: 'b' }),
    },
    { requiredKeys: [] },
  );
  const write = fc.record({
    spec,
    metadata,
    manager: fc.constantFrom('elector', 'thief'),
    way: fc.constantFrom('put', 'merge', 'apply'),
  });

  test('no expression fails', { timeout: 120_000 }, async () => {
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(write, { minLength: 1, maxLength: 6 }), async (writes) => {
        const name = await lock();
        for (const each of writes) {
          const failure = await failureOf(written(name, each));
          expect(failure?.message ?? '').not.toMatch(/resulted in error|failed to evaluate|expression/);
          if (failure?.status === 403) refused += 1;
        }
      }),
      { numRuns: 120 },
    );
    expect(refused).toBeGreaterThan(50);
  });

  function written(
    name: string,
    {
      spec: change,
      metadata: about,
      manager,
      way,
    }: { spec: object; metadata: object; manager: string; way: string },
  ): Promise<JsonObject> {
    const [fields, more] = [change as JsonObject, about as JsonObject];
    if (way === 'merge') return ns.patch('leases', name, 'merge', { spec: fields, metadata: more }, manager);
    if (way === 'apply') return ns.patch('leases', name, 'apply', { spec: fields }, manager);
    return ns.put('leases', name, (object) => withMetadata(withSpec(object, fields), more), manager);
  }
});

test('the API server takes it with a thousand namespaces on terms of their own', async () => {
  const classes = Array.from({ length: 1_000 }, (_, index) => ({
    namespaces: [`team-${String(index)}-of-a-name-of-some-length-of-its-own`],
    terms: { ...terms, toleranceMs: index },
  }));
  for (const object of switchObjects({ scope: { ...scope, classes }, ownNamespace, username: 'nobody' })) {
    const body = withMetadata(object, { name: `large-${stringAt(objectAt(object, 'metadata'), 'name')}` });
    const path = collectionOf(object);
    expect(
      await failureOf(client.request({ method: 'POST', path, body, query: { dryRun: 'All' } })),
    ).toBeNull();
  }
});

describe('the guard Lease', () => {
  test('puts the switch to sleep when it is renewed, and wakes it when it is not', async () => {
    await renewGuard(0);
    const name = await lock(600);
    // A write of the parameter is taken in within some milliseconds.
    await sleep(500);
    expect(await take(name)).toBeNull();
    const other = await lock(600);
    await sleep(10_500);
    expectRefusal(await take(other), 'takes the lock');
  });

  test('says nothing with a renew time far ahead, or without a holder', async () => {
    await renewGuard(-3_600_000);
    await sleep(500);
    expectRefusal(await take(await lock()), 'takes the lock');
    await own.put('leases', guardLeaseName, (object) =>
      withSpec(object, { holderIdentity: '', renewTime: microTime() }),
    );
    await sleep(500);
    expectRefusal(await take(await lock()), 'takes the lock');
  });

  test('is nobody’s but lockwarden’s', async () => {
    const stranger = await createTestNamespace(controlPlane.kubeconfig, 'stranger');
    await stranger.serviceAccount('candidate');
    const candidate = await createCandidate(stranger, 'candidate', 'stranger');
    const binding = {
      ...{
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: 'stranger' },
      },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ kind: 'ServiceAccount', name: 'candidate', namespace: stranger.name }],
    };
    await client.request({
      method: 'POST',
      path: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
      body: binding,
    });
    const theirs = new Namespace(candidate.locks.client, ownNamespace);
    await expect
      .poll(async () => (await failureOf(theirs.get('leases', guardLeaseName)))?.status, { timeout: 10_000 })
      .toBe(undefined);
    expectRefusal(
      await failureOf(
        theirs.put('leases', guardLeaseName, (object) => withSpec(object, { renewTime: microTime() })),
      ),
      'for lockwarden alone',
    );
    expectRefusal(await failureOf(theirs.delete('leases', guardLeaseName)), 'for lockwarden alone');
    for (const query of [{}, { fieldSelector: `metadata.name=${guardLeaseName}` }]) {
      const path = theirs.collection('leases');
      expectRefusal(
        await failureOf(candidate.locks.client.request({ method: 'DELETE', path, query })),
        'for lockwarden alone',
      );
    }
    expect(await failureOf(theirs.post('leases', 'another'))).toBeNull();
    candidate.close();
  });

  test('once it is gone, the switch refuses no write at all', async () => {
    await own.delete('leases', guardLeaseName);
    await sleep(500);
    expect(await take(await lock())).toBeNull();
  });
});
