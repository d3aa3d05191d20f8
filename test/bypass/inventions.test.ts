/**
 * Somebody who reaches the port and invents writes that never were. The API server's own are then judged as if the
 * inventions had not been: nobody honest is denied.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { Judge } from '../../src/admission/judge.ts';
import { LockMemories } from '../../src/admission/lock-memories.ts';
import type { LockState, LockWrite } from '../../src/core/lock.ts';
import { builtInDefaults } from '../../src/core/settings.ts';
import { monotonicMs } from '../../src/core/time.ts';
import { create, lock, pod, record, remove, stored, t0, update } from '../support/locks.ts';

const heldByA = stored(record({ holder: 'a' }), t0, 'a');

let memories: LockMemories;
let nowMs: number;
let judge: Judge;

beforeEach(() => {
  memories = new LockMemories();
  nowMs = 0;
  judge = new Judge({
    memories,
    monotonicNow: () => monotonicMs(nowMs),
    settingsFor: () => builtInDefaults,
    podState: () => Promise.resolve('exists'),
  });
});

const outcome = async (write: LockWrite) => (await judge.judge(write))?.outcome;

/** What `manager` stores over `before` at `t0 + ms`. */
const later = (
  before: LockState,
  ms: number,
  options: Parameters<typeof record>[0],
  manager: string,
): LockState => stored(record({ renewed: t0 + ms, acquired: t0, ...options }), t0 + ms, manager, before);

describe('an inventor', () => {
  it('of a lock and its deletion guards no name with it', async () => {
    const invented = { ...heldByA, uid: 'invented' };
    await judge.judge(create(invented, pod('z')));
    await judge.judge(remove(invented, pod('y')));
    expect(await outcome(create(stored(record({ holder: 'b' }), t0, 'b'), pod('b')))).toBe('Allow');
  });

  it('of another author for a promise that is stored does not keep the holder from releasing', async () => {
    await judge.judge(create(heldByA, pod('a')));
    memories.stored(lock, heldByA, monotonicMs(1), true);
    await judge.judge(create(heldByA, pod('z')));
    nowMs = 2000;
    const released = later(heldByA, 2000, { holder: null, durationS: 1 }, 'a');
    expect(await outcome(update(heldByA, released, pod('a')))).toBe('Allow');
  });

  it('of a promise that was never stored neither makes a lock live nor its holder another', async () => {
    memories.stored(lock, heldByA, monotonicMs(0), true);
    const invented = later(heldByA, 14_000, { holder: 'z', transitions: 1 }, 'z');
    nowMs = 14_500;
    await judge.judge(update(heldByA, invented, pod('z')));
    nowMs = 15_500;
    expect(
      await outcome(update(heldByA, later(heldByA, 15_500, { holder: 'b', transitions: 1 }, 'b'), pod('b'))),
    ).toBe('Allow');
  });

  it('of many locks fills no more than the bounded memory', async () => {
    const small = new LockMemories({ locksMax: 100 });
    const filling = new Judge({
      memories: small,
      monotonicNow: () => monotonicMs(0),
      settingsFor: () => builtInDefaults,
      podState: () => Promise.resolve('gone'),
    });
    for (let i = 0; i < 1000; i++)
      await filling.judge({ ...create(heldByA), lock: { ...lock, name: String(i) } });
    expect(small.size).toBe(100);
  });
});
