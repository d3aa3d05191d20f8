/** What a replay makes of an audit log: real clients' writes, thefts among them, and what cannot be judged. */
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/locks/json.ts';
import { rejectionRecordSchema } from '../../src/review/record-schema.ts';
import { recordings, writesOf } from '../support/recordings.ts';
import { eventOf, eventsOf, microTime, type AuditEvent } from '../preflight/support/audit-events.ts';
import { aRenewalOf, storeOf, theftInsteadOf } from '../preflight/support/looked.ts';
import { atRequest, found, replayed, withoutManagedFields } from './support/replayed.ts';

/** A recording with a theft in the place of one renewal, and nothing after that. */
function robbed(name: string): AuditEvent[] {
  const writes = writesOf(name);
  const at = aRenewalOf(writes);
  return [...writes.slice(0, at), theftInsteadOf(writes[at]!)].map(eventOf);
}

function policy(enforcement: string): string {
  return `
apiVersion: lockwarden.dev/v1alpha1
kind: ClusterLockPolicy
metadata: { name: all }
spec: { match: { names: ['*'] }, enforcement: ${enforcement} }
`;
}

describe('the recordings of real clients', () => {
  it.each(recordings())('%s: nothing would have been refused, and all of it was judged', async (name) => {
    const report = await replayed(eventsOf(name));
    expect(found(report)).toEqual([]);
    expect(report.judged).toBeGreaterThan(20);
    expect(report.notJudged).toMatchObject({ firstSeen: 0, gap: 0, late: 0, unguarded: 0 });
    expect(report.limits).toEqual([]);
  });

  it.each(recordings())('%s: a theft between two renewals would have been', async (name) => {
    const report = await replayed(robbed(name));
    expect(found(report)).toEqual(['Deny U15 PrematureTakeover by eve x1']);
    expect(report.wouldBe).toEqual({ refused: 1, warned: 0, recorded: 0 });
    for (const { record } of report.records) expect(rejectionRecordSchema.parse(record)).toEqual(record);
  });

  it.each(recordings())('%s: the same at the level Request, by the times of the log', async (name) => {
    const honest = await replayed(eventsOf(name).map((event) => atRequest(event)));
    expect(found(honest)).toEqual([]);
    expect(honest.judged).toBeGreaterThan(20);
    expect(honest.limits).toEqual([expect.stringContaining('the log has only what was sent')]);
    const stolen = await replayed(robbed(name).map((event) => atRequest(event)));
    expect(found(stolen)).toEqual(['Deny U15 PrematureTakeover by eve x1']);
  });

  it.each(recordings())('%s: the same without managedFields, which is said', async (name) => {
    const honest = await replayed(eventsOf(name).map(withoutManagedFields));
    expect(found(honest)).toEqual([]);
    expect(honest.limits).toEqual([expect.stringContaining('`omitManagedFields`')]);
    const stolen = await replayed(robbed(name).map(withoutManagedFields));
    expect(found(stolen)).toEqual(['Deny U15 PrematureTakeover by eve x1']);
  });

  it.each(recordings())(
    '%s: gaps and levels that change never make a thief of an honest client',
    async (name) => {
      const events = eventsOf(name);
      for (const every of [2, 3, 5, 7]) {
        const gaps = await replayed(events.filter((_, index) => index % every !== 0));
        expect(found(gaps), `without each ${String(every)}th line`).toEqual([]);
        const mixed = events.map((event, index) => (index % every === 0 ? atRequest(event) : event));
        expect(found(await replayed(mixed)), `each ${String(every)}th line at Request`).toEqual([]);
        const cut = events.map((event, index) =>
          index % every === 0 ? { ...event, level: 'Metadata' } : event,
        );
        expect(found(await replayed(cut)), `each ${String(every)}th line at Metadata`).toEqual([]);
      }
    },
  );
});

