import { describe, expect, it } from 'vitest';
import type { Effect } from '../../src/core/decision.ts';
import { nothingKnown } from '../../src/core/facts.ts';
import {
  afterAdmission,
  afterDeleted,
  afterStored,
  blank,
  factsFor,
  type LockMemory,
} from '../../src/core/lock-memory.ts';
import type { LockState, LockWrite } from '../../src/core/lock.ts';
import { monotonicMs } from '../../src/core/time.ts';
import { create, pod, record, remove, stored, t0, update, user } from '../support/locks.ts';

const ms = monotonicMs;
const heldByA = stored(record({ holder: 'a' }), t0, 'a');
const renewedByA = stored(record({ holder: 'a', renewed: t0 + 2000, acquired: t0 }), t0 + 2000, 'a', heldByA);
const heldByB = stored(record({ holder: 'b', renewed: t0 + 20_000 }), t0 + 20_000, 'b', heldByA);
const podA = { namespace: 'team', name: 'a', uid: 'a' };

const asserted = (state: LockState, podUid: string | null = null): Effect => {
  if (state.reading.kind !== 'record' || state.reading.record.holder === null)
    throw new Error('nothing asserted');
  const { holder, renewTime } = state.reading.record;
  const pod = podUid === null ? null : { namespace: 'team', name: podUid, uid: podUid };
  return { kind: 'asserted', holder, renewTime: renewTime?.raw ?? null, pod };
};
const deleted = (state: LockState, attribution: 'holder' | 'system' | 'other' | 'unknown'): Effect => ({
  kind: 'deleted',
  state,
  attribution,
});
const known = (memory: LockMemory, write: LockWrite, at: number, voidBefore: number | null = null) =>
  factsFor(memory, write, ms(at), null, voidBefore === null ? null : ms(voidBefore));
const takeover = (before: LockState) => update(before, heldByB);

describe('a lock that was never seen', () => {
  it('has nothing in its memory', () => {
    const nothing = { asserted: [], deleted: null };
    expect(blank).toEqual({
      ...{ stored: null, pending: [], promised: [], deletion: null, buried: null, heldAt: 0 },
      ...{ own: nothing, known: nothing, learntAt: null },
    });
  });

  it('is one of which nothing is known', () => {
    expect(known(blank, takeover(heldByA), 1000)).toEqual(nothingKnown);
    expect(nothingKnown.storedRenewTimes).toEqual([]);
  });

  it('ends without a trace', () => {
    expect(afterDeleted(blank, null, ms(0))).toEqual(blank);
    expect(afterDeleted(blank, { ...heldByA, reading: { kind: 'none' } }, ms(0))).toEqual(blank);
  });
});

