/** What a night’s lines come to: counts, stories and timelines. */
import { describe, expect, it } from 'vitest';
import { shellWord } from '../../src/review-report/advice.ts';
import type { Entry, Rejection } from '../../src/review-report/entry.ts';
import { Newest } from '../../src/review-report/newest.ts';
import { readLine } from '../../src/review-report/read-line.ts';
import { anything, grouped, isWanted } from '../../src/review-report/rejections.ts';
import { storyOf } from '../../src/review-report/story.ts';
import { timelineOf } from '../../src/review-report/timeline.ts';
import { at, changed, changeLine, lineOf } from './support/night.ts';

const line = await lineOf();
const lock = { lockKind: 'Lease', namespace: 'team', name: 'orders' };

function entriesOf(lines: readonly string[]): readonly Entry[] {
  return lines.map((each) => {
    const entry = readLine(each);
    if (entry.kind === 'other' || entry.kind === 'torn') throw new Error(`no entry: ${each}`);
    return entry;
  });
}

function refusal(clock: string, fields: object = {}): string {
  return changed(line, { time: at(clock), reviewUid: `review-${clock}`, instance: 'replica-0', ...fields });
}

function rejectionsOf(lines: readonly string[]): readonly Rejection[] {
  return entriesOf(lines).filter((each) => each.kind === 'rejection');
}

describe('the newest entries', () => {
  it('are each kept once, by time, whatever the order and however often they come', () => {
    const lines = [
      refusal('03:02:00'),
      refusal('03:01:00'),
      refusal('03:02:00'),
      refusal('03:01:00', { instance: 'replica-1' }),
    ];
    const newest = new Newest();
    for (const each of entriesOf(lines)) newest.add(each);
    expect(newest.entries().map(({ record }) => `${record.reviewUid} ${record.instance}`)).toEqual([
      'review-03:01:00 replica-0',
      'review-03:01:00 replica-1',
      'review-03:02:00 replica-0',
    ]);
    expect(newest).toMatchObject({ duplicates: 1, leftOut: 0 });
  });

  it('are no more than asked for, and the rest is counted', () => {
    const newest = new Newest(10);
    const [first] = entriesOf([refusal('03:00:00')]) as [Rejection];
    for (let n = 0; n < 1_000; n++) {
      const ms = first.atMs + ((n * 7) % 1_000) * 1_000;
      newest.add({ ...first, atMs: ms, lastMs: ms, record: { ...first.record, reviewUid: String(n) } });
    }
    const kept = newest.entries();
    expect(kept.map(({ atMs }) => (atMs - first.atMs) / 1_000)).toEqual([
      990, 991, 992, 993, 994, 995, 996, 997, 998, 999,
    ]);
    expect(newest.leftOut).toBe(990);
  });
});

describe('rejections', () => {
  it('that were folded are one with the first, which keeps its place', () => {
    const fold = {
      reviewUid: 'review-03:01:00',
      count: 41,
      firstSeen: at('03:01:01'),
      lastSeen: at('03:02:00'),
    };
    const all = grouped(rejectionsOf([refusal('03:02:00', fold), refusal('03:01:30'), refusal('03:01:00')]));
    expect(all.map(({ record }) => [record.firstSeen, record.lastSeen, record.count])).toEqual([
      [at('03:01:00'), at('03:02:00'), 42],
      [at('03:01:30'), at('03:01:30'), 1],
    ]);
  });

  it.each([
    [{ namespace: 'team' }, true],
    [{ namespace: 'other' }, false],
    [{ lock: { kind: null, name: 'orders' } }, true],
    [{ lock: { kind: 'ConfigMap', name: 'orders' } }, false],
    [{ reason: 'prematuretakeover' }, true],
    [{ reason: 'ForeignRelease' }, false],
    [{ holder: 'a-0' }, true],
    [{ holder: 'b-0' }, true],
    [{ holder: 'c-0' }, false],
    [{ sinceMs: Date.parse(at('03:01:00')) }, true],
    [{ sinceMs: Date.parse(at('03:01:01')) }, false],
  ])('that are asked for by %o: %s', (wanted, is) => {
    const [entry] = entriesOf([refusal('03:01:00')]);
    expect(isWanted(entry!, { ...anything, ...wanted })).toBe(is);
  });
});

