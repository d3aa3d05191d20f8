import { describe, expect, it } from 'vitest';
import { decide } from '../../src/core/decide.ts';
import type { Facts } from '../../src/core/facts.ts';
import type { LockWrite } from '../../src/core/lock.ts';
import { quote } from '../../src/core/message.ts';
import { builtInDefaults } from '../../src/core/settings.ts';
import { create, facts, lock, observedFor, record, stored, t0, update } from '../support/locks.ts';

const heldByA = stored(record({ holder: 'a' }), t0, 'a');
const takenAfter = (ms: number) =>
  update(heldByA, stored(record({ holder: 'b', renewed: t0 + ms, transitions: 1 }), t0 + ms, 'b', heldByA));
const messageOf = (write: LockWrite, known: Facts) =>
  decide(write, known, builtInDefaults).violations[0]?.message ?? '';

describe('the sentence that a person reads', () => {
  it('says how long ago as exactly as it is known', () => {
    expect(messageOf(takenAfter(3000), facts({ observation: observedFor(3240) }))).toContain(
      'last renewed 3.2 s ago (as lockwarden observed)',
    );
    expect(messageOf(takenAfter(3000), facts())).toContain(
      "last renewed 2 s to 4 s ago (by the API server's stamp)",
    );
  });

  it('says at least how long where nothing bounds it', () => {
    const untracked = stored(record({ holder: 'a' }), t0, null);
    const observation = { ageMs: { min: 2500, max: Infinity }, stampedAt: null };
    const taken = update(
      untracked,
      stored(record({ holder: 'b', renewed: t0 + 3000, transitions: 1 }), t0 + 3000, null),
    );
    expect(messageOf(taken, facts({ observation }))).toContain('last renewed at least 2.5 s ago');
    expect(messageOf(taken, facts())).toContain("(by the holder's own record only)");
  });

  it('says how long still to wait only where that is certain, and never less than a second', () => {
    expect(messageOf(takenAfter(3000), facts({ observation: observedFor(3000) }))).toContain(
      'free in at most 12 s',
    );
    const doubtful = facts({ observation: { ageMs: { min: 0, max: 60_000 }, stampedAt: null } });
    const before = { ...heldByA, stamps: { entries: [], count: 0 } };
    expect(messageOf(update(before, takenAfter(3000).after ?? before), doubtful)).not.toContain('free in');
    const short = stored(record({ holder: 'a', durationS: 2 }), t0, null);
    const taken = stored(record({ holder: 'b', renewed: t0 + 900, transitions: 1 }), t0 + 900, null);
    expect(messageOf(update(short, taken), facts({ observation: observedFor(990) }))).toContain(
      'free in at most 2 s',
    );
  });

  it('speaks of the deleted lock where that is what stands in the way', () => {
    const tombstone = {
      state: heldByA,
      observation: observedFor(3000),
      attribution: 'other',
      holderPod: null,
    } as const;
    const message = messageOf(create(stored(record({ holder: 'b' }), t0 + 3000, 'b')), facts({ tombstone }));
    expect(message).toBe(
      'lease/team/election: a live lock was deleted, and another identity takes it before its lease has run out; ' +
        'held by `a` for 15 s at a time; last renewed 3 s ago (as lockwarden observed); free in at most 12 s; ' +
        '[lockwarden C3 PrematureRecreation, built-in defaults]',
    );
  });

  it('speaks of it too where the lock was re-created without a holder', () => {
    const tombstone = {
      state: heldByA,
      observation: observedFor(3000),
      attribution: 'other',
      holderPod: null,
    } as const;
    const free = stored(record({ holder: null, renewed: null }), t0 + 2000, 'operator');
    const taken = stored(record({ holder: 'b', renewed: t0 + 3000, transitions: 1 }), t0 + 3000, 'b', free);
    expect(messageOf(update(free, taken), facts({ tombstone }))).toBe(
      'lease/team/election: a live lock was deleted, and another identity takes it before its lease has run out; ' +
        'held by `a` for 15 s at a time; last renewed 3 s ago (as lockwarden observed); free in at most 12 s; ' +
        '[lockwarden U3 PrematureRecreation, built-in defaults]',
    );
  });

  it('says nothing of a promise where there is none', () => {
    const untimed = stored(record({ holder: 'a', durationS: null }), t0, 'a');
    const taken = stored(
      record({ holder: 'b', renewed: t0 + 1000, transitions: 1 }),
      t0 + 1000,
      'b',
      untimed,
    );
    expect(messageOf(update(untimed, taken), facts())).toBe(
      'lease/team/election: the record has no duration or no renew time, so there is no promise to protect ' +
        '(its holder promised no time); [lockwarden U12 UntimedRecord, built-in defaults]',
    );
  });

  it('is bounded, whatever the lock is called', () => {
    const long = {
      ...takenAfter(3000),
      lock: { kind: 'Lease', namespace: 'n'.repeat(2000), name: 'x' },
    } as const;
    const message = messageOf(long, facts({ observation: observedFor(3000) }));
    expect(message).toHaveLength(1024);
    expect(message.endsWith('nnn...')).toBe(true);
  });

  it('is whole as long as it fits', () => {
    const known = facts({ observation: observedFor(3000) });
    const named = (name: string) => messageOf({ ...takenAfter(3000), lock: { ...lock, name } }, known);
    const room = 1024 - named('').length;
    expect(named('x'.repeat(room))).toHaveLength(1024);
    expect(named('x'.repeat(room)).endsWith('built-in defaults]')).toBe(true);
    expect(named('x'.repeat(room + 1)).endsWith('built-in defau...')).toBe(true);
  });
});

describe('a text from a lock', () => {
  it.each([
    ['a-0', '`a-0`'],
    ['', '``'],
    ['a`b', '`a\\u{60}b`'],
    ['a\nb', '`a\\u{a}b`'],
    ['\u001b[31m', '`\\u{1b}[31m`'],
    ['\u202e', '`\\u{202e}`'],
    ['ä', '`ä`'],
  ])('%j is shown as %s', (text, shown) => {
    expect(quote(text)).toBe(shown);
  });

  it('is cut where nobody reads on', () => {
    expect(quote('a'.repeat(300))).toBe(`\`${'a'.repeat(300)}\``);
    expect(quote('a'.repeat(301))).toBe(`\`${'a'.repeat(300)}...\``);
  });
});
