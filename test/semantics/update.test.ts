import { describe, expect, it } from 'vitest';
import { decide } from '../../src/core/decide.ts';
import type { LockState } from '../../src/core/lock.ts';
import { builtInDefaults } from '../../src/core/settings.ts';
import {
  at,
  facts,
  observedFor,
  pod,
  record,
  stored,
  t0,
  update,
  user,
  type RecordOptions,
} from '../support/locks.ts';

const judge = (write: Parameters<typeof decide>[0], known = facts()) => decide(write, known, builtInDefaults);
const reasonsOf = (decision: ReturnType<typeof decide>) =>
  decision.violations.map((each) => `${each.clause} ${each.reason} ${each.enforcement}`);

const heldByA = stored(record({ holder: 'a' }), t0, 'a');
const freed = stored(record({ holder: null, durationS: 1 }), t0, 'a');

/** What `manager` stores over `before` at `t0 + ms`. */
function then(before: LockState, ms: number, options: RecordOptions, manager = 'b'): LockState {
  const next = record({ renewed: t0 + ms, acquired: t0 + ms, transitions: 1, ...options });
  return stored(next, t0 + ms, manager, before);
}

const unreadable: LockState = {
  ...heldByA,
  reading: { kind: 'unreadable', why: 'the key `holderIdentity` stands twice' },
};
const gone: LockState = { ...heldByA, reading: { kind: 'none' }, stamps: { entries: [], count: 0 } };

describe('U0: a write that leaves the promise as it is', () => {
  it('U0: labels, data or references change', () => {
    const decision = judge(update(heldByA, { ...heldByA }), facts({ observation: observedFor(1000) }));
    expect(decision).toMatchObject({
      outcome: 'Allow',
      transition: 'unchanged',
      violations: [],
      effect: null,
    });
  });

  it('U0: only the transition count changes, as kube-lease-manager does in a second request', () => {
    const after = stored(record({ holder: 'a', transitions: 1 }), t0 + 20, 'a', heldByA);
    expect(judge(update(heldByA, after))).toMatchObject({
      outcome: 'Allow',
      transition: 'unchanged',
      violations: [],
    });
  });
});

describe('U1 and U2: a free lock', () => {
  it('U1: stays free', () => {
    expect(judge(update(freed, { ...freed }))).toMatchObject({
      outcome: 'Allow',
      transition: 'unheld',
      violations: [],
    });
  });

  it('U2: is taken without waiting, 0.1 s after its release', () => {
    const decision = judge(
      update(freed, then(freed, 100, { holder: 'b' })),
      facts({ observation: observedFor(100) }),
    );
    expect(decision).toMatchObject({ outcome: 'Allow', transition: 'acquire', violations: [] });
    expect(decision.effect).toMatchObject({ kind: 'asserted', holder: 'b' });
  });

  it('U2: an annotation that appears is an acquisition', () => {
    expect(judge(update(gone, then(gone, 0, { holder: 'b' }))).transition).toBe('acquire');
  });
});

describe('U3: a lock re-created without a holder is still its deleted predecessor’s', () => {
  const recreated = stored(
    record({ holder: null, renewed: null, durationS: null, transitions: null }),
    t0 + 2000,
    'operator',
  );
  const tombstone = {
    state: heldByA,
    observation: observedFor(3000),
    attribution: 'other',
    holderPod: null,
  } as const;

  it('U3: another identity is refused', () => {
    const decision = judge(update(recreated, then(recreated, 3000, { holder: 'b' })), facts({ tombstone }));
    expect(decision.outcome).toBe('Deny');
    expect(reasonsOf(decision)).toEqual(['U3 PrematureRecreation Deny']);
  });

  it('U3: the former holder takes it', () => {
    expect(
      judge(update(recreated, then(recreated, 3000, { holder: 'a' }), pod('a')), facts({ tombstone }))
        .violations,
    ).toEqual([]);
  });
});

