/** What a decision carries beside its outcome: the order of its violations, the promise it met, and the question it asks. */
import { describe, expect, it } from 'vitest';
import { decide } from '../../src/core/decide.ts';
import type { Facts } from '../../src/core/facts.ts';
import type { LockWrite } from '../../src/core/lock.ts';
import { builtInDefaults, type Settings } from '../../src/core/settings.ts';
import {
  at,
  create,
  facts,
  observedFor,
  pod,
  record,
  remove,
  stored,
  t0,
  update,
  user,
  withEntries,
  type RecordOptions,
} from '../support/locks.ts';

const heldByA = stored(record({ holder: 'a' }), t0, 'a');
/** The same without stamps: judged by what was observed alone. */
const untracked = stored(record({ holder: 'a' }), t0, null);
const free = stored(record({ holder: null, renewed: null, durationS: null }), t0, 'operator');
const podA = { namespace: 'team', name: 'a', uid: 'a' };

/** What `b`’s pod stores over `before` two seconds after `t0`. */
function then(options: RecordOptions, before = untracked, requester = pod('b')): LockWrite {
  const next = record({ renewed: t0 + 2000, acquired: t0, ...options });
  return update(before, stored(next, t0 + 2000, requester.pod?.name ?? 'user', before), requester);
}

describe('violations', () => {
  // In doubt, stale, skewed and miscounted: one of each kind, found in another order than they weigh.
  const write = update(
    untracked,
    stored(record({ holder: 'b', renewed: t0 - 90_000, transitions: 5 }), t0, null),
  );
  const known = facts({ serverNow: at(t0 + 15_000) });
  const judged = (enforcement: Partial<Settings['enforcement']> = {}, settings: Partial<Settings> = {}) =>
    decide(write, known, {
      ...builtInDefaults,
      ...settings,
      enforcement: { ...builtInDefaults.enforcement, ...enforcement },
    }).violations.map((each) => `${each.reason} ${each.enforcement}`);

  it('come with refusals first, then warnings, then what is only recorded', () => {
    expect(judged({ UncertainExpiry: 'Audit' })).toEqual([
      'StaleRenewTime Deny',
      'RenewTimeSkewed Warn',
      'TransitionsOdd Warn',
      'UncertainExpiry Audit',
    ]);
  });

  it('of one weight keep the order of the rules', () => {
    expect(judged()).toEqual([
      'StaleRenewTime Deny',
      'UncertainExpiry Warn',
      'RenewTimeSkewed Warn',
      'TransitionsOdd Warn',
    ]);
  });

  it('weigh what the policy says, but for the exempt no more than a warning', () => {
    const exempt = { usernames: [write.requester.username], groups: [] };
    expect(judged({ TransitionsOdd: 'Deny', RenewTimeSkewed: 'Audit' })).toEqual([
      'StaleRenewTime Deny',
      'TransitionsOdd Deny',
      'UncertainExpiry Warn',
      'RenewTimeSkewed Audit',
    ]);
    expect(judged({ TransitionsOdd: 'Deny', RenewTimeSkewed: 'Audit' }, { exempt })).toEqual([
      'UncertainExpiry Warn',
      'StaleRenewTime Warn',
      'TransitionsOdd Warn',
      'RenewTimeSkewed Audit',
    ]);
  });

  it('by the exempt keep their clause, but for an early takeover', () => {
    const settings = { ...builtInDefaults, exempt: { usernames: ['jane'], groups: [] } };
    const clauses = (options: RecordOptions) =>
      decide(
        then(options, heldByA, user()),
        facts({ observation: observedFor(2000) }),
        settings,
      ).violations.map((each) => `${each.clause} ${each.enforcement}`);
    expect(clauses({ holder: 'b', transitions: 1 })).toEqual(['U14 Warn']);
    expect(clauses({ durationS: null })).toEqual(['U7 Warn']);
  });
});

describe('the promise that a decision reports', () => {
  const tombstone = {
    state: heldByA,
    observation: observedFor(3000),
    attribution: 'other',
    holderPod: null,
  } as const;

  it('is that of the lock, while somebody holds it', () => {
    const heldByC = stored(record({ holder: 'c' }), t0, 'c');
    const known = facts({ observation: observedFor(2000), tombstone });
    expect(decide(then({ holder: 'c' }, heldByC, pod('c')), known, builtInDefaults).expiry).toMatchObject({
      verdict: 'live',
      holder: 'c',
    });
  });

  it('is that of its deleted predecessor, while nobody does', () => {
    const known = facts({ tombstone });
    for (const write of [then({ holder: 'b' }, free), create(heldByA, pod('a'))]) {
      expect(decide(write, known, builtInDefaults).expiry).toMatchObject({ verdict: 'live', holder: 'a' });
    }
  });

  it('is none, where there is neither', () => {
    expect(decide(then({ holder: 'b' }, free), facts(), builtInDefaults).expiry).toEqual({ verdict: 'free' });
    expect(decide(create(heldByA, pod('a')), facts(), builtInDefaults).expiry).toEqual({ verdict: 'free' });
  });
});

