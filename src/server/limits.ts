/**
 * Every bound of the HTTPS edge in one place, each with where its number comes from.
 */
import { reviewBytesMax } from '../admission/bounds.ts';

/** Bounds on one request and on all requests together. Times in milliseconds, sizes in bytes. */
export interface RequestLimits {
  /** Largest body that is read. */
  readonly bodyBytesMax: number;
  /** How long a body may take to arrive. */
  readonly bodyTimeoutMs: number;
  /** How long a judgement may take when the caller gives no shorter time. */
  readonly judgeTimeoutMs: number;
  /** Bodies that are being read or judged, together; beyond it the answer is 503 at once. */
  readonly bytesInFlightMax: number;
  /** How long what a refused caller still sends is read and dropped, so that it gets to see its answer. */
  readonly lingerMs: number;
}

/** The limits in production. */
export const requestLimits: RequestLimits = {
  bodyBytesMax: reviewBytesMax,
  // LIMIT: an API server sends a review in one go and waits `timeoutSeconds` in all: 1 or 2 as lockwarden registers
  // itself, 30 at the very most. Half a review after 5 s is a fault or an attack.
  bodyTimeoutMs: 5_000,
  // LIMIT: a judgement waits for nothing but one question to the API server, which is given 300 ms.
  judgeTimeoutMs: 1_000,
  // LIMIT: three of the largest reviews, or four thousand of the usual size.
  bytesInFlightMax: 64 * 1024 * 1024,
  lingerMs: 1_000,
};

/** LIMIT: what a request costs at least, beside its body (socket, parser, objects); a usual lock's review is 2 to 10 KiB. */
export const requestBytesMin = 16 * 1024;

/** Bounds on connections. Times in milliseconds. */
export interface ConnectionLimits {
  readonly keepAliveTimeoutMs: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
  /** How often the two request times are checked. */
  readonly checkIntervalMs: number;
  readonly connectionsMax: number;
}

/**
 * LIMIT: API servers keep idle connections for 90 s. Whoever closes first, while the other sends, fails a POST, and Go does not repeat it.
 * So the server is never the first.
 * SOURCE: https://github.com/kubernetes/apimachinery/blob/v0.36.3/pkg/util/net/http.go (SetTransportDefaults, http.DefaultTransport)
 */
const idleTimeoutMs = 120_000;

/** The limits in production. */
export const connectionLimits: ConnectionLimits = {
  keepAliveTimeoutMs: idleTimeoutMs,
  // LIMIT: no less, since a connection on which nothing was sent yet is one whose headers are under way, to node:http. Go opens a
  // connection for a request that then goes out on another, and keeps it for a later one. So headers may dawdle for as long as a
  // connection may be idle, which whoever wants to hold one can have it be as well; a review may not (`bodyTimeoutMs`).
  // SOURCE: https://github.com/golang/go/blob/go1.26.0/src/net/http/transport.go (queueForDial)
  // SOURCE: https://github.com/nodejs/node/blob/v26.12.1/src/node_http_parser.cc (Initialize, ConnectionsList::Expired)
  headersTimeoutMs: idleTimeoutMs,
  requestTimeoutMs: idleTimeoutMs,
  // LIMIT: a handshake is two round trips and a millisecond of work; API servers give up on it after 10 s.
  handshakeTimeoutMs: 10_000,
  checkIntervalMs: 1_000,
  // LIMIT: an API server handles 200 writes at a time by default, each with one call to a webhook; five of them make
  // 1,000. A connection takes some 50 KiB.
  // SOURCE: https://github.com/kubernetes/apiserver/blob/v0.36.3/pkg/server/config.go (MaxMutatingRequestsInFlight)
  connectionsMax: 1_000,
};