describe('what was observed of a promise', () => {
  it('nothing is known of a lock that was never seen', () => {
    expect(known(blank, takeover(heldByA), 0)).toMatchObject({
      observation: null,
      tombstone: null,
      storedRenewTimes: [],
    });
  });

  it('a state found in a list bounds the age from below only', () => {
    const memory = afterStored(blank, heldByA, ms(100), false);
    expect(known(memory, takeover(heldByA), 1100).observation).toEqual({
      ageMs: { min: 1000, max: Infinity },
      stampedAt: null,
    });
  });

  it('the event of the write itself brings its stamp', () => {
    const memory = afterStored(blank, heldByA, ms(100), true);
    expect(known(memory, takeover(heldByA), 1100).observation).toEqual({
      ageMs: { min: 1000, max: Infinity },
      stampedAt: t0,
    });
  });

  it('admission and watch together bound it on both sides', () => {
    const memory = afterStored(afterAdmission(blank, asserted(heldByA), ms(100)), heldByA, ms(130), true);
    expect(known(memory, takeover(heldByA), 1100).observation?.ageMs).toEqual({ min: 970, max: 1000 });
  });

  it('an admitted pair that a write shows as its old object was stored some time since', () => {
    const memory = afterAdmission(blank, asserted(heldByA), ms(100));
    expect(known(memory, takeover(heldByA), 1100).observation).toEqual({
      ageMs: { min: 0, max: 1000 },
      stampedAt: null,
    });
  });

  it('of a write that was retried the first attempt counts', () => {
    let memory = afterAdmission(blank, asserted(heldByA), ms(100));
    memory = afterAdmission(memory, asserted(heldByA), ms(500));
    expect(known(memory, takeover(heldByA), 1100).observation?.ageMs).toEqual({ min: 0, max: 1000 });
  });

  it('says nothing about another pair: a stale old object is judged by its own stamps', () => {
    const memory = afterStored(afterStored(blank, heldByA, ms(0), true), renewedByA, ms(2000), true);
    expect(known(memory, takeover(heldByA), 3000).observation).toBeNull();
    expect(known(memory, takeover(renewedByA), 3000).observation).toMatchObject({ stampedAt: t0 + 2000 });
  });

  it('a later write that leaves the pair alone does not make the promise younger', () => {
    const labelled = { ...heldByA, stamps: { entries: [], count: 0 } };
    const memory = afterStored(afterStored(blank, heldByA, ms(0), true), labelled, ms(5000), true);
    expect(known(memory, takeover(labelled), 6000).observation).toEqual({
      ageMs: { min: 6000, max: Infinity },
      stampedAt: t0,
    });
  });

  it('what was measured before the clock stood still bounds the age from below only', () => {
    const memory = afterStored(afterAdmission(blank, asserted(heldByA), ms(100)), heldByA, ms(130), true);
    expect(known(memory, takeover(heldByA), 1100, 500).observation?.ageMs).toEqual({
      min: 970,
      max: Infinity,
    });
    expect(known(memory, takeover(heldByA), 1100, 100).observation?.ageMs).toEqual({ min: 970, max: 1000 });
    const pending = afterAdmission(blank, asserted(heldByA), ms(100));
    expect(known(pending, takeover(heldByA), 1100, 500).observation?.ageMs.max).toBe(Infinity);
  });

  it('measures alike wherever the monotonic clock began', () => {
    const memory = afterStored(afterAdmission(blank, asserted(heldByA), ms(-900)), heldByA, ms(-870), true);
    expect(known(memory, takeover(heldByA), 100).observation?.ageMs).toEqual({ min: 970, max: 1000 });
  });

  it('is a promise of its holder’s: a renew time that another repeats is another promise', () => {
    const sameTime = stored(record({ holder: 'b' }), t0, 'b', heldByA);
    const memory = afterStored(blank, heldByA, ms(0), true);
    expect(known(memory, update(sameTime, heldByA), 5000).observation).toBeNull();
    expect(
      known(afterStored(memory, sameTime, ms(4000), true), update(sameTime, heldByA), 5000).observation,
    ).toMatchObject({ ageMs: { min: 1000 } });
  });

  it('a record that is gone or cannot be read has none, and the next one begins anew', () => {
    for (const reading of [{ kind: 'none' }, { kind: 'unreadable', why: 'odd' }] as const) {
      const memory = afterStored(
        afterStored(blank, heldByA, ms(0), true),
        { ...heldByA, reading },
        ms(10),
        true,
      );
      expect(known(memory, takeover(heldByA), 1000).observation).toBeNull();
      expect(
        known(afterStored(memory, heldByA, ms(20), true), takeover(heldByA), 1000).observation,
      ).toMatchObject({ ageMs: { min: 980 } });
    }
  });

  it('keeps no more than eight pending writes', () => {
    let memory = blank;
    for (let i = 0; i < 20; i++)
      memory = afterAdmission(memory, asserted(stored(record({ renewed: t0 + i }), t0)), ms(i));
    expect(memory.pending).toHaveLength(8);
    expect(memory.pending[0]?.at).toBe(12);
  });
});

