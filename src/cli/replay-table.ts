/** A replay's report as people and programs read it. Pure. */
import { stringify } from 'yaml';
import { instant } from '../certs-report/words.ts';
import { columns } from '../explain/columns.ts';
import { counted } from '../preflight/conclusion.ts';
import type { NotJudged, ReplayedRecord, ReplayReport } from '../replay/report.ts';
import type { Rejection } from '../review-report/entry.ts';
import { outcomeOf, writerOf } from '../review-report/rejections.ts';
import { recordMessages } from '../review/record.ts';
import { printable } from '../review/text.ts';
import { cellMax, nothing } from './cells.ts';
import { bounds, lockCell, paintOutcome, renderRejections, type ReviewFormat } from './review-table.ts';
import { painter } from './terminal.ts';

/** Prints a report, with a line end. */
export function renderReplay(report: ReplayReport, format: ReviewFormat, colour: boolean): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(shown(report), null, 2)}\n`;
    case 'yaml':
      return stringify(shown(report), { lineWidth: 0 });
    case 'csv': {
      const list = { rejections: report.records.map(rejectionOf), leftOut: 0, lines: report.source.lines };
      return renderRejections(list, 'csv', false);
    }
    case 'table':
    case 'wide':
      return table(report, format === 'wide', colour);
  }
}

/** The records as lines of a lockwarden's log, which `lockwarden review` reads. */
export function recordLines(records: readonly ReplayedRecord[]): string {
  return records
    .map(({ record }) => {
      const level = record.enforcement === 'Deny' ? 'warn' : 'info';
      const msg = recordMessages[record.enforcement];
      return `${JSON.stringify({ level, time: record.lastSeen, ...record, msg })}\n`;
    })
    .join('');
}

/** Flat, as the records of `lockwarden review` are. */
function shown({ records, ...report }: ReplayReport): object {
  return {
    ...report,
    records: records.map(({ record, agent, manager }) => ({ ...record, agent, manager })),
  };
}

function rejectionOf({ record }: ReplayedRecord): Rejection {
  const [atMs, lastMs] = [Date.parse(record.firstSeen), Date.parse(record.lastSeen)];
  return { kind: 'rejection', atMs, lastMs, record };
}

function table(report: ReplayReport, wide: boolean, colour: boolean): string {
  const { limits, notJudged } = report;
  const left = (Object.keys(notJudged) as NotJudged[]).filter((why) => notJudged[why] > 0);
  const blocks = [
    head(report, colour),
    rows(report.records, wide, colour),
    left.length === 0
      ? ''
      : ['Not judged:', ...left.map((why) => `  ${String(notJudged[why])} ${reasons[why]}`)].join('\n'),
    limits.length === 0 ? '' : ['Bear in mind:', ...limits.map((each) => `  * ${each}.`)].join('\n'),
  ];
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
}

const reasons: Readonly<Record<NotJudged, string>> = {
  firstSeen: 'that were the first of their locks in the log: what they met is not in it',
  gap: 'that met something else than the log had told',
  late: 'that the log tells after later ones',
  unguarded: 'to locks that nothing holds for',
  withoutObjects: 'that were recorded without what could be judged (locks or not)',
  conflict: 'that lost a race or met nothing, and changed nothing',
  refusedByLockwarden: 'that lockwarden had refused already',
  refusedByOthers: 'that the API server or another webhook had refused',
};

function head(report: ReplayReport, colour: boolean): string {
  const { judged, wouldBe, dryRuns, source, policies } = report;
  const { refused, warned, recorded } = wouldBe;
  const style = refused > 0 ? 'red' : warned + recorded > 0 ? 'yellow' : 'green';
  const dry = dryRuns === 0 ? '' : `; ${counted(dryRuns, 'was a dry run', 'were dry runs')}`;
  const sentence = `${counted(judged, 'write to a lock', 'writes to locks')} judged: ${String(refused)} would be refused, ${String(warned)} warned about, ${String(recorded)} recorded${dry}.`;
  const time =
    source.from === null || source.to === null
      ? ''
      : `, from ${toTheSecond(source.from)} to ${toTheSecond(source.to)}`;
  const by = policies.length === 0 ? 'the built-in defaults' : counted(policies.length, 'policy', 'policies');
  const [first = '', ...others] = source.files.map((file) => printable(file, cellMax));
  const files = others.length === 0 ? first : counted(source.files.length, 'file', 'files');
  return `${painter(colour)(style, sentence)}\nSeen in ${counted(source.lines, 'line', 'lines')} of ${files}${time}; judged by ${by}.`;
}

function toTheSecond(time: string): string {
  return instant(Date.parse(time));
}

type Column = readonly [title: string, cell: (each: ReplayedRecord) => string];

const plain: readonly Column[] = [
  ['LOCK', ({ record }) => lockCell(record)],
  ['REASON', ({ record }) => record.reason],
  ['OUTCOME', (each) => outcomeOf(rejectionOf(each))],
  ['WHO', ({ record }) => writerOf(record)],
  ['COUNT', ({ record }) => String(record.count)],
  ['FIRST', ({ record }) => toTheSecond(record.firstSeen)],
  ['LAST', ({ record }) => toTheSecond(record.lastSeen)],
];

const more: readonly Column[] = [
  ['RULE', ({ record }) => record.rule],
  ['POLICY', ({ record }) => record.policy],
  ['HOLDER', ({ record }) => record.holder ?? nothing],
  ['WOULD-BE HOLDER', ({ record }) => record.wouldBeHolder ?? nothing],
  ['REQUESTER', ({ record }) => record.requester || nothing],
  ['MANAGER', ({ manager }) => manager || nothing],
  ['AGENT', ({ agent }) => agent || nothing],
  ['EVIDENCE', ({ record }) => record.evidence],
  ['ELAPSED', ({ record }) => bounds(record.elapsedMinMs, record.elapsedMaxMs)],
  ['REMAINING', ({ record }) => bounds(record.remainingMinMs, record.remainingMaxMs)],
  ['UID', ({ record }) => record.reviewUid || nothing],
];

function rows(records: readonly ReplayedRecord[], wide: boolean, colour: boolean): string {
  if (records.length === 0) return '';
  const chosen = wide ? [...plain, ...more] : plain;
  const cells = records.map((each) => chosen.map(([, cell]) => printable(cell(each), cellMax)));
  const [header = '', ...lines] = columns([chosen.map(([title]) => title), ...cells]).split('\n');
  const outcomeAt = header.indexOf('OUTCOME');
  const painted = records.map((each, index) =>
    paintOutcome(lines[index] ?? '', outcomeAt, rejectionOf(each), colour),
  );
  return [painter(colour)('bold', header), ...painted].join('\n');
}
