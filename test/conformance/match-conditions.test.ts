import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';

import { createKubeClient } from '../../src/kube/client.ts';
import { arrayAt, isObject, objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { desiredConfiguration } from '../../src/kube/webhook-configuration.ts';
import {
  failureOf,
  leaderAnnotation,
  microTime,
  Namespace,
  textOf,
  withMetadata,
  withRecord,
  withSpec,
  type Plural,
} from '../kube/support/cluster.ts';
import { startCountingWebhook, type Call, type CountingWebhook } from '../kube/support/counting-webhook.ts';

const config = loadKubeconfig({ file: inject('kubeconfig') });
const client = createKubeClient(config);
const configurations = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
const name = `match-conditions-${String(process.pid)}`;

let webhook: CountingWebhook;
let ns: Namespace;

/** The configuration under test, for this test's namespace only: other tests share the API server. */
function configuration(failurePolicy: 'Ignore' | 'Fail'): JsonObject {
  const desired = desiredConfiguration({
    address: { kind: 'url', url: webhook.url },
    caBundle: webhook.caBundle,
    ownNamespace: 'lockwarden-system',
    notLocks: [{ namespace: name, name: 'health' }],
    leases: { unguarded: [], renewals: 'skip', special: [] },
    records: { unguarded: [], renewals: 'skip', special: [] },
  });
  const expression = { key: 'kubernetes.io/metadata.name', operator: 'In', values: [name] };
  const webhooks = desired.webhooks.map((each) => ({
    ...each,
    failurePolicy,
    clientConfig: { url: `${webhook.url}/${stringAt(each, 'name')}`, caBundle: btoa(webhook.caBundle) },
    namespaceSelector: { matchExpressions: [expression] },
  }));
  return { ...desired, metadata: { name }, webhooks };
}

/** Writes a lock until the API server calls: it takes up a new configuration within a second. */
async function untilCalled(): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    await ns.post('leases', 'probe');
    await ns.post('configmaps', 'probe', { metadata: { annotations: { [leaderAnnotation]: '{}' } } });
    const calls = webhook.take();
    await ns.delete('leases', 'probe');
    await ns.delete('configmaps', 'probe');
    webhook.take();
    if (new Set(calls.map((call) => call.path)).size === 2) return;
  }
  throw new Error('the webhook is not called');
}

async function callsOf(work: () => Promise<unknown>): Promise<readonly Call[]> {
  webhook.take();
  await work();
  return webhook.take();
}

beforeAll(async () => {
  webhook = await startCountingWebhook();
  ns = await Namespace.create(client, name);
  await client.request({ method: 'POST', path: configurations, body: configuration('Ignore') });
  await untilCalled();
});

afterAll(async () => {
  await client.request({ method: 'DELETE', path: `${configurations}/${name}` });
  await webhook.close();
  client.close();
});

const renewals = 110;

/** How each client renews a Lease: one request with the given renew time. */
const leaseForms: Readonly<Record<string, (lock: string, renewTime: string) => Promise<unknown>>> = {
  'PUT of what was read (client-go, Java, .NET)': (lock, renewTime) =>
    ns.put('leases', lock, (object) => withSpec(object, { renewTime })),
  'PUT from scratch, without labels (pekko, zio-k8s)': async (lock, renewTime) => {
    const read = await ns.get('leases', lock);
    const { resourceVersion } = objectAt(read, 'metadata');
    const { holderIdentity, leaseDurationSeconds, acquireTime } = objectAt(read, 'spec');
    const spec = { holderIdentity, leaseDurationSeconds, acquireTime, renewTime };
    return ns.putWhole('leases', lock, ns.object('leases', lock, { metadata: { resourceVersion }, spec }));
  },
  'merge patch (kube-leader-election, fabric8)': (lock, renewTime) =>
    ns.patch('leases', lock, 'merge', { spec: { renewTime, leaseDurationSeconds: 15 } }),
  'strategic patch (kubert, kube-lease-manager)': (lock, renewTime) =>
    ns.patch('leases', lock, 'strategic', { spec: { renewTime, leaseDurationSeconds: 15 } }),
  'server-side apply (Bonny, kube-coordinate)': (lock, renewTime) =>
    ns.patch('leases', lock, 'apply', {
      spec: { holderIdentity: 'a', leaseDurationSeconds: 15, renewTime, acquireTime: renewTime },
    }),
  'server-side apply by another manager each time': (lock, renewTime) =>
    ns.patch(
      'leases',
      lock,
      'apply',
      { spec: { holderIdentity: 'a', leaseDurationSeconds: 15, renewTime } },
      `elector-${String(Number(renewTime.slice(20, 26)) % 5)}`,
    ),
  'merge patch whose manager changes in a rollout': (lock, renewTime) =>
    ns.patch(
      'leases',
      lock,
      'merge',
      { spec: { renewTime } },
      `elector-${String(Number(renewTime.slice(20, 26)) % 3)}`,
    ),
};

