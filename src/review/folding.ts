/**
 * Tells of the first write of its kind at once and of those that follow in numbers, less and less often, so that a client in a
 * loop fills neither a log nor a disk nor the API server's store. Pure: the caller brings the time and asks what is due.
 */
import type { MonotonicMs } from '../core/time.ts';
import { Allowance } from './allowance.ts';
import type { RejectionRecord } from './record-schema.ts';

/** Bounds of a folding. */
export interface FoldingLimits {
  /** How many kinds of write are kept in all, and of one lock. */
  readonly seriesMax: number;
  readonly perLockMax: number;
  /** First writes that are told of at once after a pause, and for ever. */
  readonly burst: number;
  readonly perSecond: number;
}

/**
 * LIMIT: a record has at most 6 KiB, so 1,000 of them take 6 MiB; one lock has few candidates that are wrong at a time; ten lines a
 * second are 36 MB an hour at the very worst, and half of the Events that an API server takes without noticing.
 */
export const foldingLimits: FoldingLimits = { seriesMax: 1_000, perLockMax: 16, burst: 500, perSecond: 10 };

/** LIMIT: the second line after ten seconds, so that a loop is seen as one while it lasts; then half as often each time. */
const retellMs = 10_000;
/** LIMIT: shorter than the six minutes for which an Event takes what happens again as the same. */
const retellMaxMs = 300_000;
/** LIMIT: who comes back after that is a new story. */
const forgetMs = 2 * retellMaxMs;

interface Kept {
  readonly lock: string;
  readonly first: RejectionRecord;
  /** Writes that are not told of yet, and when the first and the last of them were judged. */
  untold: number;
  untoldFrom: string;
  lastSeen: string;
  seenAt: MonotonicMs;
  dueAt: number;
  intervalMs: number;
}

/** What becomes of a record: to be told now, kept for later, or lost for want of room. */
export type Folded = 'new' | 'folded' | 'dropped';

/** Folds records of writes that differ in nothing but their moment. */
export class Folding {
  readonly #limits: FoldingLimits;
  readonly #allowance: Allowance;
  /** NB: left in the order in which they began. To put each behind the others would make a small map anew every few writes (docs/performance.md). */
  readonly #kept = new Map<string, Kept>();
  readonly #perLock = new Map<string, number>();

  constructor(limits: FoldingLimits = foldingLimits) {
    this.#limits = limits;
    this.#allowance = new Allowance(limits);
  }

  /** How many kinds of write are kept. */
  get size(): number {
    return this.#kept.size;
  }

  /** Takes in the record of one write, judged `now`. */
  add(record: RejectionRecord, now: MonotonicMs): Folded {
    const key = keyOf(record);
    const known = this.#kept.get(key);
    if (known === undefined) return this.#begin(key, record, now);
    if (known.untold === 0) known.untoldFrom = record.firstSeen;
    known.untold += record.count;
    known.lastSeen = record.lastSeen;
    known.seenAt = now;
    return 'folded';
  }

  /** What is to be told `now`: each stands for `count` further writes of a kind, and has the `reviewUid` of the first of all. */
  due(now: MonotonicMs): readonly RejectionRecord[] {
    const told: RejectionRecord[] = [];
    for (const [key, kept] of this.#kept) {
      if (kept.untold > 0 && now >= kept.dueAt) {
        told.push(tell(kept));
        kept.intervalMs = Math.min(retellMaxMs, kept.intervalMs * 2);
        kept.dueAt = now + kept.intervalMs;
      } else if (kept.untold === 0 && now - kept.seenAt >= forgetMs) this.#forget(key, kept);
    }
    return told;
  }

  /** All that is not told yet, for the end of a process. */
  flush(): readonly RejectionRecord[] {
    const untold = [...this.#kept.values()].filter((kept) => kept.untold > 0);
    return untold.map((kept) => tell(kept));
  }

  #begin(key: string, record: RejectionRecord, now: MonotonicMs): Folded {
    const lock = JSON.stringify([record.lockKind, record.namespace, record.name]);
    const ofLock = this.#perLock.get(lock) ?? 0;
    if (ofLock >= this.#limits.perLockMax || !this.#hasRoom() || !this.#allowance.take(now)) return 'dropped';
    this.#perLock.set(lock, ofLock + 1);
    this.#kept.set(key, {
      ...{ lock, first: record, untold: 0, untoldFrom: record.firstSeen, lastSeen: record.lastSeen },
      ...{ seenAt: now, dueAt: now + retellMs, intervalMs: retellMs },
    });
    return 'new';
  }

  /** Makes room by what is told and was seen longest ago. */
  #hasRoom(): boolean {
    if (this.#kept.size < this.#limits.seriesMax) return true;
    const told = [...this.#kept].filter(([, { untold }]) => untold === 0);
    const [quietest] = told.sort(([, a], [, b]) => a.seenAt - b.seenAt);
    if (quietest === undefined) return false;
    this.#forget(...quietest);
    return true;
  }

  #forget(key: string, { lock }: Kept): void {
    this.#kept.delete(key);
    const left = (this.#perLock.get(lock) ?? 1) - 1;
    if (left === 0) this.#perLock.delete(lock);
    else this.#perLock.set(lock, left);
  }
}

function tell(kept: Kept): RejectionRecord {
  const { first, untold: count, untoldFrom: firstSeen, lastSeen } = kept;
  kept.untold = 0;
  return { ...first, count, firstSeen, lastSeen };
}

/** Who did what to which lock. The moment, the review and what was left of the lease differ with every attempt. */
function keyOf(record: RejectionRecord): string {
  const { lockKind, namespace, name, lockUid, operation, transition, enforcement, rule, reason } = record;
  const { policy, holder, wouldBeHolder, requester, podUid, dryRun } = record;
  return JSON.stringify([
    ...[lockKind, namespace, name, lockUid, operation, transition, enforcement, rule, reason],
    ...[policy, holder, wouldBeHolder, requester, podUid, dryRun],
  ]);
}
