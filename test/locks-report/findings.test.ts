/** Each finding: when it is made, when it is not, and what it says. */
import { describe, expect, it } from 'vitest';
import type { LockRef } from '../../src/core/lock.ts';
import { monotonicMs } from '../../src/core/time.ts';
import { leaderAnnotation } from '../../src/locks/annotation.ts';
import type { LockRow, RowSources } from '../../src/locks-report/report.ts';
import { storeOf } from '../preflight/support/looked.ts';
import {
  assertedBy,
  book,
  codes,
  hourMs,
  lease,
  orders,
  pods,
  rowOf,
  rowsOf,
  write,
  type Written,
} from './support/leases.ts';

const bounds = storeOf(`
apiVersion: lockwarden.dev/v1alpha1
kind: ClusterLockPolicy
metadata: { name: bounds }
spec: { leaseDuration: { min: 10s, max: 60s } }
`);
const dayMs = 24 * hourMs;
const deployed = 'web-7d4b9c6f5d-x2b4k';
const ofClientGo = `${deployed}_0d9a1c1e-7f5a-4a51-9d0e-2f3a4b5c6d7e`;

describe('one look at a lock', () => {
  it.each<[string, Written, Partial<RowSources>, RegExp | null]>([
    ['held and renewed', {}, {}, null],
    ['free', { holder: null, renewedAgoMs: 60_000 }, {}, null],
    [
      'past its end, and left alone',
      { renewedAgoMs: 60_000 },
      {},
      /^expired: its lease of 15 s ran out 44s ago/,
    ],
    ['past its end by less than candidates take to look', { renewedAgoMs: 19_000 }, {}, null],
    ['past its end by its record only', { renewedAgoMs: hourMs, stampedAgoMs: null }, {}, null],
    ['held without a renew time', { renewedAgoMs: null }, {}, /^untimed: it is held without a renew time/],
    ['held without a duration', { durationS: null }, {}, /^untimed: it is held without a duration/],
    ['free and without a duration', { holder: null, durationS: null }, {}, null],
    [
      'held for no longer than the tolerance',
      { durationS: 1, renewedAgoMs: 0 },
      {},
      /^durations: its lease of 1 s is no longer/,
    ],
    [
      'held for a little longer',
      { durationS: 2, renewedAgoMs: 0 },
      {},
      /^durations: of its lease of 2 s only 1 s is protected/,
    ],
    [
      'shorter than a policy allows',
      { durationS: 5 },
      { store: bounds },
      /^durations: .* shorter than the 10 s that clusterlockpolicy\/bounds asks for/,
    ],
    [
      'longer than a policy allows',
      { durationS: 90 },
      { store: bounds },
      /^durations: .* longer than the 60 s that clusterlockpolicy\/bounds allows/,
    ],
    ['within a policy’s bounds', { durationS: 15 }, { store: bounds }, null],
    [
      'by a clock that is ahead',
      { renewedAgoMs: -6_000, stampedAgoMs: 3_000 },
      {},
      /^clock-off: its holder’s clock is 8 s or more ahead of the API server’s$/,
    ],
    [
      'by a clock that seems behind',
      { renewedAgoMs: 8_000, stampedAgoMs: 3_000 },
      {},
      /^clock-off: .* 5 s or more behind .*, unless its holder has written something else since/,
    ],
    ['by a clock within a second', { renewedAgoMs: 3_900, stampedAgoMs: 3_000 }, {}, null],
    [
      'counted to change all the time',
      { transitions: 600, createdAgoMs: dayMs },
      {},
      /^flapping: it has changed hands 600 times in 1d, as its clients count: every 2m 24s/,
    ],
    ['counted to change at times', { transitions: 100, createdAgoMs: dayMs }, {}, null],
    ['young, with a few changes', { transitions: 9, createdAgoMs: 60_000 }, {}, null],
    [
      'in a cluster without lockwarden',
      {},
      { registered: false },
      /^unguarded: it is not judged: lockwarden is not registered in this cluster$/,
    ],
    ['in a cluster of which it is not known', {}, { registered: null }, null],
  ])('%s', (_, written, sources, found) => {
    const { findings } = rowOf(lease(orders, written), sources);
    const told = findings.map(({ code, message }) => `${code}: ${message}`);
    expect(told).toEqual(found === null ? [] : [expect.stringMatching(found)]);
  });

  it.each<[string, LockRef, string]>([
    [
      'kube-system',
      { ...orders, namespace: 'kube-system' },
      'only where a ClusterLockPolicy gives that name',
    ],
    ['lockwarden’s own namespace', { ...orders, namespace: 'lockwarden-system' }, 'it is lockwarden’s own'],
    [
      'a Lease that elects nobody',
      { ...orders, namespace: 'kyverno', name: 'kyverno-health' },
      'known to elect nobody',
    ],
  ])('in %s it is unguarded, and says why', (_, lock, why) => {
    const row = rowOf(lease(lock, { durationS: null }), {}, lock);
    expect(row).toMatchObject({ guarded: false, enforcement: null, policies: [] });
    expect(row.findings).toEqual([{ code: 'unguarded', message: expect.stringContaining(why) as string }]);
  });

  it('cannot read every record', () => {
    const lock: LockRef = { ...orders, kind: 'ConfigMap' };
    const metadata = { name: 'orders', namespace: 'team', annotations: { [leaderAnnotation]: '{"holder' } };
    const row = rowOf({ metadata }, {}, lock);
    expect(codes(row)).toEqual(['unreadable']);
    expect(row).toMatchObject({ holder: null, lease: 'free', renewedAgoMs: null });
  });
});

