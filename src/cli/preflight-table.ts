/** A preflight's report as people and programs read it. Pure. */
import { stringify } from 'yaml';
import { instant } from '../certs-report/words.ts';
import { cellMax, clockCell, durationCell, nothing } from './cells.ts';
import { span } from '../core/span.ts';
import { describeLock } from '../core/lock.ts';
import { columns } from '../explain/columns.ts';
import { counted } from '../preflight/conclusion.ts';
import type { LockReport, ReportedOffence, ReportSource } from '../preflight/lock-report.ts';
import type { PreflightReport } from '../preflight/report.ts';
import { printable } from '../review/text.ts';
import { painter, type Paint } from './terminal.ts';

/** How to print; `wide` is a table of all locks, with more columns. */
export type PreflightFormat = 'table' | 'wide' | 'json' | 'yaml';

/** How a report is shown. */
export interface PreflightTableOptions {
  readonly format: PreflightFormat;
  /** Whether a table may be coloured. */
  readonly colour: boolean;
}

/** Prints a report, with a line end. */
export function renderPreflight(report: PreflightReport, { format, colour }: PreflightTableOptions): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(report, null, 2)}\n`;
    case 'yaml':
      return stringify(report, { lineWidth: 0 });
    case 'table':
    case 'wide':
      return table(report, format === 'wide', colour);
  }
}

function table(report: PreflightReport, wide: boolean, colour: boolean): string {
  const paint = painter(colour);
  const { locks, limits, suggestedPolicies, strictPolicies } = report;
  const blocks = [
    head(report, paint),
    lockTable(locks, wide),
    locks
      .filter(({ guarded }) => guarded)
      .flatMap((lock) => findings(lock, paint))
      .join('\n'),
    wide ? '' : leftAlone(locks),
    limits.length === 0 ? '' : ['Bear in mind:', ...limits.map((each) => `  * ${each}.`)].join('\n'),
    suggestedPolicies === '' ? '' : suggestion('Policies for a start', suggestedPolicies),
    strictPolicies === '' ? '' : strict(strictPolicies, wide),
  ];
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
}

function head({ source, conclusion, policies }: PreflightReport, paint: Paint): string {
  const style = conclusion.denied > 0 ? 'red' : conclusion.startWith === 'defaults' ? 'green' : 'yellow';
  const judgedBy =
    policies.length === 0
      ? 'the built-in defaults'
      : `${counted(policies.length, 'policy', 'policies')} of the cluster`;
  return [paint(style, conclusion.sentence), `${seenIn(source)}; judged by ${judgedBy}.`].join('\n');
}

function seenIn(source: ReportSource): string {
  const where = source.namespace === null ? 'all namespaces' : `the namespace ${source.namespace}`;
  if (source.kind === 'watch') return `Seen in ${span(source.watchedMs)} of ${where} at ${source.server}`;
  const { from, to, lines, name } = source;
  const time = from === null || to === null ? '' : `, from ${instant(from)} to ${instant(to)}`;
  return `Seen in ${counted(lines, 'line', 'lines')} of ${printable(name, cellMax)} for ${where}${time}`;
}

type Column = readonly [title: string, cell: (lock: LockReport) => string];

const plain: readonly Column[] = [
  ['LOCK', (lock) => describeLock(lock)],
  ['HOLDER', ({ holder, exists }) => (exists ? (holder ?? 'nobody') : 'gone')],
  [
    'CLIENT',
    ({ client }) => (client === null ? nothing : `${client.name}${client.by === 'form' ? ' form' : ''}`),
  ],
  ['LEASE', ({ leaseDurationMs }) => durationCell(leaseDurationMs)],
  ['RENEWED EVERY', ({ renewedEveryMs }) => durationCell(renewedEveryMs)],
  ['CLOCK', ({ clockOffsetMs }) => clockCell(clockOffsetMs)],
  ['CHANGES', ({ holderChanges }) => String(holderChanges)],
  ['VERDICT', verdict],
];

const more: readonly Column[] = [
  ['WRITES', ({ writes }) => String(writes)],
  ['LONGEST GAP', ({ longestGapMs }) => durationCell(longestGapMs)],
  [
    'CALLS',
    ({ calls }) => (calls.renewals === 0 ? nothing : `${String(calls.asked)}/${String(calls.renewals)}`),
  ],
  ['DELETED', ({ deletions }) => String(deletions)],
  ['UNSEEN', ({ unseen }) => String(unseen)],
  ['POLICIES', ({ policies }) => (policies.length === 0 ? nothing : policies.join(','))],
  ['AGENTS', ({ agents }) => (agents.length === 0 ? nothing : agents.join(','))],
];

function lockTable(locks: readonly LockReport[], wide: boolean): string {
  const shown = wide ? locks : locks.filter(({ guarded }) => guarded);
  if (shown.length === 0) return '';
  const chosen = wide ? [...plain, ...more] : plain;
  const rows = shown.map((lock) => chosen.map(([, cell]) => printable(cell(lock), cellMax)));
  return columns([chosen.map(([title]) => title), ...rows]);
}

function verdict({ guarded, denied, offences }: LockReport): string {
  if (!guarded) return 'not judged';
  if (denied > 0) return `${String(denied)} would be denied`;
  const warned = offences.filter(({ enforcement }) => enforcement === 'Warn');
  if (warned.length === 0) return 'fine';
  return `${String(warned.reduce((all, { count }) => all + count, 0))} with a warning`;
}

function findings(lock: LockReport, paint: Paint): readonly string[] {
  const told = [
    ...lock.offences
      .filter(({ enforcement }) => enforcement !== 'Audit')
      .map((each) => offenceLine(each, paint)),
    ...lock.remarks.map((remark) => `  ${paint('yellow', 'note')} ${printable(remark, Infinity)}`),
  ];
  return told.length === 0 ? [] : [paint('bold', describeLock(lock)), ...told];
}

function offenceLine(offence: ReportedOffence, paint: Paint): string {
  const { enforcement, count, by, message, lastAt, onlyIfPodRan } = offence;
  const what = enforcement === 'Deny' ? paint('red', 'denied') : paint('yellow', 'warned');
  const last = `${lastAt.slice(0, 19)}Z`;
  const times = count === 1 ? `once, at ${last}` : `${String(count)} times, last at ${last}`;
  const condition = onlyIfPodRan === 0 ? '' : '; only if the holder’s pod still ran then';
  return `  ${what} ${times}, by ${by.map(writer).join(', ')}${condition}:\n    ${printable(message, Infinity)}`;
}

/** A ServiceAccount as people write one. */
function writer(who: string): string {
  return who.replace(/^system:serviceaccount:([^:]+):/, 'serviceaccount $1/');
}

function leftAlone(locks: readonly LockReport[]): string {
  const counts = new Map<string, number>();
  for (const { guarded, namespace } of locks)
    if (!guarded) counts.set(namespace, (counts.get(namespace) ?? 0) + 1);
  if (counts.size === 0) return '';
  const each = [...counts].map(([namespace, count]) => `${String(count)} in ${namespace}`);
  return `Not judged, unless a policy gives their names: ${each.join(', ')} (-o wide shows them).`;
}

function suggestion(title: string, yaml: string): string {
  return `${title}, to be read before they are applied:\n\n${yaml.trimEnd()}`;
}

function strict(yaml: string, wide: boolean): string {
  if (wide) return suggestion('Policies for locks that the profile Strict fits', yaml);
  return 'Some locks of client-go could be held to the profile Strict (-o wide shows the policies).';
}