describe('a theft', () => {
  it('is met as the policies say', async () => {
    const events = robbed('go-lease');
    expect(found(await replayed(events, { store: storeOf(policy('Warn')) }))).toEqual([
      'Warn U15 PrematureTakeover by eve x1',
    ]);
    const audited = await replayed(events, { store: storeOf(policy('Audit')) });
    expect(audited.wouldBe).toEqual({ refused: 0, warned: 0, recorded: 1 });
    expect(audited.policies).toEqual(['clusterlockpolicy/all']);
  });

  it('took place all the same: the thief renews as a holder, and who takes the lock back from it is a thief too', async () => {
    const writes = writesOf('go-lease');
    const at = aRenewalOf(writes);
    const theft = eventOf(theftInsteadOf(writes[at]!));
    const later = (event: AuditEvent, ms: number, by: JsonObject, spec: JsonObject): AuditEvent => {
      const object = event['responseObject'] as { metadata: { resourceVersion: string }; spec: JsonObject };
      const { resourceVersion } = object.metadata;
      const atMs = Date.parse(String(event['requestReceivedTimestamp'])) + ms;
      const changed = {
        ...object,
        metadata: { ...object.metadata, resourceVersion: `${resourceVersion}0` },
        spec: { ...object.spec, renewTime: microTime(atMs), ...spec },
      };
      return withoutManagedFields({
        ...event,
        auditID: `later-${String(atMs)}`,
        user: by,
        requestObject: { ...changed, metadata: { ...object.metadata } },
        responseObject: changed,
        requestReceivedTimestamp: microTime(atMs),
        stageTimestamp: microTime(atMs + 4),
      });
    };
    const bare = [...writes.slice(0, at).map(eventOf), theft].map(withoutManagedFields);
    const renewal = later(bare.at(-1)!, 1_000, { username: 'eve' }, {});
    const takenBack = later(renewal, 1_000, { username: 'mallory' }, { holderIdentity: 'third-0' });
    expect(found(await replayed([...bare, renewal, takenBack]))).toEqual([
      'Deny U15 PrematureTakeover by eve x1',
      'Deny U15 PrematureTakeover by mallory x1',
    ]);
  });

  it('that is tried again and again is one record with a count', async () => {
    const events = robbed('go-lease');
    const theft: AuditEvent = { ...events.at(-1)!, requestURI: '/x?dryRun=All' };
    const report = await replayed([...events.slice(0, -1), theft, { ...theft, auditID: 'again' }, theft]);
    expect(found(report)).toEqual(['Deny U15 PrematureTakeover by eve x3']);
    expect(report).toMatchObject({ wouldBe: { refused: 3 }, dryRuns: 3 });
    expect(report.records[0]?.record).toMatchObject({ dryRun: true, reviewUid: theft['auditID'] });
  });

  it('in a dry run changes nothing, so that the holder goes on unharmed', async () => {
    const events = robbed('go-lease');
    const theft = { ...events.at(-1)!, requestURI: '/x?dryRun=All' };
    const rest = eventsOf('go-lease').slice(events.length - 1);
    expect(found(await replayed([...events.slice(0, -1), theft, ...rest]))).toEqual([
      'Deny U15 PrematureTakeover by eve x1',
    ]);
  });

  it('by a merge patch is found at the level Request, since what it changes is known', async () => {
    const events = robbed('go-lease').map((event) => atRequest(event));
    const theft = atRequest(events.at(-1)!, { spec: { holderIdentity: 'eve-0' } });
    const report = await replayed([...events.slice(0, -1), theft]);
    expect(found(report)).toEqual(['Deny U15 PrematureTakeover by eve x1']);
    expect(report.records[0]?.record.wouldBeHolder).toBe('eve-0');
  });

  it('by a JSON patch is counted as not judged at the level Request, and makes no thief of who writes next', async () => {
    const events = eventsOf('go-lease').map((event) => atRequest(event));
    const patch = {
      ...events[5]!,
      verb: 'patch',
      requestObject: [{ op: 'remove', path: '/spec/renewTime' }],
    };
    const report = await replayed([...events.slice(0, 5), patch, ...events.slice(6)]);
    expect(found(report)).toEqual([]);
    expect(report.notJudged).toMatchObject({ withoutObjects: 1, firstSeen: 1 });
  });
});