describe('U4: the holder renews', () => {
  it('U4: on time', () => {
    const decision = judge(
      update(heldByA, then(heldByA, 2000, { holder: 'a', transitions: 0, acquired: t0 }, 'a'), pod('a')),
    );
    expect(decision).toMatchObject({ outcome: 'Allow', transition: 'renew', violations: [] });
    expect(decision.effect).toMatchObject({ kind: 'asserted', holder: 'a', pod: { uid: 'a' } });
  });

  it('U4: long after expiry, when nobody took the lock', () => {
    const after = then(heldByA, 60_000, { holder: 'a', transitions: 0, acquired: t0 }, 'a');
    expect(
      judge(update(heldByA, after, pod('a')), facts({ observation: observedFor(60_000) })).violations,
    ).toEqual([]);
  });

  it('U4: from a new pod under the same identity, without a question', () => {
    const known = facts({
      observation: observedFor(2000),
      bindings: { holderPod: { namespace: 'team', name: 'a', uid: 'old' } },
    });
    const after = then(heldByA, 2000, { holder: 'a', transitions: 0, acquired: t0 }, 'a');
    expect(judge(update(heldByA, after, pod('a', 'new')), known)).toMatchObject({
      violations: [],
      question: null,
    });
  });

  it('U4: with an acquire time and nothing else, as pekko does; the binding stays as it was', () => {
    const before = stored(record({ holder: 'a', renewed: null, durationS: null, acquired: t0 }), t0, 'a');
    const after = stored(
      record({ holder: 'a', renewed: null, durationS: null, acquired: t0 + 2000 }),
      t0 + 2000,
      'a',
      before,
    );
    const decision = judge(update(before, after, pod('a')));
    expect(decision).toMatchObject({ outcome: 'Allow', transition: 'renew', effect: null });
  });
});

describe('U5 and U6: the lease is cut short while its holder stays', () => {
  const shortened = then(heldByA, 2000, { holder: 'a', durationS: 1 }, 'a');
  const bindings = { holderPod: { namespace: 'team', name: 'a', uid: 'a' } };
  const observation = observedFor(2000);

  it('U5: by the holder’s own pod: that is how fabric8 leaves', () => {
    const decision = judge(update(heldByA, shortened, pod('a')), facts({ observation, bindings }));
    expect(decision).toMatchObject({ outcome: 'Allow', transition: 'shorten', violations: [], effect: null });
  });

  it('U5: where nothing is known of the requester', () => {
    expect(judge(update(heldByA, shortened, user()), facts({ observation })).violations).toEqual([]);
  });

  it('U6: asks whether the holder’s pod still runs when another pod does it', () => {
    expect(judge(update(heldByA, shortened), facts({ observation, bindings })).question).toEqual(
      bindings.holderPod,
    );
  });

  it('U6: refused when it does', () => {
    const known = facts({ observation, bindings: { ...bindings, holderPodState: 'exists' } });
    expect(reasonsOf(judge(update(heldByA, shortened), known))).toEqual(['U6 ForeignRelease Deny']);
  });

  it('U6: allowed when the lease had run out', () => {
    const known = facts({
      observation: observedFor(15_000),
      bindings: { ...bindings, holderPodState: 'exists' },
    });
    expect(judge(update(heldByA, shortened), known).violations).toEqual([]);
  });
});

describe('U7: timing is not stripped from a live lock', () => {
  for (const [what, options] of [
    ['renew time', { renewed: null, acquired: t0 }],
    ['duration', { durationS: null, renewed: t0 }],
  ] as const) {
    it(`U7: ${what} removed while live is refused`, () => {
      const after = stored(record({ holder: 'a', ...options }), t0 + 1000, 'b', heldByA);
      const decision = judge(update(heldByA, after), facts({ observation: observedFor(1000) }));
      expect(decision.transition).toBe('strip-timing');
      expect(reasonsOf(decision)).toContain('U7 StrippedTiming Deny');
    });

    it(`U7: ${what} removed after expiry is allowed`, () => {
      const after = stored(record({ holder: 'a', ...options }), t0 + 16_000, 'b', heldByA);
      expect(judge(update(heldByA, after), facts({ observation: observedFor(16_000) })).outcome).toBe(
        'Allow',
      );
    });
  }

  it('U7: in doubt it is allowed with a warning', () => {
    const before = stored(record({ holder: 'a' }), t0, null);
    const after = stored(record({ holder: 'a', renewed: null }), t0 + 1000, null, before);
    expect(reasonsOf(judge(update(before, after)))).toEqual(['U7 UncertainExpiry Warn']);
  });
});

