import { describe, expect, it } from 'vitest';
import type { LockState, StampEntry } from '../../src/core/lock.ts';
import { renewStamp, writtenEntry } from '../../src/core/stamps.ts';
import { entry, record, stored, t0, withEntries } from '../support/locks.ts';

const stamps = (...entries: StampEntry[]) => ({ entries, count: entries.length });

describe('the stamp of a renew time', () => {
  const renewing = (manager: string, at: number | null): StampEntry =>
    entry(manager, at, { renewTime: true });

  it('is the earliest of its owners’, in whatever order they stand', () => {
    const [early, late] = [renewing('x', t0), renewing('y', t0 + 9000)];
    expect(renewStamp(stamps(early, late))).toBe(t0);
    expect(renewStamp(stamps(late, early))).toBe(t0);
  });

  it('is none where no owner carries a time', () => {
    expect(renewStamp(stamps(renewing('x', null), entry('y', t0)))).toBeNull();
  });
});

describe('the entry that the API server wrote for a write', () => {
  const held = stored(record({ holder: 'a' }), t0, 'a');
  const written = (after: LockState) => writtenEntry(held, after)?.manager ?? null;

  it('owns the renew time that the write changed', () => {
    expect(written(stored(record({ holder: 'a', renewed: t0 + 2000 }), t0 + 2000, 'new', held))).toBe('new');
  });

  it('owns the holder that the write changed, where the renew time stays', () => {
    expect(written(stored(record({ holder: 'b' }), t0 + 2000, 'kubectl', held))).toBe('kubectl');
  });

  it('is not found where two claim to own what changed: one of them is a forgery', () => {
    const renewed = stored(record({ holder: 'a', renewed: t0 + 2000 }), t0 + 2000, 'a', held);
    const claim = entry('x', t0 + 60_000, { renewTime: true });
    expect(written(withEntries(renewed, [...renewed.stamps.entries, claim]))).toBeNull();
  });

  it('is not found where the holder was removed: an empty text is owned too, but by whom says nothing', () => {
    const released = stored(record({ holder: null }), t0 + 2000, 'a', held);
    expect(written(withEntries(released, [entry('a', t0 + 2000, { holder: true })]))).toBeNull();
  });

  it('is not found where neither changed', () => {
    expect(written(withEntries(held, [entry('a', t0, { renewTime: true, holder: true })]))).toBeNull();
  });

  it('is not found where the record cannot be read', () => {
    expect(written({ ...held, reading: { kind: 'unreadable', why: 'odd' } })).toBeNull();
  });

  it('is found on creation too', () => {
    expect(writtenEntry(null, held)?.manager).toBe('a');
    expect(writtenEntry(null, stored(record({ holder: 'a', renewed: null }), t0, 'a'))?.manager).toBe('a');
  });
});
