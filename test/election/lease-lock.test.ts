/** The lock on a Lease, against an API server that answers as told. Names in front of a colon are those of client-go's tests. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LeaseConflict, leaseLock, type ElectionLock } from '../../src/election/lease-lock.ts';
import { microTime, recordOf, specOf, type LeaseRecord } from '../../src/election/record.ts';
import { objectAt } from '../../src/kube/json.ts';
import {
  failure,
  configFor,
  startFakeApiServer,
  type FakeApiServer,
} from '../kube/support/fake-api-server.ts';

const path = '/apis/coordination.k8s.io/v1/namespaces/test-namespace/leases';
const patience = { timeoutMs: 5_000, signal: new AbortController().signal };
const record: LeaseRecord = {
  holder: 'test-identity',
  durationSeconds: 15,
  acquireTime: '2026-03-01T12:00:00.123456Z',
  renewTime: '2026-03-01T12:00:02.654321Z',
  transitions: 1,
};
const kept = { preferredHolder: 'preferred-holder', strategy: 'strategy' };

let server: FakeApiServer;
let lock: ElectionLock;

beforeEach(async () => {
  server = await startFakeApiServer();
  lock = lockWith();
});

afterEach(async () => {
  lock.close();
  await server.close();
});

function lockWith(labels?: Readonly<Record<string, string>>): ElectionLock {
  return leaseLock({
    api: server.client,
    namespace: 'test-namespace',
    name: 'test-name',
    identity: 'test-identity',
    ...(labels !== undefined && { labels }),
  });
}

function lease(metadata: object = {}, spec: object = { ...specOf(record), ...kept }): object {
  return {
    kind: 'Lease',
    metadata: { name: 'test-name', uid: 'u', resourceVersion: '7', ...metadata },
    spec,
  };
}

/** What a replacement of `stored` by `record` sends. */
async function sentFor(stored: object): Promise<unknown> {
  const reading = lock.read(patience);
  (await server.next()).reply(200, stored);
  const writing = lock.replace((await reading)!, { ...record, transitions: 2 }, patience);
  const asked = await server.next();
  expect(asked).toMatchObject({ method: 'PUT', url: { pathname: `${path}/test-name` } });
  asked.reply(200, lease({ resourceVersion: '8' }));
  await writing;
  return asked.body;
}

describe('reading', () => {
  it('TestGetError: a Lease that is not there is null, and another failure fails', async () => {
    const missing = lock.read(patience);
    (await server.next()).reply(404, failure(404, 'NotFound'));
    await expect(missing).resolves.toBeNull();
    const broken = lock.read(patience);
    (await server.next()).reply(500, failure(500, 'InternalError'));
    await expect(broken).rejects.toMatchObject({ kind: 'server-error' });
  });

  it('TestGet: the record, and all else besides', async () => {
    const reading = lock.read(patience);
    (await server.next()).reply(200, lease());
    await expect(reading).resolves.toEqual({ record, object: lease() });
  });

  it('is from etcd, never from a cache', async () => {
    const reading = lock.read(patience);
    const asked = await server.next();
    expect(asked).toMatchObject({ method: 'GET', url: { pathname: `${path}/test-name`, search: '' } });
    asked.reply(200, lease());
    await reading;
  });

  it('takes what is no Lease for a failure', async () => {
    const reading = lock.read(patience);
    (await server.next()).reply(200, { kind: 'Lease', spec: specOf(record) });
    await expect(reading).rejects.toMatchObject({ kind: 'malformed' });
  });

  it.each([
    [undefined, ['', 0, '', '', 0]],
    [
      { holderIdentity: null, leaseDurationSeconds: '15', leaseTransitions: 1.5, renewTime: 5 },
      ['', 0, '', '', 0],
    ],
    [{ holderIdentity: 'a', leaseDurationSeconds: -3, leaseTransitions: -1 }, ['a', 0, '', '', 0]],
  ])(
    'what cannot be read counts as never written: %j',
    (spec, [holder, seconds, acquired, renewed, transitions]) => {
      expect(recordOf(spec)).toEqual({
        holder,
        durationSeconds: seconds,
        acquireTime: acquired,
        renewTime: renewed,
        transitions,
      });
    },
  );
});

describe('creating', () => {
  it('sends the record, with its labels', async () => {
    lock = lockWith({ app: 'x' });
    const creating = lock.create(record, patience);
    const asked = await server.next();
    expect(asked).toMatchObject({
      method: 'POST',
      url: { pathname: path },
      body: {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { namespace: 'test-namespace', name: 'test-name', labels: { app: 'x' } },
        spec: specOf(record),
      },
    });
    asked.reply(201, lease());
    await expect(creating).resolves.toEqual({ record, object: lease() });
  });

  it('TestCreateError: a Lease that is there already is a conflict', async () => {
    const creating = lock.create(record, patience);
    (await server.next()).reply(409, failure(409, 'AlreadyExists', 'it exists'));
    await expect(creating).rejects.toBeInstanceOf(LeaseConflict);
  });
});

