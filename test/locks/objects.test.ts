import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { carriesRecord, leaderAnnotation, readAnnotated } from '../../src/locks/annotation.ts';
import { readLease } from '../../src/locks/lease.ts';
import { instantOf, readRecordedTime } from '../../src/locks/recorded-time.ts';
import { lockKindOf } from '../../src/locks/registry.ts';
import { toLockWrite, type LockRequest } from '../../src/locks/write.ts';

const t = '2026-03-01T12:00:00.123456Z';

describe('recorded times', () => {
  it.each([
    ['2026-03-01T12:00:00Z', '2026-03-01T12:00:00.000Z'],
    ['2026-03-01T12:00:00.123456Z', '2026-03-01T12:00:00.123Z'],
    ['2026-03-01T12:00:00.999999999Z', '2026-03-01T12:00:00.999Z'],
    ['2026-03-01T14:00:00+02:00', '2026-03-01T12:00:00.000Z'],
    ['2026-03-01T14:00:00+0200', '2026-03-01T12:00:00.000Z'],
    ['2026-03-01T06:30:00.5-05:30', '2026-03-01T12:00:00.500Z'],
    ['2026-03-01 12:00:00Z', '2026-03-01T12:00:00.000Z'],
    ['9999-12-31T23:59:59Z', '9999-12-31T23:59:59.000Z'],
    ['0001-01-01T00:00:01Z', '0001-01-01T00:00:01.000Z'],
  ])('%s is %s', (text, iso) => {
    expect(instantOf(text)).toBe(Date.parse(iso));
  });

  it.each([
    '2026-03-01T12:00:00',
    '2026-03-01 12:00:00.5',
    '2026-02-30T12:00:00Z',
    '2026-03-01T24:00:00Z',
    '2026-03-01',
    'now',
    '',
  ])('%j names no instant', (text) => {
    expect(instantOf(text)).toBeNull();
  });

  it('keep their text, so that they can be compared', () => {
    expect(readRecordedTime('tomorrow')).toEqual({ raw: 'tomorrow', at: null });
  });

  it.each([null, undefined, '', 5, '0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000000Z'])(
    '%j is none',
    (value) => {
      expect(readRecordedTime(value)).toBeNull();
    },
  );
});

const managed = (manager: string, fieldsV1: unknown, more: object = {}) => ({
  manager,
  operation: 'Update',
  apiVersion: 'coordination.k8s.io/v1',
  time: '2026-03-01T12:00:00Z',
  fieldsType: 'FieldsV1',
  fieldsV1,
  ...more,
});

describe('a Lease', () => {
  it('is read whole', () => {
    const state = readLease({
      metadata: {
        uid: 'u',
        managedFields: [
          managed('a', { 'f:spec': { 'f:renewTime': {}, 'f:holderIdentity': {} } }),
          managed('b', { 'f:metadata': {} }),
        ],
      },
      spec: {
        holderIdentity: 'a',
        leaseDurationSeconds: 15,
        acquireTime: t,
        renewTime: t,
        leaseTransitions: 3,
      },
    });
    expect(state).toMatchObject({ uid: 'u', terminating: false, stamps: { count: 2 } });
    expect(state.reading).toMatchObject({
      record: { holder: 'a', leaseDurationMs: 15_000, transitions: 3, renewTime: { raw: t } },
    });
    expect(state.stamps.entries).toMatchObject([
      { manager: 'a', at: Date.parse('2026-03-01T12:00:00Z'), ownsRenewTime: true, ownsHolder: true },
      { manager: 'b', ownsRenewTime: false, ownsHolder: false },
    ]);
  });

  it('without a spec is a lock that nobody holds', () => {
    expect(readLease({ metadata: {} }).reading).toMatchObject({
      kind: 'record',
      record: { holder: null, leaseDurationMs: null },
    });
  });

  it('that is being deleted says so', () => {
    expect(readLease({ metadata: { deletionTimestamp: '2026-03-01T12:00:00Z' } }).terminating).toBe(true);
  });

  it('an updater has an entry for each version, an applier one for all', () => {
    const keys = (operation: string): string[] =>
      readLease({
        metadata: {
          managedFields: [managed('a', {}, { operation }), managed('a', {}, { operation, apiVersion: 'v2' })],
        },
      }).stamps.entries.map((each) => each.key);
    expect(new Set(keys('Update')).size).toBe(2);
    expect(new Set(keys('Apply')).size).toBe(1);
  });

  it('keeps at most 64 entries, and their number', () => {
    const managedFields = Array.from({ length: 10_000 }, (_, i) => managed(String(i), {}));
    const { stamps } = readLease({ metadata: { managedFields } });
    expect(stamps.entries).toHaveLength(64);
    expect(stamps.count).toBe(10_000);
  });

  it('entries without a time, or of another shape, say nothing', () => {
    const managedFields = [
      null,
      5,
      managed('a', { 'f:spec': { 'f:renewTime': {} } }, { time: undefined }),
      managed('a', 'odd'),
    ];
    const { stamps } = readLease({ metadata: { managedFields } });
    expect(stamps.entries.map((each) => [each.at, each.ownsRenewTime])).toEqual([
      [null, false],
      [null, false],
      [null, true],
      [Date.parse('2026-03-01T12:00:00Z'), false],
    ]);
  });

  it('own properties only are read', () => {
    const object = Object.create({ spec: { holderIdentity: 'inherited' } }) as object;
    expect(readLease(object).reading).toMatchObject({ record: { holder: null } });
  });
});