const held = (holder = 'a'): JsonObject => ({
  metadata: { labels: { app: 'x' }, annotations: { note: 'kept' } },
  spec: {
    holderIdentity: holder,
    leaseDurationSeconds: 15,
    acquireTime: microTime(-5_000),
    renewTime: microTime(-5_000),
    leaseTransitions: 3,
  },
});

describe('leases: plain renewals are not sent', () => {
  for (const [form, renew] of Object.entries(leaseForms)) {
    test(form, { timeout: 60_000 }, async () => {
      const lock = `renewed-${String(Object.keys(leaseForms).indexOf(form))}`;
      await ns.post('leases', lock, held());
      const calls = await callsOf(async () => {
        for (let micros = 0; micros < renewals; micros += 1) await renew(lock, microTime(0, micros));
      });
      expect(calls).toEqual([]);
      expect(stringAt(objectAt(await ns.get('leases', lock), 'spec'), 'renewTime')).toMatch(/109Z$/u);
    });
  }
});

const setRecord = (record: string): JsonObject => ({
  metadata: { annotations: { [leaderAnnotation]: record } },
});

type RecordWrite = (plural: Plural, lock: string, record: string) => Promise<unknown>;

const putRecord: RecordWrite = (plural, lock, record) =>
  ns.put(plural, lock, (object) => withRecord(object, record));

const patchRecord =
  (type: 'merge' | 'strategic' | 'apply'): RecordWrite =>
  (plural, lock, record) =>
    ns.patch(plural, lock, type, setRecord(record));

/** How a client renews a record in an annotation. */
interface RecordForm {
  readonly json: (renewTime: string) => string;
  /** Times in order; the annotation of client-go has whole seconds. */
  readonly time: (index: number) => string;
  readonly write: RecordWrite;
}

const ofClientGo = {
  json: (renewTime: string): string =>
    `{"holderIdentity":"a","leaseDurationSeconds":15,"acquireTime":"2026-01-01T00:00:00Z","renewTime":"${renewTime}","leaderTransitions":1}`,
  time: (index: number): string => microTime((index - renewals) * 1000).replace(/\.\d+Z$/u, 'Z'),
};

const recordForms: Readonly<Record<string, RecordForm>> = {
  'PUT in whole seconds (client-go)': { ...ofClientGo, write: putRecord },
  'merge patch in microseconds (fabric8)': {
    json: (renewTime) =>
      `{"holderIdentity":"a","leaseDuration":"PT15S","acquireTime":"2026-01-01T00:00:00.038633Z","renewTime":"${renewTime}","leaderTransitions":0}`,
    time: (index) => microTime(0, index),
    write: patchRecord('merge'),
  },
  'PUT in milliseconds, the renew time last (Java)': {
    json: (renewTime) => `{"holderIdentity":"a","leaseDurationSeconds":15,"renewTime":"${renewTime}"}`,
    time: (index) => microTime((index - renewals) * 10).replace(/000Z$/u, 'Z'),
    write: putRecord,
  },
  'PUT with spaces and without a zone (Python)': {
    json: (renewTime) =>
      `{"holderIdentity": "a", "leaseDurationSeconds": "15", "acquireTime": "2026-01-01 00:00:00.784468", "renewTime": "${renewTime}"}`,
    time: (index) => microTime(0, index).replace('T', ' ').replace('Z', ''),
    write: putRecord,
  },
  'strategic patch': { ...ofClientGo, write: patchRecord('strategic') },
  'server-side apply': { ...ofClientGo, write: patchRecord('apply') },
};

