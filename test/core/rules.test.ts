/** Every objection: by which clause and reason it is known, what it causes, and what a person reads. */
import { describe, expect, it } from 'vitest';
import { decide } from '../../src/core/decide.ts';
import type { Facts, Tombstone } from '../../src/core/facts.ts';
import type { LockState, LockWrite } from '../../src/core/lock.ts';
import { builtInDefaults, type Settings } from '../../src/core/settings.ts';
import {
  at,
  create,
  entry,
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
const untracked = stored(record({ holder: 'a' }), t0, null);
const free = stored(record({ holder: null, renewed: null, durationS: null, transitions: null }), t0, 'a');
const gone: LockState = { ...heldByA, reading: { kind: 'none' } };
const unreadable: LockState = { ...heldByA, reading: { kind: 'unreadable', why: 'two holders' } };

/** What is stored over `before` three seconds later. */
function then(options: RecordOptions = {}, before = heldByA, manager: string | null = 'b'): LockState {
  const next = record({ renewed: t0 + 3000, acquired: t0, ...options });
  return stored(next, t0 + 3000, manager, before);
}
const taken = (options: RecordOptions = {}, before = heldByA, manager: string | null = 'b') =>
  update(before, then({ holder: 'b', transitions: 1, ...options }, before, manager));

const live = facts({ observation: observedFor(3000) });
const expired = facts({ observation: observedFor(15_000), serverNow: at(t0 + 15_000) });
const holderPod = { namespace: 'team', name: 'a-0', uid: 'a' };
const liveWith = (bindings: Partial<Facts['bindings']>) =>
  facts({ ...live, bindings: { holderPod, ...bindings } });
const buried = (known: Partial<Tombstone> = {}, bindings: Partial<Facts['bindings']> = {}) =>
  facts({
    tombstone: {
      state: heldByA,
      observation: observedFor(3000),
      attribution: 'other',
      holderPod: null,
      ...known,
    },
    bindings,
  });
const created = (holder: string) => create(stored(record({ holder, renewed: t0 + 3000 }), t0 + 3000, 'b'));
const strictDeletion: Settings = { ...builtInDefaults, deletion: 'Deny' };

interface Case {
  /** Clause, reason and what it causes. */
  readonly code: string;
  /** What is said between the lock’s name and what is known of its promise. */
  readonly says: string;
  readonly write: LockWrite;
  readonly known?: Facts;
  readonly settings?: Settings;
}

const early = "another identity takes the lock before the holder's lease has run out";
const recreated = 'a live lock was deleted, and another identity takes it before its lease has run out';
const doubt = 'the evidence does not say whether the lease had run out';
const stale = "the new holder's own promise has already expired, or repeats one it made before";
const timing = 'renew time or duration of a live lock is removed while its holder stays';
const recordLost = 'the record of a live lock is removed or made unreadable';
const odd = 'the record cannot be read, or would be read differently by different clients';
const release = "a live lock is released or cut short by another pod than its holder's";
const renewal = 'a live lock is renewed or lengthened by a pod that goes by another identity';
const tampered = "the API server's stamps of a live lock are removed, forged, back-dated or planted";
const deletion = 'a live lock is deleted by another than its holder';
const skew = "the recorded renew time is far from the API server's time";
const count = 'the transition count does not grow by one on a change of holder, or changes without one';

const renewed = (options: RecordOptions = {}) =>
  update(heldByA, then({ holder: 'a', ...options }, heldByA, 'a'));
const stamped = (...entries: Parameters<typeof withEntries>[1]) =>
  update(heldByA, withEntries(heldByA, entries));
const own = entry('a', t0, { renewTime: true, holder: true });

const takings: readonly Case[] = [
  { code: 'U15 PrematureTakeover Deny', says: early, write: taken(), known: live },
  { code: 'U13 UncertainExpiry Warn', says: doubt, write: taken({}, untracked, null) },
  {
    code: 'U12 UntimedRecord Warn',
    says: 'the record has no duration or no renew time, so there is no promise to protect (its holder promised no time)',
    write: taken({}, stored(record({ durationS: null }), t0, 'a')),
  },
  {
    code: 'U14 PrematureTakeover Warn',
    says: early,
    write: { ...taken(), requester: user('system:apiserver') },
    known: live,
  },
  { code: 'C3 PrematureRecreation Deny', says: recreated, write: created('b'), known: buried() },
  {
    code: 'C3 PrematureRecreation Warn',
    says: `${recreated} (who deleted it is not known)`,
    write: created('b'),
    known: buried({ attribution: 'unknown' }),
  },
  {
    code: 'C3 PrematureRecreation Deny',
    says: `${recreated} (in its holder's name, by another pod than its holder's)`,
    write: created('a'),
    known: buried({ holderPod }, { holderPodState: 'exists' }),
  },
  {
    code: 'C3 UncertainExpiry Warn',
    says: `${doubt} (it was deleted while held)`,
    write: created('b'),
    known: buried({ state: untracked, observation: null }),
  },
  { code: 'U3 PrematureRecreation Deny', says: recreated, write: taken({}, free), known: buried() },
  {
    code: 'S1 StaleRenewTime Deny',
    says: `${stale} (the new renew time is 35 s behind the API server's clock, its duration only 15 s)`,
    write: taken({ renewed: t0 - 20_000 }, untracked, null),
    known: expired,
  },
  {
    code: 'S2 StaleRenewTime Deny',
    says: `${stale} (the renew time repeats one that this identity has stored before)`,
    write: taken({ renewed: t0 + 5000 }, untracked, null),
    known: { ...expired, storedRenewTimes: [new Date(t0 + 5000).toISOString()] },
  },
];

const removals: readonly Case[] = [
  {
    code: 'U7 StrippedTiming Deny',
    says: timing,
    write: update(heldByA, then({ durationS: null })),
    known: live,
  },
  {
    code: 'U7 UncertainExpiry Warn',
    says: `${doubt} (its timing is removed)`,
    write: update(untracked, then({ durationS: null }, untracked, null)),
  },
  {
    code: 'U16 StrippedRecord Deny',
    says: `${recordLost} (the record is gone)`,
    write: update(heldByA, gone),
    known: live,
  },
  {
    code: 'U16 StrippedRecord Deny',
    says: `${recordLost} (two holders)`,
    write: update(heldByA, unreadable),
    known: live,
  },
  { code: 'U16 UncertainExpiry Warn', says: `${doubt} (the record is gone)`, write: update(untracked, gone) },
  { code: 'U16 UncertainExpiry Warn', says: `${doubt} (two holders)`, write: update(untracked, unreadable) },
  { code: 'U17 UnreadableRecord Warn', says: `${odd} (two holders)`, write: update(free, unreadable) },
  {
    code: 'U17 UnreadableRecord Warn',
    says: `${odd} (two holders)`,
    write: create({ ...unreadable, stamps: free.stamps }),
  },
];

const strangers: readonly Case[] = [
  ...(['exists', 'unknown'] as const).flatMap((holderPodState): Case[] => {
    const causes = holderPodState === 'exists' ? 'Deny' : 'Warn';
    const says =
      holderPodState === 'exists' ? release : `${release} (whether the holder's pod still runs is not known)`;
    const known = liveWith({ holderPodState });
    return [
      { code: `U11 ForeignRelease ${causes}`, says, write: update(heldByA, then({ holder: null })), known },
      { code: `U6 ForeignRelease ${causes}`, says, write: update(heldByA, then({ durationS: 1 })), known },
    ];
  }),
  {
    code: 'U8 ForeignRenewal Deny',
    says: renewal,
    write: update(heldByA, then()),
    known: liveWith({ requesterAsserted: 'b' }),
  },
  {
    code: 'U8 ForeignRenewal Deny',
    says: `${renewal} (it would also lengthen the lease)`,
    write: update(heldByA, then({ durationS: 60 })),
    known: liveWith({ holderPodState: 'exists' }),
  },
  {
    code: 'U8 DuplicateIdentity Deny',
    says: 'two pods renew one lock under the same identity (pod a-0 goes by the same identity)',
    write: update(heldByA, then()),
    known: liveWith({ holderPodState: 'exists', requesterSuperseded: true }),
  },
  { code: 'D4 LiveLockDeleted Audit', says: deletion, write: remove(heldByA, user()), known: live },
  {
    code: 'D4 LiveLockDeleted Audit',
    says: `${deletion} (by another pod than its holder's)`,
    write: remove(heldByA),
    known: liveWith({ holderPodState: 'exists' }),
  },
  {
    code: 'D4 LiveLockDeleted Deny',
    says: deletion,
    write: remove(heldByA, user()),
    known: live,
    settings: strictDeletion,
  },
  {
    code: 'D4 LiveLockDeleted Deny',
    says: `${deletion} (by another pod than its holder's)`,
    write: remove(heldByA),
    known: liveWith({ holderPodState: 'exists' }),
    settings: strictDeletion,
  },
];

const forgeries: readonly Case[] = [
  {
    code: 'U18 EvidenceTampered Deny',
    says: `${tampered} (the stamp of the renew time is removed)`,
    write: stamped(),
    known: live,
  },
  {
    code: 'U18 EvidenceTampered Deny',
    says: `${tampered} (the stamp of the renew time is moved back)`,
    write: stamped(entry('a', t0 - 60_000, { renewTime: true, holder: true })),
    known: live,
  },
  {
    code: 'U18 EvidenceTampered Deny',
    says: `${tampered} (the stamp of the renew time is moved to another entry)`,
    write: stamped(entry('x', t0, { renewTime: true, holder: true })),
    known: live,
  },
  {
    code: 'U18 EvidenceTampered Deny',
    says: `${tampered} (a stamp is forged)`,
    write: stamped(own, entry('x', t0 + 3000), entry('y', t0 + 3000)),
    known: live,
  },
  {
    code: 'U19 EvidenceTampered Deny',
    says: `${tampered} (managedFields gains entries that the API server did not write for this request)`,
    write: stamped(own, entry('x', t0 + 3000), entry('y', t0 + 3000)),
    known: live,
  },
  {
    code: 'U19 EvidenceTampered Deny',
    says: `${tampered} (managedFields grows to 65 entries)`,
    write: update(heldByA, { ...heldByA, stamps: { entries: [own], count: 65 } }),
    known: live,
  },
];

const warnings: readonly Case[] = [
  {
    code: 'W1 RenewTimeSkewed Warn',
    says: `${skew} (62.5 s ahead)`,
    write: renewed({ renewed: t0 + 65_500 }),
    known: facts({ serverNow: at(t0 + 3000) }),
  },
  {
    code: 'W1 RenewTimeSkewed Warn',
    says: `${skew} (63 s behind)`,
    write: renewed({ renewed: t0 - 60_000 }),
    known: facts({ serverNow: at(t0 + 3000) }),
  },
  {
    code: 'W2 RenewTimeBackward Warn',
    says: 'the recorded renew time moves backwards on a renewal (by 1.5 s)',
    write: renewed({ renewed: t0 - 1500 }),
  },
  { code: 'W3 TransitionsOdd Warn', says: `${count} (0 becomes 2)`, write: renewed({ transitions: 2 }) },
  {
    code: 'W3 TransitionsOdd Warn',
    says: `${count} (7 becomes 7)`,
    write: taken({ transitions: 7 }, stored(record({ transitions: 7 }), t0, 'a')),
  },
  {
    code: 'W4 AcquireTimeChanged Warn',
    says: 'the acquire time changes without a change of holder',
    write: renewed({ acquired: t0 + 1 }),
  },
];

describe.each([
  ['taking a lock', takings],
  ['taking something away from it', removals],
  ["acting in another's name", strangers],
  ['touching the evidence', forgeries],
  ['what is only odd', warnings],
])('%s', (_, cases) => {
  it.each(cases)('$code: $says', ({ code, says, write, known = facts(), settings = builtInDefaults }) => {
    const objections = decide(write, known, settings).violations.map((each) => [
      `${each.clause} ${each.reason} ${each.enforcement}`,
      each.message.replace('lease/team/election: ', '').split('; ')[0],
    ]);
    expect(objections).toContainEqual([code, says]);
  });

  it.each(cases)(
    '$code is named in the sentence with the policy',
    ({ code, write, known = facts(), settings }) => {
      const { violations } = decide(write, known, { ...(settings ?? builtInDefaults), policy: 'house' });
      const [clause = '', reason = ''] = code.split(' ');
      const found = violations.filter((each) => each.clause === clause && each.reason === reason);
      expect(found.map((each) => each.message.endsWith(`; [lockwarden ${clause} ${reason}, house]`))).toEqual(
        [true],
      );
    },
  );

  it.each(cases)('$code is told in ASCII', ({ write, known = facts(), settings = builtInDefaults }) => {
    for (const { message } of decide(write, known, settings).violations) expect(message).toMatch(/^[ -~]+$/u);
  });
});

describe('nothing is objected to', () => {
  const withoutInstant = (state: LockState): LockState =>
    state.reading.kind !== 'record'
      ? state
      : {
          ...state,
          reading: {
            kind: 'record',
            record: { ...state.reading.record, renewTime: { raw: '2026-03-01 12:00:00', at: null } },
          },
        };
  const farAhead = stored(record({ holder: 'a', renewed: t0 + 120_000, acquired: t0 }), t0, 'a');
  const zeroTime = Date.parse('0001-01-01T00:00:00Z');

  it.each<[string, LockWrite, Facts]>([
    [
      'when a lock is taken with a renew time that names no instant',
      update(untracked, withoutInstant(then({ holder: 'b', transitions: 1 }, untracked, null))),
      expired,
    ],
    [
      'when a renewal moves to one that names none',
      update(heldByA, withoutInstant(then({}, heldByA, 'a'))),
      facts(),
    ],
    [
      'when a renewal moves from one that names none',
      update(withoutInstant(heldByA), then({}, heldByA, 'a')),
      facts(),
    ],
    ['when a renewal comes within the same instant', renewed({ renewed: t0, durationS: 20 }), facts()],
    [
      'when a count appears on a change of holder',
      taken({ transitions: 5 }, stored(record({ transitions: null }), t0, 'a')),
      { ...expired, observation: observedFor(15_000) },
    ],
    ['when a count stays away', taken({ transitions: null }), expired],
    [
      'when the count grows by one',
      taken({ transitions: 8 }, stored(record({ transitions: 7 }), t0, 'a')),
      expired,
    ],
    [
      'when the renew time is just a minute ahead',
      renewed({ renewed: t0 + 63_000 }),
      facts({ serverNow: at(t0 + 3000) }),
    ],
    [
      'when a lengthening leaves a renew time that is far ahead as it was',
      update(farAhead, then({ renewed: t0 + 120_000, durationS: 60 }, farAhead, 'a')),
      facts({ serverNow: at(t0 + 3000) }),
    ],
    [
      'when a record that has no acquire time is renewed',
      update(stored(record({ acquired: null }), t0, 'a'), then({ acquired: null })),
      facts(),
    ],
    [
      'when a free lock loses what there was of its record',
      update({ ...free, reading: { kind: 'record', record: record({ holder: null }) } }, gone),
      facts(),
    ],
    ['when an expired record disappears', update(heldByA, gone), expired],
    ['when an expired record loses its duration', update(heldByA, then({ durationS: null })), expired],
    [
      'when an untimed record loses its renew time',
      update(
        stored(record({ durationS: null }), t0, 'a'),
        stored(record({ durationS: null, renewed: null, acquired: t0 }), t0, 'a'),
      ),
      facts(),
    ],
  ])('%s', (_, write, known) => {
    expect(decide(write, known, builtInDefaults).violations).toEqual([]);
  });

  it('as to skew, when the renew time is just a minute behind', () => {
    const { violations } = decide(
      renewed({ renewed: t0 - 57_000 }),
      facts({ serverNow: at(t0 + 3000) }),
      builtInDefaults,
    );
    expect(violations.map((each) => each.clause)).toEqual(['W2']);
  });

  it("as to a step back, when a renewal moves from a time that names no instant to Go's zero time", () => {
    const write = update(withoutInstant(untracked), then({ renewed: zeroTime }, untracked, null));
    const { violations } = decide(write, facts({ serverNow: at(t0 + 3000) }), builtInDefaults);
    expect(violations.map((each) => each.clause)).toEqual(['W1']);
  });

  it('when a renew time is repeated while it is a second old, the tolerance aside', () => {
    const repeated = (ageMs: number) => {
      const write = taken({ renewed: t0 + 15_000 - ageMs }, untracked, null);
      const storedRenewTimes = [new Date(t0 + 15_000 - ageMs).toISOString()];
      return decide(write, { ...expired, storedRenewTimes }, builtInDefaults).violations.map(
        (each) => each.clause,
      );
    };
    expect(repeated(2000)).toEqual([]);
    expect(repeated(2001)).toEqual(['S2']);
  });
});

describe('what the holder does itself', () => {
  const unanswered = liveWith({ holderPodState: 'unknown' });
  const renamed = liveWith({ requesterAsserted: 'b' });
  const itself = pod('a');

  it.each([
    [
      'a release, though a question was not answered',
      update(heldByA, then({ holder: null }), itself),
      unanswered,
    ],
    [
      'a cut, though a question was not answered',
      update(heldByA, then({ durationS: 1 }), itself),
      unanswered,
    ],
    ['a renewal from a pod that went by another identity before', update(heldByA, then(), itself), renamed],
    ['a release from such a pod', update(heldByA, then({ holder: null }), itself), renamed],
  ])('is not objected to: %s', (_, write, known) => {
    expect(decide(write, known, builtInDefaults).violations).toEqual([]);
  });
});