describe('a ConfigMap or Endpoints', () => {
  const annotated = (text: unknown) => ({ metadata: { annotations: { [leaderAnnotation]: text } } });

  it('is read by its annotation', () => {
    expect(readAnnotated(annotated('{"holderIdentity":"a"}')).reading).toMatchObject({
      record: { holder: 'a' },
    });
    expect(readAnnotated({ metadata: { annotations: {} } }).reading).toEqual({ kind: 'none' });
    expect(readAnnotated(annotated('{')).reading).toMatchObject({ kind: 'unreadable' });
  });

  it('its stamps are those of the annotation', () => {
    const object = {
      metadata: {
        managedFields: [
          managed('a', { 'f:metadata': { 'f:annotations': { [`f:${leaderAnnotation}`]: {} } } }),
        ],
      },
    };
    expect(readAnnotated(object).stamps.entries[0]).toMatchObject({ ownsRenewTime: true, ownsHolder: true });
  });

  it('carries a record or does not', () => {
    expect(carriesRecord(annotated(''))).toBe(true);
    expect(carriesRecord({ metadata: {} })).toBe(false);
    expect(carriesRecord({ metadata: { annotations: null } })).toBe(false);
  });
});

const request: LockRequest = {
  kind: { group: 'coordination.k8s.io', kind: 'Lease' },
  subResource: '',
  namespace: 'team',
  name: 'election',
  operation: 'UPDATE',
  userInfo: {
    username: 'system:serviceaccount:team:candidate',
    groups: ['g'],
    extra: {
      'authentication.kubernetes.io/pod-name': ['a-0'],
      'authentication.kubernetes.io/pod-uid': ['uid'],
    },
  },
  object: { metadata: { name: 'election' } },
  oldObject: { metadata: { name: 'election' } },
  dryRun: true,
};

describe('an admission request', () => {
  it('becomes a write', () => {
    expect(toLockWrite(request)).toMatchObject({
      operation: 'UPDATE',
      lock: { kind: 'Lease', namespace: 'team', name: 'election' },
      requester: {
        username: 'system:serviceaccount:team:candidate',
        groups: ['g'],
        pod: { name: 'a-0', uid: 'uid' },
      },
      dryRun: true,
    });
  });

  it('takes the name from the object where the request has none', () => {
    expect(toLockWrite({ ...request, name: '', object: null })).toMatchObject({
      lock: { name: 'election' },
      after: null,
    });
    expect(toLockWrite({ ...request, name: '', oldObject: null, operation: 'CREATE' })).toMatchObject({
      lock: { name: 'election' },
      before: null,
    });
  });

  it('names no pod unless the token names both its name and uid', () => {
    const userInfo = { ...request.userInfo, extra: { 'authentication.kubernetes.io/pod-uid': ['uid'] } };
    expect(toLockWrite({ ...request, userInfo })).toMatchObject({ requester: { pod: null } });
  });

  it.each([
    [{ kind: { group: '', kind: 'Secret' } }, '`Secret` is no kind of lock'],
    [
      { kind: { group: 'coordination.k8s.io', kind: 'LeaseCandidate' } },
      '`LeaseCandidate` is no kind of lock',
    ],
    [{ kind: { group: 'other.io', kind: 'ConfigMap' } }, '`ConfigMap` is no kind of lock'],
    [{ subResource: 'status' }, 'a subresource of `Lease` is no lock'],
    [{ operation: 'CONNECT' }, 'CONNECT writes nothing'],
  ] as const)('is no write to a lock: %j', (change, why) => {
    expect(toLockWrite({ ...request, ...change })).toEqual({ notALock: why });
  });

  it('knows the kinds', () => {
    expect(lockKindOf({ group: '', kind: 'Endpoints' })).toBe('Endpoints');
    expect(lockKindOf({ group: '', kind: 'ConfigMap' })).toBe('ConfigMap');
  });

  it('never throws, whatever the objects are', () => {
    fc.assert(
      fc.property(
        fc.anything(),
        fc.anything(),
        fc.constantFrom('Lease', 'ConfigMap'),
        (object, oldObject, kind) => {
          const group = kind === 'Lease' ? 'coordination.k8s.io' : '';
          expect(toLockWrite({ ...request, kind: { group, kind }, object, oldObject })).toHaveProperty(
            'lock',
          );
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('nor for objects that almost look right', () => {
    const odd = fc.oneof(fc.anything(), fc.constantFrom('a', 5, null, [], {}, '2026-03-01T12:00:00Z'));
    const near = fc.record({
      metadata: fc.record(
        {
          uid: odd,
          name: odd,
          managedFields: fc.oneof(odd, fc.array(odd)),
          annotations: fc.record({ [leaderAnnotation]: odd }),
        },
        { requiredKeys: [] },
      ),
      spec: fc.record(
        {
          holderIdentity: odd,
          leaseDurationSeconds: odd,
          renewTime: odd,
          acquireTime: odd,
          leaseTransitions: odd,
        },
        { requiredKeys: [] },
      ),
    });
    fc.assert(
      fc.property(near, near, (object, oldObject) => {
        expect(readLease(object).reading.kind).toBe('record');
        expect(['record', 'none', 'unreadable']).toContain(readAnnotated(oldObject).reading.kind);
      }),
      { numRuns: 1000 },
    );
  });
});
