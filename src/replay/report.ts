/** What a replay has to say, as data. Pure. */
import { describePolicy } from '../policy/policy-ref.ts';
import type { PolicyStore } from '../policy/store.ts';
import { counted } from '../preflight/conclusion.ts';
import { printable } from '../review/text.ts';
import type { RejectionRecord } from '../review/record-schema.ts';
import type { ReadCounts } from './audit-reader.ts';
import type { Replay } from './replay.ts';

/** The whole report. */
export interface ReplayReport {
  readonly source: {
    readonly files: readonly string[];
    readonly lines: number;
    /** Of the writes to locks, RFC 3339; null: there were none. */
    readonly from: string | null;
    readonly to: string | null;
  };
  /** The policies that were judged by; empty: the built-in defaults alone. */
  readonly policies: readonly string[];
  /** Writes that were judged, and by the severest that was found in each what would have become of it. */
  readonly judged: number;
  readonly wouldBe: { readonly refused: number; readonly warned: number; readonly recorded: number };
  readonly dryRuns: number;
  /** Writes to locks that were not judged, by why. */
  readonly notJudged: Readonly<Record<NotJudged, number>>;
  /** Lines and events that tell of no write to a lock. */
  readonly left: Readonly<Record<'other' | 'unfinished' | 'notEvents' | 'tooLong' | 'cut', number>>;
  /** What was not seen, and what that leaves open. */
  readonly limits: readonly string[];
  /** Records that were dropped for want of room; the numbers above hold them. */
  readonly droppedRecords: number;
  readonly records: readonly ReplayedRecord[];
}

/** Why a write was not judged. */
export type NotJudged =
  | 'firstSeen'
  | 'gap'
  | 'late'
  | 'unguarded'
  | 'withoutObjects'
  | 'conflict'
  | 'refusedByLockwarden'
  | 'refusedByOthers';

/** A record, folded, and what wrote. */
export interface ReplayedRecord {
  readonly record: RejectionRecord;
  readonly agent: string;
  readonly manager: string;
}

/** What a report is made from besides what was judged. */
export interface ReplayReportOptions {
  readonly files: readonly string[];
  readonly read: ReadCounts;
  readonly store: PolicyStore;
}

/** LIMIT: user agents are a program with its version and platform; what is longer is not meant for reading. */
const textMax = 256;

/** Makes the report. */
export function replayReport(replay: Replay, options: ReplayReportOptions): ReplayReport {
  const { files, read, store } = options;
  const { from, to } = replay.span;
  const { writes, dropped } = replay.findings;
  const { counts } = replay;
  return {
    source: { files, lines: read.lines, from: instantOf(from), to: instantOf(to) },
    policies: [...store.policies].map(({ ref }) => describePolicy(ref)),
    judged: counts.judged,
    wouldBe: { refused: writes.Deny, warned: writes.Warn, recorded: writes.Audit },
    dryRuns: counts.dryRuns,
    notJudged: {
      firstSeen: counts.firstSeen,
      gap: counts.gaps,
      late: counts.late,
      unguarded: counts.unguarded,
      withoutObjects: [...read.withoutObjects.values()].reduce((all, each) => all + each, 0),
      conflict: read.refused.conflict,
      refusedByLockwarden: read.refused.lockwarden,
      refusedByOthers: read.refused.another,
    },
    left: {
      other: read.other,
      unfinished: read.unfinished,
      notEvents: read.notEvents,
      tooLong: read.tooLong,
      cut: read.cut,
    },
    limits: limitsOf(replay, read),
    droppedRecords: dropped.records,
    records: replay.findings.list().map(({ record, agent, manager }) => ({
      record,
      agent: printable(agent, textMax),
      manager: printable(manager, textMax),
    })),
  };
}

function instantOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

function limitsOf(replay: Replay, read: ReadCounts): readonly string[] {
  const { counts, findings, locksForgotten } = replay;
  const { records, writes } = findings.dropped;
  const told: readonly (readonly [number, string])[] = [
    [read.notEvents, `${lines(read.notEvents)} no audit events, and left out`],
    [read.tooLong, `${lines(read.tooLong)} too long, and left out`],
    [read.cut, 'the last line of a file is cut, and left out'],
    [
      read.withoutObjects.size,
      `writes were recorded without what could be judged (${levelsOf(read)}): record them at the level RequestResponse`,
    ],
    [
      counts.sentOnly,
      `of ${counted(counts.sentOnly, 'write', 'writes')} the log has only what was sent: stamps, and what the API server or other webhooks changed, were not judged; record them at the level RequestResponse`,
    ],
    [
      counts.withoutStamps,
      `${counted(counts.withoutStamps, 'object', 'objects')} had no managedFields (\`omitManagedFields\` of the audit policy?): they were judged by the times of the log alone`,
    ],
    [
      counts.gaps + counts.late,
      `${String(counts.gaps + counts.late)} times a lock had been written in between, or in another order than the log has: give the logs of all API servers together`,
    ],
    [
      counts.podsUnasked,
      `${counted(counts.podsUnasked, 'time', 'times')} lockwarden would have asked whether the holder’s pod still ran, which nobody can tell any more: it was taken not to have found out`,
    ],
    [
      locksForgotten,
      `there were more locks than are kept: ${String(locksForgotten)} times one was forgotten, and its next write not judged; look at namespaces one by one, with -n`,
    ],
    [
      records,
      `there were more records than are kept: ${String(records)}, of ${counted(writes, 'write', 'writes')}, were dropped; the totals hold them`,
    ],
  ];
  return told.filter(([count]) => count > 0).map(([, sentence]) => sentence);
}

function levelsOf({ withoutObjects }: ReadCounts): string {
  return [...withoutObjects]
    .map(([what, count]) => `${String(count)} of ${printable(what, textMax)}`)
    .join(', ');
}

function lines(count: number): string {
  return count === 1 ? '1 line is' : `${String(count)} lines are`;
}
