/** What a preflight makes of real clients' writes, seen by a watch and in an audit log, and of what does not belong among them. */
import { describe, expect, it } from 'vitest';
import { isObject, textAt, type JsonObject } from '../../src/locks/json.ts';
import { monotonicMs } from '../../src/core/time.ts';
import { lint } from '../../src/lint/lint.ts';
import { Preflight } from '../../src/preflight/preflight.ts';
import { recordings, writesOf, type RecordedWrite } from '../support/recordings.ts';
import { eventOf, eventsOf, microTime, stampOf } from './support/audit-events.ts';
import {
  aRenewalOf,
  auditReport,
  denials,
  onlyLock,
  storeOf,
  theftInsteadOf,
  watchReport,
} from './support/looked.ts';

/** A recording with a theft in the place of one renewal, and nothing after that. */
function robbed(name: string): readonly RecordedWrite[] {
  const writes = writesOf(name);
  const at = aRenewalOf(writes);
  return [...writes.slice(0, at), theftInsteadOf(writes[at]!)];
}

/** Which client the recordings are of. */
function clientOf(name: string): readonly string[] {
  if (name.startsWith('cr')) return ['controller-runtime'];
  if (name.startsWith('go')) return ['client-go'];
  if (name.startsWith('fabric8')) return ['fabric8 (Java)'];
  return [name.startsWith('java') ? 'official Java client' : 'official Python client'];
}

describe('the recordings of real clients', () => {
  it.each(recordings())('%s: nothing would be denied, as the audit log tells it', (name) => {
    const report = auditReport(eventsOf(name));
    expect(denials(report)).toEqual([]);
    expect(report.conclusion).toMatchObject({ startWith: 'defaults', denied: 0 });
    for (const lock of report.locks) {
      expect(lock).toMatchObject({ guarded: true, unseen: 0, unjudged: 0, leaseDurationMs: 6_000 });
      expect(lock.writes).toBeGreaterThan(20);
      expect(lock.holderChanges).toBeGreaterThanOrEqual(2);
      expect(lock.renewedEveryMs).toBeGreaterThan(900);
      expect(lock.renewedEveryMs).toBeLessThan(1_300);
      // Plain renewals never reach lockwarden; whole seconds may repeat, and such a write is no renewal.
      expect(lock.calls.renewals).toBeGreaterThan(5);
      expect(lock.calls.asked).toBeLessThanOrEqual(1);
      expect(clientOf(name)).toContain(lock.client?.name);
      expect(lock.remarks.filter((remark) => !remark.includes('would be sent'))).toEqual([]);
    }
  });

  it.each(recordings())('%s: nothing would be denied, as a watch shows it', (name) => {
    const report = watchReport(writesOf(name));
    expect(report.locks.length).toBeGreaterThan(0);
    expect(denials(report)).toEqual([]);
    for (const { holderChanges, writes } of report.locks) {
      expect(holderChanges).toBeGreaterThanOrEqual(2);
      expect(writes).toBeGreaterThan(20);
    }
  });

  it.each(recordings())('%s: an audit log with gaps never makes a thief of an honest client', (name) => {
    for (const every of [2, 3, 5, 7]) {
      const events = eventsOf(name).filter((_, index) => index % every !== 0);
      expect(denials(auditReport(events)), `without each ${String(every)}th line`).toEqual([]);
    }
  });

  it.each(recordings())('%s: a theft between two renewals would be denied, in either', (name) => {
    const writes = robbed(name);
    for (const report of [auditReport(writes.map(eventOf)), watchReport(writes)]) {
      expect(denials(report)).toEqual(['U15 PrematureTakeover']);
      expect(report.conclusion).toMatchObject({ startWith: 'audit-only', denied: 1, deniedLocks: 1 });
      expect(report.conclusion.sentence).toContain('1 lock would have had 1 takeover denied');
      const [robbedLock] = report.locks;
      const [theft] = robbedLock?.offences ?? [];
      expect(theft?.by).toHaveLength(1);
      expect(theft?.by[0]).toMatch(report.source.kind === 'watch' ? /^field manager / : /^eve$/);
      expect(theft?.message).toContain("takes the lock before the holder's lease has run out");
    }
  });
});

