/** Rejections as people and programs read them. Pure. */
import { stringify } from 'yaml';
import { instant } from '../certs-report/words.ts';
import { seconds } from '../core/message.ts';
import { columns } from '../explain/columns.ts';
import { lockKey, type Rejection } from '../review-report/entry.ts';
import { outcomeOf, writerOf } from '../review-report/rejections.ts';
import { printable } from '../review/text.ts';
import { painter, type Style } from './terminal.ts';

/** How to print. */
export type ReviewFormat = 'table' | 'wide' | 'json' | 'yaml' | 'csv';

/** All of them. */
export const reviewFormats: readonly ReviewFormat[] = ['table', 'wide', 'json', 'yaml', 'csv'];

/** What is printed at once. */
export interface RejectionList {
  readonly rejections: readonly Rejection[];
  /** How many more were asked for, and are older. */
  readonly leftOut: number;
  readonly lines: number;
}

type Column = readonly [title: string, cell: (rejection: Rejection) => string, width: number];

/** LIMIT: as wide as a column gets. */
const cellMax = 60;
const nobody = '-';

/** The last number is a column's width where rows come one by one. */
const plain: readonly Column[] = [
  ['TIME', ({ atMs }) => instant(atMs), 20],
  ['LOCK', ({ record }) => lockCell(record), 32],
  ['HOLDER', ({ record }) => record.holder ?? nobody, 24],
  ['WOULD-BE HOLDER', ({ record }) => record.wouldBeHolder ?? nobody, 24],
  ['WHO', ({ record }) => writerOf(record), 28],
  ['REASON', ({ record }) => record.reason, 20],
  ['OUTCOME', (rejection) => outcomeOf(rejection), 8],
  ['COUNT', ({ record }) => String(record.count), 5],
];

const more: readonly Column[] = [
  ['LAST', ({ lastMs }) => instant(lastMs), 20],
  ['RULE', ({ record }) => record.rule, 4],
  ['POLICY', ({ record }) => record.policy, 24],
  ['EVIDENCE', ({ record }) => record.evidence, 8],
  ['ELAPSED', ({ record }) => bounds(record.elapsedMinMs, record.elapsedMaxMs), 16],
  ['REMAINING', ({ record }) => bounds(record.remainingMinMs, record.remainingMaxMs), 16],
  ['REPLICA', ({ record }) => record.instance || nobody, 24],
  ['UID', ({ record }) => record.reviewUid || nobody, 36],
];

/** Prints a list, with a line end. */
export function renderRejections(list: RejectionList, format: ReviewFormat, colour: boolean): string {
  const records = list.rejections.map(({ record }) => record);
  switch (format) {
    case 'json':
      return `${JSON.stringify({ rejections: records, leftOut: list.leftOut }, null, 2)}\n`;
    case 'yaml':
      return stringify({ rejections: records, leftOut: list.leftOut }, { lineWidth: 0 });
    case 'csv':
      return [csvHeader, ...list.rejections.map(csvRow)].map((row) => `${row}\r\n`).join('');
    case 'table':
    case 'wide':
      return table(list, format === 'wide', colour);
  }
}

/** What stands before rows that come one by one; may be empty. */
export function rowHeader(format: ReviewFormat, colour: boolean): string {
  if (format === 'csv') return `${csvHeader}\r\n`;
  if (format === 'json' || format === 'yaml') return '';
  const text = columnsOf(format === 'wide').map(([title, , width]) => title.padEnd(width));
  return `${painter(colour)('bold', text.join('  ').trimEnd())}\n`;
}