describe('who asserted what', () => {
  const boundToA = afterStored(afterAdmission(blank, asserted(heldByA, 'a'), ms(0)), heldByA, ms(1), true);

  it('a stored write binds its holder to its pod', () => {
    expect(known(boundToA, takeover(heldByA), 10).bindings).toMatchObject({
      holderPod: podA,
      requesterAsserted: null,
    });
    expect(known(boundToA, update(heldByA, heldByB, pod('a')), 10).bindings.requesterAsserted).toBe('a');
  });

  it('a pending one does as soon as it shows up as an old object', () => {
    const memory = afterAdmission(blank, asserted(heldByA, 'a'), ms(0));
    expect(known(memory, takeover(heldByA), 10).bindings.holderPod).toEqual(podA);
  });

  it('a pair that is stored already is not attributed anew', () => {
    const memory = afterAdmission(boundToA, asserted(heldByA, 'stranger'), ms(500));
    expect(known(memory, takeover(heldByA), 1000).bindings.holderPod).toEqual(podA);
  });

  it('a renewal that was never seen on its way in leaves the binding', () => {
    const memory = afterStored(boundToA, renewedByA, ms(2000), true);
    expect(known(memory, takeover(renewedByA), 3000).bindings.holderPod).toEqual(podA);
  });

  it('a new pod under the same identity supersedes the old', () => {
    const memory = afterStored(
      afterAdmission(boundToA, asserted(renewedByA, 'a2'), ms(2000)),
      renewedByA,
      ms(2001),
      true,
    );
    const facts = known(memory, update(renewedByA, heldByB, pod('a')), 3000).bindings;
    expect(facts).toMatchObject({ holderPod: { uid: 'a2' }, requesterSuperseded: true });
    expect(known(memory, update(renewedByA, heldByB, pod('a2')), 3000).bindings.requesterSuperseded).toBe(
      false,
    );
  });

  /** `holder` is renewed by one pod after another, each renewal seen on its way in and stored. */
  const renewedBy = (holder: string, uids: readonly string[], from = boundToA): LockMemory =>
    uids.reduce((memory, uid, i) => {
      const next = stored(record({ holder, renewed: t0 + (i + 1) * 2000 }), t0 + (i + 1) * 2000, 'a');
      const at = (i + 1) * 2000;
      return afterStored(afterAdmission(memory, asserted(next, uid), ms(at)), next, ms(at + 1), true);
    }, from);
  const isSuperseded = (memory: LockMemory, uid: string, holder = 'a'): boolean =>
    known(memory, update(stored(record({ holder }), t0), heldByB, pod(uid)), 100_000).bindings
      .requesterSuperseded;

  it('a pod that renews again and again supersedes nobody, itself least of all', () => {
    expect(isSuperseded(renewedBy('a', ['a', 'a']), 'a')).toBe(false);
  });

  it('the first pod that is seen supersedes nobody', () => {
    const listed = afterStored(blank, heldByA, ms(0), false);
    const memory = renewedBy('a', ['a2'], listed);
    expect(known(memory, takeover(heldByA), 3000).bindings.holderPod).toMatchObject({ uid: 'a2' });
    expect(isSuperseded(memory, 'a')).toBe(false);
  });

  it('each new pod under one identity supersedes all before it', () => {
    const memory = renewedBy('a', ['a2', 'a3']);
    expect(['a', 'a2', 'a3'].map((uid) => isSuperseded(memory, uid))).toEqual([true, true, false]);
  });

  it('a pod that comes back supersedes the one that had superseded it', () => {
    const once = renewedBy('a', ['a2']);
    const memory = renewedBy('a', ['a2', 'a']);
    expect(['a', 'a2'].map((uid) => isSuperseded(memory, uid))).toEqual([false, true]);
    expect(['a', 'a2'].map((uid) => isSuperseded(once, uid))).toEqual([true, false]);
  });

  it('a pod is superseded under one identity only, that of the stored holder', () => {
    const memory = renewedBy('a', ['a2']);
    expect(isSuperseded(memory, 'a', 'b')).toBe(false);
    expect(known(memory, update(heldByB, heldByA, pod('a')), 100_000).bindings.holderPod).toBeNull();
    expect(known(memory, update(heldByB, heldByA, user()), 100_000).bindings.requesterSuperseded).toBe(false);
  });

  it('a change of holder, seen or not, forgets who was superseded', () => {
    const handedOver = afterStored(renewedBy('a', ['a2']), heldByB, ms(20_000), true);
    expect(isSuperseded(afterStored(handedOver, heldByA, ms(40_000), true), 'a')).toBe(false);
  });

  it('no more than fifteen superseded pods are remembered beside the present one, the latest ones', () => {
    const uids = Array.from({ length: 20 }, (_, i) => `p${String(i)}`);
    const memory = renewedBy('a', uids);
    expect(uids.filter((uid) => isSuperseded(memory, uid))).toEqual(uids.slice(4, 19));
  });

  it('no more than sixteen pods are remembered by what they asserted, the latest ones', () => {
    const uids = Array.from({ length: 20 }, (_, i) => `p${String(i)}`);
    const memory = renewedBy('a', uids);
    const remembered = uids.filter(
      (uid) => known(memory, update(heldByA, heldByB, pod(uid)), 0).bindings.requesterAsserted === 'a',
    );
    expect(remembered).toEqual(uids.slice(4));
  });

  it('after an unseen change of holder nobody is proven anything: another replica may have seen it', () => {
    const memory = afterStored(boundToA, heldByB, ms(20_000), true);
    const facts = known(memory, update(heldByB, heldByA, pod('a')), 21_000).bindings;
    expect(facts).toMatchObject({ holderPod: null, requesterAsserted: null, requesterSuperseded: false });
  });

  it('what a pod asserted counts once it is known who made the present holder the holder', () => {
    for (const author of ['b', null]) {
      const memory = afterStored(
        afterAdmission(boundToA, asserted(heldByB, author), ms(5)),
        heldByB,
        ms(6),
        true,
      );
      const facts = known(memory, update(heldByB, heldByA, pod('a')), 10).bindings;
      expect(facts).toMatchObject({
        holderPod: author === null ? null : { uid: 'b' },
        requesterAsserted: 'a',
      });
    }
  });

  it('a pod is remembered by what it asserted last', () => {
    let memory = afterStored(afterAdmission(boundToA, asserted(heldByB, 'a'), ms(5)), heldByB, ms(6), true);
    memory = afterStored(afterAdmission(memory, asserted(heldByA), ms(6)), heldByA, ms(7), true);
    expect(known(memory, update(heldByA, heldByB, pod('a')), 10).bindings.requesterAsserted).toBe('b');
  });

  it('a lost write asserts nothing', () => {
    const memory = afterStored(afterAdmission(blank, asserted(heldByB, 'b'), ms(0)), heldByA, ms(1), true);
    expect(known(memory, update(heldByA, heldByB, pod('b')), 10).bindings.requesterAsserted).toBeNull();
  });

  it('renew times are remembered for each identity', () => {
    const memory = afterStored(boundToA, renewedByA, ms(2000), true);
    const back = update(heldByB, stored(record({ holder: 'a' }), t0, 'a'), pod('a'));
    expect(known(memory, back, 3000).storedRenewTimes).toEqual([
      new Date(t0).toISOString(),
      new Date(t0 + 2000).toISOString(),
    ]);
    expect(known(memory, takeover(heldByA), 3000).storedRenewTimes).toEqual([]);
  });
});