describe('replacing', () => {
  it('TestUpdateError: a Lease that was never read cannot be replaced', async () => {
    const stored = { record, object: {} };
    await expect((async () => lock.replace(stored, record, patience))()).rejects.toMatchObject({
      kind: 'malformed',
    });
    expect(server.waiting).toBe(0);
  });

  it('fails with a conflict when somebody was faster, and with anything else as it is', async () => {
    const stored = { record, object: lease() as Record<string, unknown> };
    const slower = lock.replace(stored, record, patience);
    (await server.next()).reply(409, failure(409, 'Conflict', 'it has been modified'));
    await expect(slower).rejects.toBeInstanceOf(LeaseConflict);
    const refused = lock.replace(stored, record, patience);
    (await server.next()).reply(403, failure(403, 'Forbidden'));
    await expect(refused).rejects.toMatchObject({ kind: 'forbidden' });
  });

  it('is a compare-and-swap that keeps what it does not understand', async () => {
    const sent = await sentFor(lease({ annotations: { a: 'b' } }));
    expect(sent).toEqual({
      kind: 'Lease',
      metadata: { name: 'test-name', uid: 'u', resourceVersion: '7', annotations: { a: 'b' } },
      spec: { ...specOf({ ...record, transitions: 2 }), ...kept },
    });
  });

  it('takes nothing for stored that was not', async () => {
    const object = lease() as Record<string, unknown>;
    const stored = { record, object };
    const replacing = lock.replace(stored, { ...record, transitions: 9 }, patience);
    (await server.next()).reply(500, failure(500, 'InternalError'));
    await expect(replacing).rejects.toThrow();
    expect(stored).toEqual({ record, object: lease() });
  });

  it('TestUpdateWithNilLabelsOnLease', async () => {
    lock = lockWith({ 'custom-key': 'custom-val' });
    expect(objectAt(await sentFor(lease()), 'metadata')['labels']).toEqual({ 'custom-key': 'custom-val' });
  });

  it('TestUpdateWithNilLabelsOnLeaseLock', async () => {
    const labels = { 'custom-key': 'custom-val' };
    expect(objectAt(await sentFor(lease({ labels })), 'metadata')['labels']).toEqual(labels);
  });

  it('TestLabelUpdate', async () => {
    lock = lockWith({ 'custom-key': 'custom-val' });
    const labels = { 'custom-key': 'new-custom-val', 'custom-key-2': 'custom-val-2' };
    expect(objectAt(await sentFor(lease({ labels })), 'metadata')['labels']).toEqual({
      'custom-key': 'custom-val',
      'custom-key-2': 'custom-val-2',
    });
  });
});

describe('a record', () => {
  it('TestLeaseSpecToLeaderElectionRecordRoundTrip', () => {
    expect(recordOf(specOf(record))).toEqual(record);
    expect(specOf(recordOf(specOf(record)))).toEqual(specOf(record));
  });

  it('TestLeaseConversion', () => {
    expect(specOf(record)).toEqual({
      holderIdentity: 'test-identity',
      leaseDurationSeconds: 15,
      acquireTime: '2026-03-01T12:00:00.123456Z',
      renewTime: '2026-03-01T12:00:02.654321Z',
      leaseTransitions: 1,
    });
  });

  it('says nothing of times that were never written', () => {
    expect(specOf({ ...record, acquireTime: '', renewTime: '' })).not.toHaveProperty('acquireTime');
    expect(specOf({ ...record, acquireTime: '', renewTime: '' })).not.toHaveProperty('renewTime');
  });

  it.each([
    [0, '1970-01-01T00:00:00.000000Z'],
    [1_772_366_400_005, '2026-03-01T12:00:00.005000Z'],
    [1_772_366_400_005.75, '2026-03-01T12:00:00.005000Z'],
  ])('writes %d as a MicroTime of six digits', (ms, text) => {
    expect(microTime(ms)).toBe(text);
  });
});

describe('the lock', () => {
  it('TestDescribe: knows its namespace, name and identity', () => {
    expect(lock).toMatchObject({ namespace: 'test-namespace', name: 'test-name', identity: 'test-identity' });
    expect(() => leaseLock({ api: server.client, namespace: '', name: 'x', identity: 'y' })).toThrow(
      'namespace',
    );
  });

  it('has connections of its own where it is given a kubeconfig', async () => {
    const own = leaseLock({ api: configFor(server.url), namespace: 'a', name: 'b', identity: 'c' });
    const others = server.client.request({ method: 'GET', path: '/busy' });
    const busy = await server.next();
    const reading = own.read(patience);
    const asked = await server.next();
    expect(asked.port).not.toBe(busy.port);
    expect(asked.headers['user-agent']).toBe('leader-election');
    asked.reply(200, lease());
    busy.reply(200, {});
    await Promise.all([reading, others]);
    own.close();
  });

  it('gives up in time, and when told to', async () => {
    const slow = lock.read({ ...patience, timeoutMs: 20 });
    await server.next();
    await expect(slow).rejects.toMatchObject({ kind: 'timeout' });
    const controller = new AbortController();
    const reading = lock.read({ ...patience, signal: controller.signal });
    await server.next();
    controller.abort();
    await expect(reading).rejects.toMatchObject({ kind: 'aborted' });
  });
});
