/**
 * What a replica tells of its decisions: each violation and each change of holder once, by one record, in the log, as an Event on the
 * lock and to whoever else listens. A decision costs it a record and an entry in a map, after the answer.
 */
import type { Decision } from '../core/decision.ts';
import type { LockWrite } from '../core/lock.ts';
import type { Enforcement } from '../core/reasons.ts';
import type { Logger, MonotonicClock } from '../kube/ports.ts';
import type { Happening } from '../kube/event.ts';
import { ChangePace, type ChangeLimits } from '../review/change-limits.ts';
import { Folding, type FoldingLimits } from '../review/folding.ts';
import { changeMessage, changeRecord, recordMessages, rejectionRecord } from '../review/record.ts';
import type { RejectionRecord } from '../review/record-schema.ts';
import { happeningOf } from './happening.ts';

/** What is not told of. */
export type Untold = 'violation' | 'change';

/** What the teller needs. */
export interface GuardReviewsOptions {
  /** Name of the replica. */
  readonly instance: string;
  readonly clock: MonotonicClock;
  /** Unix milliseconds; the API server's time where it is known. */
  readonly nowMs: () => number;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Tells of a happening as so many. Must neither throw nor wait. */
  readonly recordEvent: (happening: Happening, times: number) => void;
  /** Counts a refusal for the policy in whose name it was made. */
  readonly countRejection: (policy: string) => void;
  /** Called for each violation, or change of holder, that only metrics tell of. */
  readonly onDrop: (what: Untold) => void;
  /** Whoever else is told of each record, as the log is. Must neither throw nor wait. */
  readonly onRecord?: (record: RejectionRecord) => void;
  readonly foldingLimits?: FoldingLimits;
  readonly changeLimits?: ChangeLimits;
}

/** LIMIT: lines that were folded are half a minute late or so anyway. */
const tickMs = 1_000;

/** A refusal is what somebody may be woken for; what passed is for those who look. */
const levels: Readonly<Record<Enforcement, 'warn' | 'info'>> = { Deny: 'warn', Warn: 'info', Audit: 'info' };

/** The teller. No method throws. */
export class GuardReviews {
  readonly #options: GuardReviewsOptions;
  readonly #folding: Folding;
  readonly #changes: ChangePace;
  #ticking: NodeJS.Timeout | null = null;

  constructor(options: GuardReviewsOptions) {
    this.#options = options;
    this.#folding = new Folding(options.foldingLimits);
    this.#changes = new ChangePace(options.changeLimits);
  }

  /** Begins to tell of what was folded. */
  start(): void {
    this.#ticking ??= setInterval(() => {
      this.tick();
    }, tickMs).unref();
  }

  /** Tells of what is left. */
  stop(): void {
    if (this.#ticking !== null) clearInterval(this.#ticking);
    this.#ticking = null;
    for (const record of this.#folding.flush()) this.#tell(record);
  }

  /** Tells of what was folded and is due. */
  tick(): void {
    for (const record of this.#folding.due(this.#options.clock.monotonicMs())) this.#tell(record);
  }

  /** Takes in a decision, by the UID of its review. */
  judged(write: LockWrite, decision: Decision, reviewUid: string): void {
    const { instance, nowMs, clock, countRejection, onDrop } = this.#options;
    const now = clock.monotonicMs();
    const judged = { reviewUid, instance, atMs: nowMs() };
    if (decision.outcome === 'Deny') countRejection(decision.policy);
    const record = rejectionRecord(write, decision, judged);
    if (record !== null) {
      const folded = this.#folding.add(record, now);
      if (folded === 'new') this.#tell(record);
      else if (folded === 'dropped') onDrop('violation');
    }
    const change = changeRecord(write, decision, judged);
    if (change === null) return;
    // NB: of the record, whose texts are bounded whatever the review held.
    const { lockKind, namespace, name } = change;
    if (this.#changes.may(JSON.stringify([lockKind, namespace, name]), now))
      this.#options.log.info(change, changeMessage);
    else onDrop('change');
  }

  #tell(record: RejectionRecord): void {
    const { log, recordEvent, onRecord } = this.#options;
    log[levels[record.enforcement]](record, recordMessages[record.enforcement]);
    // A dry run must leave nothing behind in the cluster.
    if (!record.dryRun) recordEvent(happeningOf(record), record.count);
    onRecord?.(record);
  }
}
