/**
 * A timeline as one HTML file with an SVG in it. Pure.
 *
 * INVARIANT: no script, nothing from elsewhere (the policy in the head forbids both), and every text goes through `escape`:
 * names and identities are the writers' text.
 */
import { span as spanOf } from '../core/span.ts';
import { instant } from '../certs-report/words.ts';
import type { Rejection } from '../review-report/entry.ts';
import { outcomeOf, personOf, writerOf } from '../review-report/rejections.ts';
import type { Span, Timeline } from '../review-report/timeline.ts';
import { printable } from '../review/text.ts';
import { whoHeld } from './review-drawing.ts';
import { lanesOf, summaryOf, ticksOf, type Lane } from './review-lanes.ts';

const width = 1160;
const left = 220;
const right = 24;
const laneHeight = 34;
const barHeight = 20;
const top = 14;
const markHeight = 36;
const axisHeight = 34;
/** LIMIT: two characters of a label take some 15 units. */
const labelMax = 28;
/** LIMIT: one that is shorter is not seen. */
const barMin = 2;
/** LIMIT: a page that a browser opens at once. */
const listMax = 2_000;

/** Draws, with a line end. */
export function drawHtml(timeline: Timeline): string {
  const { lock } = timeline;
  const title = `${lock.lockKind.toLowerCase()}/${lock.name} in ${lock.namespace}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)} - lockwarden</title>
<style>${styles}</style>
</head>
<body>
<main>
<h1>${escape(title)}</h1>
<p>${escape(summaryOf(timeline))}. ${instant(timeline.fromMs)} to ${instant(timeline.toMs)}, UTC.</p>
<figure>${svg(timeline, title)}</figure>
<p class="key">${key}</p>
<h2>Holders</h2>
${spanTable(timeline.spans)}
<h2>Rejections</h2>
${rejectionTable(timeline.rejections)}
</main>
</body>
</html>
`;
}

const styles = `
:root { color-scheme: light dark; --ink: #1d2433; --soft: #5b6475; --line: #d8dce5; --paper: #fff; --stripe: #f5f7fa;
  --held: #2f7d5b; --free: #aab2c0; --unknown: #c9962c; --deny: #c8323c; --warn: #b87400; --audit: #6b7589; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #a2abbc; --line: #363d4a; --paper: #14181f;
  --stripe: #1b212b; --held: #4fb288; --free: #5d6677; --unknown: #d9a93f; --deny: #ff6b72; --warn: #f0a93a; --audit: #93a0b5; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 22px; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 16px; margin: 30px 0 8px; }
p { color: var(--soft); margin: 4px 0 16px; } figure { margin: 0; overflow-x: auto; } svg { min-width: 800px; width: 100%; height: auto; display: block; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; } svg .soft { fill: var(--soft); }
.grid { stroke: var(--line); } .stripe { fill: var(--stripe); }
.held { fill: var(--held); } .free { fill: var(--free); } .unknown { fill: url(#hatch); }
.open { opacity: .62; } .hatch { stroke: var(--unknown); stroke-width: 3; }
.Deny { fill: var(--deny); color: var(--deny); } .Warn { fill: var(--warn); color: var(--warn); } .Audit { fill: var(--audit); color: var(--audit); }
.through { stroke: var(--deny); stroke-opacity: .35; stroke-dasharray: 2 3; }
.key span { margin-right: 18px; white-space: nowrap; } .key i { display: inline-block; width: 12px; height: 12px; border-radius: 2px; margin-right: 6px; vertical-align: -1px; }
table { border-collapse: collapse; width: 100%; font-size: 13px; } th { text-align: left; color: var(--soft); font-weight: 600; white-space: nowrap; }
th, td { padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
td.time { white-space: nowrap; font-variant-numeric: tabular-nums; overflow-wrap: normal; } .scroll { overflow-x: auto; }
`;

const key = [
  '<span><i style="background:var(--held)"></i>held</span>',
  '<span><i style="background:var(--held);opacity:.62"></i>held, begin or end not in these logs</span>',
  '<span><i style="background:var(--free)"></i>nobody</span>',
  '<span><i style="background:repeating-linear-gradient(45deg,var(--unknown) 0 2px,transparent 2px 5px)"></i>not known</span>',
  '<span><i style="background:var(--deny)"></i>refused</span>',
  '<span><i style="background:var(--warn)"></i>warned</span>',
  '<span><i style="background:var(--audit)"></i>recorded</span>',
].join('');

function svg(timeline: Timeline, title: string): string {
  const lanes = lanesOf(timeline);
  const bottom = top + lanes.length * laneHeight;
  const height = bottom + markHeight + axisHeight;
  const x = (ms: number): number => {
    const part = (ms - timeline.fromMs) / (timeline.toMs - timeline.fromMs);
    return round(left + Math.max(0, Math.min(1, part)) * (width - left - right));
  };
  return [
    `<svg viewBox="0 0 ${String(width)} ${String(height)}" role="img" aria-label="${escape(`Timeline of ${title}`)}">`,
    '<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line class="hatch" x1="0" y1="0" x2="0" y2="7"/></pattern></defs>',
    ...lanes.map((lane, index) => laneStripe(index, lane)),
    ...axis(timeline, x, bottom + markHeight),
    ...lanes.flatMap((lane, index) => lane.spans.map((span) => bar(span, lane, x, top + index * laneHeight))),
    ...marks(timeline, x, bottom),
    '</svg>',
  ].join('\n');
}

