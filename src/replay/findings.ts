/** What was found wrong, folded: writes that differ in nothing but when they came are one record with a count. */
import type { Enforcement } from '../core/reasons.ts';
import { together } from '../review/record.ts';
import type { RejectionRecord } from '../review/record-schema.ts';

/** A record, and what the first of its writes came from. */
export interface Finding {
  readonly record: RejectionRecord;
  /** The client as it names itself; empty where it does not. */
  readonly agent: string;
  /** The field manager under which the API server stamped it; empty where that does not show. */
  readonly manager: string;
}

/** The records, the one that has been quiet for longest of which is dropped when there are too many; the totals hold all. */
export class Findings {
  readonly #groups = new Map<string, Finding>();
  readonly #max: number;
  readonly #writes = { Deny: 0, Warn: 0, Audit: 0 };
  #dropped = 0;
  #droppedWrites = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Writes by the severest that was found in each. */
  get writes(): Readonly<Record<Enforcement, number>> {
    return this.#writes;
  }

  /** Records that were dropped for want of room, and the writes that they stood for. */
  get dropped(): { readonly records: number; readonly writes: number } {
    return { records: this.#dropped, writes: this.#droppedWrites };
  }

  add(finding: Finding): void {
    const { record } = finding;
    this.#writes[record.enforcement] += 1;
    const key = keyOf(record);
    const known = this.#groups.get(key);
    this.#groups.delete(key);
    this.#groups.set(
      key,
      known === undefined ? finding : { ...known, record: together(known.record, record) },
    );
    if (this.#groups.size > this.#max) this.#drop();
  }

  /** In the order of their first writes. */
  list(): readonly Finding[] {
    return [...this.#groups.values()].sort((a, b) => (a.record.firstSeen < b.record.firstSeen ? -1 : 1));
  }

  #drop(): void {
    for (const [quietest, { record }] of this.#groups) {
      this.#groups.delete(quietest);
      this.#dropped += 1;
      this.#droppedWrites += record.count;
      return;
    }
  }
}

function keyOf(record: RejectionRecord): string {
  const { lockKind, namespace, name, rule, reason, enforcement } = record;
  const { requester, pod, wouldBeHolder, dryRun } = record;
  return JSON.stringify([
    ...[lockKind, namespace, name, rule, reason, enforcement],
    ...[requester, pod, wouldBeHolder, dryRun],
  ]);
}
