import { describe, expect, it } from 'vitest';
import { createHandler } from '../../src/admission/handler.ts';
import { Judge } from '../../src/admission/judge.ts';
import { LockMemories } from '../../src/admission/lock-memories.ts';
import type { AdmissionRequest } from '../../src/admission/review.ts';
import { canaryIn } from '../../src/core/canary.ts';
import { monotonicMs } from '../../src/core/time.ts';
import { builtInSettings } from '../../src/policy/built-in.ts';

const lease = (holder: string, renewTime: string, more: object = {}) => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: {
    name: 'election',
    namespace: 'team',
    uid: 'lock-uid',
    managedFields: [
      {
        manager: holder,
        operation: 'Update',
        time: `${renewTime.slice(0, 19)}Z`,
        fieldsV1: { 'f:spec': { 'f:renewTime': {}, 'f:holderIdentity': {} } },
      },
    ],
  },
  spec: {
    holderIdentity: holder,
    leaseDurationSeconds: 15,
    renewTime,
    acquireTime: renewTime,
    leaseTransitions: 1,
    ...more,
  },
});
const renewedAt = '2026-03-01T12:00:00.250000Z';

const takeover: AdmissionRequest = {
  uid: 'review-1',
  kind: { group: 'coordination.k8s.io', version: 'v1', kind: 'Lease' },
  resource: { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' },
  subResource: '',
  namespace: 'team',
  name: 'election',
  operation: 'UPDATE',
  userInfo: {
    username: 'system:serviceaccount:team:candidate',
    groups: [],
    extra: {
      'authentication.kubernetes.io/pod-name': ['b-0'],
      'authentication.kubernetes.io/pod-uid': ['pod-b'],
    },
  },
  oldObject: lease('a', renewedAt),
  object: lease('b', '2026-03-01T12:00:03.250000Z', { leaseTransitions: 2 }),
  dryRun: false,
  fieldManager: null,
};

function handler(ownNamespace = 'lockwarden-system') {
  const told: { reason: string | undefined; transition: string; requester: string; reviewUid: string }[] = [];
  const counted: string[] = [];
  const answered: string[] = [];
  const isCanary = canaryIn(ownNamespace);
  const handle = createHandler({
    judge: new Judge({
      memories: new LockMemories(),
      monotonicNow: () => monotonicMs(0),
      settingsFor: (lock) => builtInSettings(lock, ownNamespace),
      isCanary,
      podState: () => Promise.reject(new Error('must not be asked')),
    }),
    countDecision: (kind, outcome, reason) => void counted.push(`${kind} ${outcome} ${reason}`),
    tell: ({ requester }, { violations, transition }, reviewUid) =>
      void told.push({
        reason: violations[0]?.reason,
        transition,
        requester: requester.username,
        reviewUid,
      }),
    canary: { isCanary, count: (outcome) => void answered.push(outcome) },
  });
  return { handle, told, counted, answered };
}

describe('an admission request', () => {
  it('that takes a live lock is answered 403 with a sentence, and told of', async () => {
    const { handle, told, counted } = handler();
    const { response } = await handle(takeover);
    expect(response).toMatchObject({
      uid: 'review-1',
      allowed: false,
      status: { code: 403, reason: 'Forbidden' },
    });
    expect(response.status?.message).toContain(
      "held by `a` for 15 s at a time; last renewed 2 s to 4 s ago (by the API server's stamp); free in at most 13 s",
    );
    expect(response.auditAnnotations).toMatchObject({ reason: 'PrematureTakeover', clause: 'U15' });
    const requester = 'system:serviceaccount:team:candidate';
    expect(told).toEqual([
      { reason: 'PrematureTakeover', transition: 'takeover', requester, reviewUid: 'review-1' },
    ]);
    expect(counted).toEqual(['Lease Deny PrematureTakeover']);
  });

  it('that renews is allowed, and has nothing in it to object to', async () => {
    const { handle, told, counted } = handler();
    const object = lease('a', '2026-03-01T12:00:03.250000Z', { acquireTime: renewedAt });
    const { response } = await handle({ ...takeover, object });
    expect(response).toEqual({ uid: 'review-1', allowed: true });
    expect(told).toMatchObject([{ reason: undefined, transition: 'renew' }]);
    expect(counted).toEqual(['Lease Allow None']);
  });

  it('that renews oddly is warned about', async () => {
    const { handle, told } = handler();
    const { response } = await handle({
      ...takeover,
      object: lease('a', '2026-03-01T11:59:59.250000Z', { acquireTime: renewedAt }),
    });
    expect(response.allowed).toBe(true);
    expect(response.warnings?.[0]).toContain('RenewTimeBackward');
    expect(told).toMatchObject([{ reason: 'RenewTimeBackward', transition: 'renew' }]);
  });

  it('that takes a lock in doubt is allowed with a warning, and the doubt is told of', async () => {
    const { handle, told, counted } = handler();
    const oldObject = lease('a', '2026-03-01T13:00:00.250000Z');
    const stamped = {
      ...oldObject,
      metadata: { ...oldObject.metadata, managedFields: lease('a', renewedAt).metadata.managedFields },
    };
    const { response } = await handle({ ...takeover, oldObject: stamped });
    expect(response).toMatchObject({ allowed: true, auditAnnotations: { reason: 'UncertainExpiry' } });
    expect(told).toMatchObject([{ reason: 'UncertainExpiry', reviewUid: 'review-1' }]);
    expect(counted).toEqual(['Lease Warn UncertainExpiry']);
  });

  it('about something that is no lock is allowed with a warning', async () => {
    const { handle } = handler();
    const { response } = await handle({ ...takeover, kind: { group: '', version: 'v1', kind: 'Secret' } });
    expect(response).toMatchObject({ allowed: true, auditAnnotations: { reason: 'CouldNotJudge' } });
  });

  it('about a lock that is not guarded is allowed without a word', async () => {
    const { handle, told } = handler();
    const { response } = await handle({ ...takeover, namespace: 'kube-system' });
    expect(response).toEqual({ uid: 'review-1', allowed: true });
    expect(told).toEqual([]);
  });
});

describe('an attempt on the canary', () => {
  const attempt = { ...takeover, name: 'lockwarden-canary', dryRun: true };

  it.each(['team', 'kube-system'])(
    'in the own namespace %s is refused, and told to nobody',
    async (namespace) => {
      const { handle, told, counted, answered } = handler(namespace);
      const { response } = await handle({ ...attempt, namespace });
      expect(response.status).toMatchObject({
        code: 403,
        message: expect.stringContaining('[lockwarden U15 PrematureTakeover, built-in canary]') as string,
      });
      expect([told, counted, answered]).toEqual([[], [], ['Deny']]);
    },
  );

  it('that is not refused passes with a warning, so that it is not taken for one that nobody was asked about', async () => {
    const { handle, told, answered } = handler('team');
    const freed = lease('a', renewedAt, { holderIdentity: '' });
    const { response } = await handle({ ...attempt, oldObject: freed });
    expect(response).toEqual({
      uid: 'review-1',
      allowed: true,
      warnings: ['lockwarden did not refuse an attempt on its canary: it found nothing wrong'],
    });
    expect([told, answered]).toEqual([[], ['Allow']]);
  });

  it('that is to be stored is none: the own namespace is nobody’s to judge', async () => {
    const { handle, answered } = handler('team');
    expect((await handle({ ...attempt, dryRun: false })).response).toEqual({
      uid: 'review-1',
      allowed: true,
    });
    expect(answered).toEqual([]);
  });
});
