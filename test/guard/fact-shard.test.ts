import { beforeEach, describe, expect, it } from 'vitest';
import type { LockRef } from '../../src/core/lock.ts';
import type { Assertion, Deletion, LockFacts } from '../../src/core/shared-facts.ts';
import { monotonicMs as ms, serverMs } from '../../src/core/time.ts';
import { lineOf } from '../../src/guard/fact-entry.ts';
import { FactQueue } from '../../src/guard/fact-queue.ts';
import { FactShard, shardNamed, shardOf, shardsMax, type Surroundings } from '../../src/guard/fact-shard.ts';
import { Pace } from '../../src/guard/pace.ts';
import { objectAt, stringAt } from '../../src/kube/json.ts';
import { t0 } from '../support/locks.ts';

/** Locks of one shard. */
const locks: readonly LockRef[] = Array.from({ length: 20_000 }, (_, i) => ({
  kind: 'Lease' as const,
  namespace: 'team',
  name: `l${String(i)}`,
})).filter((each) => shardOf(each) === 3);
const [one, two, three] = locks as [LockRef, LockRef, LockRef];
const says = (version: number, holder = 'h', uid = 'u'): Assertion => ({
  ...{ uid, version, holder, acquireTime: null, transitions: null, pod: null },
});
const facts = (version: number, holder?: string): LockFacts => ({
  asserted: [says(version, holder)],
  deleted: null,
});
const gone = (spentBy: number): Deletion => ({
  ...{ uid: 'u', version: 9, attribution: 'other', holderPod: null, holder: 'h', leaseDurationMs: 15_000 },
  ...{ renewTime: { raw: 't', at: null }, stampedAt: null, spentBy: serverMs(spentBy) },
});
const around = (more: Partial<Surroundings> = {}): Surroundings => ({
  ...{ at: ms(0), serverNow: { min: t0, max: t0 }, isGone: () => false },
  ...more,
});
const object = (version: number, text: string) => ({
  ...{ namespace: 'ns', name: 'lockwarden-facts-03', uid: 'x', resourceVersion: String(version) },
  object: { data: { facts: text } },
});
const linesIn = (content: object): readonly string[] =>
  stringAt(objectAt(content, 'data'), 'facts').split('\n').slice(0, -1);
const waiting = (lock: LockRef, told: LockFacts, since = 0) => ({ lock, facts: told, since: ms(since) });

let shard: FactShard;
beforeEach(() => {
  shard = new FactShard(3);
});

describe('which shard', () => {
  it('all are used, about alike', () => {
    const counts = Array.from({ length: shardsMax }, () => 0);
    for (let i = 0; i < 6400; i += 1)
      counts[shardOf({ kind: 'Lease', namespace: `n${String(i % 37)}`, name: `lock-${String(i)}` })]! += 1;
    expect(Math.min(...counts)).toBeGreaterThan(50);
    expect(Math.max(...counts)).toBeLessThan(170);
  });

  it('is the same in every version: a restart must find what was written', () => {
    expect(shardOf({ kind: 'Lease', namespace: 'team', name: 'election' })).toBe(27);
  });

  it.each([
    ['lockwarden-facts-00', 0],
    ['lockwarden-facts-63', 63],
    ['lockwarden-facts-64', null],
    ['lockwarden-facts-7', null],
    ['lockwarden-facts-007', null],
    ['lockwarden-facts-', null],
    ['kube-root-ca.crt00', null],
    ['someone-elses--00', null],
  ])('%s is %s', (name, index) => {
    expect(shardNamed(name)).toBe(index);
  });
});