describe('a deletion', () => {
  /** The holder's lock is deleted by somebody at once after a renewal, and created anew by a thief. */
  function deletedAndTaken(change: (event: AuditEvent) => AuditEvent): AuditEvent[] {
    const writes = writesOf('go-lease-release');
    const at = aRenewalOf(writes);
    const renewal = eventOf(writes[at]!);
    const atMs = writes[at]!.atMs;
    const eve = { username: 'system:serviceaccount:x:eve', groups: ['system:authenticated'], extra: {} };
    const pod = {
      'authentication.kubernetes.io/pod-name': ['eve-0'],
      'authentication.kubernetes.io/pod-uid': ['eve-uid'],
    };
    const user = { ...eve, extra: pod };
    const deletion = {
      ...renewal,
      ...{ auditID: 'deletion', verb: 'delete', user, requestObject: { kind: 'DeleteOptions' } },
      responseObject: { kind: 'Status', status: 'Success' },
      requestReceivedTimestamp: microTime(atMs + 200),
      stageTimestamp: microTime(atMs + 204),
    };
    const creation = eventOf(theftInsteadOf(writes[at]!, 'eve-0'));
    const taken = {
      ...creation,
      ...{ auditID: 'creation', verb: 'create', user, responseStatus: { code: 201 } },
      requestReceivedTimestamp: microTime(atMs + 400),
      stageTimestamp: microTime(atMs + 404),
    };
    return [...writes.slice(0, at).map(eventOf), renewal, deletion, taken].map(change);
  }

  it.each([
    ['with answers', (event: AuditEvent) => event],
    ['at the level Request', (event: AuditEvent) => atRequest(event)],
  ])('of a live lock and a creation under another name would have been refused, %s', async (_, change) => {
    const report = await replayed(deletedAndTaken(change));
    expect(
      report.records.map(({ record }) => `${record.rule} ${record.reason} ${record.operation}`),
    ).toContain('C3 PrematureRecreation CREATE');
  });

  it('that the log does not have, and a creation, is no theft', async () => {
    const events = deletedAndTaken((event) => event).filter(({ auditID }) => auditID !== 'deletion');
    const report = await replayed(events);
    expect(report.wouldBe.refused).toBe(0);
  });

  it('of a whole collection makes a record of its own for each lock', async () => {
    const events = eventsOf('go-lease').slice(0, 3);
    const [creation] = events as [AuditEvent];
    const item = creation['responseObject'] as JsonObject;
    const items = ['a', 'b'].map((name) => ({
      ...item,
      metadata: { ...(item['metadata'] as JsonObject), name },
    }));
    const collection = {
      ...creation,
      verb: 'deletecollection',
      responseStatus: { code: 200 },
      responseObject: { kind: 'LeaseList', items },
    };
    const denied = `
apiVersion: lockwarden.dev/v1alpha1
kind: ClusterLockPolicy
metadata: { name: all }
spec: { match: { names: ['*'] }, deletion: Deny }
`;
    const report = await replayed([collection], { store: storeOf(denied) });
    expect(report.judged).toBe(2);
    const uids = report.records.map(({ record }) => record.reviewUid);
    expect(new Set(uids).size).toBe(uids.length);
  });
});

describe('what is not judged', () => {
  it('is counted by why', async () => {
    const events = eventsOf('go-lease');
    const conflict = { ...events[4]!, responseStatus: { code: 409 } };
    const forbidden = { ...events[4]!, responseStatus: { code: 403, message: 'User "x" cannot update' } };
    const ours = {
      ...events[4]!,
      responseStatus: {
        code: 403,
        message: 'admission webhook "leases.lockwarden.dev" denied the request: x',
      },
    };
    const gone = { ...events[4]!, responseStatus: { code: 404 } };
    const invalid = { ...events[4]!, responseStatus: { code: 422 } };
    const started = { ...events[4]!, stage: 'RequestReceived' };
    const report = await replayed([
      ...[...events.slice(2, 4), conflict, forbidden, ours, gone, invalid, started],
      ...[{ ...events[4]!, verb: 'get' }, 'no JSON', '{"kind":"Pod"}', '{"leases" "update"}'],
      ...events.slice(4),
    ]);
    expect(found(report)).toEqual([]);
    expect(report.notJudged).toMatchObject({
      firstSeen: 1,
      gap: 0,
      conflict: 2,
      refusedByLockwarden: 1,
      refusedByOthers: 2,
    });
    expect(report.left).toMatchObject({ unfinished: 1, other: 2, notEvents: 2 });
  });

  it('is a write to a lock that nothing holds for, of which nothing is kept', async () => {
    const text = JSON.stringify(eventsOf('go-lease')).replaceAll('el-go-lease-453f', 'kube-node-lease');
    const report = await replayed(JSON.parse(text) as AuditEvent[]);
    expect(report).toMatchObject({ judged: 0, notJudged: { firstSeen: 0 } });
    expect(report.notJudged.unguarded).toBeGreaterThan(20);
  });

  it('is another namespace than was asked for', async () => {
    expect((await replayed(robbed('go-lease'), { namespace: 'another' })).judged).toBe(0);
  });

  it('is a plain renewal by another pod, of which a live lockwarden hears nothing', async () => {
    const events = eventsOf('go-lease');
    const other = (user: JsonObject): JsonObject => ({
      ...user,
      extra: {
        'authentication.kubernetes.io/pod-name': ['other-0'],
        'authentication.kubernetes.io/pod-uid': ['other-uid'],
      },
    });
    const [creation, , ...rest] = events as [AuditEvent, AuditEvent, ...AuditEvent[]];
    const changed = rest.slice(0, 4).map((event) => ({ ...event, user: other(event['user'] as JsonObject) }));
    expect(found(await replayed([creation, ...changed]))).toEqual([]);
  });
});

