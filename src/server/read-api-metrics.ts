/** What the read API counts. Every label has a closed set of values: nothing that a caller sends becomes one. */
import { Counter, Gauge, type Registry } from 'prom-client';

/** Metrics of the read API. */
export interface ReadApiMetrics {
  readonly requests: Counter<'resource' | 'code'>;
  readonly authentications: Counter<'outcome'>;
  readonly streams: Gauge;
}

/** Creates the metrics on `registry`. */
export function createReadApiMetrics(registry: Registry): ReadApiMetrics {
  const registers = [registry];
  return {
    requests: new Counter({
      name: 'lockwarden_read_api_requests_total',
      help: 'Requests to the read API, by resource (rejections, locks, other) and HTTP status.',
      labelNames: ['resource', 'code'] as const,
      registers,
    }),
    authentications: new Counter({
      name: 'lockwarden_read_api_authentications_total',
      help: 'Attempts to say who one is to the read API, by outcome.',
      labelNames: ['outcome'] as const,
      registers,
    }),
    streams: new Gauge({
      name: 'lockwarden_read_api_streams',
      help: 'Live streams of the read API.',
      registers,
    }),
  };
}
