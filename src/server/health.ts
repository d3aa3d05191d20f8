/**
 * The health port: plain HTTP, for the kubelet and Prometheus, which hold no certificate. Nothing here names a lock.
 */
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';
import { listenOn } from './listen.ts';
import type { Readiness } from './readiness.ts';

/** The health port of a process. */
export interface HealthServer {
  /** @throws LockwardenError `ListenFailed` */
  listen(port: number, host: string): Promise<number>;
  /** Stops at once; may be called more than once. */
  close(): Promise<void>;
}

/** Serves `/livez`, `/readyz` and `/metrics`. */
export function createHealthServer(readiness: Readiness, registry: Registry): HealthServer {
  // LIMIT: a probe and a scrape come every few seconds from a handful of callers.
  const server = createServer({ requestTimeout: 5_000, headersTimeout: 5_000 }, route(readiness, registry));
  server.maxConnections = 64;
  return {
    listen: (port, host) => listenOn(server, port, host, '--health-port'),
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

function route(readiness: Readiness, registry: Registry): RequestListener {
  return (request, response) => {
    const [path] = (request.url ?? '').split('?', 1);
    if (request.method !== 'GET' && request.method !== 'HEAD') reply(response, 405, 'use GET\n');
    else if (path === '/livez') reply(response, 200, 'ok\n');
    else if (path === '/readyz') reply(response, readiness.ready ? 200 : 503, describe(readiness));
    else if (path === '/metrics') void sendMetrics(registry, response);
    else reply(response, 404, 'try /livez, /readyz or /metrics\n');
  };
}

/** The form of kube-apiserver's own `/readyz?verbose`; `~` is something to look at that does not count. */
function describe(readiness: Readiness): string {
  const lines = readiness.states().map(({ name, ready, why }) => `[${ready ? '+' : '-'}]${name} ${why}\n`);
  const details = readiness.details().map(({ name, fine, why }) => `[${fine ? '+' : '~'}]${name} ${why}\n`);
  return `${lines.join('')}${details.join('')}readyz check ${readiness.ready ? 'passed' : 'failed'}\n`;
}

async function sendMetrics(registry: Registry, response: ServerResponse): Promise<void> {
  try {
    const metrics = await registry.metrics();
    response.writeHead(200, { 'Content-Type': registry.contentType }).end(metrics);
  } catch {
    reply(response, 500, 'the metrics could not be collected\n');
  }
}

function reply(response: ServerResponse, status: number, text: string): void {
  response
    .writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' })
    .end(text);
}
