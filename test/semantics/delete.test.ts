import { describe, expect, it } from 'vitest';
import { decide } from '../../src/core/decide.ts';
import { builtInDefaults } from '../../src/core/settings.ts';
import { facts, observedFor, pod, record, remove, stored, t0, user } from '../support/locks.ts';

const judge = (write: Parameters<typeof decide>[0], known = facts()) => decide(write, known, builtInDefaults);

const heldByA = stored(record({ holder: 'a' }), t0, 'a');
const live = observedFor(2000);
const bindings = { holderPod: { namespace: 'team', name: 'a', uid: 'a' } };

describe('D1: what promises nothing is deleted freely', () => {
  it('D1: a lock that nobody holds leaves no trace', () => {
    const free = stored(record({ holder: null }), t0);
    expect(judge(remove(free))).toMatchObject({ outcome: 'Allow', violations: [], effect: null });
  });

  it('D1: so is one whose lease has run out', () => {
    expect(judge(remove(heldByA), facts({ observation: observedFor(16_000) })).violations).toEqual([]);
  });

  it('D1: and one without a duration', () => {
    expect(judge(remove(stored(record({ holder: 'a', durationS: null }), t0))).violations).toEqual([]);
  });
});

describe('D2: the system tidies up', () => {
  for (const username of [
    'system:serviceaccount:kube-system:generic-garbage-collector',
    'system:serviceaccount:kube-system:namespace-controller',
    'system:kube-controller-manager',
    'system:apiserver',
  ]) {
    it(`D2: ${username} deletes a live lock, and no tombstone stays`, () => {
      const decision = judge(remove(heldByA, user(username)), facts({ observation: live, bindings }));
      expect(decision.effect).toMatchObject({ kind: 'deleted', attribution: 'system' });
      expect(decision).toMatchObject({ outcome: 'Allow', violations: [], question: null });
    });
  }

  it('D2: nothing is asked where nothing hangs on the answer', () => {
    const known = facts({ observation: live, bindings });
    expect(judge(remove(heldByA, pod('b')), known).question).not.toBeNull();
    expect(judge(remove({ ...heldByA, terminating: true }, pod('b')), known).question).toBeNull();
    expect(judge({ ...remove(heldByA, pod('b')), dryRun: true }, known).question).toBeNull();
  });

  it('D2: a deletion that has begun is not judged again', () => {
    const decision = judge(remove({ ...heldByA, terminating: true }), facts({ observation: live }));
    expect(decision).toMatchObject({ outcome: 'Allow', violations: [], effect: null });
  });

  it('D2: the collectors are not asked about', () => {
    const write = remove(heldByA, user('system:serviceaccount:kube-system:generic-garbage-collector'));
    expect(judge(write, facts({ observation: live, bindings }))).toMatchObject({
      violations: [],
      question: null,
    });
  });
});

describe('D3: the holder deletes its own lock', () => {
  it('D3: that is how medik8s releases', () => {
    const decision = judge(remove(heldByA, pod('a')), facts({ observation: live, bindings }));
    expect(decision).toMatchObject({ outcome: 'Allow', violations: [], question: null });
    expect(decision.effect).toEqual({ kind: 'deleted', state: heldByA, attribution: 'holder' });
  });
});

describe('D4: another deletes a live lock', () => {
  it('D4: allowed and recorded; the name is guarded by a tombstone', () => {
    const known = facts({ observation: live, bindings: { ...bindings, holderPodState: 'exists' } });
    const decision = judge(remove(heldByA), known);
    expect(decision.outcome).toBe('Allow');
    expect(decision.violations).toMatchObject([
      { clause: 'D4', reason: 'LiveLockDeleted', enforcement: 'Audit' },
    ]);
    expect(decision.effect).toEqual({ kind: 'deleted', state: heldByA, attribution: 'other' });
  });

  it('D4: asks whether the holder’s pod still runs, when in doubt too', () => {
    expect(judge(remove(heldByA), facts({ observation: live, bindings })).question).toEqual(
      bindings.holderPod,
    );
    const doubt = facts({ observation: { ageMs: { min: 0, max: 20_000 }, stampedAt: null }, bindings });
    expect(judge(remove(heldByA), doubt).question).toEqual(bindings.holderPod);
    expect(judge(remove(heldByA), facts({ observation: observedFor(16_000), bindings })).question).toBeNull();
  });

  it('D4: unknown when the bound pod is gone or nothing is known', () => {
    const gone = facts({ observation: live, bindings: { ...bindings, holderPodState: 'gone' } });
    expect(judge(remove(heldByA), gone).effect).toMatchObject({ attribution: 'unknown' });
    expect(judge(remove(heldByA, user()), facts({ observation: live })).effect).toMatchObject({
      attribution: 'unknown',
    });
  });

  it('D4: refused where the policy says so', () => {
    const strict = { ...builtInDefaults, deletion: 'Deny' } as const;
    const decision = decide(remove(heldByA), facts({ observation: live }), strict);
    expect(decision.outcome).toBe('Deny');
    expect(decision.effect).toBeNull();
    expect(decide(remove(heldByA, pod('a')), facts({ observation: live, bindings }), strict).outcome).toBe(
      'Allow',
    );
  });

  it('D4: a dry run leaves no trace', () => {
    const write = { ...remove(heldByA, pod('a')), dryRun: true };
    expect(judge(write, facts({ observation: live, bindings })).effect).toBeNull();
  });
});
