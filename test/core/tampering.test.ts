import { describe, expect, it } from 'vitest';
import type { LockState } from '../../src/core/lock.ts';
import { falsifying, planting } from '../../src/core/tampering.ts';
import { create, entry, record, remove, stored, t0, update, withEntries } from '../support/locks.ts';

const toleranceMs = 1000;
const owner = entry('a', t0, { renewTime: true, holder: true });
const held = withEntries(stored(record({ holder: 'a' }), t0), [owner]);
const reset = (state: LockState) => withEntries(state, []);
const released = reset(stored(record({ holder: null, renewed: t0 + 2000 }), t0 + 2000));

describe('there is nothing to falsify', () => {
  it.each([
    ['in a creation', create(held)],
    ['in a deletion', remove(held)],
    ['in a lock that nobody held', update({ ...held, reading: released.reading }, released)],
    [
      'in a record that could not be read',
      update({ ...held, reading: { kind: 'unreadable', why: '' } }, released),
    ],
    ['in a record that loses its renew time', update(held, reset(stored(record({ renewed: null }), t0)))],
    ['in an untracked lock', update(reset(held), reset(held))],
    [
      'where the renew time is new, and somebody had claimed its entry before',
      update(withEntries(stored(record({ renewed: null }), t0), [owner]), held),
    ],
  ] as const)('%s', (_, write) => {
    expect(falsifying(write, toleranceMs)).toBeNull();
  });
});

describe('a stamp moves back', () => {
  const movedBack = (ms: number) =>
    falsifying(update(held, withEntries(held, [{ ...owner, at: entry('a', t0 - ms).at }])), toleranceMs);

  it('by no more than the tolerance and a second: a clock that lags', () => {
    expect(movedBack(2000)).toBeNull();
  });

  it('by more: tampering', () => {
    expect(movedBack(3000)).toEqual({ clause: 'U18', what: 'the stamp of the renew time is moved back' });
  });
});

describe('nothing is planted', () => {
  it('by a deletion', () => {
    expect(planting(remove(held))).toBeNull();
  });

  it('by a creation with the entry that the API server writes for it', () => {
    expect(planting(create(held))).toBeNull();
  });
});
