/** The read API of a replica, put together: its listener, who is let in, and what is told. Off unless it is given a port. */
import type { Clock } from '../clock.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Log } from '../review/logger.ts';
import type { RecentRejections } from '../review/recent.ts';
import { createHttpsListener, type HttpsListener, type ServedCertificate } from '../server/https.ts';
import type { EdgeMetrics } from '../server/metrics.ts';
import type { ReadApiMetrics } from '../server/read-api-metrics.ts';
import { Doorkeeper } from './doorkeeper.ts';
import { createReadHandler } from './handler.ts';
import { readConnectionLimits, readLimits, type ReadLimits } from './limits.ts';
import type { ReadSources } from './pages.ts';
import { badRequest, statusOf } from './refusal.ts';
import { Streams } from './streams.ts';

/** What the read API needs. */
export interface ReadApiOptions {
  readonly client: Pick<KubeClient, 'request'>;
  readonly recent: RecentRejections;
  readonly sources: Omit<ReadSources, 'rejections'>;
  readonly metrics: ReadApiMetrics;
  readonly edge: Pick<EdgeMetrics, 'handshakeFailures' | 'connectionsRefused'>;
  readonly clock: Clock;
  /** The API server's time, or the best that is known of it. */
  readonly nowMs: () => number;
  readonly log: Log;
  readonly limits?: ReadLimits;
}

/** LIMIT: what is being answered takes milliseconds, or an API server that does not answer. */
const graceMs = 2_000;
/** LIMIT: an API server that is away is told of by the rest of the log. */
const complainEveryMs = 60_000;

/** The API. `listen`, and `close` at the end. */
export class ReadApi {
  readonly #streams: Streams;
  readonly #listener: HttpsListener;

  constructor(options: ReadApiOptions) {
    const { client, recent, sources, metrics, edge, clock, nowMs, log, limits = readLimits } = options;
    const monotonicNow = clock.monotonicMs.bind(clock);
    this.#streams = new Streams({
      ...{ replica: sources.replica, limits, recent, monotonicNow, nowMs },
      onCount: (count) => {
        metrics.streams.set(count);
      },
    });
    const doorkeeper = new Doorkeeper({
      ...{ client, limits, monotonicNow, nowMs },
      onAuthenticated: (outcome) => {
        metrics.authentications.inc({ outcome });
      },
      onFailure: seldom(clock, (reason) => {
        log.warn({ reason }, 'read API cannot let anybody in');
      }),
    });
    const handler = createReadHandler({
      ...{ doorkeeper, limits, monotonicNow, log, streams: this.#streams },
      sources: { ...sources, rejections: recent },
      onAnswer: (resource, code) => {
        metrics.requests.inc({ resource, code: String(code) });
      },
    });
    this.#listener = createHttpsListener({
      handler,
      certificate: null,
      limits: readConnectionLimits,
      metrics: edge,
      onNoRequest: (code) => {
        metrics.requests.inc({ resource: 'other', code: String(code) });
      },
      errorBody: (code, message) => JSON.stringify({ ...statusOf(badRequest(message)), code }),
      flag: '--read-port',
    });
  }

  /** @throws LockwardenError `ListenFailed` */
  listen(port: number, host: string): Promise<number> {
    return this.#listener.listen(port, host);
  }

  /** Serves another certificate, as the webhook does. */
  reload(certificate: ServedCertificate): void {
    this.#listener.reload(certificate);
  }

  withhold(): void {
    this.#listener.withhold();
  }

  /** Ends all streams, answers what is under way, and ends. */
  async close(): Promise<void> {
    this.#streams.close();
    await this.#listener.drain({ settleMs: 0, graceMs });
  }
}

function seldom(clock: Clock, tell: (reason: string) => void): (reason: string) => void {
  let toldAt = -Infinity;
  return (reason) => {
    const now = clock.monotonicMs();
    if (now - toldAt < complainEveryMs) return;
    toldAt = now;
    tell(reason);
  };
}
