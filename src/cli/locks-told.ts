/** How the locks of a cluster are told, once or again and again: to whom, in which order, and when that has been too much. */
import type { Clock } from '../clock.ts';
import type { FindingCode } from '../locks-report/findings.ts';
import type { LockRow } from '../locks-report/report.ts';
import type { SortKey } from '../locks-report/rows.ts';
import type { LocksFormat, LocksPrinter } from './locks-table.ts';
import type { Printed } from './terminal.ts';

/** Surroundings of the command. */
export interface LocksIo {
  readonly stdout: Printed;
  readonly stderr: Printed;
  readonly env: Readonly<Partial<Record<string, string>>>;
  readonly clock: Clock;
  /** Resolves after so many milliseconds, or when `signal` aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<unknown>;
  /** Resolves when somebody has seen enough of a watch. */
  readonly interrupted: () => Promise<unknown>;
}

/** What the flags come to. */
export interface Told {
  readonly format: LocksFormat;
  readonly printer: LocksPrinter;
  readonly sortBy: SortKey;
  readonly failOn: readonly FindingCode[];
  readonly namespace: string | null;
}

/** Exit code where something was found that `--fail-on` names. */
export const exitFound = 3;

/** What a table has no place for. */
export function tellRest(
  rows: readonly LockRow[],
  limits: readonly string[],
  { namespace }: Told,
  stderr: Printed,
): void {
  if (rows.length === 0)
    stderr.write(namespace === null ? 'No locks found\n' : `No locks found in ${namespace} namespace.\n`);
  for (const limit of limits) stderr.write(`lockwarden: ${limit}\n`);
}

/** 3 where something was found that `failOn` names. */
export function exitCodeFor(rows: readonly LockRow[], { failOn }: Told): number {
  return rows.some(({ findings }) => findings.some(({ code }) => failOn.includes(code))) ? exitFound : 0;
}
