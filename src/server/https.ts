/**
 * The HTTPS listener: TLS, connections, and how to leave without failing a caller.
 *
 * Most failed calls to a webhook come from connections, not certificates. An API server sends its next review on an idle
 * connection at any moment, and does not repeat it when the connection turns out to be closed. So a connection is only
 * ever closed by an answer that says so (`Connection: close`): at the end of the process, and after a new certificate,
 * because a busy connection would otherwise live on an old one for ever. `server.close()` closes idle connections under
 * their callers, and `closeIdleConnections()` on a live server failed 18 % of all calls.
 */
import { X509Certificate } from 'node:crypto';
import type { RequestListener, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { LockwardenError, systemCodeOf } from '../errors.ts';
import { rawAnswer } from './answer.ts';
import type { ConnectionLimits } from './limits.ts';
import { listenOn } from './listen.ts';
import type { EdgeMetrics } from './metrics.ts';
import type { Readiness } from './readiness.ts';

/** What is served: the chain (leaf first) and the leaf's private key, both PEM. */
export interface ServedCertificate {
  readonly certPem: string;
  readonly keyPem: string;
}

/** What the listener needs. */
export interface HttpsOptions {
  readonly handler: RequestListener;
  /** Null: there is none yet, and callers are turned away until the first `reload`. */
  readonly certificate: ServedCertificate | null;
  readonly limits: ConnectionLimits;
  readonly metrics: Pick<EdgeMetrics, 'handshakeFailures' | 'connectionsRefused'> &
    Partial<Pick<EdgeMetrics, 'malformed'>>;
  /** Told whether it serves; left out where nobody waits for that. */
  readonly readiness?: Pick<Readiness, 'set'>;
  /** What is answered where no HTTP request could be read. Default: an AdmissionReview. */
  readonly errorBody?: (httpStatus: number, message: string) => string;
  /** Told of each such answer. */
  readonly onNoRequest?: (httpStatus: number) => void;
  /** What chooses the port. Default: `--port`. */
  readonly flag?: '--port' | '--read-port';
}

/** How to leave, in milliseconds. */
export interface DrainTimes {
  /** How long to accept at the least: until the Endpoints no longer name this replica, callers still open connections. */
  readonly settleMs: number;
  /** How long to wait for the last caller; what is left then is cut off. API servers keep idle connections for 90 s. */
  readonly graceMs: number;
}

/** The listener of a process. */
export interface HttpsListener {
  /** @throws LockwardenError `ListenFailed` */
  listen(port: number, host: string): Promise<number>;
  /**
   * Serves another certificate from the next handshake on; connections made before are closed with their next answer.
   * @throws LockwardenError `CertificateInvalid`; what was served before is served on
   */
  reload(certificate: ServedCertificate): void;
  /**
   * Serves no certificate: every new connection is closed before its handshake, until the next `reload`. For when there is
   * none that may be served; an API server learns as much from a closed connection as from an expired certificate, and at once.
   */
  withhold(): void;
  /**
   * Becomes unready, goes on accepting and answering, closes each connection with its next answer, and resolves when
   * none is left or the grace period is over. A second call ends at once.
   */
  drain(times: DrainTimes): Promise<void>;
}

/** Creates the listener; `listen` starts it. */
export function createHttpsListener(options: HttpsOptions): HttpsListener {
  const { limits, readiness, flag = '--port' } = options;
  const server = createServer({
    ...(options.certificate === null ? {} : tlsOptions(options.certificate)),
    handshakeTimeout: limits.handshakeTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    connectionsCheckingInterval: limits.checkIntervalMs,
  });
  server.maxConnections = limits.connectionsMax;
  const connections = new Connections(server);
  connections.serve(options.certificate);
  server.on('request', options.handler);
  answerWhatIsNoRequest(server, options);
  let drained: Promise<void> | null = null;
  return {
    listen: async (port, host) => {
      const actual = await listenOn(server, port, host, flag);
      readiness?.set('serving', true);
      return actual;
    },
    reload: (certificate) => {
      server.setSecureContext(tlsOptions(certificate));
      connections.serve(certificate);
    },
    withhold: () => {
      connections.serve(null);
    },
    drain: (times) => {
      readiness?.set('serving', false, 'draining');
      if (drained === null) drained = connections.drain(times);
      else connections.cut();
      return drained;
    },
  };
}

/**
 * Everything that node:tls is told about a certificate, complete.
 * NB: `setSecureContext` resets whatever it is not passed (a minimum version, say) and accepts a context without a
 * certificate, which fails every handshake. So this is the only builder, and it tries what it builds.
 *
 * @throws LockwardenError `CertificateInvalid` when chain and key cannot be read or do not belong together
 */
export function tlsOptions(certificate: ServedCertificate): SecureContextOptions {
  const options: SecureContextOptions = {
    cert: certificate.certPem,
    key: certificate.keyPem,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
  };
  try {
    if (certificate.certPem === '' || certificate.keyPem === '') throw new Error('it is empty');
    createSecureContext(options);
  } catch (error) {
    const why = error instanceof Error ? error.message : 'it cannot be read';
    const message = `the serving certificate cannot be used: ${why}; check that chain and key are PEM and belong together`;
    throw new LockwardenError('CertificateInvalid', message, { cause: error });
  }
  return options;
}

/** Who is connected, and with which certificate. */
class Connections {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /**
   * Connections whose handshake saw the certificate that is served now, and what they are being answered (the latest, where they ask for
   * several things at once). NB: no set of answers. One that is small and changes with each of them is made anew every few times, and what
   * an old one held outlives it in the old generation: a sixth of all that was allocated, and most collections there (docs/performance.md).
   */
  readonly #current = new Map<Socket, ServerResponse | null>();
  /** SHA-256 of the leaf that is served now; null: there is none, and new connections are turned away. */
  #served: string | null = null;
  #draining = false;
  #settled = false;
  #finish: () => void = () => undefined;

  constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket: Socket) => {
      if (this.#served === null) socket.destroy();
      this.#sockets.add(socket);
      socket.once('close', () => {
        this.#sockets.delete(socket);
        this.#finishWhenEmpty();
      });
    });
    server.on('secureConnection', (socket) => {
      // NB: the certificate is that of when the connection came in, and may be another by the end of the handshake.
      if (socket.getX509Certificate()?.fingerprint256 !== this.#served) return;
      this.#current.set(socket, null);
      socket.once('close', () => this.#current.delete(socket));
    });
    server.on('request', ({ socket }, response) => {
      if (this.#draining || !this.#current.has(socket)) response.shouldKeepAlive = false;
      else this.#answers(socket, response);
    });
  }

  #answers(socket: Socket, response: ServerResponse): void {
    this.#current.set(socket, response);
    response.on('close', () => {
      if (this.#current.get(socket) === response) this.#current.set(socket, null);
    });
  }

  /** Has connections be closed with their next answer: those of now, and those that will have been shown another certificate. */
  serve(certificate: ServedCertificate | null): void {
    this.#served = certificate === null ? null : new X509Certificate(certificate.certPem).fingerprint256;
    this.#retire();
  }

  /** Closes every connection of now with its next answer; one that asks for several things at once, with the one after those. */
  #retire(): void {
    for (const response of this.#current.values()) if (response !== null) response.shouldKeepAlive = false;
    this.#current.clear();
  }

  drain({ settleMs, graceMs }: DrainTimes): Promise<void> {
    this.#draining = true;
    this.#retire();
    return new Promise((resolve) => {
      const settle = setTimeout(() => {
        this.#settled = true;
        this.#finishWhenEmpty();
      }, settleMs);
      const grace = setTimeout(() => {
        this.cut();
      }, graceMs);
      this.#finish = () => {
        clearTimeout(settle);
        clearTimeout(grace);
        this.#finish = () => undefined;
        this.#server.close(() => {
          resolve();
        });
      };
    });
  }

  /** Ends the drain now. */
  cut(): void {
    this.#settled = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#finishWhenEmpty();
  }

  #finishWhenEmpty(): void {
    if (this.#settled && this.#sockets.size === 0) this.#finish();
  }
}