describe('a holder’s clock', () => {
  /** The recording as if every candidate's clock had been off. */
  function shifted(name: string, offMs: number): readonly RecordedWrite[] {
    const shift = (text: unknown): unknown =>
      typeof text === 'string' ? microTime(Date.parse(text) + offMs) : text;
    const moved = (object: unknown): unknown => {
      if (!isObject(object)) return object;
      const spec = object['spec'] as JsonObject;
      return {
        ...object,
        spec: { ...spec, renewTime: shift(spec['renewTime']), acquireTime: shift(spec['acquireTime']) },
      };
    };
    return writesOf(name).map((write) => ({
      ...write,
      request: {
        ...write.request,
        object: moved(write.request.object),
        oldObject: moved(write.request.oldObject),
      },
    }));
  }

  it.each([-1_800, -30, -4, 3, 45, 7_200])('that is off by %d s is found, to a second', (offS) => {
    const writes = shifted('go-lease', offS * 1_000);
    for (const report of [auditReport(writes.map(eventOf)), watchReport(writes)]) {
      const { clockOffsetMs, remarks } = onlyLock(report);
      expect(clockOffsetMs?.min).toBeGreaterThan(offS * 1_000 - 1_050);
      expect(clockOffsetMs?.max).toBeLessThan(offS * 1_000 + 1_050);
      expect(clockOffsetMs!.max - clockOffsetMs!.min).toBeLessThanOrEqual(1_000);
      const direction = offS > 0 ? 'ahead of' : 'behind';
      expect(remarks.filter((remark) => remark.includes(direction))).toHaveLength(1);
      if (offS < -6) continue;
      expect(denials(report)).toEqual([]);
    }
  });

  it('that is further behind than the lease would have takeovers denied', () => {
    const writes = shifted('go-lease', -30_000);
    expect(denials(auditReport(writes.map(eventOf)))).toEqual(['S1 StaleRenewTime']);
  });

  it('that is in step is not remarked on', () => {
    const { clockOffsetMs, remarks } = onlyLock(auditReport(eventsOf('fabric8-lease-release')));
    expect(clockOffsetMs!.min).toBeLessThanOrEqual(100);
    expect(clockOffsetMs!.max).toBeGreaterThanOrEqual(-100);
    expect(remarks).toEqual([]);
  });

  it('that candidates compare with theirs is remarked on as what will go wrong', () => {
    const writes = shifted('fabric8-lease-release', -5_000);
    const { remarks } = onlyLock(auditReport(writes.map(eventOf)));
    expect(remarks.join()).toContain('they will take a live lock, and be denied; set the clock');
  });
});

describe('what an audit log shows beyond a watch', () => {
  /** A release of the holder's lock by somebody who goes by another identity there. */
  function foreignRelease(): readonly RecordedWrite[] {
    const writes = writesOf('go-lease-release');
    const at = aRenewalOf(writes);
    const renewal = writes[at]!;
    const before = renewal.request.object as JsonObject;
    const holder = textAt(before, 'spec', 'holderIdentity');
    const another = writes.find(
      ({ request }) => request.userInfo.extra['authentication.kubernetes.io/pod-name']?.[0] !== holder,
    )!;
    const atMs = renewal.atMs + 200;
    const metadata = before['metadata'] as JsonObject & { resourceVersion: string };
    const [stamp] = metadata['managedFields'] as JsonObject[];
    const object = {
      ...before,
      metadata: {
        ...metadata,
        resourceVersion: `${metadata.resourceVersion}0`,
        managedFields: [{ ...stamp, time: stampOf(atMs) }],
      },
      spec: {
        ...(before['spec'] as JsonObject),
        holderIdentity: '',
        leaseDurationSeconds: 1,
        renewTime: microTime(atMs),
      },
    };
    const request = { ...another.request, operation: 'UPDATE' as const, object, oldObject: before };
    return [...writes.slice(0, at + 1), { atMs, stored: true, agent: another.agent, request }];
  }

  it('is who releases a lock; whether it is denied may hang on a pod that cannot be asked for any more', () => {
    const writes = foreignRelease();
    const report = auditReport(writes.map(eventOf));
    expect(denials(report)).toEqual(['U11 ForeignRelease']);
    expect(onlyLock(report).offences[0]).toMatchObject({ count: 1, onlyIfPodRan: 1 });
    expect(denials(watchReport(writes))).toEqual([]);
  });

  it('is what was tried in a dry run, which changes nothing', () => {
    const writes = robbed('go-lease');
    const events = writes.map(eventOf);
    const theft = { ...events.at(-1), requestURI: '/x?fieldManager=kubectl&dryRun=All' };
    const { oldObject } = writes.at(-1)!.request;
    const report = auditReport([...events.slice(0, -1), theft]);
    expect(denials(report)).toEqual(['U15 PrematureTakeover']);
    expect(onlyLock(report).holder).toBe(textAt(oldObject, 'spec', 'holderIdentity'));
  });
});

