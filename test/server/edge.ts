/**
 * An edge to test against: the real application and listener on a free port of this machine, with a judge, limits and
 * certificate of the test's choice; and a client that speaks bytes, because the worst callers do.
 */
import { createServer, request as httpRequest, type IncomingHttpHeaders, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { allowed, type AdmissionReviewResponse } from '../../src/admission/response.ts';
import { systemClock } from '../../src/clock.ts';
import { createApp, type AppOptions } from '../../src/server/app.ts';
import type { Judge } from '../../src/server/deadline.ts';
import { requestLimits, type RequestLimits } from '../../src/server/limits.ts';
import { createMetrics, type Metrics } from '../../src/server/metrics.ts';

export const allowAll: Judge = (request) => Promise.resolve(allowed(request.uid));

export interface LogLine {
  readonly level: string;
  readonly fields: object;
  readonly message: string;
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The body as the AdmissionReview it has to be. */
  readonly review: AdmissionReviewResponse;
}

export interface Edge {
  readonly port: number;
  readonly server: Server;
  readonly metrics: Metrics;
  readonly lines: readonly LogLine[];
  readonly post: (
    body: string | Buffer,
    options?: { readonly headers?: Record<string, string>; readonly path?: string },
  ) => Promise<Reply>;
  readonly send: (
    method: string,
    path: string,
    headers?: Record<string, string>,
    body?: string | Buffer,
  ) => Promise<Reply>;
  /** Opens a connection, writes `bytes`, and collects what comes back. */
  readonly raw: (bytes: string) => Conversation;
  readonly malformed: (cause: string) => Promise<number>;
  readonly close: () => Promise<void>;
}

export interface Conversation {
  readonly socket: Socket;
  /** Resolves with everything received, once the other side has closed. */
  readonly ended: Promise<string>;
  /** Resolves once what was received so far satisfies `isEnough`. */
  readonly until: (isEnough: (received: string) => boolean) => Promise<string>;
}

/** Starts the application on plain HTTP: TLS is no part of what it answers. */
export async function startEdge(
  judge: Judge = allowAll,
  limits: Partial<RequestLimits> = {},
  options: Pick<AppOptions, 'closesAfter'> = {},
): Promise<Edge> {
  const metrics = createMetrics(systemClock(), { processMetrics: false });
  const lines: LogLine[] = [];
  const app = createApp({
    judge,
    limits: { ...requestLimits, lingerMs: 20, ...limits },
    clock: systemClock(),
    log: collectingLog(lines),
    metrics: metrics.edge,
    ...options,
  });
  const server = createServer(app);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const send: Edge['send'] = (method, path, headers = {}, body) =>
    exchange(port, { method, path, headers }, body);
  return {
    port,
    server,
    metrics,
    lines,
    send,
    post: (body, { headers = { 'content-type': 'application/json' }, path = '/validate' } = {}) =>
      send('POST', path, headers, body),
    raw: (bytes) => converse(connect(port, '127.0.0.1'), bytes),
    malformed: async (cause) => {
      const { values } = await metrics.edge.malformed.get();
      return values.find(({ labels }) => labels.cause === cause)?.value ?? 0;
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Writes `bytes` to `socket` and collects what comes back. */
export function converse(socket: Socket, bytes: string): Conversation {
  let received = '';
  socket.setEncoding('utf8').on('data', (data: string) => (received += data));
  socket.on('error', () => undefined);
  socket.write(bytes);
  return {
    socket,
    ended: new Promise((resolve) =>
      socket.once('close', () => {
        resolve(received);
      }),
    ),
    until: async (isEnough) => {
      while (!isEnough(received)) await once(socket, 'data');
      return received;
    },
  };
}

/** Splits what came over one connection into its HTTP answers. */
export function parseAnswers(
  received: string,
): { status: number; headers: string; review: AdmissionReviewResponse }[] {
  const answers = [];
  let rest = received;
  while (rest !== '') {
    const head = rest.slice(0, rest.indexOf('\r\n\r\n'));
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
    const body = rest.slice(head.length + 4, head.length + 4 + length);
    answers.push({
      status: Number(head.slice(9, 12)),
      headers: head.toLowerCase(),
      review: JSON.parse(body) as AdmissionReviewResponse,
    });
    rest = rest.slice(head.length + 4 + length);
  }
  return answers;
}

/** One request. Rejects also when the answer came, but the connection was reset under what was still being sent. */
function exchange(
  port: number,
  options: { method: string; path: string; headers: Record<string, string> },
  body: string | Buffer = '',
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({ ...options, port, host: '127.0.0.1', agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      outgoing.on('close', () => {
        const text = Buffer.concat(chunks).toString();
        const review = (text === '' ? {} : JSON.parse(text)) as AdmissionReviewResponse;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text, review });
      });
    });
    outgoing.on('error', reject).end(body);
  });
}

function collectingLog(lines: LogLine[]): Parameters<typeof createApp>[0]['log'] {
  const at =
    (level: string) =>
    (fields: object, message = ''): void => {
      lines.push({ level, fields, message });
    };
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') } as never;
}
