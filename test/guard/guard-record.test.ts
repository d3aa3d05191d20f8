import { describe, expect, it } from 'vitest';
import { emptied, neverRenewed, remade, renewed, vigilBefore } from '../../src/guard/guard-record.ts';
import { microTime, type LeaseRecord } from '../../src/election/record.ts';

const t0 = Date.parse('2026-03-01T12:00:00Z');

function heldBy(holder: string, renewedMs = t0): LeaseRecord {
  const acquireTime = microTime(t0 - 60_000);
  return { holder, durationSeconds: 10, acquireTime, renewTime: microTime(renewedMs), transitions: 3 };
}

/** What replica `a` writes after `afterMs`. */
const by = (stored: LeaseRecord | null, afterMs: number): LeaseRecord | null =>
  renewed(stored, { by: 'a', atMs: t0 + afterMs }, t0 + afterMs + 1_000);

describe('a renewal', () => {
  it('of one’s own Lease keeps since when it is held, of another’s does not', () => {
    expect(by(heldBy('a'), 3_000)).toEqual(heldBy('a', t0 + 3_000));
    expect(by(heldBy('b'), 5_000)).toEqual({
      ...heldBy('a', t0 + 5_000),
      acquireTime: microTime(t0 + 5_000),
      transitions: 4,
    });
  });

  it('comes with each proof of who holds it, and of others only when that one has missed a proof', () => {
    const afterMs = [1_000, 2_499, 2_500, 3_999, 4_000];
    expect(afterMs.map((each) => by(heldBy('a'), each) !== null)).toEqual([false, false, true, true, true]);
    expect(afterMs.map((each) => by(heldBy('b'), each) !== null)).toEqual([false, false, false, false, true]);
  });

  it('comes at once where nobody holds it, or what holds for it is not what it must be', () => {
    expect(by(null, 0)).toMatchObject({ holder: 'a', renewTime: microTime(t0), transitions: 0 });
    expect(by(neverRenewed, 0)).toMatchObject({ holder: 'a', durationSeconds: 10, transitions: 1 });
    expect(by(heldBy(''), 1)).toMatchObject({ holder: 'a', transitions: 4 });
    expect(by({ ...heldBy('b'), durationSeconds: 3_600 }, 1)).toMatchObject({ durationSeconds: 10 });
    expect(by({ ...heldBy('b'), renewTime: 'some day' }, 0)).toMatchObject({ holder: 'a' });
  });

  it('never moves the renew time back', () => {
    expect(by(heldBy('a'), -1)).toBeNull();
    expect(by(heldBy('b'), -5_000)).toBeNull();
    // Emptied after the proof was obtained: the proof is of before, and tells nothing of now.
    expect(by(heldBy(''), 0)).toBeNull();
    expect(by({ ...heldBy('b'), durationSeconds: 1 }, 0)).toBeNull();
  });

  it('but replaces a time of before the API server’s clock was set back', () => {
    expect(by(heldBy('b', t0 + 3_600_000), 0)).toMatchObject({ renewTime: microTime(t0) });
    // API servers whose clocks differ by seconds are no such case.
    expect(by(heldBy('b', t0 + 11_000), 0)).toBeNull();
  });
});

describe('a Lease of which nobody is left to be asked', () => {
  it('is nobody’s, and says since when', () => {
    expect(emptied(heldBy('b'), t0 + 1_000)).toEqual({ ...heldBy('b', t0 + 1_000), holder: '' });
    expect(emptied(heldBy('b'), t0 - 1_000)).toEqual({ ...heldBy('b'), holder: '' });
  });

  it('is left alone where that is so already', () => {
    expect(emptied(heldBy(''), t0)).toBeNull();
    expect(emptied(null, t0)).toEqual(neverRenewed);
  });
});

describe('a Lease that is gone', () => {
  it('comes back as it was, and with what has been proven since', () => {
    expect(remade(heldBy('b'), null)).toEqual(heldBy('b'));
    expect(remade(heldBy('b'), { by: 'a', atMs: t0 })).toEqual(heldBy('b'));
    expect(remade(heldBy('b'), { by: 'a', atMs: t0 + 1 })).toMatchObject({ holder: 'a', transitions: 4 });
  });

  it('of which nothing was known has the switch awake until there is a proof', () => {
    expect(remade(null, null)).toEqual(neverRenewed);
    expect(remade(null, { by: 'a', atMs: t0 })).toMatchObject({ holder: 'a', renewTime: microTime(t0) });
  });
});

describe('the switch stood watch', () => {
  const before = (stored: LeaseRecord | null, afterMs: number): unknown =>
    vigilBefore(stored, { by: 'a', atMs: t0 + afterMs });

  it('since the Lease ran out, or since it was emptied', () => {
    expect(before(heldBy('b'), 25_000)).toEqual({
      sinceMs: t0 + 10_000,
      untilMs: t0 + 25_000,
      orderly: false,
    });
    expect(before(heldBy(''), 25_000)).toEqual({ sinceMs: t0, untilMs: t0 + 25_000, orderly: true });
  });

  it('not at all where the Lease had not run out, or had never been renewed', () => {
    expect(before(heldBy('b'), 10_000)).toBeNull();
    expect(before(neverRenewed, 10_000)).toBeNull();
    expect(before(null, 10_000)).toBeNull();
  });
});