describe('a deletion', () => {
  it('by another, and a re-creation at once, would be denied, and only warned about where nobody knows who deleted', () => {
    const writes = writesOf('go-lease');
    const at = aRenewalOf(writes);
    const renewal = writes[at]!;
    const { request } = renewal;
    const eve = { username: 'eve', groups: ['system:authenticated'], extra: {} };
    const holder = textAt(request.object, 'spec', 'holderIdentity');
    const thief = {
      username: request.userInfo.username,
      groups: request.userInfo.groups,
      extra: {
        'authentication.kubernetes.io/pod-name': ['x-0'],
        'authentication.kubernetes.io/pod-uid': ['uid-of-x-0'],
      },
    };
    const created = JSON.parse(
      JSON.stringify(request.object)
        .replaceAll(holder, 'x-0')
        .replace(/"uid":"[^"]+"/, '"uid":"another"')
        .replace(/"resourceVersion":"(\d+)"/, '"resourceVersion":"$10"')
        .replaceAll(/"renewTime":"[^"]+"/g, `"renewTime":"${microTime(renewal.atMs + 900)}"`),
    ) as JsonObject;
    const deletion = { ...request, operation: 'DELETE' as const, object: null, oldObject: request.object };
    const stolen: RecordedWrite[] = [
      { atMs: renewal.atMs + 400, stored: true, agent: 'kubectl', request: { ...deletion, userInfo: eve } },
      {
        atMs: renewal.atMs + 900,
        stored: true,
        agent: 'x',
        request: { ...request, operation: 'CREATE', object: created, oldObject: null, userInfo: thief },
      },
    ];
    const [gone, back] = stolen.map(eventOf);
    const events = [
      ...writes.slice(0, at + 1).map(eventOf),
      { ...gone, verb: 'delete', responseObject: { kind: 'Status', status: 'Success' }, requestObject: null },
      back!,
    ];
    const report = auditReport(events);
    expect(denials(report)).toEqual(['C3 PrematureRecreation']);
    expect(onlyLock(report)).toMatchObject({ deletions: 1, unseen: 0 });
    const watched = watchReport([...writes.slice(0, at + 1), ...stolen]);
    expect(denials(watched)).toEqual([]);
    expect(onlyLock(watched).offences).toMatchObject([
      { enforcement: 'Warn', reason: 'PrematureRecreation' },
      { enforcement: 'Audit', reason: 'LiveLockDeleted' },
    ]);
  });
});

