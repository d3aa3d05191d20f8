/** Every bound of the read API in one place, each with where its number comes from. */
import type { AllowanceLimits } from '../review/allowance.ts';
import type { ConnectionLimits } from '../server/limits.ts';

/** Bounds on requests, on what is remembered of callers, and on streams. Times in milliseconds. */
export interface ReadLimits {
  /** Longest path with query, in characters. */
  readonly targetLengthMax: number;
  /** Longest token, in characters. */
  readonly tokenLengthMax: number;
  /** Requests a second in the long run, and at once: of one connection, and of all together. */
  readonly perConnection: AllowanceLimits;
  readonly inAll: AllowanceLimits;
  /** How long a yes of the API server counts, and a no. */
  readonly yesMs: number;
  readonly noMs: number;
  /** Answers of the API server that are remembered, of each kind. */
  readonly rememberedMax: number;
  /** Reviews that are under way at the API server at once. */
  readonly reviewsInFlightMax: number;
  readonly reviewTimeoutMs: number;
  /** How long the cluster's keys count, and how often they are asked for again because of a key that is not among them. */
  readonly keysMs: number;
  readonly keysCooldownMs: number;
  readonly streamsMax: number;
  readonly streamsPerUserMax: number;
  /** How long a stream lives at most. */
  readonly streamMs: number;
  /** How often a stream's caller is asked about again. */
  readonly reauthoriseMs: number;
  readonly heartbeatMs: number;
  /** How long a reader may take nothing, and how many changes may wait for one that is slow. */
  readonly stalledMs: number;
  readonly waitingMax: number;
}

/** The limits in production. */
export const readLimits: ReadLimits = {
  // LIMIT: the longest namespace, a continue token and the names of all parameters are below 1 KiB.
  targetLengthMax: 2_048,
  // LIMIT: a ServiceAccount's token is 1 to 2 KiB; Node takes 16 KiB of headers in all.
  tokenLengthMax: 8_192,
  // LIMIT: a client reads a few pages a second. What all may ask together costs the process, which has reviews to answer, a tenth of its time:
  // verifying a token takes 0.15 ms, a page of 500 records 1 ms, and pages of locks count as ten.
  perConnection: { perSecond: 10, burst: 20 },
  inAll: { perSecond: 50, burst: 100 },
  // LIMIT: a right that is taken away is gone within 60 s, from streams too: an answer may be this old when a stream is looked at, the next look
  // comes `reauthoriseMs` and a second later, and its two questions take `reviewTimeoutMs` each at most.
  yesMs: 20_000,
  // LIMIT: whoever was just given a right does not wait long for it, and whoever has none asks the API server every five seconds at most.
  noMs: 5_000,
  // LIMIT: a few hundred bytes each; INVARIANT: only what the API server was asked about is kept, and only tokens that it has signed get there.
  rememberedMax: 1_000,
  // LIMIT: a TokenReview takes an API server some milliseconds; API priority and fairness would queue more.
  reviewsInFlightMax: 16,
  reviewTimeoutMs: 5_000,
  // LIMIT: as long as the API server lets its answer be kept is an hour; a key that was taken away should go sooner.
  keysMs: 300_000,
  keysCooldownMs: 30_000,
  // LIMIT: one for each person who looks on; a stream is looked at and written to each second.
  streamsMax: 32,
  streamsPerUserMax: 4,
  // LIMIT: as the API server ends watches, and below the life of most tokens.
  streamMs: 1_800_000,
  reauthoriseMs: 25_000,
  // LIMIT: below the 60 s after which load balancers forget a silent connection.
  heartbeatMs: 15_000,
  stalledMs: 10_000,
  // LIMIT: as many as are kept at all.
  waitingMax: 1_000,
};

/** Bounds on connections to the read port. */
export const readConnectionLimits: ConnectionLimits = {
  keepAliveTimeoutMs: 30_000,
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  handshakeTimeoutMs: 5_000,
  checkIntervalMs: 1_000,
  // LIMIT: twice the streams.
  connectionsMax: 64,
};