describe('records in annotations: plain renewals are not sent', () => {
  for (const plural of ['configmaps', 'endpoints'] as const) {
    for (const [index, [form, { json, time, write }]] of Object.entries(recordForms).entries()) {
      test(`${plural}, ${form}`, { timeout: 60_000 }, async () => {
        const lock = `renewed-${String(index)}`;
        await ns.post(plural, lock, setRecord(json(time(-1))));
        // The first server-side apply takes the record over from another manager's entry: not a plain renewal.
        await write(plural, lock, json(time(0)));
        const calls = await callsOf(async () => {
          for (let each = 1; each <= renewals; each += 1) await write(plural, lock, json(time(each)));
        });
        expect(calls).toEqual([]);
      });
    }
  }
});

describe('what is no lock is not sent', () => {
  for (const plural of ['configmaps', 'endpoints'] as const) {
    test(`ordinary ${plural}: 25 objects created, replaced, patched and deleted`, async () => {
      const calls = await callsOf(async () => {
        for (let index = 0; index < 25; index += 1) {
          const each = `ordinary-${String(index)}`;
          await ns.post(plural, each, { metadata: { annotations: { other: 'x' } } });
          await ns.put(plural, each, (object) => withMetadata(object, { labels: { a: '1' } }));
          await ns.patch(plural, each, 'merge', { metadata: { annotations: { other: null } } });
          await ns.patch(plural, each, 'apply', { metadata: { labels: { b: '2' } } }, 'applier');
          await ns.delete(plural, each);
        }
      });
      expect(calls).toEqual([]);
    });
  }

  test('a record that stays as it is while another manager writes data beside it, 100 times', async () => {
    const json = '{"holderIdentity":"a","leaseDurationSeconds":15,"renewTime":"2026-01-01T00:00:00Z"}';
    await ns.post('configmaps', 'beside', withRecord({ metadata: {} }, json));
    const calls = await callsOf(async () => {
      for (let index = 0; index < 100; index += 1) {
        await ns.patch('configmaps', 'beside', 'merge', { data: { index: String(index) } }, 'operator');
      }
    });
    expect(calls).toEqual([]);
  });

  test('a name of the built-in list, by every operation and by deletecollection', async () => {
    const other = await failureOf(ns.post('leases', 'health', held()));
    expect(other).toBeNull();
    const calls = await callsOf(async () => {
      await ns.patch('leases', 'health', 'merge', { spec: { holderIdentity: 'b' } });
      await ns.delete('leases', 'health');
      await ns.post('leases', 'health', held());
      await client.request({
        method: 'DELETE',
        path: ns.collection('leases'),
        query: { fieldSelector: 'metadata.name=health' },
      });
    });
    expect(calls).toEqual([]);
  });
});

/** A write that lockwarden must judge: prepared, then done. */
interface Sent {
  readonly plural: Plural;
  readonly object: () => JsonObject;
  readonly write: (lock: string) => Promise<unknown>;
}

const stampsOf = (object: JsonObject): readonly JsonObject[] =>
  arrayAt(objectAt(object, 'metadata'), 'managedFields').filter((each) => isObject(each));

const planted = (count: number): readonly JsonObject[] =>
  Array.from({ length: count }, (_, index) => ({
    manager: `planted-${String(index)}`,
    operation: 'Update',
    apiVersion: 'coordination.k8s.io/v1',
    time: '2026-01-01T00:00:00Z',
    fieldsType: 'FieldsV1',
    fieldsV1: { 'f:spec': { 'f:leaseTransitions': {} } },
  }));

const spec = (change: JsonObject) => (lock: string) => ns.patch('leases', lock, 'merge', { spec: change });

const putLease = (change: (object: JsonObject) => JsonObject, manager?: string) => (lock: string) =>
  ns.put('leases', lock, change, manager);

const lease = (write: Sent['write'], object: Sent['object'] = held): Sent => ({
  plural: 'leases',
  object,
  write,
});

