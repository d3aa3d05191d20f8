/** All live streams of a replica: how many there may be, what each is told, and their heartbeat. */
import type { MonotonicMs } from '../core/time.ts';
import type { RecentRejection, RecentRejections } from '../review/recent.ts';
import type { Ask } from './ask.ts';
import type { Caller } from './doorkeeper.ts';
import type { ReadLimits } from './limits.ts';
import { tooManyRequests, unavailable, type Refusal } from './refusal.ts';
import { RejectionStream, type LineSink } from './rejection-stream.ts';

/** What streams need. */
export interface StreamsOptions {
  readonly replica: string;
  readonly limits: ReadLimits;
  readonly recent: RecentRejections;
  readonly monotonicNow: () => MonotonicMs;
  /** The API server's time, or the best that is known of it. */
  readonly nowMs: () => number;
  /** Called with how many there are. */
  readonly onCount: (count: number) => void;
}

interface Open {
  readonly stream: RejectionStream;
  readonly username: string;
  readonly namespace: string | null;
}

/** LIMIT: heartbeats and ends are a matter of seconds. */
const tickMs = 1_000;

/** The streams. */
export class Streams {
  readonly #options: StreamsOptions;
  readonly #open = new Set<Open>();
  #ticking: NodeJS.Timeout | null = null;
  #unsubscribe: (() => void) | null = null;
  #flushing = false;
  #closed = false;

  constructor(options: StreamsOptions) {
    this.#options = options;
  }

  /** Why there is no room for one more stream of this caller; null: there is. */
  whyFull({ user: { username } }: Caller): Refusal | null {
    const { streamsMax, streamsPerUserMax } = this.#options.limits;
    const own = [...this.#open].filter((each) => each.username === username).length;
    if (this.#closed) return unavailable;
    return this.#open.size >= streamsMax || own >= streamsPerUserMax ? tooManyRequests : null;
  }

  /** Begins a stream. INVARIANT: its caller has been let in for the namespace of the ask, and there is room. */
  begin(
    sink: LineSink,
    { namespace, sinceMs }: Ask,
    caller: Caller,
    reauthorise: () => Promise<Refusal | null>,
  ): void {
    const { replica, limits, recent, monotonicNow, nowMs, onCount } = this.#options;
    const startedAt = monotonicNow();
    // Not a moment longer than the token that it was begun with.
    const lifeMs = Math.min(limits.streamMs, caller.expiresMs - nowMs());
    const { rejections } = recent.list({ namespace, sinceMs, before: null, limit: Infinity });
    let open: Open | null = null;
    const onEnd = (): void => {
      if (open !== null) this.#open.delete(open);
      onCount(this.#open.size);
      if (this.#open.size === 0) this.#rest();
    };
    const stream = new RejectionStream(sink, {
      replica,
      limits,
      first: rejections.toReversed(),
      startedAt,
      endsAt: startedAt + lifeMs,
      reauthorise,
      onEnd,
    });
    if (stream.ended) return;
    open = { stream, username: caller.user.username, namespace };
    this.#open.add(open);
    onCount(this.#open.size);
    this.#work();
  }

  /** Ends all, and lets none begin. */
  close(): void {
    this.#closed = true;
    for (const { stream } of [...this.#open]) stream.close(unavailable);
  }

  #work(): void {
    this.#unsubscribe ??= this.#options.recent.subscribe((rejection, kind) => {
      this.#told(rejection, kind);
    });
    this.#ticking ??= setInterval(() => {
      for (const { stream } of [...this.#open]) stream.tick(this.#options.monotonicNow());
    }, tickMs).unref();
  }

  #rest(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = null;
    if (this.#ticking !== null) clearInterval(this.#ticking);
    this.#ticking = null;
  }

  /** INVARIANT: a stream is told of its own namespace and no other. NB: nothing is written here, where a review waits for its answer. */
  #told(rejection: RecentRejection, kind: 'added' | 'modified'): void {
    for (const { stream, namespace } of this.#open) {
      if (namespace === null || namespace === rejection.record.namespace) stream.told(rejection, kind);
    }
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      for (const { stream } of [...this.#open]) stream.flush();
    });
  }
}
