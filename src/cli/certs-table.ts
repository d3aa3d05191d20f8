/** The state of a cluster's certificates as people and programs read it. Pure. */
import { stringify } from 'yaml';
import type {
  AuthorityStatus,
  CertificateStatus,
  CertsStatus,
  EntryStatus,
  ReplicaStatus,
} from '../certs-report/status.ts';
import type { Phase } from '../certs/facts.ts';
import { short } from '../certs-report/words.ts';
import { span } from '../core/span.ts';
import { columns } from '../explain/columns.ts';
import type { OutputFormat } from '../explain/render.ts';
import { printable } from '../review/text.ts';
import { painter } from './terminal.ts';

/** How a status is shown. */
export interface CertsTableOptions {
  readonly format: OutputFormat;
  /** Whether a table may be coloured. */
  readonly colour: boolean;
}

/** LIMIT: the subject of a certificate that somebody else brought may be a book. */
const textMax = 400;
const nothing = '-';

/** Prints a status, with a line end. */
export function renderCerts(status: CertsStatus, { format, colour }: CertsTableOptions): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(status, null, 2)}\n`;
    case 'yaml':
      return stringify(status, { lineWidth: 0 });
    case 'table':
      return table(status, colour);
  }
}

function table(status: CertsStatus, colour: boolean): string {
  const blocks = [
    head(status, colour),
    authorityTable(status),
    leafTable(status),
    entryTable(status),
    replicaTable(status),
  ];
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
}

function head(status: CertsStatus, colour: boolean): string {
  const { namespace, at, ok, findings } = status;
  const paint = painter(colour);
  const verdict = ok ? paint('green', 'all is in order') : paint('red', 'not all is in order');
  return [
    `${shown(namespace)} at ${at}: ${verdict}.`,
    ...findings.map((finding) => `${paint('red', '*')} ${sentence(shown(finding, Infinity))}`),
    leaderLine(status),
    ...rotationLines(status),
  ]
    .filter((line) => line !== '')
    .join('\n');
}

function leaderLine({ leader, at }: CertsStatus): string {
  if (leader?.identity == null) return '';
  const renewed = leader.renewedAt === null ? 'never' : ago(leader.renewedAt, at);
  const who = shown(leader.replica ?? leader.identity);
  return leader.leads
    ? `Leader: ${who}; renewed ${renewed}.`
    : `Leader: none; the last was ${who}, which renewed ${renewed}.`;
}

const phaseWords: Readonly<Record<Phase, string>> = {
  Missing: 'there is no authority',
  Broken: 'the Secret cannot be used',
  Unpublished: 'not every entry trusts the authority in use',
  Prepared: 'not every entry trusts the next authority yet',
  Published: 'every entry trusts the next authority, and API servers are given time to hear of it',
  Switched: 'not every replica was seen with the new leaf yet',
  Confirmed: 'every replica serves under the new authority, and the old one is still trusted',
  Stable: 'none is under way',
};

function rotationLines({ rotation, source, at, leader }: CertsStatus): readonly string[] {
  const { phase, next, asked } = rotation;
  if (source !== 'own') return [`Certificates: brought from ${shown(source)}; lockwarden rotates nothing.`];
  const pending = asked === null ? [] : [`Asked for: a new ${asked}.`];
  const lines = phase === null ? pending : [`Rotation: ${phase} (${phaseWords[phase]}).`, ...pending];
  if (next === null)
    return leader?.leads === true ? [...lines, 'Next: the leader has not said it yet.'] : lines;
  const when =
    next.at === null ? 'when what it waits for has come' : `${untilOrSince(next.at, at)} (${next.at})`;
  const said = `said by ${shown(next.saidBy)} ${ago(next.saidAt, at)}${next.old ? ', which may be out of date' : ''}`;
  return [...lines, `Next: ${shown(next.what)} ${when}: ${shown(next.why)}; ${said}.`];
}

function authorityTable({ authorities, at }: CertsStatus): string {
  if (authorities === null || authorities.length === 0) return '';
  const row = (each: AuthorityStatus) => [
    each.role,
    shown(each.name),
    validity(each, at),
    each.since ?? nothing,
  ];
  return columns([['AUTHORITY', 'NAME', 'VALID UNTIL', 'SINCE'], ...authorities.map(row)]);
}

function leafTable({ leaf, at }: CertsStatus): string {
  if (leaf === null) return '';
  const row = [short(leaf.fingerprint), shown(leaf.hosts.join(', ')), validity(leaf, at)];
  return columns([['LEAF', 'FOR', 'VALID UNTIL'], row]);
}

function entryTable({ entries, at }: CertsStatus): string {
  if (entries === null || entries.length === 0) return '';
  const rows = ({ name, trusts, lacks }: EntryStatus): readonly (readonly string[])[] => {
    const complete = lacks === null ? nothing : lacks.length === 0 ? 'yes' : `lacks ${lacks.join(', ')}`;
    const [first, ...others] = trusts.map((each) => [
      shown(each.name),
      lacks === null ? nothing : each.role,
      validity(each, at),
    ]);
    const none = ['nobody', nothing, nothing];
    return [[shown(name), ...(first ?? none), shown(complete)], ...others.map((each) => ['', ...each, ''])];
  };
  const header = ['WEBHOOK ENTRY', 'TRUSTS', 'AS', 'VALID UNTIL', 'ALL IT NEEDS'];
  return columns([header, ...entries.flatMap(rows)]);
}

function replicaTable({ replicas, at }: CertsStatus): string {
  if (replicas === null || replicas.length === 0) return '';
  const row = (each: ReplicaStatus) => [
    shown(each.name),
    each.serves === null ? 'nothing' : short(shown(each.serves)),
    each.isInSecret === null ? nothing : each.isInSecret ? 'yes' : 'no',
    each.notAfter === null ? nothing : `${each.notAfter} (${untilOrSince(each.notAfter, at)})`,
    ago(each.saidAt, at),
    [
      each.leads ? 'leads' : null,
      each.lives ? null : 'silent, and taken for gone',
      each.hesitates === null ? null : shown(each.hesitates),
    ]
      .filter((note) => note !== null)
      .join('; '),
  ];
  const header = ['REPLICA', 'SERVES', 'IN THE SECRET', 'VALID UNTIL', 'SAID', 'NOTE'];
  return columns([header, ...replicas.map(row)]);
}

function validity({ notAfter }: CertificateStatus, at: string): string {
  return `${notAfter} (${untilOrSince(notAfter, at)})`;
}

function ago(then: string, at: string): string {
  return `${span(Date.parse(at) - Date.parse(then))} ago`;
}

function untilOrSince(then: string, at: string): string {
  const ms = Date.parse(then) - Date.parse(at);
  return ms < 0 ? ago(then, at) : `in ${span(ms)}`;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function shown(text: string, max = textMax): string {
  return printable(text, max);
}