describe('a shard', () => {
  it('is written with its labels, and only over the version that is known', () => {
    expect(shard.contentWith([waiting(one, facts(5))], 'ns', around()).object).toEqual({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {
        name: 'lockwarden-facts-03',
        namespace: 'ns',
        labels: { 'app.kubernetes.io/managed-by': 'lockwarden', 'lockwarden.dev/component': 'facts' },
      },
      data: { facts: `${lineOf(one, facts(5))!}\n` },
    });
    shard.take(object(7, ''), ms(0));
    expect(objectAt(shard.contentWith([], 'ns', around()).object, 'metadata')['resourceVersion']).toBe('7');
    shard.vanish();
    expect(shard.resourceVersion).toBeNull();
  });

  it('tells what is new in it, once', () => {
    const text = `${lineOf(one, facts(5))!}\n${lineOf(two, facts(6))!}\n`;
    expect(shard.take(object(7, text), ms(0)).told).toEqual([
      { lock: one, facts: facts(5) },
      { lock: two, facts: facts(6) },
    ]);
    const changed = `${lineOf(one, facts(5))!}\n${lineOf(two, facts(8))!}\n`;
    expect(shard.take(object(9, changed), ms(0)).told).toEqual([{ lock: two, facts: facts(8) }]);
    expect(shard.take(object(9, text), ms(0)).told).toEqual([]);
    expect(shard.take(object(8, text), ms(0)).told).toEqual([]);
  });

  it('does not tell what it is just writing itself', () => {
    const { object: written } = shard.contentWith([waiting(one, facts(5))], 'ns', around());
    expect(shard.take({ ...object(8, ''), object: written }, ms(0)).told).toEqual([]);
  });

  it('keeps what others wrote, and joins what it knows of the same lock', () => {
    shard.take(object(7, `${lineOf(one, facts(5, 'x'))!}\n${lineOf(two, facts(6))!}\n`), ms(0));
    const { object: written } = shard.contentWith([waiting(one, facts(8, 'y'))], 'ns', around());
    const both = { asserted: [says(5, 'x'), says(8, 'y')], deleted: null };
    expect(linesIn(written)).toEqual([lineOf(one, both), lineOf(two, facts(6))]);
  });

  it('ignores what cannot be read, says so once, and writes over it', () => {
    const text = `garbage\n${lineOf({ ...one, name: 'elsewhere' }, facts(1))!}\n${lineOf(two, facts(6))!}\n`;
    expect(shard.take(object(7, text), ms(0))).toMatchObject({ told: [{ lock: two }], broken: 2 });
    expect(shard.take(object(8, text), ms(0)).broken).toBe(0);
    expect(linesIn(shard.contentWith([], 'ns', around()).object)).toEqual([lineOf(two, facts(6))]);
    expect(shard.take({ ...object(9, ''), object: {} }, ms(0))).toEqual({ told: [], broken: 0 });
  });

  it('leaves lines of a later lockwarden as they are', () => {
    const later = `lease/team/${one.name} [2,"?"]`;
    expect(shard.take(object(7, `${later}\n`), ms(0))).toEqual({ told: [], broken: 0 });
    const content = shard.contentWith([waiting(one, facts(5)), waiting(two, facts(5))], 'ns', around());
    expect(linesIn(content.object)).toEqual([later, lineOf(two, facts(5))]);
    expect(content.dropped).toBe(1);
  });

  it('forgets locks that are gone, once their lease has run out and the watches agree', () => {
    const deleted = { asserted: [says(5)], deleted: gone(t0 + 10_000) };
    shard.take(
      object(7, `${lineOf(one, facts(5))!}\n${lineOf(two, deleted)!}\n${lineOf(three, facts(5))!}\n`),
      ms(0),
    );
    const isGone = (lock: LockRef): boolean => lock.name !== three.name;
    const left = (more: Partial<Surroundings>): readonly string[] =>
      linesIn(shard.contentWith([], 'ns', around({ isGone, ...more })).object);
    expect(left({ at: ms(59_999) })).toHaveLength(3);
    expect(shard.isLittered(around({ isGone, at: ms(59_999) }))).toBe(false);
    expect(shard.isLittered(around({ isGone, at: ms(60_000) }))).toBe(true);
    expect(left({ at: ms(60_000) })).toEqual([lineOf(two, deleted), lineOf(three, facts(5))]);
    const later = { min: t0 + 10_000, max: t0 + 11_000 };
    expect(left({ at: ms(60_000), serverNow: later })).toEqual([lineOf(three, facts(5))]);
    expect(left({ at: ms(60_000), serverNow: null })).toHaveLength(3);
  });

  it('stays below half a mebibyte: who has been without news for longest goes first', () => {
    const long = 'h'.repeat(256);
    const batch = locks.map((lock, i) =>
      waiting(lock, { asserted: [1, 2, 3, 4].map((n) => says(10 * i + n, long)), deleted: null }),
    );
    const many = [
      ...batch,
      ...batch.map((each) => ({ ...each, lock: { ...each.lock, kind: 'Endpoints' as const } })),
    ];
    const content = shard.contentWith(many, 'ns', around());
    const lines = linesIn(content.object);
    expect(content.bytes).toBeLessThanOrEqual(512 * 1024);
    expect(content.bytes).toBeGreaterThan(510 * 1024);
    expect(Buffer.byteLength(stringAt(objectAt(content.object, 'data'), 'facts'))).toBe(content.bytes);
    expect(content.dropped).toBe(many.length - lines.length);
    expect(lines.some((each) => each.startsWith(`lease/team/${one.name} `))).toBe(false);
    expect(lines.some((each) => each.startsWith(`lease/team/${locks.at(-1)!.name} `))).toBe(true);
  });

  it('takes what waits for one lock together, as of the first', () => {
    expect(shard.add(waiting(one, facts(5), 100))).toBe(true);
    expect(shard.add(waiting(one, facts(6), 200))).toBe(false);
    expect(shard.waiting).toBe(1);
    const [only] = shard.takeWaiting();
    expect(only).toMatchObject({ since: 100, facts: { asserted: [{ version: 5 }, { version: 6 }] } });
    expect(shard.waiting).toBe(0);
  });
});

