/** Rows of locks as people and programs read them. Pure. */
import { stringify } from 'yaml';
import { describeLock } from '../core/lock.ts';
import { span } from '../core/span.ts';
import { aligned, widthsOf } from '../explain/columns.ts';
import type { FindingCode } from '../locks-report/findings.ts';
import type { LockRow } from '../locks-report/report.ts';
import { counted } from '../preflight/conclusion.ts';
import { printable } from '../review/text.ts';
import { cellMax, clockCell, durationCell, nothing } from './cells.ts';
import { painter, type Paint } from './terminal.ts';

/** How to print; `wide` has more columns, `name` is `lease/NAME`. */
export type LocksFormat = 'table' | 'wide' | 'json' | 'yaml' | 'name';

/** How rows are shown. */
export interface LocksTableOptions {
  readonly format: LocksFormat;
  readonly allNamespaces: boolean;
  /** Whether a table may be coloured. */
  readonly colour: boolean;
}

/** A change that a watch has seen: the row as it now is, or which one is gone. */
export type RowChange = LockRow | (Pick<LockRow, 'kind' | 'namespace' | 'name'> & { readonly deleted: true });

type Column = readonly [title: string, cell: (row: LockRow) => string];

const plain: readonly Column[] = [
  ['LOCK', shortName],
  ['HOLDER', ({ holder }) => holder ?? nothing],
  ['POD', podCell],
  ['RENEWED', ageCell],
  ['LEASE', ({ leaseDurationMs }) => durationCell(leaseDurationMs)],
  ['CHANGES', ({ transitions }) => (transitions === null ? nothing : String(transitions))],
  ['POLICY', policyCell],
  ['ENFORCEMENT', ({ enforcement }) => enforcement ?? nothing],
];

const more: readonly Column[] = [
  ['STATE', ({ lease }) => lease],
  ['EVIDENCE', ({ evidence }) => evidence ?? nothing],
  ['EVERY', ({ renewedEveryMs }) => durationCell(renewedEveryMs)],
  ['CLOCK', ({ clockOffsetMs }) => clockCell(clockOffsetMs)],
  ['CLIENT', ({ client }) => client ?? nothing],
];

/** LIMIT: so many names, of which each may be 60 long, still fit on a screen; the table has the others. */
const namedMax = 3;

/** Prints rows as a whole, and then, in a table, changes of them with the same columns. */
export class LocksPrinter {
  readonly #options: LocksTableOptions;
  readonly #columns: readonly Column[];
  readonly #paint: Paint;
  #widths: readonly number[] = [];

  constructor(options: LocksTableOptions) {
    const { format, allNamespaces, colour } = options;
    const namespace: readonly Column[] = allNamespaces ? [['NAMESPACE', (row) => row.namespace]] : [];
    this.#options = options;
    this.#paint = painter(colour);
    this.#columns = [...namespace, ...plain, ...(format === 'wide' ? more : [])];
  }