describe('which renew times an identity has stored', () => {
  const at = (seconds: number, holder = 'a'): LockState =>
    stored(record({ holder, renewed: t0 + seconds * 1000 }), t0 + seconds * 1000, holder);
  const text = (seconds: number): string => new Date(t0 + seconds * 1000).toISOString();
  const after = (...states: LockState[]): LockMemory =>
    states.reduce((memory, state, i) => afterStored(memory, state, ms(i), true), blank);
  const storedBy = (memory: LockMemory, holder: string | null): readonly string[] =>
    known(memory, update(heldByA, stored(record({ holder }), t0)), 0).storedRenewTimes;

  it('is told apart by identity, though the texts be the same', () => {
    const memory = after(at(0), at(0, 'b'));
    expect(storedBy(memory, 'a')).toEqual([text(0)]);
    expect(storedBy(memory, 'b')).toEqual([text(0)]);
    expect(storedBy(memory, 'c')).toEqual([]);
  });

  it('counts a repeated one once, as the latest', () => {
    expect(storedBy(after(at(0), at(2), at(0)), 'a')).toEqual([text(2), text(0)]);
  });

  it('holds no more than sixteen in all, the latest ones', () => {
    const states = Array.from({ length: 20 }, (_, i) => at(i));
    expect(storedBy(after(...states), 'a')).toEqual(Array.from({ length: 16 }, (_, i) => text(i + 4)));
    expect(storedBy(after(at(0), ...states.slice(5), at(0)), 'a')).toHaveLength(16);
  });

  it('holds nothing that nobody promised', () => {
    const free = stored(record({ holder: null }), t0);
    const untimed = stored(record({ holder: 'a', renewed: null }), t0);
    const memory = after(free, untimed, { ...heldByA, reading: { kind: 'none' } });
    expect(storedBy(memory, null)).toEqual([]);
    expect(storedBy(memory, 'a')).toEqual([]);
    expect(known(memory, remove(heldByA), 0).storedRenewTimes).toEqual([]);
  });
});