describe('which shard is next', () => {
  const shards = [0, 1, 2, 3].map((index) => new FactShard(index));
  const [w, x, y, z] = shards as [FactShard, FactShard, FactShard, FactShard];
  const all = (queue: FactQueue): readonly string[] => {
    const taken: string[] = [];
    for (let next = queue.take(); next !== null; next = queue.take()) taken.push(next.name.slice(-1));
    return taken;
  };

  it('is that which has waited longest, once', () => {
    const queue = new FactQueue();
    expect([queue.isEmpty, queue.take()]).toEqual([true, null]);
    for (const each of [y, x, y, w]) queue.add(each, 'team', ms(0));
    queue.addLast(z);
    expect(queue.isEmpty).toBe(false);
    expect(all(queue)).toEqual(['2', '1', '0', '3']);
    queue.add(x, 'team', ms(0));
    expect(queue.clear()).toEqual([x]);
    expect(all(queue)).toEqual([]);
  });

  it('is that of a namespace in which little happens, before those of one in which much does', () => {
    const queue = new FactQueue();
    for (let i = 0; i < 64; i += 1) queue.add(w, 'busy', ms(0));
    queue.take();
    queue.add(x, 'busy', ms(1));
    queue.add(y, 'busy', ms(2));
    queue.add(z, 'calm', ms(3));
    queue.add(y, 'calm', ms(4));
    expect(all(queue)).toEqual(['3', '2', '1']);
    queue.add(x, 'busy', ms(14_999));
    queue.add(z, 'calm', ms(14_999));
    expect(all(queue)).toEqual(['3', '1']);
    queue.add(x, 'busy', ms(15_000));
    queue.add(z, 'calm', ms(15_000));
    expect(all(queue)).toEqual(['1', '3']);
  });

  it('is not made calm by many names', () => {
    const queue = new FactQueue();
    for (let i = 0; i < 10_000; i += 1) queue.add(w, `n${String(i)}`, ms(0));
    queue.take();
    queue.add(x, 'one-more', ms(0));
    queue.add(y, 'n1', ms(0));
    expect(all(queue)).toEqual(['1', '2']);
    queue.add(x, 'one-more', ms(15_000));
    expect(queue.isCalm('one-more')).toBe(true);
  });
});

describe('the pace', () => {
  it('is free after a pause, then bounded by number and by size', () => {
    const pace = new Pace({ gapMs: 25, bytesPerSecond: 1000, burstBytes: 3000 });
    expect(pace.delayMs(ms(0))).toBe(0);
    pace.spend(2000, ms(0));
    expect(pace.delayMs(ms(0))).toBe(25);
    expect(pace.delayMs(ms(25))).toBe(0);
    pace.spend(3025, ms(25));
    expect(pace.delayMs(ms(25))).toBe(2000);
    expect(pace.delayMs(ms(2025))).toBe(0);
    pace.spend(0, ms(100_000));
    expect(pace.delayMs(ms(100_025))).toBe(0);
    pace.spend(4000, ms(100_025));
    expect(pace.delayMs(ms(100_025))).toBe(1000);
  });
});