  /** All rows, with a line end; empty where a table would have none. `limits`: what is not known, in sentences. */
  whole(rows: readonly LockRow[], limits: readonly string[]): string {
    switch (this.#options.format) {
      case 'json':
        return `${JSON.stringify({ locks: rows, limits }, null, 2)}\n`;
      case 'yaml':
        return stringify({ locks: rows, limits }, { lineWidth: 0 });
      case 'name':
        return lines(rows.map(shortName));
      case 'table':
      case 'wide':
        return [this.head(rows), this.#sentences(rows)].filter((block) => block !== '').join('\n');
    }
  }

  /** The table alone, which also settles how wide columns are. */
  head(rows: readonly LockRow[]): string {
    if (rows.length === 0) return '';
    const titles = [...this.#columns.map(([title]) => title), 'FINDINGS'];
    const cells = rows.map((row) => this.#cells(row));
    this.#widths = widthsOf([titles, ...cells]).slice(0, -1);
    return lines(aligned([titles, ...cells], this.#widths).split('\n'));
  }

  /** Changes: rows of the table, one JSON object a line, or YAML documents. A row is followed by what has been found anew. */
  changes(changes: readonly RowChange[], before: ReadonlyMap<string, LockRow>): string {
    switch (this.#options.format) {
      case 'json':
        return lines(changes.map((change) => JSON.stringify(change)));
      case 'yaml':
        return changes.map((change) => `---\n${stringify(change, { lineWidth: 0 })}`).join('');
      case 'name':
        return lines(changes.map(shortName));
      case 'table':
      case 'wide':
        return changes.map((change) => this.#changed(change, before)).join('');
    }
  }

  #changed(change: RowChange, before: ReadonlyMap<string, LockRow>): string {
    if ('deleted' in change) {
      const { allNamespaces } = this.#options;
      const cells = [...(allNamespaces ? [change.namespace] : []), shortName(change), '(deleted)'];
      return this.#row(cells);
    }
    const row = this.#widths.length === 0 ? this.head([change]) : this.#row(this.#cells(change));
    const known = before.get(describeLock(change))?.findings.map(({ code }) => code) ?? [];
    const found = change.findings.filter(({ code }) => !known.includes(code));
    return row + lines(found.map(({ code, message }) => `  ${this.#painted(code)}: ${message}`));
  }

  /** One more row: columns grow with it, and stay so. */
  #row(cells: readonly string[]): string {
    const own = widthsOf([cells]);
    this.#widths = this.#widths.map((width, column) => Math.max(width, own[column] ?? 0));
    return lines([aligned([cells], this.#widths)]);
  }

  #cells(row: LockRow): readonly string[] {
    const found = row.findings.map(({ code }) => this.#painted(code)).join(',');
    return [
      ...this.#columns.map(([, cell]) => printable(cell(row), cellMax)),
      found === '' ? nothing : found,
    ];
  }

  #sentences(rows: readonly LockRow[]): string {
    const told = rows.flatMap((row) =>
      row.findings
        .filter(({ code }) => code !== 'unguarded')
        .map(({ code, message }) => `${this.#named(row)} ${this.#painted(code)}: ${message}`),
    );
    const sentences = [...told, ...this.#leftAlone(rows)];
    return sentences.length === 0 ? '' : lines(sentences);
  }

  /** Of what is not judged there may be thousands, for one and the same reason. */
  #leftAlone(rows: readonly LockRow[]): readonly string[] {
    const groups = new Map<string, string[]>();
    for (const row of rows) {
      const message = row.findings.find(({ code }) => code === 'unguarded')?.message;
      if (message === undefined) continue;
      const names = groups.get(message) ?? [];
      names.push(this.#named(row));
      groups.set(message, names);
    }
    return [...groups].map(([message, names]) => {
      const shown = names.length <= namedMax ? names.join(', ') : counted(names.length, 'lock', 'locks');
      return `${shown} ${this.#painted('unguarded')}: ${message}`;
    });
  }

  #named(row: LockRow): string {
    return this.#options.allNamespaces ? describeLock(row) : shortName(row);
  }

  #painted(code: FindingCode): string {
    if (code === 'unguarded') return code;
    return this.#paint(code === 'expired' || code === 'pod-gone' ? 'red' : 'yellow', code);
  }
}

function lines(texts: readonly string[]): string {
  return texts.map((text) => `${text}\n`).join('');
}

/** As `lockwarden explain` and kubectl take it. */
function shortName({ kind, name }: Pick<LockRow, 'kind' | 'name'>): string {
  return `${kind.toLowerCase()}/${name}`;
}

function podCell({ pod, namespace }: LockRow): string {
  if (pod === null) return nothing;
  const name = pod.namespace === namespace ? pod.name : `${pod.namespace}/${pod.name}`;
  return { runs: name, gone: `${name} (gone)`, unknown: `${name} (?)` }[pod.state];
}

function ageCell({ renewedAgoMs, evidence }: LockRow): string {
  if (renewedAgoMs === null || evidence === null) return nothing;
  const { min, max } = renewedAgoMs;
  return max === null ? `≥${span(min)}` : span((min + max) / 2);
}

function policyCell({ policies, enforcement }: LockRow): string {
  const last = policies.at(-1);
  if (last === undefined) return enforcement === null ? nothing : 'defaults';
  return policies.length === 1 ? last : `${last} +${String(policies.length - 1)}`;
}