describe('U8: a promise is not renewed by somebody else', () => {
  const renewed = then(heldByA, 2000, { holder: 'a', acquired: t0, transitions: 0 }, 'b');
  const observation = observedFor(2000);

  it('U8: a pod that went by another identity is refused', () => {
    const decision = judge(
      update(heldByA, renewed),
      facts({ observation, bindings: { requesterAsserted: 'b' } }),
    );
    expect(reasonsOf(decision)).toEqual(['U8 ForeignRenewal Deny']);
  });

  it('U8: two living pods under one identity are told apart when the first comes back', () => {
    const bindings = {
      holderPod: { namespace: 'team', name: 'a-1', uid: '1' },
      requesterSuperseded: true,
    } as const;
    const write = update(heldByA, renewed, pod('a-0', '0'));
    expect(judge(write, facts({ observation, bindings })).question).toEqual(bindings.holderPod);
    const asked = facts({ observation, bindings: { ...bindings, holderPodState: 'exists' } });
    expect(reasonsOf(judge(write, asked))).toEqual(['U8 DuplicateIdentity Deny']);
    const answered = facts({ observation, bindings: { ...bindings, holderPodState: 'gone' } });
    expect(judge(write, answered).violations).toEqual([]);
  });

  it('U8: another pod does not lengthen the lease while the holder’s pod runs', () => {
    const lengthened = then(
      heldByA,
      2000,
      { holder: 'a', acquired: t0, transitions: 0, durationS: 9000 },
      'b',
    );
    const bindings = { holderPod: { namespace: 'team', name: 'a', uid: 'a' } };
    expect(judge(update(heldByA, lengthened), facts({ observation, bindings })).question).toEqual(
      bindings.holderPod,
    );
    const asked = facts({ observation, bindings: { ...bindings, holderPodState: 'exists' } });
    expect(reasonsOf(judge(update(heldByA, lengthened), asked))).toEqual(['U8 ForeignRenewal Deny']);
  });
});

describe('U8: what proves nothing against whoever renews', () => {
  const renewed = then(heldByA, 2000, { holder: 'a', acquired: t0, transitions: 0 }, 'b');
  const holderPod = { namespace: 'team', name: 'a', uid: 'a' };

  it('U8: an expired lease is renewed by whoever likes: there is nothing left to protect', () => {
    const untracked = stored(record({ holder: 'a' }), t0, null);
    const late = then(untracked, 15_000, { holder: 'a', acquired: t0, transitions: 0 });
    for (const bindings of [
      { requesterAsserted: 'b' },
      { holderPod, holderPodState: 'exists', requesterSuperseded: true },
    ] as const) {
      const known = facts({ observation: observedFor(15_000), bindings });
      expect(judge(update(untracked, late), known)).toMatchObject({ transition: 'renew', violations: [] });
    }
  });

  it('U8: having gone by the holder’s own identity', () => {
    const bindings = { holderPod, holderPodState: 'gone', requesterAsserted: 'a' } as const;
    const known = facts({ observation: observedFor(2000), bindings });
    expect(judge(update(heldByA, renewed), known).violations).toEqual([]);
  });

  it('U8: another pod, as long as it lengthens nothing', () => {
    const bindings = { holderPod, holderPodState: 'exists' } as const;
    const known = facts({ observation: observedFor(2000), bindings });
    expect(judge(update(heldByA, renewed), known).violations).toEqual([]);
  });

  it('U8: nor does a longer lease, once the holder’s pod is gone', () => {
    const bindings = { holderPod, holderPodState: 'gone' } as const;
    const known = facts({ observation: observedFor(2000), bindings });
    const lengthened = then(heldByA, 2000, {
      holder: 'a',
      renewed: t0,
      transitions: 0,
      acquired: t0,
      durationS: 60,
    });
    expect(judge(update(heldByA, lengthened), known).violations).toEqual([]);
    const runs = { ...known, bindings: { ...known.bindings, holderPodState: 'exists' } } as const;
    expect(reasonsOf(judge(update(heldByA, lengthened), runs))).toEqual(['U8 ForeignRenewal Deny']);
  });
});

