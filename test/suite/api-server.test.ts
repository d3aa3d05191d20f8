import { describe, expect, it } from 'vitest';
import type { AdmissionReviewResponse } from '../../src/admission/response.ts';
import type { LockKind } from '../../src/core/lock.ts';
import type { JsonObject } from '../../src/locks/json.ts';
import { ApiServerModel, type Caller, type Review } from '../../src/suite/model/api-server.ts';
import { mergePatch } from '../../src/suite/model/merge-patch.ts';

const t0 = Date.parse('2026-01-01T00:00:00.400Z');
const caller: Caller = {
  userInfo: { username: 'jane', groups: ['system:authenticated'], extra: {} },
  fieldManager: 'kubectl',
};

type Response = AdmissionReviewResponse['response'];

class Ground {
  nowMs = t0;
  answer: Response | null = null;
  readonly reviews: Review[] = [];
  readonly events: (readonly [type: string, object: JsonObject])[] = [];
  readonly server: ApiServerModel;

  constructor(kind: LockKind = 'Lease') {
    this.server = new ApiServerModel(
      { kind, namespace: 'team', name: 'x' },
      {
        nowMs: () => this.nowMs,
        admit: (review) => {
          this.reviews.push(review);
          return Promise.resolve(this.answer === null ? [] : [this.answer]);
        },
        onEvent: (type, object) => {
          this.events.push([type, object]);
        },
      },
    );
  }
}

const lease = (spec: JsonObject = {}, metadata: JsonObject = {}): JsonObject => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name: 'x', namespace: 'team', ...metadata },
  spec,
});
const renewTime = '2026-01-01T00:00:00.000000Z';
const refusal: Response = {
  uid: '1',
  allowed: false,
  status: { status: 'Failure', message: 'no', reason: 'Forbidden', code: 403 },
};

