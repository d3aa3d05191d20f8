import { describe, expect, it } from 'vitest';
import { LockMemories } from '../../src/admission/lock-memories.ts';
import type { LockKind } from '../../src/core/lock.ts';
import { monotonicMs as ms, serverMs } from '../../src/core/time.ts';
import { LockTally } from '../../src/guard/lock-tally.ts';
import { lock, record, stored, t0 } from '../support/locks.ts';

function world(options: { readonly locksMax?: number; readonly handsMax?: number } = {}) {
  let nowMs = 0;
  const lags: [LockKind, number][] = [];
  const { locksMax, handsMax } = options;
  const memories = new LockMemories({
    ...(locksMax !== undefined && { locksMax }),
    onShown: (...shown) => {
      tally.shown(...shown);
    },
  });
  const tally = new LockTally({
    monotonicNow: () => ms(nowMs),
    serverNow: () => memories.serverTimeAt(ms(nowMs)),
    onLag: (...lag) => void lags.push(lag),
    ...(handsMax !== undefined && { handsMax }),
  });
  /** The watch shows `name` held by `holder`, a second later than the last. */
  const show = (name: string, holder: string | null, kind: LockKind = 'Lease'): void => {
    nowMs += 1_000;
    const renewedAt = serverMs(t0 + nowMs);
    memories.stored(
      { ...lock, kind, name },
      stored(record({ holder }), renewedAt, holder ?? 'x'),
      ms(nowMs),
      true,
    );
  };
  const remove = (name: string): void => {
    nowMs += 1_000;
    memories.deleted({ ...lock, name }, null, ms(nowMs));
  };
  const pass = (byMs: number): void => {
    nowMs += byMs;
  };
  const date = (byMs: number): void => {
    memories.dated(ms(nowMs), ms(nowMs), serverMs(t0 + nowMs + byMs));
  };
  return { tally, show, remove, pass, date, lags };
}

describe('the tally of locks', () => {
  it('counts what is held, and by how many, kind by kind', () => {
    const { tally, show } = world();
    show('1', 'a');
    show('2', 'a');
    show('3', 'b');
    show('4', null);
    show('5', 'a', 'ConfigMap');
    expect([tally.held('Lease'), tally.holders('Lease')]).toEqual([3, 2]);
    expect([tally.held('ConfigMap'), tally.holders('ConfigMap')]).toEqual([1, 1]);
    expect([tally.held('Endpoints'), tally.holders('Endpoints')]).toEqual([0, 0]);
  });

  it('counts down when a lock is released, deleted or forgotten', () => {
    const { tally, show, remove } = world({ locksMax: 3 });
    for (const name of ['1', '2', '3']) show(name, `holder-${name}`);
    show('1', null);
    expect([tally.held('Lease'), tally.holders('Lease')]).toEqual([2, 2]);
    remove('2');
    expect([tally.held('Lease'), tally.holders('Lease')]).toEqual([1, 1]);
    for (const name of ['4', '5', '6', '7']) show(name, 'a');
    expect([tally.held('Lease'), tally.holders('Lease')]).toEqual([3, 1]);
  });

  it('calls a lock flapping that goes to and fro, through releases and deletions, and no other', () => {
    const { tally, show, remove } = world();
    show('quiet', 'a');
    for (const holder of ['a', 'b', 'a']) show('busy', holder);
    show('busy', null);
    show('busy', 'b');
    expect(tally.flapping('Lease')).toBe(0);
    remove('busy');
    show('busy', 'a');
    expect(tally.flapping('Lease')).toBe(1);
    expect(tally.flapping('ConfigMap')).toBe(0);
  });

  it('takes a holder that releases and takes its own lock all day for none that flaps', () => {
    const { tally, show } = world();
    for (let round = 0; round < 20; round += 1) {
      show('1', 'a');
      show('1', null);
    }
    expect(tally.flapping('Lease')).toBe(0);
  });

  it('lets a lock be that has been left alone for the window', () => {
    const { tally, show, pass } = world();
    for (const holder of ['a', 'b', 'a', 'b', 'a']) show('1', holder);
    expect(tally.flapping('Lease')).toBe(1);
    pass(600_000);
    expect(tally.flapping('Lease')).toBe(0);
  });

  it('keeps the hands of no more locks than it may', () => {
    const { tally, show } = world({ handsMax: 2 });
    for (const name of ['1', '2', '3']) for (const holder of ['a', 'b', 'a', 'b', 'a']) show(name, holder);
    expect(tally.flapping('Lease')).toBe(2);
  });

  it('tells how late a write was seen, as far as its stamp proves it', () => {
    const { show, date, lags } = world();
    show('1', 'a');
    expect(lags).toEqual([]);
    date(0);
    show('1', 'b');
    date(10_000);
    show('1', 'a');
    expect(lags.map(([kind]) => kind)).toEqual(['Lease', 'Lease']);
    const [inTime, late] = lags.map(([, seconds]) => seconds);
    expect(inTime).toBe(0);
    expect(late).toBeGreaterThanOrEqual(8);
    expect(late).toBeLessThanOrEqual(10);
  });

  it('tells nothing of a state that a list has found', () => {
    let lags = 0;
    const memories = new LockMemories({
      onShown: (...shown) => {
        tally.shown(...shown);
      },
    });
    const tally = new LockTally({
      monotonicNow: () => ms(0),
      serverNow: () => memories.serverTimeAt(ms(0)),
      onLag: () => void (lags += 1),
    });
    memories.dated(ms(0), ms(0), serverMs(t0 + 60_000));
    memories.stored(lock, stored(record({ holder: 'a' }), t0, 'a'), ms(0), false);
    expect(tally.held('Lease')).toBe(1);
    expect(lags).toBe(0);
  });
});