describe('what was deleted', () => {
  const live = afterStored(afterAdmission(blank, asserted(heldByA, 'a'), ms(0)), heldByA, ms(1), true);
  const again = create(heldByB);

  it('by another: guarded, with the age that was known', () => {
    const memory = afterDeleted(afterAdmission(live, deleted(heldByA, 'other'), ms(1000)), heldByA, ms(1010));
    expect(known(memory, again, 2000).tombstone).toMatchObject({
      attribution: 'other',
      holderPod: podA,
      observation: { ageMs: { min: 1999, max: 2000 }, stampedAt: t0 },
    });
  });

  it('guarded before the watch has said so', () => {
    const grave = known(afterAdmission(live, deleted(heldByA, 'other'), ms(1000)), again, 2000).tombstone;
    expect(grave).toMatchObject({ attribution: 'other', state: heldByA, holderPod: podA });
  });

  it('not guarded if the watch has never shown it: whoever reaches the port could have invented it', () => {
    const invented = { ...heldByA, uid: 'invented' };
    for (const memory of [blank, live]) {
      const admitted = afterAdmission(memory, deleted(invented, 'other'), ms(1000));
      expect(admitted).toEqual(memory);
      expect(known(admitted, again, 2000).tombstone).toBeNull();
    }
  });

  it('by its holder or the system: not guarded', () => {
    for (const attribution of ['holder', 'system'] as const) {
      const admitted = afterAdmission(live, deleted(heldByA, attribution), ms(1000));
      expect(known(admitted, again, 2000).tombstone).toBeNull();
      expect(known(afterDeleted(admitted, heldByA, ms(1010)), again, 2000).tombstone).toBeNull();
    }
  });

  it('by nobody known: guarded without proof', () => {
    expect(known(afterDeleted(live, heldByA, ms(1010)), again, 2000).tombstone?.attribution).toBe('unknown');
    expect(known(afterDeleted(live, null, ms(1010)), again, 2000).tombstone?.attribution).toBe('unknown');
  });

  it('by nobody at all: a creation that will lose against the living lock meets no tombstone', () => {
    expect(known(live, again, 2000).tombstone).toBeNull();
  });

  it('by several at once: the most innocent counts', () => {
    let memory = afterAdmission(live, deleted(heldByA, 'other'), ms(1000));
    memory = afterAdmission(memory, deleted(heldByA, 'holder'), ms(1001));
    memory = afterAdmission(memory, deleted(heldByA, 'unknown'), ms(1002));
    expect(known(memory, again, 2000).tombstone).toBeNull();
  });

  it('an attempt that came to nothing explains no later disappearance', () => {
    let memory = afterAdmission(live, deleted(heldByA, 'other'), ms(1000));
    memory = afterStored(memory, renewedByA, ms(2000), true);
    expect(known(afterDeleted(memory, renewedByA, ms(3000)), again, 3500).tombstone?.attribution).toBe(
      'unknown',
    );
  });

  it('an attempt on one object says nothing about another', () => {
    const other = { ...heldByA, uid: 'uid-2' };
    let memory = afterAdmission(live, deleted(heldByA, 'other'), ms(1000));
    memory = afterStored(afterDeleted(memory, heldByA, ms(1010)), other, ms(1020), true);
    expect(known(afterDeleted(memory, other, ms(1030)), again, 1040).tombstone?.attribution).toBe('unknown');
  });

  it('an attempt on one object says nothing about another, though it carry the same promise', () => {
    const other = { ...heldByA, uid: 'uid-2' };
    const memory = afterStored(
      afterAdmission(live, deleted(heldByA, 'other'), ms(1000)),
      other,
      ms(1020),
      false,
    );
    expect(known(afterDeleted(memory, other, ms(1030)), again, 1040).tombstone?.attribution).toBe('unknown');
  });

  it.each([
    ['other', 'other', 'other'],
    ['other', 'unknown', 'unknown'],
    ['other', 'system', undefined],
    ['other', 'holder', undefined],
    ['unknown', 'unknown', 'unknown'],
    ['unknown', 'system', undefined],
    ['unknown', 'holder', undefined],
    ['system', 'holder', undefined],
  ] as const)('by %s and by %s, in whatever order: put down to %s', (one, two, attribution) => {
    for (const [first, second] of [
      [one, two],
      [two, one],
    ] as const) {
      const memory = [first, second].reduce(
        (known, each) => afterAdmission(known, deleted(heldByA, each), ms(1000)),
        live,
      );
      expect(known(memory, again, 2000).tombstone?.attribution).toBe(attribution);
      expect(known(afterDeleted(memory, heldByA, ms(1010)), again, 2000).tombstone?.attribution).toBe(
        attribution,
      );
    }
  });

  it('is remembered as it was last, though nobody saw that it had been renewed', () => {
    const { tombstone } = known(afterDeleted(live, renewedByA, ms(3000)), again, 3500);
    expect(tombstone).toMatchObject({
      state: renewedByA,
      holderPod: podA,
      observation: { ageMs: { min: 500, max: Infinity } },
    });
  });

  it('is not forgotten when a lock without a holder takes its place and goes', () => {
    const free = stored(record({ holder: null, renewed: null, durationS: null }), t0 + 3000, 'operator');
    let memory = afterDeleted(afterAdmission(live, deleted(heldByA, 'other'), ms(1000)), heldByA, ms(1010));
    memory = afterDeleted(afterStored(memory, free, ms(3000), true), free, ms(3010));
    expect(known(memory, again, 3500).tombstone).toMatchObject({ attribution: 'other', state: heldByA });
  });

  it('guards against a write that does not show what it replaces', () => {
    const memory = afterAdmission(live, deleted(heldByA, 'other'), ms(1000));
    const blind = { ...update(heldByA, heldByB), before: null };
    expect(known(memory, blind, 2000).tombstone).toMatchObject({ attribution: 'other' });
  });

  it('the guard ends when the lock is held again', () => {
    let memory = afterDeleted(afterAdmission(live, deleted(heldByA, 'other'), ms(1000)), heldByA, ms(1010));
    const free = stored(record({ holder: null, renewed: null, durationS: null }), t0 + 3000, 'operator');
    memory = afterStored(memory, free, ms(3000), true);
    expect(known(memory, update(free, heldByB), 3100).tombstone).not.toBeNull();
    memory = afterStored(memory, heldByB, ms(3200), true);
    expect(known(memory, update(heldByB, heldByA), 3300).tombstone).toBeNull();
  });

  it('a free lock that is deleted leaves nothing, and a write to the living object meets no tombstone', () => {
    const free = stored(record({ holder: null }), t0);
    expect(
      known(afterDeleted(afterStored(blank, free, ms(0), true), free, ms(1)), again, 2).tombstone,
    ).toBeNull();
    expect(
      known(afterAdmission(live, deleted(heldByA, 'other'), ms(5)), takeover(heldByA), 6).tombstone,
    ).toBeNull();
    expect(known(live, remove(heldByA), 6).tombstone).toBeNull();
  });
});
