/** Rows beside each other: in which order, and which of them differ. */
import { keyOf, type LockRow } from './report.ts';

/** What rows can be sorted by; `age`: the longest without a renewal first, `changes` and `findings`: the most first. */
export const sortKeys = ['name', 'age', 'lease', 'changes', 'findings'] as const;

export type SortKey = (typeof sortKeys)[number];

const orders: Readonly<Record<SortKey, (row: LockRow) => number>> = {
  name: () => 0,
  age: ({ renewedAgoMs }) => -(renewedAgoMs?.min ?? -1),
  lease: ({ leaseDurationMs }) => leaseDurationMs ?? Infinity,
  changes: ({ transitions }) => -(transitions ?? -1),
  findings: ({ findings }) => -findings.filter(({ code }) => code !== 'unguarded').length,
};

/** Sorted; those that are equal keep their order. */
export function sorted(rows: readonly LockRow[], by: SortKey): readonly LockRow[] {
  const order = orders[by];
  return rows.toSorted((a, b) => {
    const [first, second] = [order(a), order(b)];
    return first === second ? 0 : first < second ? -1 : 1;
  });
}

/** Whether nothing has changed that somebody who watches wants to see: a renewal is no change, and a lease that has just run out is no finding yet. */
export function sameShown(a: LockRow, b: LockRow): boolean {
  return shown(a) === shown(b);
}

function shown(row: LockRow): string {
  const { holder, pod, leaseDurationMs, transitions, policies, enforcement, findings } = row;
  const codes = findings.map(({ code }) => code);
  return JSON.stringify([
    keyOf(row),
    holder,
    pod,
    leaseDurationMs,
    transitions,
    policies,
    enforcement,
    codes,
  ]);
}
