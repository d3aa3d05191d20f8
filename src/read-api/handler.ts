/**
 * The read API over HTTP. Everything is refused before anything is looked up: first what costs nothing (method, size, rate, path), then who it is,
 * then what is asked for, then whether they may. Plain node:http: there are two paths, and express would answer errors in its own way.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { MonotonicMs } from '../core/time.ts';
import { Allowance } from '../review/allowance.ts';
import type { Log } from '../review/logger.ts';
import { askOf, resourceAt, type Ask, type ReadResource } from './ask.ts';
import type { Caller, Doorkeeper } from './doorkeeper.ts';
import type { ReadLimits } from './limits.ts';
import { pageOf, type ReadSources } from './pages.ts';
import { statusOf, tooManyRequests, type Refusal } from './refusal.ts';
import { Seal } from './seal.ts';
import type { Streams } from './streams.ts';

/** What the handler needs. */
export interface ReadHandlerOptions {
  readonly doorkeeper: Pick<Doorkeeper, 'whoIs' | 'mayThey'>;
  readonly sources: ReadSources;
  readonly streams: Pick<Streams, 'whyFull' | 'begin'>;
  readonly limits: ReadLimits;
  readonly monotonicNow: () => MonotonicMs;
  readonly log: Log;
  /** Counts an answer. `other`: a path that there is not. */
  readonly onAnswer: (resource: ReadResource | 'other', code: number) => void;
}

/** LIMIT: a page of locks looks at all that are known: measured 20 ms where there are 100,000, and a page of 500 rejections 1 ms. */
const costs: Readonly<Record<ReadResource, number>> = { rejections: 1, locks: 10 };

/** Answers. */
export function createReadHandler(options: ReadHandlerOptions): RequestListener {
  const handler = new ReadHandler(options);
  return (request, response) => {
    void handler.serve(request, response);
  };
}

class ReadHandler {
  readonly #options: ReadHandlerOptions;
  readonly #seal = new Seal();
  readonly #all: Allowance;
  readonly #ofConnections = new WeakMap<Socket, Allowance>();

  constructor(options: ReadHandlerOptions) {
    this.#options = options;
    this.#all = new Allowance(options.limits.inAll);
  }

  /** Answers one request. Never rejects. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = '', query = ''] = (request.url ?? '').split(/\?(.*)/s, 2);
    const resource = resourceAt(path);
    // NB: a reset after the answer must not end the process.
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    try {
      const refusal =
        this.#early(request, response, resource) ?? (await this.#answer(request, response, resource, query));
      if (refusal !== null) this.#refuse(response, resource, refusal);
    } catch (error) {
      this.#options.log.error({ err: error }, 'read request failed');
      if (response.headersSent) response.destroy();
      else
        this.#refuse(response, resource, { code: 500, reason: 'InternalError', message: 'internal error' });
    }
  }

  /** What can be refused without knowing who it is. */
  #early(request: IncomingMessage, response: ServerResponse, resource: ReadResource | null): Refusal | null {
    const { limits } = this.#options;
    const { 'content-length': length = '0', 'transfer-encoding': coding } = request.headers;
    if (coding !== undefined || length !== '0') {
      // What is sent is not read; the connection ends with the answer.
      response.shouldKeepAlive = false;
      return { code: 413, reason: 'RequestEntityTooLarge', message: 'no request has a body' };
    }
    if ((request.url ?? '').length > limits.targetLengthMax)
      return { code: 414, reason: 'RequestURITooLong', message: 'the path with its query is too long' };
    if (!this.#isInRate(request.socket, resource)) return tooManyRequests;
    if (request.method !== 'GET') {
      response.setHeader('Allow', 'GET');
      return { code: 405, reason: 'MethodNotAllowed', message: 'only GET is served' };
    }
    return resource === null
      ? { code: 404, reason: 'NotFound', message: 'there is nothing at this path' }
      : null;
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    resource: ReadResource | null,
    query: string,
  ): Promise<Refusal | null> {
    if (resource === null) return null;
    const { doorkeeper, streams } = this.#options;
    const { authorization } = request.headers;
    // NB: Node takes the first of several, and joins none; two are a trick in any case.
    const headers = request.headersDistinct['authorization'] ?? [];
    const who = await doorkeeper.whoIs(headers.length > 1 ? undefined : authorization);
    if (!who.ok) return who.refusal;
    const ask = askOf(resource, query);
    if ('code' in ask) return ask;
    const may = await doorkeeper.mayThey(who.caller, ask);
    if (!may.ok) return may.refusal;
    if (response.destroyed) return null;
    if (ask.verb === 'list') return this.#list(response, ask);
    const full = streams.whyFull(who.caller);
    if (full === null) this.#watch(response, ask, who.caller, authorization);
    return full;
  }

  #list(response: ServerResponse, ask: Ask): Refusal | null {
    const { sources, limits, onAnswer } = this.#options;
    const page = pageOf(ask, sources, this.#seal);
    if (!page.ok) return page.refusal;
    const body = JSON.stringify(page.list);
    // A reader that takes nothing holds a page in memory.
    response.setTimeout(limits.stalledMs, () => response.destroy());
    response.writeHead(200, headersFor('application/json', body)).end(body);
    onAnswer(ask.resource, 200);
    return null;
  }

  #watch(response: ServerResponse, ask: Ask, caller: Caller, authorization: string | undefined): void {
    const { doorkeeper, streams, onAnswer } = this.#options;
    response.writeHead(200, headersFor('application/jsonl'));
    response.flushHeaders();
    onAnswer(ask.resource, 200);
    streams.begin(response, ask, caller, async () => {
      const who = await doorkeeper.whoIs(authorization);
      if (!who.ok) return who.refusal;
      const may = await doorkeeper.mayThey(who.caller, ask);
      return may.ok ? null : may.refusal;
    });
  }

  #isInRate(socket: Socket, resource: ReadResource | null): boolean {
    const { limits, monotonicNow } = this.#options;
    const now = monotonicNow();
    const own = this.#ofConnections.get(socket) ?? new Allowance(limits.perConnection);
    this.#ofConnections.set(socket, own);
    const cost = resource === null ? 1 : costs[resource];
    return own.take(now, cost) && this.#all.take(now, cost);
  }

  #refuse(response: ServerResponse, resource: ReadResource | null, refusal: Refusal): void {
    const body = JSON.stringify(statusOf(refusal));
    const { code, retryAfterSeconds } = refusal;
    if (code === 401) response.setHeader('WWW-Authenticate', 'Bearer realm="lockwarden"');
    if (retryAfterSeconds !== undefined) response.setHeader('Retry-After', String(retryAfterSeconds));
    response.writeHead(code, headersFor('application/json', body)).end(body);
    this.#options.onAnswer(resource ?? 'other', code);
  }
}

/** INVARIANT: kept by no cache, and read by no page of another origin. */
function headersFor(contentType: string, body?: string): Record<string, string | number> {
  return {
    'Content-Type': contentType,
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...(body !== undefined && { 'Content-Length': Buffer.byteLength(body) }),
  };
}
