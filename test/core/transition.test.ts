/** What a write does to a record in which fields are absent, or that is not there at all. */
import { describe, expect, it } from 'vitest';
import type { LockState } from '../../src/core/lock.ts';
import { transitionOf, type Transition } from '../../src/core/transition.ts';
import { create, record, stored, t0, update, type RecordOptions } from '../support/locks.ts';

const holding = (options: RecordOptions = {}): LockState => stored(record({ holder: 'a', ...options }), t0);
const held = holding();
const none: LockState = { ...held, reading: { kind: 'none' } };
const unreadable: LockState = { ...held, reading: { kind: 'unreadable', why: 'odd' } };

describe('an update', () => {
  it.each<[string, LockState, LockState, Transition]>([
    ['of an object that never had a record', none, none, 'unheld'],
    ['that makes no record unreadable', none, unreadable, 'strip-record'],
    ['that leaves a record unreadable', unreadable, unreadable, 'strip-record'],
    ['that mends one', unreadable, held, 'acquire'],
    ['that removes an unreadable one', unreadable, none, 'strip-record'],
    ['that lengthens the lease and renews nothing', held, holding({ durationS: 30 }), 'renew'],
    ['that adds a duration', holding({ durationS: null }), held, 'renew'],
    ['that adds a renew time', holding({ renewed: null, acquired: t0 }), held, 'renew'],
    ['that adds an acquire time', holding({ acquired: null }), held, 'renew'],
    ['that removes the acquire time', held, holding({ acquired: null }), 'renew'],
    [
      'of a record without an acquire time',
      holding({ acquired: null }),
      holding({ acquired: null }),
      'unchanged',
    ],
    [
      'of a record of nothing but a holder',
      holding({ durationS: null, renewed: null }),
      holding({ durationS: null, renewed: null }),
      'unchanged',
    ],
  ])('%s', (_, before, after, transition) => {
    expect(transitionOf(update(before, after))).toBe(transition);
  });

  it('without an old object finds nothing, without a new one leaves nothing', () => {
    expect(transitionOf({ ...update(held, none), before: null })).toBe('unheld');
    expect(transitionOf({ ...update(held, held), before: null })).toBe('acquire');
    expect(transitionOf({ ...update(held, held), after: null })).toBe('strip-record');
    expect(transitionOf({ ...update(none, held), after: null })).toBe('unheld');
  });
});

describe('a creation', () => {
  it.each<[string, LockState, Transition]>([
    ['without a record', none, 'create-free'],
    ['with one that cannot be read', unreadable, 'create-free'],
    ['with one of nobody', stored(record({ holder: null }), t0), 'create-free'],
    ['with a holder', held, 'create-held'],
  ])('%s', (_, after, transition) => {
    expect(transitionOf(create(after))).toBe(transition);
  });

  it('of nothing holds nothing', () => {
    expect(transitionOf({ ...create(held), after: null })).toBe('create-free');
  });
});
