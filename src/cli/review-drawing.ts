/** A timeline in the terminal. Pure. */
import { span as spanOf } from '../core/span.ts';
import { instant } from '../certs-report/words.ts';
import { columns } from '../explain/columns.ts';
import { personOf } from '../review-report/rejections.ts';
import type { Span, Timeline } from '../review-report/timeline.ts';
import { printable } from '../review/text.ts';
import { lanesOf, summaryOf, ticksOf, type Lane } from './review-lanes.ts';
import { rejectionRows } from './review-table.ts';
import { painter, type Paint } from './terminal.ts';

/** How to draw. `width`: of the terminal, in characters. */
export interface DrawingOptions {
  readonly width: number;
  readonly colour: boolean;
  readonly unicode: boolean;
}

interface Glyphs {
  readonly held: string;
  readonly free: string;
  readonly unknown: string;
  readonly line: string;
  readonly tick: string;
  readonly Deny: string;
  readonly Warn: string;
  readonly Audit: string;
}

const pretty: Glyphs = {
  held: '█',
  free: '─',
  unknown: '░',
  line: '─',
  tick: '┬',
  Deny: '✗',
  Warn: '!',
  Audit: '·',
};
const ascii: Glyphs = {
  held: '#',
  free: '-',
  unknown: '?',
  line: '-',
  tick: '+',
  Deny: 'x',
  Warn: '!',
  Audit: '.',
};

/** LIMIT: below this there is no picture, above it no better one. */
const [widthMin, widthMax] = [50, 200] as const;
const labelMax = 28;
const labelWidthMin = 10;
/** LIMIT: a screen or two; `-o json` has all. */
const listMax = 40;

/** Draws, with a line end. */
export function drawText(timeline: Timeline, options: DrawingOptions): string {
  const width = Math.max(widthMin, Math.min(widthMax, options.width));
  const glyphs = options.unicode ? pretty : ascii;
  const { lock } = timeline;
  const lanes = lanesOf(timeline);
  const labels = lanes.map(({ label }) => labelOf(label, options.unicode));
  const labelWidth = Math.max(labelWidthMin, ...labels.map((label) => label.length)) + 2;
  const cells = width - labelWidth - 1;
  const drawing = { timeline, cells, glyphs };
  const paint = painter(options.colour);
  const title = `${lock.lockKind.toLowerCase()}/${lock.name} in ${lock.namespace}`;
  const bounds = `${instant(timeline.fromMs)} to ${instant(timeline.toMs)}`;
  const lines = [
    paint('bold', `${title}: ${summaryOf(timeline)}`),
    `${bounds} (UTC)`,
    '',
    ...lanes.map((lane, index) =>
      `${(labels[index] ?? '').padEnd(labelWidth)}${paint(styles[lane.kind], laneCells(lane, drawing))}`.trimEnd(),
    ),
    ...markLines(drawing, labelWidth, paint),
    ...scale(drawing, labelWidth),
    '',
    listOf(timeline),
  ];
  const text = `${lines.join('\n')}\n`;
  return options.unicode ? text : text.replaceAll('…', '...').replaceAll('’', "'");
}

const styles = { held: 'green', free: 'gray', unknown: 'yellow' } as const;

interface Drawing {
  readonly timeline: Timeline;
  readonly cells: number;
  readonly glyphs: Glyphs;
}

function labelOf(label: string, unicode: boolean): string {
  const shown = printable(label, labelMax);
  return unicode ? shown : shown.replaceAll(/[^\x20-\x7e]/g, '?');
}

function cellOf({ timeline: { fromMs, toMs }, cells }: Drawing, atMs: number): number {
  const cell = Math.floor(((atMs - fromMs) / (toMs - fromMs)) * cells);
  return Math.max(0, Math.min(cells - 1, cell));
}

/** The shortest span takes a cell. */
function laneCells({ spans, kind }: Lane, drawing: Drawing): string {
  const row = Array.from({ length: drawing.cells }, () => ' ');
  for (const { fromMs, toMs } of spans) {
    const from = cellOf(drawing, fromMs);
    row.fill(drawing.glyphs[kind], from, Math.max(from, cellOf(drawing, toMs - 1)) + 1);
  }
  return row.join('');
}

/** Where writes were refused, warned about or recorded. */
function markLines(drawing: Drawing, labelWidth: number, paint: Paint): readonly string[] {
  const rows = [
    ['refused', 'Deny', 'red'],
    ['warned', 'Warn', 'yellow'],
    ['recorded', 'Audit', 'gray'],
  ] as const;
  return rows.flatMap(([label, enforcement, style]) => {
    const { timeline, cells, glyphs } = drawing;
    const own = timeline.rejections.filter(
      ({ record, atMs, lastMs }) =>
        record.enforcement === enforcement && lastMs >= timeline.fromMs && atMs <= timeline.toMs,
    );
    if (own.length === 0) return [];
    const row = Array.from({ length: cells }, () => ' ');
    for (const { atMs, lastMs } of own) {
      for (const each of [atMs, lastMs]) row[cellOf(drawing, each)] = glyphs[enforcement];
    }
    return [`${label.padEnd(labelWidth)}${paint(style, row.join('').trimEnd())}`];
  });
}

function scale(drawing: Drawing, labelWidth: number): readonly string[] {
  const { timeline, cells, glyphs } = drawing;
  const line = Array.from({ length: cells }, () => glyphs.line);
  let labels = '';
  for (const { atMs, label } of ticksOf(timeline, Math.max(2, Math.floor(cells / 12)))) {
    const cell = cellOf(drawing, atMs);
    line[cell] = glyphs.tick;
    if (cell >= labels.length && cell + label.length <= cells) labels = `${labels.padEnd(cell)}${label} `;
  }
  const indent = ' '.repeat(labelWidth);
  return [`${indent}${line.join('')}`, `${indent}${labels}`.trimEnd()];
}

function listOf({ spans, rejections }: Timeline): string {
  const shown = spans.slice(-listMax);
  const rows = shown.map((span) => [
    `${span.isFromKnown || span.kind === 'unknown' ? '' : '<='}${instant(span.fromMs)}`,
    `${span.isToKnown || span.kind === 'unknown' ? '' : '>='}${instant(span.toMs)}`,
    spanOf(span.toMs - span.fromMs),
    printable(whoHeld(span), 60),
    printable(span.pod ?? personOf(span.requester ?? '-'), 60),
  ]);
  const table = columns([['FROM', 'TO', 'FOR', 'HOLDER', 'WRITTEN BY'], ...rows]);
  const left = spans.length - shown.length;
  const more = left === 0 ? '' : `\n${String(left)} earlier ones are left out: --since, -o json`;
  if (rejections.length === 0) return `${table}${more}`;
  return `${table}${more}\n\n${columns(rejectionRows(rejections.slice(-listMax), false))}`;
}

/** The holder, or that there was none. */
export function whoHeld({ kind, holder }: Span): string {
  if (kind === 'unknown') return '(not known)';
  return holder ?? '(nobody)';
}