describe('U9 to U11: release', () => {
  const released = stored(
    record({ holder: null, durationS: 1, renewed: t0 + 2000 }),
    t0 + 2000,
    'a',
    heldByA,
  );
  const bindings = { holderPod: { namespace: 'team', name: 'a', uid: 'a' } };

  it('U9: an expired lease is released by anybody', () => {
    const known = facts({
      observation: observedFor(15_000),
      bindings: { ...bindings, holderPodState: 'exists' },
    });
    expect(judge(update(heldByA, released), known)).toMatchObject({
      outcome: 'Allow',
      transition: 'release',
      violations: [],
    });
  });

  for (const [shape, options] of Object.entries({
    'client-go: duration 1': { durationS: 1, renewed: t0 + 2000 },
    'Java: no times, duration kept': { renewed: null, acquired: null },
    'kubert: all null': { durationS: null, renewed: null, acquired: null },
    'Patroni: the holder alone': {},
  })) {
    it(`U10: the holder’s own pod releases (${shape})`, () => {
      const after = stored(record({ holder: null, ...options }), t0 + 2000, 'a', heldByA);
      const decision = judge(
        update(heldByA, after, pod('a')),
        facts({ observation: observedFor(2000), bindings }),
      );
      expect(decision).toMatchObject({ outcome: 'Allow', violations: [], question: null, effect: null });
    });
  }

  it('U10: a release is allowed where no binding is known', () => {
    expect(
      judge(update(heldByA, released, user()), facts({ observation: observedFor(2000) })).violations,
    ).toEqual([]);
  });

  it('U11: a pod that went by another identity is refused: the stale release of client-go 0.34', () => {
    const known = facts({
      observation: observedFor(2000),
      bindings: { ...bindings, requesterAsserted: 'b' },
    });
    expect(reasonsOf(judge(update(heldByA, released), known))).toEqual(['U11 ForeignRelease Deny']);
  });

  it('U11: a person without a pod is refused while the holder’s pod runs', () => {
    const known = facts({
      observation: observedFor(2000),
      bindings: { ...bindings, holderPodState: 'exists' },
    });
    expect(reasonsOf(judge(update(heldByA, released, user()), known))).toEqual(['U11 ForeignRelease Deny']);
  });

  it('U11: a restarted StatefulSet pod releases, the bound pod being gone', () => {
    const known = facts({
      observation: observedFor(2000),
      bindings: { ...bindings, holderPodState: 'gone' },
    });
    expect(judge(update(heldByA, released, pod('a', 'new')), known).violations).toEqual([]);
  });

  it('U11: allowed with a warning when the question was not answered', () => {
    const known = facts({
      observation: observedFor(2000),
      bindings: { ...bindings, holderPodState: 'unknown' },
    });
    expect(reasonsOf(judge(update(heldByA, released), known))).toEqual(['U11 ForeignRelease Warn']);
  });
});

