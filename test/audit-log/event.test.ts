/** One line of an audit log at a time: what it tells, and what it does not. */
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/locks/json.ts';
import { readAuditEvent, type AuditReading } from '../../src/audit-log/event.ts';
import type { SeenWrite } from '../../src/audit-log/seen.ts';
import { eventsOf } from '../preflight/support/audit-events.ts';

const [creation, lostCreation, renewal] = eventsOf('go-lease') as [JsonObject, JsonObject, JsonObject];

function only(reading: AuditReading): SeenWrite {
  if (reading.kind !== 'writes' || reading.writes.length !== 1) throw new Error(JSON.stringify(reading));
  return reading.writes[0]!;
}

describe('an audit event', () => {
  it('of a creation, and of an update', () => {
    expect(only(readAuditEvent(creation))).toMatchObject({
      lock: { kind: 'Lease', namespace: 'el-go-lease-453f', name: 'lock' },
      operation: 'CREATE',
      stored: true,
      dryRun: false,
      requester: { pod: { name: 'a-0' } },
    });
    const update = only(readAuditEvent(renewal));
    expect(update).toMatchObject({
      operation: 'UPDATE',
      basedOn: '4034',
      agent: expect.stringContaining('go/') as string,
    });
    expect(update.storedAt).toBeGreaterThan(update.arrivedAt);
  });

  it('of a creation that met an existing object has been through admission, and is not stored', () => {
    expect(only(readAuditEvent(lostCreation))).toMatchObject({ operation: 'CREATE', stored: false });
  });

  it('keeps the microseconds of its times', () => {
    const at = only(readAuditEvent({ ...renewal, requestReceivedTimestamp: '2026-01-02T03:04:05.123456Z' }));
    expect(at.arrivedAt).toBeCloseTo(Date.parse('2026-01-02T03:04:05.123Z') + 0.456, 3);
  });

  it('of a patch that creates is a creation', () => {
    const patch = { ...creation, verb: 'patch', responseStatus: { code: 201 } };
    expect(only(readAuditEvent(patch)).operation).toBe('CREATE');
  });

  it('of somebody who acts as another tells of the other, as admission does', () => {
    const reading = readAuditEvent({ ...renewal, impersonatedUser: { username: 'other', groups: ['g'] } });
    expect(only(reading).requester).toEqual({ username: 'other', groups: ['g'], pod: null });
  });

  it('of a dry run says so', () => {
    expect(only(readAuditEvent({ ...renewal, requestURI: '/x?dryRun=All' })).dryRun).toBe(true);
    expect(only(readAuditEvent({ ...renewal, requestURI: '/x?fieldManager=dryRun=All' })).dryRun).toBe(false);
  });

  it('of a deletion, of one that waits for finalizers, and of a collection', () => {
    const status = { kind: 'Status', status: 'Success' };
    const deletion = { ...renewal, verb: 'delete', responseObject: status };
    expect(only(readAuditEvent(deletion))).toMatchObject({
      operation: 'DELETE',
      object: null,
      deleted: null,
    });
    const { responseObject } = renewal as { responseObject: { metadata: JsonObject } };
    const metadata = {
      ...responseObject.metadata,
      deletionTimestamp: '2026-01-02T03:04:05Z',
      finalizers: ['x/y'],
    };
    const marked = { ...responseObject, metadata };
    const waits = only(readAuditEvent({ ...deletion, responseObject: marked }));
    expect(waits).toMatchObject({ operation: 'DELETE', object: marked });
    const all = readAuditEvent({
      ...renewal,
      verb: 'deletecollection',
      objectRef: { resource: 'leases', namespace: 'el-go-lease-453f', apiGroup: 'coordination.k8s.io' },
      responseObject: { kind: 'LeaseList', items: [responseObject] },
    });
    expect(only(all)).toMatchObject({ operation: 'DELETE', deleted: responseObject, lock: { name: 'lock' } });
  });

  it.each([
    ['another verb', { verb: 'get' }],
    ['another kind', { objectRef: { resource: 'pods', namespace: 'n', name: 'p' } }],
    [
      'a resource that a kind of lock shares its name with',
      { objectRef: { resource: 'leases', apiGroup: 'x.io' } },
    ],
    [
      'a subresource',
      { objectRef: { resource: 'leases', apiGroup: 'coordination.k8s.io', subresource: 'status' } },
    ],
    ['a name of a prototype', { objectRef: { resource: 'constructor' } }],
  ])('of %s is left out', (_, change) => {
    expect(readAuditEvent({ ...renewal, ...change })).toEqual({ kind: 'other' });
  });

  it('of an earlier stage is left to the event of the answer', () => {
    expect(readAuditEvent({ ...renewal, stage: 'RequestReceived' })).toEqual({ kind: 'unfinished' });
  });

  it('with only what was sent says so, and whether that is a patch', () => {
    const { requestObject } = renewal as { requestObject: JsonObject };
    const sent = { level: 'Request', responseObject: undefined };
    const told = { kind: 'sent', level: 'Request', resource: 'leases', isPatch: false };
    expect(readAuditEvent({ ...renewal, ...sent })).toMatchObject({
      ...told,
      write: { operation: 'UPDATE', object: requestObject, stored: true },
    });
    expect(readAuditEvent({ ...renewal, ...sent, verb: 'patch' })).toMatchObject({ ...told, isPatch: true });
    expect(readAuditEvent({ ...renewal, ...sent, verb: 'delete' })).toMatchObject({
      ...told,
      write: { operation: 'DELETE', object: null },
    });
    const created = { ...sent, verb: 'patch', responseStatus: { code: 201 } };
    expect(readAuditEvent({ ...renewal, ...created })).toMatchObject({
      ...told,
      write: { operation: 'CREATE' },
    });
  });

  it('answered with metadata alone does not pass for a Lease without a spec', () => {
    const responseObject = { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: {} };
    const reading = readAuditEvent({ ...renewal, verb: 'patch', responseObject });
    expect(reading).toMatchObject({
      kind: 'sent',
      level: 'RequestResponse without the object',
      isPatch: true,
    });
  });

  it.each([
    [{ level: 'Metadata', requestObject: undefined, responseObject: undefined }, 'Metadata'],
    [{ level: 'Request', requestObject: undefined }, 'Request'],
    [{ level: 'Request', verb: 'patch', requestObject: [{ op: 'remove', path: '/spec' }] }, 'Request'],
    [{ level: 'Request', verb: 'patch', requestObject: { spec: { $patch: 'replace' } } }, 'Request'],
    [{ level: 'Request', verb: 'deletecollection', requestObject: {} }, 'Request'],
    [{ annotations: { 'audit.k8s.io/truncated': 'true' }, responseObject: undefined }, 'truncated'],
  ])('without its objects tells at which level it was recorded', (change, level) => {
    expect(readAuditEvent({ ...renewal, ...change })).toMatchObject({
      kind: 'no-objects',
      level,
      resource: 'leases',
      lock: { kind: 'Lease', namespace: 'el-go-lease-453f', name: 'lock' },
    });
  });

  it.each([
    [409, '', 'conflict'],
    [403, 'admission webhook "leases.lockwarden.dev" denied the request: x', 'lockwarden'],
    [403, 'User "x" cannot update resource "leases"', 'another'],
    [500, '', 'another'],
  ])('of a write that was refused with %d is counted, not judged', (code, message, by) => {
    const reading = readAuditEvent({ ...renewal, responseStatus: { code, message } });
    expect(reading).toEqual({ kind: 'refused', by });
  });

  it.each([[null], [[]], ['x'], [{}], [{ kind: 'Event', apiVersion: 'v1' }], [{ kind: 'Event' }]])(
    'is none where it is %j',
    (value) => {
      expect(readAuditEvent(value)).toEqual({ kind: 'not-an-event' });
    },
  );

  it('with nonsense in it is none, and harms nobody', () => {
    for (const key of Object.keys(renewal))
      for (const value of [null, 7, 'x', [], {}, { __proto__: 1 }])
        expect(() => readAuditEvent({ ...renewal, [key]: value })).not.toThrow();
    expect(readAuditEvent({ ...renewal, requestReceivedTimestamp: 'soon' }).kind).toBe('not-an-event');
  });
});