const sentLeases: Readonly<Record<string, Sent>> = {
  takeover: lease((lock) => spec({ holderIdentity: 'b', renewTime: microTime() })(lock)),
  'takeover by apply': lease((lock) =>
    ns.patch('leases', lock, 'apply', { spec: { holderIdentity: 'b', renewTime: microTime() } }, 'b'),
  ),
  shrink: lease((lock) => spec({ leaseDurationSeconds: 1, renewTime: microTime() })(lock)),
  growth: lease((lock) => spec({ leaseDurationSeconds: 3600, renewTime: microTime() })(lock)),
  'strip of the renew time': lease(spec({ renewTime: null })),
  'strip by the zero time': lease(spec({ renewTime: '0001-01-01T00:00:00.000000Z' })),
  'strip of the duration': lease((lock) =>
    spec({ leaseDurationSeconds: null, renewTime: microTime() })(lock),
  ),
  'release by an empty holder': lease((lock) => spec({ holderIdentity: '', renewTime: microTime() })(lock)),
  'release by null': lease(spec({ holderIdentity: null, renewTime: null, leaseDurationSeconds: null })),
  'transitions alone': lease(spec({ leaseTransitions: 4 })),
  'renew time backward': lease(spec({ renewTime: microTime(-60_000) })),
  'renew time 62 s ahead': lease((lock) => spec({ renewTime: microTime(62_000) })(lock)),
  'renew time in the year 9999': lease(spec({ renewTime: '9999-12-31T23:59:59.999999Z' })),
  'renew time in the year 10000, by its offset': lease(
    spec({ renewTime: '9999-12-31T23:59:59.999999-14:00' }),
  ),
  'renew time in the year 0': lease(spec({ renewTime: '0000-01-01T00:00:00.000000Z' })),
  'stamps reset by [{}]': lease(
    putLease((object) => withMetadata(withSpec(object, { renewTime: microTime() }), { managedFields: [{}] })),
  ),
  'stamps reset by []': lease(
    putLease((object) => withMetadata(withSpec(object, { renewTime: microTime() }), { managedFields: [] })),
  ),
  'stamp back-dated beside a label': lease(
    putLease(
      (object) =>
        withMetadata(object, {
          labels: { changed: 'yes' },
          managedFields: stampsOf(object).map((each) => ({ ...each, time: '2026-01-01T00:00:00Z' })),
        }),
      'thief',
    ),
  ),
  'stamps planted in a renewal (3)': lease(
    putLease((object) =>
      withMetadata(withSpec(object, { renewTime: microTime() }), {
        managedFields: [...stampsOf(object), ...planted(3)],
      }),
    ),
  ),
  'one stamp planted in a renewal': lease(
    putLease((object) =>
      withMetadata(withSpec(object, { renewTime: microTime() }), {
        managedFields: [...stampsOf(object), ...planted(1)],
      }),
    ),
  ),
  'stamps planted in a renewal (100)': lease(
    putLease((object) =>
      withMetadata(withSpec(object, { renewTime: microTime() }), {
        managedFields: [...stampsOf(object), ...planted(100)],
      }),
    ),
  ),
  'an older entry given the holder in a renewal': {
    plural: 'leases',
    object: held,
    write: async (lock) => {
      await ns.patch('leases', lock, 'merge', { metadata: { labels: { by: 'operator' } } }, 'operator');
      webhook.take();
      return ns.put('leases', lock, (object) =>
        withMetadata(withSpec(object, { renewTime: microTime() }), {
          managedFields: stampsOf(object).map((each) =>
            each['manager'] === 'operator'
              ? { ...each, fieldsV1: { 'f:spec': { 'f:holderIdentity': {} } } }
              : each,
          ),
        }),
      );
    },
  },
  'another entry back-dated in a renewal': {
    plural: 'leases',
    object: held,
    write: async (lock) => {
      await ns.patch('leases', lock, 'merge', { metadata: { labels: { by: 'operator' } } }, 'operator');
      webhook.take();
      return ns.put('leases', lock, (object) =>
        withMetadata(withSpec(object, { renewTime: microTime() }), {
          managedFields: stampsOf(object).map((each) =>
            each['manager'] === 'operator' ? { ...each, time: '2026-01-01T00:00:00Z' } : each,
          ),
        }),
      );
    },
  },
  'renewal of an untracked lock': lease(
    (lock) => spec({ renewTime: microTime() })(lock),
    () => ({ ...held(), metadata: { managedFields: [{}] } }),
  ),
  'first record of an empty lock': lease(
    (lock) => spec({ holderIdentity: 'a', leaseDurationSeconds: 15, renewTime: microTime() })(lock),
    () => ({ spec: {} }),
  ),
  'a label alone': lease((lock) => ns.patch('leases', lock, 'merge', { metadata: { labels: { a: 'b' } } })),
  'a holder of 600 characters': lease(
    (lock) => spec({ renewTime: microTime() })(lock),
    () => held('a'.repeat(600)),
  ),
  delete: lease((lock) => ns.delete('leases', lock)),
  deletecollection: lease((lock) =>
    client.request({
      method: 'DELETE',
      path: ns.collection('leases'),
      query: { fieldSelector: `metadata.name=${lock}` },
    }),
  ),
};

