/** What was found wrong with the writes to one lock: of each kind how often, by whom, and the first in words. */
import type { Clause, Violation } from '../core/decision.ts';
import { isTimed } from '../core/expiry.ts';
import { severity, type Enforcement, type Reason } from '../core/reasons.ts';
import type { Verdict } from './judging.ts';

/** Writes to one lock that break one rule in one way. */
export interface Offence {
  readonly enforcement: Enforcement;
  readonly rule: Clause;
  readonly reason: Reason;
  readonly count: number;
  /** What the first of them would have been told. */
  readonly message: string;
  /** Who wrote, most often first: user and pod, or the field manager where the source does not show users. */
  readonly by: readonly string[];
  /** Unix milliseconds. */
  readonly firstAt: number;
  readonly lastAt: number;
  /** How many would only have met it if the holder's pod still ran then. */
  readonly onlyIfPodRan: number;
  /** By how much the earliest of them came before the end of the lease, in milliseconds; null: not about that. */
  readonly earlyMs: number | null;
}

interface Counted extends Omit<Offence, 'by'> {
  readonly by: ReadonlyMap<string, number>;
}

/** LIMIT: a table has no room for more, and who else did it is in the log once it is watched. */
const writersMax = 5;

/** Counts them. There are as many as there are rules at most. */
export class Offences {
  readonly #counted = new Map<string, Counted>();

  add(verdict: Verdict, by: string, atMs: number): void {
    for (const violation of verdict.violations) this.#add(violation, verdict, by, atMs);
  }

  /** The gravest first, then the most frequent. */
  list(): readonly Offence[] {
    return [...this.#counted.values()]
      .map((each) => ({ ...each, by: mostOften(each.by) }))
      .sort((a, b) => severity[b.enforcement] - severity[a.enforcement] || b.count - a.count);
  }

  #add(
    { enforcement, clause, reason, message }: Violation,
    verdict: Verdict,
    by: string,
    atMs: number,
  ): void {
    const key = `${enforcement} ${clause} ${reason}`;
    const known = this.#counted.get(key);
    const early = reason === 'PrematureTakeover' ? earlyBy(verdict) : null;
    const conditional = enforcement === 'Deny' && verdict.onlyIfPodRan !== null ? 1 : 0;
    const writers = new Map(known?.by);
    if (writers.has(by) || writers.size < writersMax) writers.set(by, (writers.get(by) ?? 0) + 1);
    this.#counted.set(key, {
      enforcement,
      rule: clause,
      reason,
      message: known?.message ?? message,
      count: (known?.count ?? 0) + 1,
      by: writers,
      firstAt: known?.firstAt ?? atMs,
      lastAt: atMs,
      onlyIfPodRan: (known?.onlyIfPodRan ?? 0) + conditional,
      earlyMs: known?.earlyMs == null ? early : Math.max(known.earlyMs, early ?? 0),
    });
  }
}

/** NB: by the least that is known of the lease's age, since a tolerance must cover the worst that it may have been. */
function earlyBy({ expiry }: Verdict): number | null {
  return isTimed(expiry) ? expiry.leaseDurationMs - expiry.ageMs.min : null;
}

function mostOften(by: ReadonlyMap<string, number>): readonly string[] {
  return [...by].sort(([, a], [, b]) => b - a).map(([who]) => who);
}