describe('the form in which clients are recorded', () => {
  it('is read as well', async () => {
    const lines = robbed('go-lease').map((event) => ({
      ...{ at: event['requestReceivedTimestamp'], done: event['stageTimestamp'], verb: event['verb'] },
      ...{ uri: event['requestURI'], user: event['user'], userAgent: event['userAgent'] },
      ...{ objectRef: event['objectRef'], code: (event['responseStatus'] as JsonObject)['code'] },
      ...{ request: event['requestObject'], response: event['responseObject'] },
    }));
    const report = await replayed(lines);
    expect(found(report)).toEqual(['Deny U15 PrematureTakeover by eve x1']);
    expect(report.left.notEvents).toBe(0);
    for (const { record } of report.records) expect(rejectionRecordSchema.parse(record)).toEqual(record);
  });
});

describe('a lock with finalizers', () => {
  it('is still there after its deletion, until something is created under its name', async () => {
    const events = eventsOf('go-lease');
    const last = events.at(-1)!;
    const object = last['responseObject'] as { metadata: JsonObject };
    const metadata = {
      ...object.metadata,
      ...{ resourceVersion: '999999', finalizers: ['x/y'], deletionTimestamp: '2026-11-22T10:55:33Z' },
    };
    const deletion = { ...last, verb: 'delete', responseObject: { ...object, metadata } };
    const report = await replayed([...events, deletion, { ...last, verb: 'patch', requestObject: {} }]);
    expect(report.notJudged).toMatchObject({ firstSeen: 0, late: 1 });
  });
});

describe('a list of events', () => {
  it('is read as the events in it, which need not repeat what they are', async () => {
    const items = robbed('go-lease').map((event) => ({ ...event, kind: undefined, apiVersion: undefined }));
    const list = { kind: 'EventList', apiVersion: 'audit.k8s.io/v1', items };
    expect(found(await replayed([list]))).toEqual(['Deny U15 PrematureTakeover by eve x1']);
  });
});

describe('memory', () => {
  /** The same election under many names, one renewal after the other. */
  function many(count: number, from = robbed('go-lease')): AuditEvent[] {
    return from.flatMap((event) =>
      Array.from({ length: count }, (_, index) => {
        const text = JSON.stringify(event);
        return JSON.parse(text.replaceAll('"name":"lock"', `"name":"lock-${String(index)}"`)) as AuditEvent;
      }),
    );
  }

  it('keeps so many locks: what is forgotten is not judged, and never a thief', async () => {
    const report = await replayed(many(6), { locksMax: 3 });
    expect(found(report)).toEqual([]);
    expect(report.notJudged.firstSeen).toBeGreaterThan(6);
    expect(report.limits.join()).toContain('there were more locks than are kept');
    const roomy = await replayed(many(6), { locksMax: 6 });
    expect(roomy.wouldBe.refused).toBe(6);
    expect(roomy.limits).toEqual([]);
  });

  it('keeps so many records: the totals hold what is dropped', async () => {
    const report = await replayed(many(6), { recordsMax: 2 });
    expect(report.records).toHaveLength(2);
    expect(report).toMatchObject({ droppedRecords: 4, wouldBe: { refused: 6 } });
    expect(report.limits.join()).toContain('4, of 4 writes, were dropped');
  });
});