type X = (ms: number) => number;

function laneStripe(index: number, { label }: Lane): string {
  const y = top + index * laneHeight;
  const stripe =
    index % 2 === 0
      ? `<rect class="stripe" x="0" y="${String(y)}" width="${String(width)}" height="${String(laneHeight)}"/>`
      : '';
  const name = printable(label, labelMax);
  return `${stripe}<text x="8" y="${String(y + 22)}">${escape(name)}<title>${escape(label)}</title></text>`;
}

function bar(span: Span, { label }: Lane, x: X, y: number): string {
  const [from, to] = [x(span.fromMs), x(span.toMs)];
  const open = span.isFromKnown && span.isToKnown ? '' : ' open';
  const told = `${whoHeld(span)}\n${instant(span.fromMs)} to ${instant(span.toMs)} (${spanOf(span.toMs - span.fromMs)})`;
  const title = span.kind === 'held' && span.holder !== label ? `${label}: ${told}` : told;
  const place = `x="${String(from)}" y="${String(y + (laneHeight - barHeight) / 2)}"`;
  const size = `width="${String(Math.max(barMin, round(to - from)))}" height="${String(barHeight)}" rx="2"`;
  return `<rect class="${span.kind}${open}" ${place} ${size}><title>${escape(title)}</title></rect>`;
}

function axis(timeline: Timeline, x: X, y: number): readonly string[] {
  return ticksOf(timeline, 10).map(({ atMs, label }) => {
    const at = String(x(atMs));
    const line = `<line class="grid" x1="${at}" x2="${at}" y1="${String(top)}" y2="${String(y)}"/>`;
    return `${line}<text class="soft" x="${at}" y="${String(y + 20)}" text-anchor="middle">${escape(label)}</text>`;
  });
}

/** A diamond for each, and a thin line up to the holders for what was refused. */
function marks({ rejections, fromMs, toMs }: Timeline, x: X, bottom: number): readonly string[] {
  const shown = rejections.filter(({ atMs, lastMs }) => lastMs >= fromMs && atMs <= toMs).slice(-listMax);
  const y = bottom + markHeight / 2;
  const label = `<text x="8" y="${String(y + 5)}">rejections</text>`;
  if (shown.length === 0) return [];
  const drawn = shown.map((each) => {
    const { record, atMs, lastMs } = each;
    const [at, end] = [x(atMs), x(lastMs)];
    const through =
      record.enforcement === 'Deny'
        ? `<line class="through" x1="${String(at)}" x2="${String(at)}" y1="${String(top)}" y2="${String(y)}"/>`
        : '';
    const stretch =
      end - at > 1
        ? `<rect class="${record.enforcement}" x="${String(at)}" y="${String(y - 1.5)}" width="${String(round(end - at))}" height="3"/>`
        : '';
    const points = `${String(at)},${String(y - 8)} ${String(at + 7)},${String(y)} ${String(at)},${String(y + 8)} ${String(at - 7)},${String(y)}`;
    const title = `${instant(atMs)} ${record.reason} (${outcomeOf(each)}, ${String(record.count)}x)\nby ${writerOf(record)}, for ${record.wouldBeHolder ?? 'nobody'}\n${record.reviewUid}`;
    return `<g>${through}${stretch}<polygon class="${record.enforcement}" points="${points}"/><title>${escape(title)}</title></g>`;
  });
  return [label, ...drawn];
}

function spanTable(spans: readonly Span[]): string {
  const rows = spans.slice(-listMax).map((span) => [
    {
      text: `${span.isFromKnown || span.kind === 'unknown' ? '' : 'before '}${instant(span.fromMs)}`,
      kind: 'time',
    },
    {
      text: `${span.isToKnown || span.kind === 'unknown' ? '' : 'after '}${instant(span.toMs)}`,
      kind: 'time',
    },
    { text: spanOf(span.toMs - span.fromMs), kind: 'time' },
    { text: whoHeld(span), kind: '' },
    { text: span.pod ?? personOf(span.requester ?? ''), kind: '' },
  ]);
  return tableOf(['From', 'To', 'For', 'Holder', 'Written by'], rows);
}

function rejectionTable(rejections: readonly Rejection[]): string {
  if (rejections.length === 0) return '<p>None.</p>';
  const rows = rejections.slice(-listMax).map((each) => {
    const { record, atMs } = each;
    return [
      { text: instant(atMs), kind: 'time' },
      { text: record.holder ?? '', kind: '' },
      { text: record.wouldBeHolder ?? '', kind: '' },
      { text: writerOf(record), kind: '' },
      { text: `${record.reason} (${record.rule})`, kind: '' },
      { text: outcomeOf(each), kind: record.enforcement },
      { text: String(record.count), kind: 'time' },
      { text: record.reviewUid, kind: '' },
    ];
  });
  return tableOf(['Time', 'Holder', 'Would-be holder', 'Who', 'Reason', 'Outcome', 'Count', 'UID'], rows);
}

interface Cell {
  readonly text: string;
  readonly kind: string;
}

function tableOf(header: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const head = header.map((title) => `<th>${title}</th>`).join('');
  const body = rows.map(
    (row) => `<tr>${row.map(({ text, kind }) => `<td class="${kind}">${escape(text)}</td>`).join('')}</tr>`,
  );
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>\n${body.join('\n')}\n</tbody></table></div>`;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? '');
}

function round(units: number): number {
  return Math.round(units * 100) / 100;
}
