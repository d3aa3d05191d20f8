/**
 * One live stream of rejections: first those that there are, then each that is new or has grown, a JSON object a line, as watches of the
 * API server have them. It writes no faster than its reader reads; what waits for a slow one is bounded, and then it is cut off.
 */
import type { MonotonicMs } from '../core/time.ts';
import type { RecentRejection } from '../review/recent.ts';
import type { ReadLimits } from './limits.ts';
import { reviewVersion } from './pages.ts';
import { statusOf, type Refusal } from './refusal.ts';

/** Where lines go: an HTTP response. */
export interface LineSink {
  /** False: nothing more should be written until `drain`. */
  write(text: string): boolean;
  on(event: 'drain' | 'close', listener: () => void): unknown;
  end(): unknown;
  /** Ends without waiting for what is still to be sent. */
  destroy(): unknown;
}

/** What a stream needs. */
export interface StreamOptions {
  readonly replica: string;
  readonly limits: Pick<ReadLimits, 'heartbeatMs' | 'reauthoriseMs' | 'stalledMs' | 'waitingMax'>;
  /** What there is already, the oldest first. */
  readonly first: readonly RecentRejection[];
  readonly startedAt: MonotonicMs;
  /** When it ends in any case. */
  readonly endsAt: number;
  /** Whether its caller may still read; a refusal where not. Never rejects. */
  readonly reauthorise: () => Promise<Refusal | null>;
  readonly onEnd: () => void;
}

type Line = readonly ['ADDED' | 'MODIFIED', RecentRejection];

/** A stream; `tick` it about once a second. */
export class RejectionStream {
  readonly #sink: LineSink;
  readonly #options: StreamOptions;
  readonly #waiting: Line[];
  /** Whether the reader has been told that it now has what there was. */
  #caughtUp = false;
  #blockedAt: MonotonicMs | null = null;
  #now: MonotonicMs;
  #wroteAt: MonotonicMs;
  #authorisedAt: MonotonicMs;
  #asking = false;
  #ended = false;

  constructor(sink: LineSink, options: StreamOptions) {
    this.#sink = sink;
    this.#options = options;
    this.#waiting = options.first.map((each) => ['ADDED', each]);
    this.#now = options.startedAt;
    this.#wroteAt = options.startedAt;
    this.#authorisedAt = options.startedAt;
    sink.on('drain', () => {
      this.#blockedAt = null;
      this.#pump();
    });
    sink.on('close', () => {
      this.#finish();
    });
    this.#pump();
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** A group that is new or has grown, to be written with the next `flush`. INVARIANT: of what the stream is for; whoever calls has looked. */
  told(rejection: RecentRejection, kind: 'added' | 'modified'): void {
    if (this.#ended) return;
    const { waitingMax } = this.#options.limits;
    const { sequence } = rejection;
    const known = this.#waiting.findIndex(([, { sequence: each }]) => each === sequence);
    // What has not been written yet is brought up to date in its place, so that a group takes one place however fast it grows.
    const waiting = this.#waiting[known];
    if (waiting !== undefined) this.#waiting[known] = [waiting[0], rejection];
    else if (this.#waiting.length >= waitingMax) this.#cut();
    else this.#waiting.push([kind === 'added' ? 'ADDED' : 'MODIFIED', rejection]);
  }

  /** Writes what waits, as far as the reader takes it. */
  flush(): void {
    this.#pump();
  }

  /** What is due by now: a heartbeat, a look at the caller's rights, the end. */
  tick(now: MonotonicMs): void {
    this.#now = now;
    if (this.#ended) return;
    const { limits, endsAt } = this.#options;
    if (this.#blockedAt !== null && now - this.#blockedAt >= limits.stalledMs) this.#cut();
    else if (now >= endsAt) this.close(null);
    else if (now - this.#authorisedAt >= limits.reauthoriseMs) void this.#reauthorise();
    if (now - this.#wroteAt >= limits.heartbeatMs) this.#bookmark();
  }

  /** Ends it in good order, with the reason as its last line; at once where its reader takes nothing. */
  close(refusal: Refusal | null): void {
    if (this.#ended) return;
    if (this.#blockedAt !== null) {
      this.#cut();
      return;
    }
    if (refusal !== null) this.#write({ type: 'ERROR', object: statusOf(refusal) });
    this.#finish();
    this.#sink.end();
  }

  async #reauthorise(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    const askedAt = this.#now;
    const refusal = await this.#options.reauthorise();
    this.#asking = false;
    if (refusal !== null) this.close(refusal);
    else this.#authorisedAt = askedAt;
  }

  #pump(): void {
    while (!this.#ended && this.#blockedAt === null) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#write({ type: next[0], object: next[1].record });
    }
    if (this.#caughtUp || this.#ended || this.#waiting.length > 0) return;
    this.#caughtUp = true;
    this.#bookmark();
  }

  /** Says that the reader has everything up to now. */
  #bookmark(): void {
    if (this.#ended || this.#blockedAt !== null) return;
    const { replica } = this.#options;
    this.#write({ type: 'BOOKMARK', object: { kind: 'Rejection', apiVersion: reviewVersion, replica } });
  }

  #write(line: object): void {
    this.#wroteAt = this.#now;
    if (!this.#sink.write(`${JSON.stringify(line)}\n`)) this.#blockedAt = this.#now;
  }

  /** NB: an orderly end would wait for the very reader that takes nothing. */
  #cut(): void {
    this.#finish();
    this.#sink.destroy();
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#waiting.length = 0;
    this.#options.onEnd();
  }
}