describe('the holder’s pod', () => {
  const running = pods([{ name: deployed }, { name: 'db-0', namespace: 'other' }]);
  const pod = (row: LockRow): string | null =>
    row.pod === null ? null : `${row.pod.namespace}/${row.pod.name} ${row.pod.state} by ${row.pod.told}`;

  it.each<[string, string, Partial<RowSources>, string | null]>([
    ['its name', deployed, { pods: running }, `team/${deployed} runs by identity`],
    ['its name and a UUID', ofClientGo, { pods: running }, `team/${deployed} runs by identity`],
    [
      'its name and something else',
      `${deployed}_external`,
      { pods: running },
      `team/${deployed} runs by identity`,
    ],
    ['a name of another namespace', 'db-0', { pods: running }, 'other/db-0 runs by identity'],
    ['a name that no pod has any more', ofClientGo, { pods: pods([]) }, `team/${deployed} gone by identity`],
    [
      'a name that none has where others were not listed',
      ofClientGo,
      { pods: pods([], ['team']) },
      `team/${deployed} unknown by identity`,
    ],
    [
      'a name, and no pods could be listed',
      ofClientGo,
      { pods: null },
      `team/${deployed} unknown by identity`,
    ],
    ['what may be anything', 'worker-3', { pods: pods([]) }, null],
    [
      'a long name that became a shorter host name',
      `${'x'.repeat(62)}-`.slice(0, 62),
      { pods: pods([{ name: `${'x'.repeat(62)}-abc` }]) },
      `team/${'x'.repeat(62)}-abc runs by identity`,
    ],
  ])('is told from %s', (_, holder, sources, told) => {
    expect(pod(rowOf(lease(orders, { holder }), sources))).toBe(told);
  });

  it('is gone where it was seen to end, whatever its name looks like, until it is back', () => {
    const seen = pods([{ name: 'db-0' }], ['team']);
    seen.remove({ namespace: 'team', name: 'db-0' });
    expect(pod(rowOf(lease(orders, { holder: 'db-0' }), { pods: seen }))).toBe('team/db-0 gone by identity');
    seen.put({ namespace: 'team', name: 'db-0', uid: 'another' });
    expect(pod(rowOf(lease(orders, { holder: 'db-0' }), { pods: seen }))).toBe('team/db-0 runs by identity');
  });

  it('is not told where two namespaces have one of that name', () => {
    const two = pods([
      { name: 'db-0', namespace: 'a' },
      { name: 'db-0', namespace: 'b' },
    ]);
    expect(rowOf(lease(orders, { holder: 'db-0' }), { pods: two }).pod).toBeNull();
  });

  it('that is gone by its identity is a finding only where nobody renews', () => {
    expect(codes(rowOf(lease(orders, { holder: ofClientGo })))).toEqual([]);
    const { findings } = rowOf(lease(orders, { holder: ofClientGo, renewedAgoMs: hourMs }));
    expect(findings.map(({ code }) => code)).toEqual(['expired', 'pod-gone']);
    expect(findings[1]?.message).toBe(
      `by its identity its holder is the pod team/${deployed}, and no such pod runs`,
    );
  });

  function judged(
    uid: string,
    running_: Partial<RowSources>,
    told = assertedBy('a', { namespace: 'jobs', name: 'p', uid }),
  ): LockRow {
    const from = book();
    from.found(orders, lease(orders), monotonicMs(0));
    from.told(orders, told, monotonicMs(0));
    return rowsOf(from, running_)[0]!;
  }

  it('is the one that lockwarden saw take the lock, whatever its identity says', () => {
    const there = { pods: pods([{ namespace: 'jobs', name: 'p', uid: '1' }]) };
    expect(pod(judged('1', there))).toBe('jobs/p runs by judged');
    const successor = judged('2', there);
    expect(pod(successor)).toBe('jobs/p gone by judged');
    expect(successor.findings).toEqual([
      { code: 'pod-gone', message: 'the pod jobs/p took it, and does not run any more' },
    ]);
    expect(pod(judged('1', { pods: pods([], ['team']) }))).toBe('jobs/p unknown by judged');
    // What was asserted for another holder says nothing of this one.
    expect(judged('1', there, assertedBy('b', { namespace: 'jobs', name: 'p', uid: '1' })).pod).toBeNull();
  });
});