describe('what passes unseen', () => {
  it('between two lists counts as one change, and is not judged', () => {
    const writes = writesOf('go-lease').filter(({ stored }) => stored);
    const store = storeOf();
    const seen = new Preflight({ store, ownNamespace: 'lockwarden-system', namespace: null });
    const lock = { kind: 'Lease', namespace: 'team', name: 'lock' } as const;
    const first = writes[0]!.request.object as JsonObject;
    const other = writes
      .map(({ request }) => request.object as JsonObject)
      .find(
        (object) => textAt(object, 'spec', 'holderIdentity') !== textAt(first, 'spec', 'holderIdentity'),
      )!;
    seen.found(lock, first, monotonicMs(0));
    seen.found(lock, first, monotonicMs(1_000));
    expect([...seen.tallies][0]).toMatchObject({ unseen: 0, holderChanges: 0 });
    seen.found(lock, other, monotonicMs(2_000));
    expect([...seen.tallies][0]).toMatchObject({ unseen: 1, holderChanges: 1, denied: 0, writes: 0 });
    seen.vanished(lock, monotonicMs(3_000));
    expect([...seen.tallies][0]).toMatchObject({ unseen: 2, deletions: 0, object: null });
  });

  it('of an audit log put together in the wrong order is not judged', () => {
    const events = eventsOf('go-lease');
    const [moved] = events.splice(4, 1);
    const report = auditReport([...events.slice(0, 9), moved!, ...events.slice(9)]);
    expect(denials(report)).toEqual([]);
    expect(onlyLock(report).unjudged).toBeGreaterThan(0);
  });
});

describe('the conclusion', () => {
  it('of nothing at all says so', () => {
    const { conclusion, locks } = auditReport([]);
    expect(locks).toEqual([]);
    expect(conclusion).toMatchObject({ startWith: 'audit-only', denied: 0 });
    expect(conclusion.sentence).toMatch(/^Nothing was seen/);
  });

  it('is careful where no lock changed hands', () => {
    const writes = writesOf('go-lease').slice(0, 4);
    const { conclusion } = watchReport(writes);
    expect(conclusion).toMatchObject({ startWith: 'audit-only', denied: 0, holderChanges: 0 });
    expect(conclusion.sentence).toContain('no lock changed hands');
    expect(conclusion.sentence).toContain('manifests/components/audit-only');
  });

  it('does not count what lockwarden leaves alone', () => {
    const there = robbed('go-lease').map(eventOf);
    const text = JSON.stringify(there).replaceAll('el-go-lease-453f', 'kube-system');
    const report = auditReport(JSON.parse(text) as JsonObject[]);
    expect(onlyLock(report)).toMatchObject({ guarded: false, denied: 0, offences: [] });
    expect(onlyLock(report).unguardedWhy).toContain('kube-system');
    expect(report.conclusion.sentence).toContain('Nothing that was seen');
  });
});

describe('policies of the cluster', () => {
  const spec = (fields: string): string => `apiVersion: lockwarden.dev/v1alpha1
kind: ClusterLockPolicy
metadata: { name: all }
spec: ${fields}
`;

  it('are judged by, and the built-in defaults beside them', () => {
    const report = watchReport(robbed('go-lease'), storeOf(spec('{ enforcement: Audit }')));
    expect(report.policies).toEqual(['clusterlockpolicy/all']);
    expect(report.conclusion.denied).toBe(0);
    expect(onlyLock(report)).toMatchObject({ denied: 0, deniedByDefaults: 1 });
  });

  it('that ask who writes are tried on an audit log, and not on a watch, which says so', () => {
    const store = storeOf(spec('{ candidates: { serviceAccounts: [team/orders] } }'));
    const watched = watchReport(writesOf('go-lease'), store);
    expect(denials(watched)).toEqual([]);
    expect(watched.limits.join()).toContain('`candidates`');
    const read = auditReport(eventsOf('go-lease'), store);
    expect(denials(read)).toEqual(['P2 CandidateNotAllowed']);
    expect(read.limits).toEqual([]);
  });
});