describe('a timeline', () => {
  const spansOf = (lines: readonly string[]) =>
    timelineOf(lock, entriesOf(lines), { fromMs: null, toMs: null })?.spans.map(
      ({ kind, holder, fromMs, toMs, isFromKnown, isToKnown }) => {
        const clock = (ms: number): string => new Date(ms).toISOString().slice(11, 19);
        const name = kind === 'held' ? holder : kind;
        return `${isFromKnown ? '[' : '('}${clock(fromMs)} ${name ?? ''} ${clock(toMs)}${isToKnown ? ']' : ')'}`;
      },
    );

  it('has who held the lock, and when nobody did', () => {
    const lines = [
      changeLine('03:00:00', 'a', 'b'),
      changeLine('03:02:00', 'b', null),
      changeLine('03:03:00', null, 'c'),
    ];
    expect(spansOf(lines)).toEqual([
      '(02:59:45 a 03:00:00]',
      '[03:00:00 b 03:02:00]',
      '[03:02:00 free 03:03:00]',
      '[03:03:00 c 03:03:15)',
    ]);
  });

  it('does not guess what happened where a change was not told', () => {
    expect(
      spansOf([changeLine('03:00:00', 'x', 'a-0'), refusal('03:01:00'), changeLine('03:05:00', 'c', 'd')]),
    ).toEqual([
      '(02:59:45 x 03:00:00]',
      '[03:00:00 a-0 03:01:00)',
      '(03:01:00 unknown 03:05:00)',
      '[03:05:00 d 03:05:15)',
    ]);
  });

  it('takes a refusal for a witness, but not that of a re-creation, whose holder is gone', () => {
    expect(spansOf([refusal('03:01:00')])).toEqual(['(03:00:45 a-0 03:01:15)']);
    expect(spansOf([refusal('03:01:00', { rule: 'C3' })])).toEqual([]);
  });

  it('counts a takeover that was let through as a change, once', () => {
    const warned = refusal('03:01:00', { msg: 'lock write warned about', reviewUid: 'u' });
    const told = changeLine('03:01:00', 'a-0', 'b-0', { reviewUid: 'u' });
    const both = ['(03:00:45 a-0 03:01:00]', '[03:01:00 b-0 03:01:15)'];
    expect(spansOf([warned])).toEqual(both);
    expect(spansOf([warned, told])).toEqual(both);
  });

  it('knows nothing of other locks', () => {
    expect(timelineOf({ ...lock, name: 'x' }, entriesOf([line]), { fromMs: null, toMs: null })).toBeNull();
  });
});

describe('a story', () => {
  it('says who, what, since when, by which rule, how often, what came after, and what to do', () => {
    const fold = {
      reviewUid: 'review-03:12:03',
      count: 41,
      firstSeen: at('03:12:04'),
      lastSeen: at('03:13:03'),
    };
    const lines = [
      changeLine('02:40:00', 'x', 'a-0'),
      refusal('03:12:03'),
      refusal('03:13:03', fold),
      refusal('03:14:00', { reason: 'ForeignRelease' }),
      changeLine('03:20:00', 'a-0', null),
    ];
    const entries = entriesOf(lines);
    const [rejection] = grouped(entries.filter((each) => each.kind === 'rejection'));
    const { headline, chapters } = storyOf(rejection!, entries);
    const told = Object.fromEntries(chapters.map(({ title, sentences }) => [title, sentences.join(' ')]));
    expect(headline).toBe('2026-03-01T03:12:03Z  lease/orders in team: refused, PrematureTakeover');
    expect(told).toMatchObject({
      Who: 'The write came from the pod `b-0` (uid pod-b) as serviceaccount team/candidate. The replica `replica-0` judged it.',
      Tried:
        'It tried to take the lock over, with `b-0` as its holder. It was refused: the API server stored nothing.',
      'Held by':
        '`a-0` had held it since 2026-03-01T02:40:00Z, for 32m 3s, taken by the pod `a-0`. 7m 57s later, at 2026-03-01T03:20:00Z, the lock became free.',
      Evidence:
        'The API server’s stamp tells of the last renewal: 2 s to 4 s before the write, of a lease of 15 s. 11 s to 13 s of the lease remained; a candidate had to wait that long.',
      Policy: 'No policy covered the lock: the built-in defaults held.',
    });
    expect(told['Rule']).toContain(
      'docs/semantics.md, U15: “live → another holder: refused (`PrematureTakeover`)”',
    );
    expect(told['How often']).toContain('42 times in the same way');
    expect(told['How often']).toContain('ForeignRelease');
    expect(told['If wrong']).toContain('rules: [{ reason: PrematureTakeover, enforcement: Warn }]');
    expect(chapters.at(-1)?.lines).toContain('lockwarden explain lease/orders -n team');
  });

  it('does not pretend to know what the log does not tell', () => {
    const [rejection] = rejectionsOf([line]);
    const told = storyOf(rejection!, [])
      .chapters.flatMap(({ sentences }) => sentences)
      .join(' ');
    expect(told).toContain('`a-0` held it; since when these logs do not tell.');
    expect(told).toContain('These logs tell of no change of holder after it.');
    expect(told).toContain('Once. These logs tell of no other violation on this lock.');
  });

  it('gives commands that do nothing else when they are pasted', () => {
    expect(['lease/x', '$(reboot)', "a'b", '-rf'].map(shellWord)).toEqual([
      'lease/x',
      "'$(reboot)'",
      "'a'\\''b'",
      "'-rf'",
    ]);
  });
});