describe('a watch', () => {
  it('finds a lock that changes hands again and again, until it has been quiet', () => {
    const from = book();
    from.found(orders, lease(orders, { version: 1 }), monotonicMs(0));
    ['b', 'a', 'b', 'a'].forEach((holder, index) => {
      const atMs = (index + 1) * 20_000;
      from.wrote(write(orders, lease(orders, { holder, renewedAgoMs: -atMs, version: index + 2 }), atMs));
    });
    const { findings } = rowsOf(from, {}, 81_000)[0]!;
    expect(findings).toEqual([
      { code: 'flapping', message: 'it was seen to change hands 4 times in the last 10m' },
    ]);
    expect(codes(rowsOf(from, {}, 660_000)[0]!)).not.toContain('flapping');
  });

  it('tells a holder’s clock, where one look could not', () => {
    const from = book();
    from.found(orders, lease(orders, { version: 1 }), monotonicMs(0));
    for (const [index, atMs] of [2_000, 4_000].entries()) {
      const renewedAgoMs = 5_500 - atMs;
      from.wrote(
        write(orders, lease(orders, { renewedAgoMs, stampedAgoMs: -atMs, version: index + 2 }), atMs),
      );
    }
    const row = rowsOf(from, {}, 4_500)[0]!;
    expect(row.clockOffsetMs).toEqual({ min: -6_500, max: -5_500 });
    expect(row.findings).toEqual([
      { code: 'clock-off', message: 'its holder’s clock is 5.5 s or more behind the API server’s' },
    ]);
    expect(row).toMatchObject({ lease: 'live', evidence: 'watched', renewedEveryMs: 2_000 });
    expect(row.renewedAgoMs!.max).toBeLessThanOrEqual(1_500);
  });

  it('finds a holder that renews later than its lease runs out', () => {
    const from = book();
    for (const [index, atMs] of [1_000, 21_000, 41_000].entries())
      from.wrote(write(orders, lease(orders, { renewedAgoMs: -atMs, version: index + 1 }), atMs));
    const { findings } = rowsOf(from, {}, 42_000)[0]!;
    expect(findings).toEqual([
      {
        code: 'durations',
        message: expect.stringContaining(
          'its holder renews every 20 s, later than its lease of 15 s',
        ) as string,
      },
    ]);
  });

  it('shows no lock that is gone, whether that was seen or not', () => {
    const from = book();
    const others = ['a', 'b', 'c'].map((name): LockRef => ({ ...orders, name }));
    for (const lock of others) from.found(lock, lease(lock), monotonicMs(0));
    from.listed('Lease', monotonicMs(0));
    expect(rowsOf(from).map(({ name }) => name)).toEqual(['a', 'b', 'c']);
    const [a, b, c] = others;
    from.wrote(write(a!, null, 1));
    from.vanished(b!, monotonicMs(1));
    expect(rowsOf(from).map(({ name }) => name)).toEqual(['c']);
    // A second list, by somebody who did not see the first.
    from.listed('ConfigMap', monotonicMs(2));
    expect(rowsOf(from)).toHaveLength(1);
    from.listed('Lease', monotonicMs(2));
    expect(rowsOf(from)).toEqual([]);
    from.found(c!, lease(c!, { version: 2 }), monotonicMs(3));
    from.listed('Lease', monotonicMs(3));
    expect(rowsOf(from)).toHaveLength(1);
  });

  it('shows no ConfigMap that has lost its record', () => {
    const lock: LockRef = { ...orders, kind: 'ConfigMap' };
    const from = book();
    const annotations = { [leaderAnnotation]: '{"holderIdentity":"a"}' };
    from.found(lock, { metadata: { annotations, resourceVersion: '1' } }, monotonicMs(0));
    expect(rowsOf(from)).toHaveLength(1);
    from.wrote(write(lock, { metadata: { resourceVersion: '2' } }, 1));
    expect(rowsOf(from)).toEqual([]);
  });
});