describe('the suggested policies', () => {
  function lintOf(text: string): readonly string[] {
    const { findings, policies } = lint([{ name: 'suggested.yaml', text }], 'lockwarden-system');
    expect(policies).toBeGreaterThan(0);
    return findings.map(({ message, line }) => `${String(line)}: ${message}`);
  }

  it.each(recordings())('for %s, robbed, lint clean, and nothing would be denied under them', (name) => {
    const events = robbed(name).map(eventOf);
    const { suggestedPolicies } = auditReport(events);
    expect(lintOf(suggestedPolicies)).toEqual([]);
    const under = auditReport(events, storeOf(suggestedPolicies));
    expect(under.conclusion.denied).toBe(0);
    expect(under.suggestedPolicies).toBe('');
  });

  it('give more tolerance where clients are early by little, and nothing else', () => {
    const writes = writesOf('fabric8-lease-release');
    const at = writes.findIndex(
      ({ request }, index) =>
        index > 0 &&
        textAt(request.oldObject, 'spec', 'holderIdentity') !== '' &&
        textAt(request.object, 'spec', 'holderIdentity') !== '' &&
        textAt(request.oldObject, 'spec', 'holderIdentity') !==
          textAt(request.object, 'spec', 'holderIdentity') &&
        Number((request.oldObject as { spec: JsonObject }).spec['leaseDurationSeconds']) === 6,
    );
    expect(at).toBeGreaterThan(0);
    // The takeover as it would have come 1.3 s before the end of the lease.
    const takeover = writes[at]!;
    const atMs = writes[at - 1]!.atMs + 6_000 - 1_300;
    const moved = JSON.parse(
      JSON.stringify(takeover.request.object)
        .replace(/"time":"[^"]+"/, `"time":"${stampOf(atMs)}"`)
        .replaceAll(/"(renewTime|acquireTime)":"[^"]+"/g, `"$1":"${microTime(atMs - 20)}"`),
    ) as JsonObject;
    const early = { ...takeover, atMs, request: { ...takeover.request, object: moved } };
    const events = [...writes.slice(0, at), early].map(eventOf);
    const report = auditReport(events);
    expect(denials(report)).toEqual(['U15 PrematureTakeover']);
    expect(lintOf(report.suggestedPolicies)).toEqual([]);
    expect(report.suggestedPolicies).toContain('tolerance: 1.5s');
    expect(report.suggestedPolicies).not.toContain('Audit');
    expect(auditReport(events, storeOf(report.suggestedPolicies)).conclusion.denied).toBe(0);
  });

  it('offer Strict to client-go that has changed hands, and to no other', () => {
    const strict = auditReport(eventsOf('go-lease'));
    expect(strict.suggestedPolicies).toBe('');
    expect(lintOf(strict.strictPolicies)).toEqual([]);
    expect(strict.strictPolicies).toContain('profile: Strict');
    expect(auditReport(eventsOf('go-lease'), storeOf(strict.strictPolicies)).conclusion.denied).toBe(0);
    expect(auditReport(eventsOf('python-lease')).strictPolicies).toBe('');
    // Its MultiLock moves the acquire time.
    expect(auditReport(eventsOf('go26-configmapsleases')).strictPolicies).toBe('');
  });
});

describe('a lock that cannot work', () => {
  function changed(change: (spec: JsonObject) => JsonObject): readonly RecordedWrite[] {
    const moved = (object: unknown): unknown =>
      isObject(object) ? { ...object, spec: change(object['spec'] as JsonObject) } : object;
    return writesOf('go-lease')
      .slice(0, 8)
      .map((write) => ({
        ...write,
        request: {
          ...write.request,
          object: moved(write.request.object),
          oldObject: moved(write.request.oldObject),
        },
      }));
  }

  it('for it promises no time is named', () => {
    const writes = changed((spec) => ({ ...spec, leaseDurationSeconds: null }));
    expect(onlyLock(watchReport(writes)).remarks.join()).toContain('held without a duration');
  });

  it('for its lease is hardly longer than the tolerance is named', () => {
    const { remarks } = onlyLock(watchReport(changed((spec) => ({ ...spec, leaseDurationSeconds: 2 }))));
    expect(remarks).toEqual([expect.stringContaining('only 1 s is protected')]);
  });

  it('for its lease is no longer than the tolerance, and than its renewals take, is named', () => {
    const { remarks } = onlyLock(watchReport(changed((spec) => ({ ...spec, leaseDurationSeconds: 1 }))));
    expect(remarks.join()).toContain('no longer than the tolerance');
    expect(remarks.join()).toContain('later than its lease of 1 s runs out');
  });
});
