/**
 * Who held a lock when, as far as logs tell: changes of holder say from when and until when, refusals bear witness of who held
 * it at that moment. What nobody wrote down is unknown, and never guessed.
 */
import { lockKey, type Change, type Entry, type LockName, type Rejection } from './entry.ts';
import { grouped } from './rejections.ts';

/** A stretch of time. `unknown`: a change of holder passed that no line tells of. */
export interface Span {
  readonly kind: 'held' | 'free' | 'unknown';
  /** Null unless it is held. */
  readonly holder: string | null;
  readonly fromMs: number;
  readonly toMs: number;
  /** Whether it began, or ended, just then; else it was so at least from, or until, then. */
  readonly isFromKnown: boolean;
  readonly isToKnown: boolean;
  /** Who took it (or gave it up), where a line tells. */
  readonly pod: string | null;
  readonly requester: string | null;
}

/** A lock's history. Times in Unix milliseconds. */
export interface Timeline {
  readonly lock: LockName;
  readonly fromMs: number;
  readonly toMs: number;
  /** One after another, without holes, by time. */
  readonly spans: readonly Span[];
  readonly rejections: readonly Rejection[];
}

/** From when to when it is asked for; null: as far as the logs tell. */
export interface TimelineBounds {
  readonly fromMs: number | null;
  readonly toMs: number | null;
}

/** LIMIT: the usual lease; a drawing of less shows nothing. */
const marginMinMs = 15_000;
const marginPart = 0.04;

/** The history of `lock`, or null when no entry tells of it. */
export function timelineOf(
  lock: LockName,
  entries: readonly Entry[],
  bounds: TimelineBounds,
): Timeline | null {
  const own = entries.filter(({ record }) => lockKey(record) === lockKey(lock));
  if (own.length === 0) return null;
  // NB: `Math.min(...list)` overflows the stack for long lists.
  const first = own.reduce((ms, { atMs }) => Math.min(ms, atMs), Infinity);
  const last = own.reduce((ms, { lastMs }) => Math.max(ms, lastMs), -Infinity);
  const margin = Math.max(marginMinMs, Math.round((last - first) * marginPart));
  const fromMs = bounds.fromMs ?? first - margin;
  const toMs = Math.max(fromMs + 1, bounds.toMs ?? last + margin);
  const holding = new Holding(fromMs, toMs);
  for (const step of stepsOf(own)) holding.take(step);
  return { lock, fromMs, toMs, spans: holding.spans(), rejections: grouped(own.filter(isRejection)) };
}

/** The span in which `atMs` lies, or the last one that began before it; null before the first. */
export function spanAt({ spans }: Timeline, atMs: number): Span | null {
  return spans.findLast((span) => span.fromMs <= atMs) ?? null;
}

interface Step {
  readonly atMs: number;
  /** Who held it until then, and who from then on; the same for a witness. */
  readonly before: string | null;
  readonly after: string | null;
  readonly isChange: boolean;
  readonly pod: string | null;
  readonly requester: string;
}

function isRejection(entry: Entry): entry is Rejection {
  return entry.kind === 'rejection';
}

function stepsOf(entries: readonly Entry[]): readonly Step[] {
  const told = new Set(entries.filter((each) => each.kind === 'change').map((each) => each.record.reviewUid));
  return entries
    .flatMap((entry) => (entry.kind === 'change' ? [changeStep(entry)] : stepsOfRejection(entry, told)))
    .sort((a, b) => a.atMs - b.atMs);
}

function changeStep({ atMs, record }: Change): Step {
  const { holder: before, newHolder: after, pod, requester } = record;
  return { atMs, before, after, isChange: true, pod, requester };
}

/** Clauses about a deleted lock: the holder that is named does not hold it any more. */
const afterDeletion: readonly string[] = ['C3', 'U3'];
const handing: readonly string[] = ['create-held', 'acquire', 'takeover', 'release', 'delete'];

/** A write that was let through with a warning or a note changed the lock, and may have a line of its own about that. */
function stepsOfRejection({ atMs, lastMs, record }: Rejection, told: ReadonlySet<string>): readonly Step[] {
  const { enforcement, transition, holder, wouldBeHolder, pod, requester, reviewUid, dryRun, rule } = record;
  const about = { pod, requester };
  if (enforcement !== 'Deny' && !dryRun && handing.includes(transition)) {
    if (told.has(reviewUid)) return [];
    return [{ atMs, before: holder, after: wouldBeHolder, isChange: true, ...about }];
  }
  if (afterDeletion.includes(rule)) return [];
  const times = lastMs > atMs && enforcement === 'Deny' ? [atMs, lastMs] : [atMs];
  return times.map((each) => ({ atMs: each, before: holder, after: holder, isChange: false, ...about }));
}

type Open = Pick<Span, 'holder' | 'fromMs' | 'isFromKnown' | 'pod' | 'requester'> & {
  /** When it was last told to be so. */
  seenMs: number;
};

/** Puts steps, handed in by time, together to spans. */
class Holding {
  readonly #fromMs: number;
  readonly #toMs: number;
  readonly #spans: Span[] = [];
  #open: Open | null = null;

  constructor(fromMs: number, toMs: number) {
    this.#fromMs = fromMs;
    this.#toMs = toMs;
  }

  take({ atMs, before, after, isChange, pod, requester }: Step): void {
    this.#mustBe(before, atMs);
    if (!isChange) return;
    this.#close(atMs, true);
    this.#open = { holder: after, fromMs: atMs, isFromKnown: true, seenMs: atMs, pod, requester };
  }

  /** What of the spans lies within the bounds. */
  spans(): readonly Span[] {
    this.#close(this.#toMs, false);
    return this.#spans
      .filter((span) => span.toMs >= this.#fromMs && span.fromMs <= this.#toMs)
      .map((span) => ({
        ...span,
        fromMs: Math.max(span.fromMs, this.#fromMs),
        toMs: Math.min(span.toMs, this.#toMs),
        isFromKnown: span.isFromKnown && span.fromMs >= this.#fromMs,
        isToKnown: span.isToKnown && span.toMs <= this.#toMs,
      }));
  }

  #mustBe(holder: string | null, atMs: number): void {
    const open = this.#open;
    if (open?.holder === holder) {
      open.seenMs = atMs;
      return;
    }
    const seen = { holder, isFromKnown: false, seenMs: atMs, pod: null, requester: null };
    if (open === null) {
      this.#open = { ...seen, fromMs: Math.min(this.#fromMs, atMs) };
      return;
    }
    this.#close(open.seenMs, false);
    const unknown = { kind: 'unknown', holder: null, isFromKnown: false, isToKnown: false } as const;
    this.#push({ ...unknown, fromMs: open.seenMs, toMs: atMs, pod: null, requester: null });
    this.#open = { ...seen, fromMs: atMs };
  }

  #close(toMs: number, isToKnown: boolean): void {
    if (this.#open === null) return;
    const { holder, fromMs, isFromKnown, pod, requester } = this.#open;
    const kind = holder === null ? 'free' : 'held';
    this.#push({ kind, holder, fromMs, toMs, isFromKnown, isToKnown, pod, requester });
    this.#open = null;
  }

  #push(span: Span): void {
    // NB: a holder of which only the beginning is known is there for that moment.
    if (span.toMs > span.fromMs || span.isFromKnown) this.#spans.push(span);
  }
}
