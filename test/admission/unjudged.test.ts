import { describe, expect, it } from 'vitest';
import type { AdmissionRequest } from '../../src/admission/review.ts';
import { answerUnjudged } from '../../src/admission/unjudged.ts';
import type { Enforcement } from '../../src/core/reasons.ts';
import { builtInDefaults, type Settings } from '../../src/core/settings.ts';

const request: AdmissionRequest = {
  uid: 'review-1',
  kind: { group: 'coordination.k8s.io', version: 'v1', kind: 'Lease' },
  resource: { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' },
  subResource: '',
  namespace: 'team',
  name: 'orders',
  operation: 'UPDATE',
  userInfo: { username: 'jane', groups: [], extra: {} },
  oldObject: null,
  object: null,
  dryRun: false,
  fieldManager: null,
};

function under(enforcement: Enforcement): Settings {
  return {
    ...builtInDefaults,
    policy: 'lockpolicy/team/p',
    note: 'ask jane',
    enforcement: { ...builtInDefaults.enforcement, CouldNotJudge: enforcement },
  };
}

describe('a write that could not be judged', () => {
  it('passes with a warning by default', () => {
    const { response } = answerUnjudged(request, 'it took too long', () => builtInDefaults);
    expect(response).toMatchObject({ uid: 'review-1', allowed: true });
    expect(response.warnings?.join()).toContain('it took too long [CouldNotJudge]');
  });

  it('is refused where the policy says so, in its name', () => {
    const { response } = answerUnjudged(request, 'it took too long', () => under('Deny'));
    expect(response).toMatchObject({
      uid: 'review-1',
      allowed: false,
      status: { code: 403, reason: 'Forbidden' },
    });
    expect(response.status?.message).toBe(
      'lease/team/orders: lockwarden could not judge the write (it took too long); ask jane; [lockwarden CouldNotJudge, lockpolicy/team/p]',
    );
  });

  it('passes without a word where the policy only records', () => {
    const { response } = answerUnjudged(request, 'x', () => under('Audit'));
    expect(response).toEqual({
      uid: 'review-1',
      allowed: true,
      auditAnnotations: { reason: 'CouldNotJudge' },
    });
  });

  it.each<[string, AdmissionRequest, () => Settings | null]>([
    ['a lock that is not guarded', request, () => null],
    ['no lock at all', { ...request, kind: { group: '', version: 'v1', kind: 'Pod' } }, () => under('Deny')],
    [
      'policies that fail, too',
      request,
      () => {
        throw new Error('defect');
      },
    ],
  ])('passes with a warning: %s', (_, about, settingsFor) => {
    expect(answerUnjudged(about, 'x', settingsFor).response).toMatchObject({
      allowed: true,
      warnings: [expect.stringContaining('x')],
    });
  });
});