/** Answers what node:http does not make a request of, and counts what does not even get that far. */
function answerWhatIsNoRequest(
  server: Server,
  { metrics, errorBody, onNoRequest }: Pick<HttpsOptions, 'metrics' | 'errorBody' | 'onNoRequest'>,
): void {
  const hangUp = (socket: Duplex, httpStatus: number, message: string): void => {
    onNoRequest?.(httpStatus);
    socket.on('error', () => undefined);
    socket.end(rawAnswer(httpStatus, message, errorBody), () => {
      socket.destroy();
    });
  };
  const shaken = new WeakSet<Duplex>();
  server.on('secureConnection', (socket) => {
    shaken.add(socket);
  });
  server.on('clientError', (error, socket: Duplex) => {
    // NB: failed handshakes come by here as well, and nothing can be written where there was none.
    if (!shaken.has(socket)) {
      socket.destroy();
      return;
    }
    metrics.malformed?.inc({ cause: 'http' });
    if (systemCodeOf(error) === 'ECONNRESET' || !socket.writable) socket.destroy();
    else hangUp(socket, httpStatusFor(systemCodeOf(error)), 'this is not an HTTP request that can be read');
  });
  server.on('connect', (_request, socket) => {
    metrics.malformed?.inc({ cause: 'method' });
    hangUp(socket, 405, errorBody === undefined ? 'reviews are sent with POST' : 'only GET is served');
  });
  server.on('checkExpectation', (request, response) => {
    server.emit('request', request, response);
  });
  server.on('tlsClientError', () => {
    metrics.handshakeFailures.inc();
  });
  server.on('drop', () => {
    metrics.connectionsRefused.inc();
  });
}

function httpStatusFor(code: string | null): number {
  if (code === 'HPE_HEADER_OVERFLOW') return 431;
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
}