describe('the model of the API server', () => {
  it('stores what is created with its own metadata, and tells the watch', async () => {
    const { server, events, reviews } = new Ground();
    expect(await server.create(lease({ holderIdentity: 'a' }, { uid: 'mine' }), caller)).toMatchObject({
      status: 200,
    });
    expect(server.object).toMatchObject({
      metadata: {
        uid: '00000000-0000-4000-8000-000000000001',
        resourceVersion: '1',
        creationTimestamp: '2026-01-01T00:00:00Z',
        managedFields: [{ manager: 'kubectl', time: '2026-01-01T00:00:00Z' }],
      },
      spec: { holderIdentity: 'a' },
    });
    expect(events).toEqual([['ADDED', server.object]]);
    expect(reviews).toMatchObject([
      {
        operation: 'CREATE',
        resource: { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' },
        name: 'x',
        namespace: 'team',
        userInfo: caller.userInfo,
        oldObject: null,
        object: { spec: { holderIdentity: 'a' }, metadata: { managedFields: [{ manager: 'kubectl' }] } },
      },
    ]);
  });

  it('shows a webhook what is stored, and what would be', async () => {
    const ground = new Ground();
    await ground.server.create(lease({ holderIdentity: 'a' }), caller);
    const before = ground.server.object;
    ground.nowMs += 2_000;
    await ground.server.merge({ spec: { holderIdentity: 'b' } }, { ...caller, fieldManager: 'other' });
    expect(ground.reviews[1]).toMatchObject({
      operation: 'UPDATE',
      oldObject: before,
      object: {
        spec: { holderIdentity: 'b' },
        metadata: { managedFields: [{ manager: 'other', time: '2026-01-01T00:00:02Z' }] },
      },
    });
  });

  it('stores nothing that a webhook refuses', async () => {
    const ground = new Ground();
    await ground.server.create(lease({ holderIdentity: 'a' }), caller);
    ground.answer = refusal;
    const before = ground.server.object;
    const refused = { status: 403, message: 'admission webhook denied the request: no' };
    expect(await ground.server.merge({ spec: { holderIdentity: 'b' } }, caller)).toMatchObject(refused);
    expect(await ground.server.delete(caller)).toMatchObject(refused);
    expect(ground.server.object).toBe(before);
    expect(ground.events).toHaveLength(1);
  });

  it('asks before it finds a name taken, and refuses then', async () => {
    const { server, reviews, events } = new Ground();
    await server.create(lease(), caller);
    expect(await server.create(lease(), caller)).toMatchObject({ status: 409 });
    expect([reviews.length, events.length]).toEqual([2, 1]);
  });

  it.each<[string, JsonObject, number]>([
    ['another version', { resourceVersion: '99' }, 409],
    ['another object', { uid: 'other' }, 409],
    ['another name', { name: 'y' }, 400],
  ])('refuses to replace %s', async (_, metadata, status) => {
    const { server } = new Ground();
    await server.create(lease(), caller);
    expect(await server.replace(lease({}, metadata), caller)).toMatchObject({ status });
  });

  it.each<[string, JsonObject, number]>([
    ['a duration of no length', { leaseDurationSeconds: 0 }, 422],
    ['a duration that is a text', { leaseDurationSeconds: '15' }, 400],
    ['a holder that is a number', { holderIdentity: 5 }, 400],
    ['a time without a fraction', { renewTime: '2026-01-01T00:00:00Z' }, 400],
    ['fewer transitions than none', { leaseTransitions: -1 }, 422],
  ])('refuses %s', async (_, spec, status) => {
    const { server, reviews } = new Ground();
    expect(await server.create(lease(spec), caller)).toMatchObject({ status });
    expect(reviews).toEqual([]);
  });

  it('stores times in UTC, the zero time as null until the next write, and no field that a Lease does not have', async () => {
    const { server } = new Ground();
    const spec = {
      renewTime: '2026-01-01T02:00:00.123456+02:00',
      acquireTime: '0001-01-01T00:00:00.000000Z',
      colour: 'red',
    };
    await server.create(lease(spec), caller);
    const renewTime = '2026-01-01T00:00:00.123456Z';
    expect(server.object?.['spec']).toEqual({ renewTime, acquireTime: null });
    await server.merge({ metadata: { labels: { a: 'b' } } }, caller);
    expect(server.object?.['spec']).toEqual({ renewTime });
  });

  it('finds nothing where nothing is', async () => {
    const { server } = new Ground();
    expect(await server.delete(caller)).toMatchObject({ status: 404 });
    expect(await server.merge({}, caller)).toMatchObject({ status: 404 });
  });

  it('takes a write that changes nothing, or only the time of a stamp, for none', async () => {
    const ground = new Ground();
    await ground.server.create(lease({ renewTime }), caller);
    const before = ground.server.object;
    ground.nowMs += 5_000;
    await ground.server.merge({ spec: { renewTime } }, caller);
    const [entry] = (before?.['metadata'] as { managedFields: readonly JsonObject[] }).managedFields;
    const backdated = [{ ...entry, time: '2020-01-01T00:00:00Z' }];
    await ground.server.merge({ metadata: { managedFields: backdated } }, caller);
    expect(ground.reviews).toHaveLength(3);
    expect(ground.server.object).toBe(before);
    expect(ground.events).toHaveLength(1);
  });

  it('keeps an object with a finalizer until that is gone', async () => {
    const { server, events } = new Ground();
    await server.create(lease({}, { finalizers: ['a/b'] }), caller);
    await server.delete(caller);
    expect(server.object).toMatchObject({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } });
    await server.merge({ metadata: { finalizers: null } }, caller);
    expect(server.object).toBeNull();
    expect(events.map(([type]) => type)).toEqual(['ADDED', 'MODIFIED', 'DELETED']);
  });

  it('gives a new object a new uid', async () => {
    const { server } = new Ground();
    await server.create(lease(), caller);
    const first = server.object;
    await server.delete(caller);
    await server.create(lease(), caller);
    expect(server.object?.['metadata']).not.toMatchObject({
      uid: (first?.['metadata'] as JsonObject)['uid'],
    });
  });

  it('leaves the data of a ConfigMap alone', async () => {
    const { server } = new Ground('ConfigMap');
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' }, data: { key: 'value' } };
    await server.create(object, caller);
    expect(server.object).toMatchObject({ data: { key: 'value' } });
    expect(await server.replace(lease(), caller)).toMatchObject({ status: 400 });
  });
});

describe('a merge patch', () => {
  it.each<[JsonObject, JsonObject, JsonObject]>([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('of %j with %j is %j (RFC 7396, appendix A)', (target, patch, result) => {
    expect(mergePatch(target, patch)).toEqual(result);
  });
});