describe('whether the holder’s pod still runs', () => {
  const bound = (ageMs: number, bindings: Partial<Facts['bindings']> = {}) =>
    facts({ observation: observedFor(ageMs), bindings: { holderPod: podA, ...bindings } });
  const live = bound(2000);
  const expired = bound(15_000);
  const superseded = { requesterSuperseded: true };
  const buried = (ageMs: number, holderPod: typeof podA | null = podA) =>
    facts({
      tombstone: { state: untracked, observation: observedFor(ageMs), attribution: 'other', holderPod },
    });
  const createdFor = (holder: string, requester = pod('b')) =>
    create(stored(record({ holder, renewed: t0 + 2000 }), t0 + 2000, 'b'), requester);
  const releasedBy = (requester = pod('b')) => then({ holder: null }, untracked, requester);
  const asked = (write: LockWrite, known: Facts, settings = builtInDefaults) =>
    decide(write, known, settings).question;

  it.each([
    ['a release by another pod', releasedBy(), live],
    ['a release by a person', releasedBy(user()), live],
    ['a cut by another pod', then({ durationS: 1 }), live],
    ['a lengthening by another pod', then({ durationS: 60 }), live],
    ['a renewal by a pod that another has superseded', then({}), bound(2000, superseded)],
    ['a deletion by another pod', remove(untracked), live],
  ])('is asked for %s', (_, write, known) => {
    expect(asked(write, known)).toEqual(podA);
  });

  it('is asked of the deleted lock’s holder, when another pod re-creates the lock in its name', () => {
    expect(asked(createdFor('a'), buried(2000))).toEqual(podA);
    expect(asked(then({ holder: 'a' }, free), buried(2000))).toEqual(podA);
  });

  it.each([
    ['the holder’s pod does it itself: a release', releasedBy(pod('a')), live],
    ['... a cut', then({ durationS: 1 }, untracked, pod('a')), live],
    ['... a lengthening', then({ durationS: 60 }, untracked, pod('a')), live],
    ['... a deletion', remove(untracked, pod('a')), live],
    ['... a re-creation', createdFor('a', pod('a')), buried(2000)],
    ['the lease has run out: a release', releasedBy(), expired],
    ['... a cut', then({ durationS: 1 }), expired],
    ['... a lengthening', then({ durationS: 60 }), expired],
    ['... a superseded renewal', then({}), bound(15_000, superseded)],
    ['... a deletion', remove(untracked), expired],
    ['... a re-creation', createdFor('a'), buried(15_000)],
    ['... an acquisition', then({ holder: 'a' }, free), buried(15_000)],
    ['it is a renewal like any other', then({}), live],
    ['it is a takeover', then({ holder: 'b', transitions: 1 }), expired],
    ['nothing but a label changes', update(untracked, untracked), live],
    ['another identity takes a deleted lock', createdFor('b'), buried(2000)],
    ['no pod is known to have held it', createdFor('a'), buried(2000, null)],
    ['no pod is known to hold it', releasedBy(), facts({ observation: observedFor(2000) })],
    ['the requester has gone by another identity', releasedBy(), bound(2000, { requesterAsserted: 'b' })],
    ['the API server does it', releasedBy(user('system:apiserver')), live],
  ])('is not asked when %s', (_, write, known) => {
    expect(asked(write, known)).toBeNull();
  });

  it('is not asked when the write is refused anyway', () => {
    const renewal = then({}, heldByA);
    const reset = { ...renewal, after: withEntries(renewal.after ?? heldByA, []) };
    expect(asked(renewal, bound(2000, superseded))).toEqual(podA);
    expect(decide(reset, bound(2000, superseded), builtInDefaults)).toMatchObject({
      outcome: 'Deny',
      question: null,
    });
  });

  it('is not asked for whom the policy exempts', () => {
    const settings = { ...builtInDefaults, exempt: { usernames: [], groups: ['system:serviceaccounts'] } };
    expect(asked(releasedBy(), live, settings)).toBeNull();
  });
});

describe('what an allowed write leaves to remember', () => {
  const heldWithout = (options: RecordOptions) => stored(record({ holder: 'a', ...options }), t0, 'a');

  it.each([
    [
      'a takeover by a person asserts its holder, without a pod',
      then({ holder: 'b', transitions: 1 }, untracked, user()),
      { kind: 'asserted', holder: 'b', renewTime: new Date(t0 + 2000).toISOString(), pod: null },
    ],
    [
      'one that names no renew time too',
      then({ holder: 'b', renewed: null, transitions: 1 }),
      { kind: 'asserted', holder: 'b', renewTime: null, pod: { namespace: 'team', name: 'b', uid: 'b' } },
    ],
    [
      'a first renew time is a renewal',
      then({}, heldWithout({ renewed: null, acquired: t0 }), pod('a')),
      { kind: 'asserted', holder: 'a', renewTime: new Date(t0 + 2000).toISOString(), pod: podA },
    ],
    [
      'a lengthening that renews nothing asserts nothing',
      then({ durationS: 60, renewed: t0 }, untracked, pod('a')),
      null,
    ],
    ['neither does a cut', then({ durationS: 1 }, untracked, pod('a')), null],
    ['neither does a release', then({ holder: null }, untracked, pod('a')), null],
    ['neither does a creation without a holder', create(free), null],
    ['neither does the deletion of a free lock', remove(free), null],
  ])('%s', (_, write, effect) => {
    expect(decide(write, facts({ observation: observedFor(15_000) }), builtInDefaults).effect).toEqual(
      effect,
    );
  });
});
