/**
 * Requests to the API server as raw JSON.
 *
 * client-node's generated models are deliberately not used: they reduce a MicroTime to milliseconds, and a lock read
 * through them is not the lock that was written. From client-node come the kubeconfig and its credentials
 * (certificates, tokens that rotate, exec plugins, OIDC), applied anew to each request. Its fetch path builds a
 * dispatcher per request, which keeps no connection alive; so the transport is node:https with an agent of our own.
 */
import { Agent as PlainAgent, type OutgoingHttpHeaders, type RequestOptions } from 'node:http';
import { Agent as TlsAgent, type RequestOptions as TlsRequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import { errorOfStatus, errorOfTransport, KubeError } from './errors.ts';
import {
  chunksOf,
  exchange,
  readText,
  StaleConnectionError,
  type Exchange,
  type Patience,
} from './exchange.ts';

/** A request. `path` starts with a slash and is percent-encoded; `body` is sent as JSON. */
export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Default: `application/json`. */
  readonly accept?: string;
  readonly body?: unknown;
  /** Default: `application/json`; a PATCH needs one of the patch types. */
  readonly contentType?: string;
  readonly signal?: AbortSignal | undefined;
  /** For the whole answer, or for a stream its beginning. Default: `timeoutMsDefault`. */
  readonly timeoutMs?: number;
  /** Largest answer that is read, in bytes. Default: `answerBytesMax`. */
  readonly bytesMax?: number;
}

/** An answer with a 2xx status. */
export interface KubeResponse {
  readonly status: number;
  readonly body: unknown;
  /** The `Date` header in milliseconds since the Unix epoch (whole seconds), or null. */
  readonly dateMs: number | null;
  /** The texts of the `Warning` headers, which kubectl prints. */
  readonly warnings: readonly string[];
}

/** An answer that goes on, as the API server's watches do. */
export interface KubeStream {
  /** The body's bytes as they arrive; throws a KubeError when the connection breaks. */
  readonly chunks: AsyncIterable<Buffer>;
  /** Ends the exchange; `chunks` then throws `aborted`. Safe to repeat. */
  close(): void;
}

/** The one way to the API server. Every method rejects with a KubeError and nothing else. */
export interface KubeClient {
  /** The URL of the API server, for people. */
  readonly server: string;
  request(request: KubeRequest): Promise<KubeResponse>;
  stream(request: KubeRequest): Promise<KubeStream>;
  /** Closes the idle connections; requests under way are ended by their own signals. */
  close(): void;
}

/** LIMIT: below client-go's 32 s for a whole request, above the API server's usual worst second. In milliseconds. */
export const timeoutMsDefault = 10_000;
/**
 * LIMIT: etcd takes 1.5 MiB an object, and JSON writes a byte in six characters at worst (`\u003c`): one object, whatever
 * is in it, stays below 10 MiB.
 * SOURCE: https://etcd.io/docs/v3.6/dev-guide/limit/
 */
export const answerBytesMax = 10 * 1024 * 1024;
/** LIMIT: shorter than the API server's idle timeout of three minutes, so a kept connection is not closed under a request. */
const idleConnectionMs = 60_000;
/** LIMIT: as client-go: below the 60 s after which some load balancers forget a silent connection. */
const tcpKeepAliveMs = 30_000;

/** How a client presents itself. */
export interface KubeClientOptions {
  readonly userAgent?: string;
  /** Whom it acts as, instead of the user of the context, who must be allowed to. */
  readonly impersonate?: { readonly user: string; readonly groups: readonly string[] };
}

/** A client for the current context of `config`, with connections of its own. */
export function createKubeClient(config: KubeConfig, options: KubeClientOptions = {}): KubeClient {
  const server = config.getCurrentCluster()?.server ?? '';
  const base = new URL(server);
  const agentOptions = { keepAlive: true, keepAliveMsecs: tcpKeepAliveMs, timeout: idleConnectionMs };
  const agent = base.protocol === 'http:' ? new PlainAgent(agentOptions) : new TlsAgent(agentOptions);
  const own = ownHeaders(options);

  async function open(request: KubeRequest): Promise<Exchange> {
    const patience: Patience = { timeoutMs: request.timeoutMs ?? timeoutMsDefault, signal: request.signal };
    const begunMs = performance.now();
    const body = request.body === undefined ? null : JSON.stringify(request.body);
    try {
      const prepared = await within(credentials(config), patience);
      const built = requestOptions(request, base, prepared, own, body);
      // NB: a proxy of the kubeconfig needs client-node's agent, which keeps no connection alive.
      const chosen = config.getCurrentCluster()?.proxyUrl === undefined ? agent : prepared.agent;
      // What the credentials have taken is gone: the whole is to be over in time, not each part.
      const left = {
        ...patience,
        timeoutMs: Math.max(1, patience.timeoutMs - (performance.now() - begunMs)),
      };
      return await attempt({ ...built, ...(chosen === undefined ? {} : { agent: chosen }) }, body, left);
    } catch (error) {
      throw errorOfTransport(error, server);
    }
  }

  return {
    server,
    request: async (request) => {
      const opened = await open(request);
      try {
        return await readAnswer(opened, request.bytesMax ?? answerBytesMax);
      } catch (error) {
        throw errorOfTransport(error, server);
      } finally {
        opened.release();
      }
    },
    stream: async (request) => {
      const opened = await open(request);
      if (isSuccess(opened)) return streamOf(opened, server);
      try {
        await readAnswer(opened, request.bytesMax ?? answerBytesMax);
        throw new KubeError('malformed', 'the API server answered neither with success nor with an error');
      } catch (error) {
        throw errorOfTransport(error, server);
      } finally {
        opened.release();
      }
    },
    close: () => {
      agent.destroy();
    },
  };
}