const goRecord = (holder: string, renewTime: string, more = ''): string =>
  `{"holderIdentity":"${holder}","leaseDurationSeconds":15,"acquireTime":"2026-01-01T00:00:00Z","renewTime":"${renewTime}","leaderTransitions":1${more}}`;
const seconds = (offsetMs = 0): string => microTime(offsetMs).replace(/\.\d+Z$/u, 'Z');
const carried = (): JsonObject => withRecord({ metadata: {} }, goRecord('a', seconds(-5_000)));

const writeRecord =
  (plural: Plural, json: () => string | null): Sent['write'] =>
  (lock) =>
    ns.patch(plural, lock, 'merge', { metadata: { annotations: { [leaderAnnotation]: json() } } });

const oddRecords: Readonly<Record<string, () => string | null>> = {
  takeover: () => goRecord('b', seconds()),
  release: () => goRecord('', seconds()),
  shrink: () => goRecord('a', seconds()).replace(':15', ':1'),
  growth: () => goRecord('a', seconds()).replace(':15', ':3600'),
  'strip of the annotation': () => null,
  'strip of the renew time': () => goRecord('a', seconds()).replace(/"renewTime":"[^"]*",/u, ''),
  'empty record': () => '',
  'no JSON': () => 'x',
  'renew time backward': () => goRecord('a', seconds(-60_000)),
  'renew time 62 s ahead': () => goRecord('a', seconds(62_000)),
  'renew time in the year 2999': () => goRecord('a', '2999-12-31T23:59:59Z'),
  'renew time that is no time': () => goRecord('a', '2999-99-99T99:99:99Z'),
  'renew time with an offset': () => goRecord('a', seconds().replace('Z', '+02:00')),
  'a second holder key in another case': () => goRecord('a', seconds(), ',"HolderIdentity":"b"'),
  'a second renew time': () => goRecord('a', seconds(), `,"renewTime":"${seconds(3_000)}"`),
  'the renew time moved out of its object': () =>
    goRecord('a', seconds()).replace(/,("renewTime":"[^"]*"),(.*)\}$/u, ',$2,$1}'),
  'a record of 200 KiB': () => goRecord('a', seconds(), `,"x":"${'y'.repeat(200 * 1024)}"`),
};

/** As Python's `str(datetime)` and `json.dumps` write it. */
const pythonRecord = (member: string): string =>
  `{"holderIdentity": "a", "leaseDurationSeconds": 15, ${member}}`;
const pythonTime = (offsetMs: number): string => microTime(offsetMs).replace('T', ' ').replace('Z', '');

/** Texts of the same length that sort after `"renewTime": "2026-01-02 03:04:05.123456"`, and name an earlier time. */
const backwardInAnotherForm: Readonly<Record<string, () => string>> = {
  'no space after the colon': () => `"renewTime":"${microTime(-3_600_000)}"`,
  'a T between date and time': () => `"renewTime": "${microTime(-3_600_000).replace('Z', '')}"`,
  'a Z for the last digit': () => `"renewTime": "${pythonTime(-5_000).slice(0, -1)}Z"`,
};

const sentRecords: Readonly<Record<string, Sent>> = Object.fromEntries(
  (['configmaps', 'endpoints'] as const).flatMap((plural) => [
    ...Object.entries(oddRecords).map(([what, json]): [string, Sent] => [
      `${plural}: ${what}`,
      { plural, object: carried, write: writeRecord(plural, json) },
    ]),
    ...Object.entries(backwardInAnotherForm).map(([form, member]): [string, Sent] => [
      `${plural}: renew time that does not move forward, with ${form}`,
      {
        plural,
        object: () => withRecord({ metadata: {} }, pythonRecord(`"renewTime": "${pythonTime(-5_000)}"`)),
        write: writeRecord(plural, () => pythonRecord(member())),
      },
    ]),
    [
      `${plural}: stamp back-dated beside a label`,
      {
        plural,
        object: carried,
        write: (lock) =>
          ns.put(
            plural,
            lock,
            (object) =>
              withMetadata(object, {
                labels: { changed: 'yes' },
                managedFields: stampsOf(object).map((each) => ({ ...each, time: '2026-01-01T00:00:00Z' })),
              }),
            'thief',
          ),
      },
    ],
    [
      `${plural}: stamps planted beside an unchanged record`,
      {
        plural,
        object: carried,
        write: (lock) =>
          ns.put(plural, lock, (object) =>
            withMetadata(object, {
              labels: { changed: 'yes' },
              managedFields: [
                ...stampsOf(object),
                ...planted(3).map((each) => ({
                  ...each,
                  apiVersion: 'v1',
                  fieldsV1: { 'f:metadata': { 'f:labels': { 'f:x': {} } } },
                })),
              ],
            }),
          ),
      },
    ],
    [
      `${plural}: the record's stamp handed to an older entry, beside a label`,
      {
        plural,
        object: () => withMetadata(carried(), { labels: { by: 'creator' } }),
        write: async (lock) => {
          await writeRecord(plural, () => goRecord('a', seconds()))(lock);
          await ns.patch(plural, lock, 'apply', { metadata: { labels: { applied: 'x' } } }, 'applier');
          webhook.take();
          return ns.put(plural, lock, (object) => {
            const [owner, ...others] = stampsOf(object).toSorted((a, b) =>
              String(a['operation']).localeCompare(String(b['operation'])),
            );
            const record = { 'f:metadata': { 'f:annotations': { [`f:${leaderAnnotation}`]: {} } } };
            const labels = { 'f:metadata': { 'f:labels': { 'f:by': {} } } };
            return withMetadata(object, {
              labels: { by: 'creator', applied: 'x', changed: 'yes' },
              managedFields: [
                { ...owner, fieldsV1: record },
                ...others.map((each) => ({ ...each, fieldsV1: labels })),
              ],
            });
          });
        },
      },
    ],
    [
      `${plural}: stamps reset`,
      {
        plural,
        object: carried,
        write: (lock) =>
          ns.put(plural, lock, (object) =>
            withMetadata(withRecord(object, goRecord('a', seconds())), { managedFields: [{}] }),
          ),
      },
    ],
    [
      `${plural}: renewal of an untracked lock`,
      {
        plural,
        object: () => withMetadata(carried(), { managedFields: [{}] }),
        write: writeRecord(plural, () => goRecord('a', seconds())),
      },
    ],
    [`${plural}: delete`, { plural, object: carried, write: (lock) => ns.delete(plural, lock) }],
    [
      `${plural}: deletecollection`,
      {
        plural,
        object: carried,
        write: (lock) =>
          client.request({
            method: 'DELETE',
            path: ns.collection(plural),
            query: { fieldSelector: `metadata.name=${lock}` },
          }),
      },
    ],
  ]),
);

describe('what changes hands, timing or stamps is sent', () => {
  let locks = 0;
  for (const [what, { plural, object, write }] of Object.entries({ ...sentLeases, ...sentRecords })) {
    test(what, async () => {
      locks += 1;
      const lock = `sent-${String(locks)}`;
      const created = await callsOf(async () => {
        const sent = object();
        const body = await ns.post(plural, lock, sent);
        // NB: managed fields sent with a POST are ignored; only a PUT resets them.
        if (stampsOf(sent).length > 0)
          await ns.putWhole(plural, lock, withMetadata(body, { managedFields: [{}] }));
      });
      expect(created[0]).toMatchObject({ operation: 'CREATE', name: lock });
      const calls = await callsOf(() => write(lock));
      expect(calls.filter((call) => call.name === lock)).not.toHaveLength(0);
    });
  }
});

/** The metric's lines for lockwarden's entries: none means that no expression has failed since the API server started. */
async function failures(): Promise<readonly string[]> {
  const metrics = await textOf(config, '/metrics');
  return metrics
    .split('\n')
    .filter((line) => line.startsWith('apiserver_admission_match_condition_evaluation_errors_total'))
    .filter((line) => /"(?:leases|records)\.lockwarden\.dev"/u.test(line));
}

describe('locks that many have a hand in', () => {
  const hands = 58;

  /** Server-side apply by many managers: each leaves an entry, and the API server merges none of them. */
  async function handled(plural: Plural, lock: string): Promise<void> {
    for (let hand = 0; hand < hands; hand += 1) {
      const labels = { [`hand-${String(hand)}`]: 'x' };
      await ns.patch(
        plural,
        lock,
        'apply',
        { metadata: { labels } },
        `${'manager'.repeat(16)}-${String(hand)}`,
      );
    }
  }

  test('are renewed without a call, within the cost that CEL is given', { timeout: 60_000 }, async () => {
    const json = (renewTime: string): string =>
      `{"holderIdentity":"a","renewTime":"${renewTime}","leaseDurationSeconds":15,"x":"${'é'.repeat(3900)}"}`;
    await ns.post('leases', 'handled', held('a'.repeat(500)));
    await ns.post('configmaps', 'handled', setRecord(json(microTime())));
    await handled('leases', 'handled');
    await handled('configmaps', 'handled');
    const calls = await callsOf(async () => {
      for (let micros = 0; micros < 20; micros += 1) {
        await ns.put('leases', 'handled', (object) => withSpec(object, { renewTime: microTime(0, micros) }));
        await ns.put('configmaps', 'handled', (object) => withRecord(object, json(microTime(0, micros))));
      }
    });
    expect(stampsOf(await ns.get('leases', 'handled')).length).toBeGreaterThan(hands);
    expect(calls).toEqual([]);
    expect(await failures()).toEqual([]);
  });
});

describe('no expression ever fails', () => {
  beforeAll(async () => {
    const read = await client.request({ method: 'GET', path: `${configurations}/${name}` });
    const body = withMetadata(configuration('Fail'), objectAt(read.body, 'metadata'));
    await client.request({ method: 'PUT', path: `${configurations}/${name}`, body });
    await untilCalled();
  });

  const texts = fc.oneof(
    fc.constantFrom('', 'a', 'b', '\u0000', '2026-01-01T00:00:00.000000Z', '{}', '[]', 'null', '"'),
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constant('é'.repeat(100_000)),
  );
  const times = fc.oneof(
    fc.constantFrom(null, '0001-01-01T00:00:00.000000Z', '0000-01-01T00:00:00.000000Z'),
    fc.constantFrom('9999-12-31T23:59:59.999999Z', '9999-12-31T23:59:59.999999-23:59'),
    fc.integer({ min: -70_000, max: 70_000 }).map((offsetMs) => microTime(offsetMs, 1)),
  );
  const stamps = fc.oneof(
    fc.constantFrom(undefined, null, [], [{}], [null]),
    fc.array(
      fc.record(
        {
          manager: fc.constantFrom('elector', 'b', '', 'x'.repeat(128)),
          operation: fc.constantFrom('Update', 'Apply', 'Odd', null),
          apiVersion: fc.constantFrom('coordination.k8s.io/v1', 'v1', 'odd/v9', '', null),
          time: fc.constantFrom(
            '2026-01-01T00:00:00Z',
            '9999-12-31T23:59:59-23:59',
            '0000-01-01T00:00:00Z',
            null,
          ),
          fieldsType: fc.constantFrom('FieldsV1', 'Odd', null),
          fieldsV1: fc.constantFrom<unknown>(
            { 'f:spec': { 'f:renewTime': {}, 'f:holderIdentity': {} } },
            { 'f:metadata': { 'f:annotations': { [`f:${leaderAnnotation}`]: {} } } },
            { 'f:spec': null },
            { 'f:spec': [] },
            { 'f:spec': { 'f:renewTime': null } },
            { 'f:metadata': { 'f:annotations': 'x' } },
            { 'f:metadata': {} },
            {},
            [],
            null,
            'x',
            1,
          ),
          subresource: fc.constantFrom('', 'status', null),
        },
        { requiredKeys: [] },
      ),
      { maxLength: 70 },
    ),
  );
  const maybe = { requiredKeys: [] };
  const specs = fc.oneof(
    fc.constantFrom(null, undefined, {}),
    fc.record(
      {
        holderIdentity: fc.oneof(fc.constantFrom('a', 'a', null), texts),
        leaseDurationSeconds: fc.constantFrom(15, 15, 1, 2_147_483_647, null),
        renewTime: times,
        acquireTime: times,
        leaseTransitions: fc.constantFrom(0, 1, null),
        strategy: fc.constantFrom('OldestEmulationVersion', '', null),
      },
      maybe,
    ),
  );
  const leases = fc.record({ spec: specs, metadata: fc.record({ managedFields: stamps }, maybe) });
  const records = fc.oneof(
    texts,
    fc.constant(null),
    fc.tuple(texts, times, fc.boolean()).map(([holder, time, twice]) => {
      const member = `"renewTime":${JSON.stringify(time)}`;
      return `{"holderIdentity":${JSON.stringify(holder)},${member}${twice ? `,${member}` : ''}}`;
    }),
  );
  const carriers = fc.record({
    metadata: fc.record(
      {
        annotations: fc.oneof(
          fc.constantFrom(null, {}),
          records.map((record) => ({ [leaderAnnotation]: record })),
        ),
        managedFields: stamps,
      },
      maybe,
    ),
    data: fc.constantFrom(undefined, null, {}, { x: 'y' }),
  });

  /** Create, replace by PUT, patch and apply over it, delete: whatever is accepted, no answer may speak of a webhook. */
  async function writeAll(plural: Plural, lock: string, objects: readonly JsonObject[]): Promise<number> {
    let accepted = 0;
    const attempt = async (work: Promise<unknown>): Promise<void> => {
      const failure = await failureOf(work);
      expect(failure?.message ?? '').not.toMatch(/webhook|match ?condition|evaluat/iu);
      expect([400, 404, 409, 415, 422, 500, null]).toContain(failure?.status ?? null);
      if (failure === null) accepted += 1;
    };
    const [first, ...rest] = objects;
    await attempt(ns.post(plural, lock, first));
    for (const object of rest) {
      await attempt(
        ns.put(plural, lock, (stored) => ({
          ...stored,
          ...object,
          metadata: { ...objectAt(stored, 'metadata'), ...objectAt(object, 'metadata') },
        })),
      );
      await attempt(ns.patch(plural, lock, 'merge', object));
      await attempt(ns.patch(plural, lock, 'apply', object, 'applier'));
    }
    await attempt(ns.delete(plural, lock));
    return accepted;
  }

  const arbitraries: readonly [Plural, fc.Arbitrary<JsonObject>][] = [
    ['leases', leases],
    ['configmaps', carriers],
    ['endpoints', carriers.map(({ metadata }) => ({ metadata }))],
  ];
  for (const [plural, arbitrary] of arbitraries) {
    test(`over odd, absent, null and huge fields of ${plural}`, { timeout: 120_000 }, async () => {
      let accepted = 0;
      let run = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(arbitrary, { minLength: 2, maxLength: 4 }), async (objects) => {
          run += 1;
          accepted += await writeAll(plural, `fuzz-${String(run)}`, objects);
        }),
        { numRuns: 60, endOnFailure: true },
      );
      expect(accepted).toBeGreaterThan(100);
      expect(await failures()).toEqual([]);
    });
  }

  test('one that did would be seen: by a refusal, and by the metric', async () => {
    const [leases] = arrayAt(configuration('Fail'), 'webhooks');
    const failing = {
      ...(isObject(leases) ? leases : {}),
      name: 'failing.lockwarden.dev',
      matchConditions: [{ name: 'fails', expression: "object.spec.absent == 'x'" }],
    };
    const own = { ...configuration('Fail'), metadata: { name: `${name}-failing` }, webhooks: [failing] };
    await client.request({ method: 'POST', path: configurations, body: own });
    try {
      let refusal = null;
      for (let attempt = 0; attempt < 200 && refusal === null; attempt += 1) {
        refusal = await failureOf(ns.post('leases', `failing-${String(attempt)}`, { spec: {} }));
      }
      expect(refusal).toMatchObject({ status: 403, missing: null });
      expect(refusal?.message).toMatch(/evaluat|no such key/iu);
      expect(await textOf(config, '/metrics')).toMatch(
        /^apiserver_admission_match_condition_evaluation_errors_total\{.*"failing\.lockwarden\.dev"/mu,
      );
    } finally {
      await client.request({ method: 'DELETE', path: `${configurations}/${name}-failing` });
    }
  });
});
