/** The ring of the newest rejections: what is kept, what is put together, who is told. */
import { describe, expect, it } from 'vitest';
import { RecentRejections, type RecentFilter } from '../../src/review/recent.ts';
import { recordOf } from '../read-api/support/records.ts';

const everything: RecentFilter = { namespace: null, sinceMs: null, before: null, limit: 100 };

function uids(recent: RecentRejections, filter: Partial<RecentFilter> = {}): readonly string[] {
  return recent.list({ ...everything, ...filter }).rejections.map(({ record }) => record.reviewUid);
}

describe('the newest rejections', () => {
  it('are listed newest first, by namespace and time, page by page', () => {
    const recent = new RecentRejections();
    for (const [index, namespace] of ['a', 'b', 'a', 'b', 'a'].entries()) {
      const lastSeen = `2026-03-01T03:1${String(index)}:00.000Z`;
      recent.told(recordOf(namespace, `r${String(index)}`, { firstSeen: lastSeen, lastSeen }));
    }
    expect(uids(recent)).toEqual(['r4', 'r3', 'r2', 'r1', 'r0']);
    expect(uids(recent, { namespace: 'b' })).toEqual(['r3', 'r1']);
    expect(uids(recent, { namespace: 'none' })).toEqual([]);
    expect(uids(recent, { sinceMs: Date.parse('2026-03-01T03:13:00Z') })).toEqual(['r4', 'r3']);
    const first = recent.list({ ...everything, namespace: 'a', limit: 2 });
    expect(first.rejections.map(({ record }) => record.reviewUid)).toEqual(['r4', 'r2']);
    recent.told(recordOf('a', 'newer'));
    const second = recent.list({ ...everything, namespace: 'a', limit: 2, before: first.next });
    expect(second.rejections.map(({ record }) => record.reviewUid)).toEqual(['r0']);
    expect(second.next).toBeNull();
  });

  it('are one for each group: counts add up, and the group keeps its place', () => {
    const recent = new RecentRejections();
    const told: string[] = [];
    recent.subscribe(({ sequence, record }, kind) =>
      told.push(`${kind} ${String(sequence)} x${String(record.count)}`),
    );
    recent.told(recordOf('a', 'first'));
    recent.told(recordOf('a', 'other'));
    recent.told(recordOf('a', 'first', { count: 7, lastSeen: '2026-03-01T03:13:00.000Z' }));
    recent.told(recordOf('a', 'first', { reason: 'StrippedRecord', rule: 'U16' }));
    recent.told(recordOf('a', 'first', { instance: 'replica-1' }));
    expect(told).toEqual(['added 1 x1', 'added 2 x1', 'modified 1 x8', 'added 3 x1', 'added 4 x1']);
    expect(uids(recent)).toEqual(['first', 'first', 'other', 'first']);
    expect(recent.list(everything).rejections.at(-1)?.record).toMatchObject({
      count: 8,
      firstSeen: '2026-03-01T03:12:00.000Z',
      lastSeen: '2026-03-01T03:13:00.000Z',
    });
  });

  it('of a quiet namespace are not pushed out by a noisy one', () => {
    const recent = new RecentRejections(10);
    recent.told(recordOf('quiet', 'q0'));
    recent.told(recordOf('quiet', 'q1'));
    for (let index = 0; index < 1_000; index += 1) recent.told(recordOf('noisy', `n${String(index)}`));
    expect(recent.size).toBe(10);
    expect(uids(recent, { namespace: 'quiet' })).toEqual(['q1', 'q0']);
    expect(uids(recent, { namespace: 'noisy' })).toHaveLength(8);
    expect(uids(recent)[0]).toBe('n999');
  });

  it('of namespaces with equally many, those of the one that is quiet for longest go first', () => {
    const recent = new RecentRejections(2);
    for (const namespace of ['a', 'b', 'c']) recent.told(recordOf(namespace, namespace));
    expect(uids(recent)).toEqual(['c', 'b']);
  });

  it('that are still repeated outlive those that are not', () => {
    const recent = new RecentRejections(2);
    recent.told(recordOf('a', 'repeated'));
    recent.told(recordOf('a', 'once'));
    recent.told(recordOf('a', 'repeated'));
    recent.told(recordOf('a', 'new'));
    expect(uids(recent)).toEqual(['new', 'repeated']);
  });

  it('are told of until it is enough', () => {
    const recent = new RecentRejections();
    let told = 0;
    const enough = recent.subscribe(() => (told += 1));
    recent.told(recordOf('a', 'x'));
    enough();
    recent.told(recordOf('a', 'y'));
    expect(told).toBe(1);
  });
});