/** Headers and TLS options of the current user, as of now: tokens and certificates may have been rotated. */
async function credentials(config: KubeConfig): Promise<TlsRequestOptions> {
  const options: TlsRequestOptions = {};
  try {
    await config.applyToHTTPSOptions(options);
  } catch (error) {
    const user = config.getCurrentUser()?.name ?? '';
    const why = error instanceof Error ? error.message.trim().split('\n').at(-1) : String(error);
    throw new KubeError(
      'unauthorized',
      `the credentials of the user \`${user}\` cannot be obtained: ${why ?? ''}`,
      {
        cause: error,
      },
    );
  }
  return options;
}

/** An exec plugin may wait for a person for ever. */
async function within<T>(work: Promise<T>, patience: Patience): Promise<T> {
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => {
    reject(new KubeError('aborted', 'the request was given up'));
  };
  const timer = setTimeout(() => {
    reject(new KubeError('timeout', `the credentials could not be obtained within ${patience.timeoutMs} ms`));
  }, patience.timeoutMs);
  patience.signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, givenUp]);
  } finally {
    clearTimeout(timer);
    patience.signal?.removeEventListener('abort', onAbort);
  }
}

function requestOptions(
  request: KubeRequest,
  base: URL,
  prepared: TlsRequestOptions,
  own: OutgoingHttpHeaders,
  body: string | null,
): RequestOptions {
  const query = new URLSearchParams(request.query).toString();
  const prefix = base.pathname.replace(/\/$/u, '');
  const headers: OutgoingHttpHeaders = {
    ...trimmed(prepared.headers),
    ...own,
    accept: request.accept ?? 'application/json',
  };
  if (body !== null) {
    headers['content-type'] = request.contentType ?? 'application/json';
    headers['content-length'] = Buffer.byteLength(body);
  }
  return {
    ...prepared,
    protocol: base.protocol,
    // NB: an IPv6 address is bracketed in a URL, and must not be for a socket.
    hostname: base.hostname.replace(/^\[(.*)\]$/u, '$1'),
    port: base.port === '' ? (base.protocol === 'http:' ? 80 : 443) : base.port,
    method: request.method,
    path: `${prefix}${request.path}${query === '' ? '' : `?${query}`}`,
    headers,
  };
}

/** SOURCE: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation */
function ownHeaders({ userAgent = 'lockwarden', impersonate }: KubeClientOptions): OutgoingHttpHeaders {
  return {
    'user-agent': userAgent,
    ...(impersonate !== undefined && {
      'impersonate-user': impersonate.user,
      'impersonate-group': [...impersonate.groups],
    }),
  };
}

/** NB: a token file usually ends in a line feed, which no header may contain. */
function trimmed(headers: RequestOptions['headers']): OutgoingHttpHeaders {
  if (headers === undefined || Array.isArray(headers)) return {};
  return Object.fromEntries(
    Object.entries(headers).map(([key, value]) => [key, typeof value === 'string' ? value.trim() : value]),
  );
}

async function attempt(options: RequestOptions, body: string | null, patience: Patience): Promise<Exchange> {
  try {
    return await exchange(options, body, patience);
  } catch (error) {
    if (!(error instanceof StaleConnectionError)) throw error;
    return await exchange({ ...options, agent: false }, body, patience);
  }
}

function isSuccess(opened: Exchange): boolean {
  const status = opened.response.statusCode ?? 0;
  return status >= 200 && status < 300;
}

async function readAnswer(opened: Exchange, bytesMax: number): Promise<KubeResponse> {
  const { response } = opened;
  const status = response.statusCode ?? 0;
  const body = parse(await readText(response, bytesMax));
  if (!isSuccess(opened)) {
    const seconds = Number(response.headers['retry-after'] ?? 0);
    throw errorOfStatus(status, body, Number.isFinite(seconds) ? Math.max(0, seconds) * 1000 : 0);
  }
  if (body === undefined)
    throw new KubeError('malformed', 'the API server answered with something that is not JSON');
  const dateMs = Date.parse(response.headers.date ?? '');
  const warnings = (response.headersDistinct['warning'] ?? []).flatMap(warningIn);
  return { status, body, dateMs: Number.isNaN(dateMs) ? null : dateMs, warnings };
}

/**
 * `299 - "text"`, with quotes and backslashes of the text escaped. Node takes a header's bytes for Latin-1; they are UTF-8.
 * SOURCE: https://github.com/kubernetes/apimachinery/blob/v0.36.3/pkg/util/net/http.go (NewWarningHeader)
 */
function warningIn(header: string): readonly string[] {
  const text = /^\d{3} \S+ "((?:[^"\\]|\\.)*)"/u.exec(Buffer.from(header, 'latin1').toString())?.[1];
  return text === undefined ? [] : [text.replaceAll(/\\(.)/gu, '$1')];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function streamOf(opened: Exchange, server: string): KubeStream {
  opened.lift();
  let closed = false;
  return {
    chunks: guarded(opened, server, () => closed),
    close: () => {
      closed = true;
      opened.release();
    },
  };
}

async function* guarded(opened: Exchange, server: string, isClosed: () => boolean): AsyncGenerator<Buffer> {
  try {
    yield* chunksOf(opened.response);
  } catch (error) {
    if (isClosed()) throw new KubeError('aborted', 'the stream was closed');
    throw errorOfTransport(error, server);
  } finally {
    opened.release();
  }
}