/** One rejection as it comes: a row, a line of JSON, or a YAML document. */
export function renderRow(rejection: Rejection, format: ReviewFormat, colour: boolean): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(rejection.record)}\n`;
    case 'yaml':
      return `---\n${stringify(rejection.record, { lineWidth: 0 })}`;
    case 'csv':
      return `${csvRow(rejection)}\r\n`;
    case 'table':
    case 'wide': {
      const cells = columnsOf(format === 'wide').map(([title, cell, width]) => {
        const text = printable(cell(rejection), cellMax).padEnd(width);
        return title === 'OUTCOME' ? painter(colour)(styleOf(rejection), text) : text;
      });
      return `${cells.join('  ').trimEnd()}\n`;
    }
  }
}

/** The rows of a table, without colour, the first of them the header. */
export function rejectionRows(
  rejections: readonly Rejection[],
  wide: boolean,
): readonly (readonly string[])[] {
  const chosen = columnsOf(wide);
  const rows = rejections.map((each) => chosen.map(([, cell]) => printable(cell(each), cellMax)));
  return [chosen.map(([title]) => title), ...rows];
}

function table({ rejections, leftOut, lines }: RejectionList, wide: boolean, colour: boolean): string {
  if (rejections.length === 0) return `No rejections in ${String(lines)} lines.\n`;
  const [header = '', ...rows] = columns(rejectionRows(rejections, wide)).split('\n');
  const outcomeAt = header.indexOf('OUTCOME');
  const painted = rejections.map((each, index) => paintOutcome(rows[index] ?? '', outcomeAt, each, colour));
  const notes = [
    leftOut === 0 ? '' : `${String(leftOut)} older ones are left out: --limit, --since`,
    wide ? '' : 'The whole story of one: lockwarden review show UID (-o wide shows the UIDs)',
  ].filter((note) => note !== '');
  return `${[painter(colour)('bold', header), ...painted, ...(notes.length === 0 ? [] : ['', ...notes])].join('\n')}\n`;
}

/** A laid out row with its outcome, which begins at `at`, coloured. NB: after the columns are laid out, which count characters. */
export function paintOutcome(row: string, at: number, rejection: Rejection, colour: boolean): string {
  const word = outcomeOf(rejection);
  return `${row.slice(0, at)}${painter(colour)(styleOf(rejection), word)}${row.slice(at + word.length)}`;
}

function styleOf({ record }: Rejection): Style {
  return ({ Deny: 'red', Warn: 'yellow', Audit: 'gray' } as const)[record.enforcement];
}

function columnsOf(wide: boolean): readonly Column[] {
  return wide ? [...plain, ...more] : plain;
}

/** As describeLock names one. */
export function lockCell({ lockKind, namespace, name }: Rejection['record']): string {
  return lockKey({ lockKind: lockKind.toLowerCase(), namespace, name });
}

/** A time that is known within bounds. */
export function bounds(min: number | null, max: number | null): string {
  if (min === null) return nobody;
  const [from, to] = [seconds(min), max === null ? null : seconds(max)].map((each) => each?.replace(' ', ''));
  if (to === undefined) return `>=${from ?? ''}`;
  return from === to ? to : `${from ?? ''}..${to}`;
}

const csvKeys = [
  ...[
    'firstSeen',
    'lastSeen',
    'count',
    'enforcement',
    'lockKind',
    'namespace',
    'name',
    'lockUid',
    'operation',
  ],
  ...[
    'transition',
    'holder',
    'wouldBeHolder',
    'requester',
    'pod',
    'podUid',
    'rule',
    'reason',
    'alsoViolated',
  ],
  ...['policy', 'detail', 'evidence', 'elapsedMinMs', 'elapsedMaxMs', 'leaseDurationMs', 'remainingMinMs'],
  ...['remainingMaxMs', 'dryRun', 'instance', 'reviewUid'],
];

const csvHeader = csvKeys.join(',');

function csvRow({ record }: Rejection): string {
  return csvKeys.map((key) => csvCell(record[key])).join(',');
}

/**
 * SOURCE: https://owasp.org/www-community/attacks/CSV_Injection: a cell that begins so is a formula to a spreadsheet, and an
 * apostrophe before it makes it text. Texts are quoted always, numbers never.
 */
function csvCell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const text = Array.isArray(value)
    ? value.join(' ')
    : typeof value === 'string'
      ? value
      : JSON.stringify(value);
  const safe = /^[\s'"]*[=+\-@|%＝＋－＠]/.test(text) ? `'${text}` : text;
  return `"${safe.replaceAll('"', '""')}"`;
}