describe('U12 to U15: takeover', () => {
  it('U12: a holder that promised no time is replaced with a warning', () => {
    const before = stored(record({ holder: 'a', durationS: null }), t0, 'a');
    const decision = judge(
      update(before, then(before, 1000, { holder: 'b' })),
      facts({ observation: observedFor(1000) }),
    );
    expect(decision.outcome).toBe('Allow');
    expect(reasonsOf(decision)).toEqual(['U12 UntimedRecord Warn']);
  });

  it('U13: an expired lease is taken', () => {
    const decision = judge(
      update(heldByA, then(heldByA, 15_010, { holder: 'b' })),
      facts({ observation: observedFor(15_010), serverNow: at(t0 + 15_010) }),
    );
    expect(decision).toMatchObject({ outcome: 'Allow', transition: 'takeover', violations: [] });
    expect(decision.effect).toMatchObject({ kind: 'asserted', holder: 'b' });
  });

  it('U13: though the dead holder’s clock was 40 s fast and the new renew time is earlier', () => {
    const before = stored(record({ holder: 'a', renewed: t0 + 40_000 }), t0, 'a');
    const decision = judge(
      update(before, then(before, 15_010, { holder: 'b' })),
      facts({ observation: observedFor(15_010) }),
    );
    expect(decision.outcome).toBe('Allow');
  });

  it('U14: the API server itself is only warned', () => {
    const decision = judge(
      update(heldByA, then(heldByA, 1000, { holder: 'b' }), user('system:apiserver')),
      facts({ observation: observedFor(1000) }),
    );
    expect(decision.outcome).toBe('Allow');
    expect(reasonsOf(decision)).toEqual(['U14 PrematureTakeover Warn']);
  });

  it('U14: so are the users and groups that the policy exempts', () => {
    const write = update(heldByA, then(heldByA, 1000, { holder: 'b' }), user('jane', ['oncall']));
    const known = facts({ observation: observedFor(1000) });
    const byGroup = { ...builtInDefaults, exempt: { usernames: [], groups: ['oncall'] } };
    const byName = { ...builtInDefaults, exempt: { usernames: ['jane'], groups: [] } };
    expect(decide(write, known, byGroup).outcome).toBe('Allow');
    expect(decide(write, known, byName).outcome).toBe('Allow');
    expect(decide(write, known, builtInDefaults).outcome).toBe('Deny');
  });

  it('U15: a live lease is not taken (age 3 s, duration 15 s)', () => {
    const decision = judge(
      update(heldByA, then(heldByA, 3000, { holder: 'b' })),
      facts({ observation: observedFor(3000) }),
    );
    expect(decision.outcome).toBe('Deny');
    expect(reasonsOf(decision)).toEqual(['U15 PrematureTakeover Deny']);
    expect(decision.effect).toBeNull();
    expect(decision.violations[0]?.message).toBe(
      "lease/team/election: another identity takes the lock before the holder's lease has run out; " +
        'held by `a` for 15 s at a time; last renewed 3 s ago (as lockwarden observed); free in at most 12 s; ' +
        '[lockwarden U15 PrematureTakeover, built-in defaults]',
    );
  });

  it('U15: the second of two racing candidates is refused, milliseconds after the first', () => {
    const first = then(heldByA, 15_010, { holder: 'b' }, 'b');
    const second = then(first, 15_020, { holder: 'c', transitions: 2 }, 'c');
    expect(reasonsOf(judge(update(first, second, pod('c'))))).toEqual(['U15 PrematureTakeover Deny']);
  });

  it('U15: what a writer puts into the lock exempts nobody: terminating objects are judged too', () => {
    const before = { ...heldByA, terminating: true };
    const after = { ...then(before, 3000, { holder: 'b' }), terminating: true };
    expect(judge(update(before, after), facts({ observation: observedFor(3000) })).outcome).toBe('Deny');
  });
});

describe('U16 and U17: the record disappears or becomes unreadable', () => {
  it('U16: refused while live', () => {
    for (const after of [gone, unreadable]) {
      const decision = judge(update(heldByA, after), facts({ observation: observedFor(1000) }));
      expect(decision.transition).toBe('strip-record');
      expect(decision.violations[0]).toMatchObject({
        clause: 'U16',
        reason: 'StrippedRecord',
        enforcement: 'Deny',
      });
    }
  });

  it('U16: in doubt allowed with a warning', () => {
    const before = stored(record({ holder: 'a' }), t0, null);
    expect(reasonsOf(judge(update(before, gone)))).toEqual(['U16 UncertainExpiry Warn']);
  });

  it('U17: allowed once the lease has run out', () => {
    expect(judge(update(heldByA, gone), facts({ observation: observedFor(15_000) })).violations).toEqual([]);
  });

  it('U17: a record that cannot be read is warned about', () => {
    expect(reasonsOf(judge(update(freed, unreadable)))).toEqual(['U17 UnreadableRecord Warn']);
  });
});
