/**
 * One HTTP exchange over node:https: a deadline, an abort signal, and a bound on what is read.
 */
import { request as requestPlain, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as requestTls } from 'node:https';
import { KubeError } from './errors.ts';

/** When to give up waiting. */
export interface Patience {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** A response whose body is still to come. `release` must be called once the body is of no more interest. */
export interface Exchange {
  readonly response: IncomingMessage;
  /** Lifts the deadline, so that only the signal still ends the exchange. */
  lift(): void;
  /** Destroys what is left and forgets timer and signal. Safe to repeat. */
  release(): void;
}

/** Ends waiting for a reason: the deadline or the caller's signal, whichever comes first. */
class Limit {
  readonly #onEnd: (error: KubeError) => void;
  readonly #signal: AbortSignal | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(patience: Patience, onEnd: (error: KubeError) => void) {
    this.#onEnd = onEnd;
    this.#signal = patience.signal;
    this.#timer = setTimeout(() => {
      onEnd(new KubeError('timeout', `the API server did not answer within ${patience.timeoutMs} ms`));
    }, patience.timeoutMs);
    this.#signal?.addEventListener('abort', this.#aborted, { once: true });
  }

  readonly #aborted = (): void => {
    this.#onEnd(abortedError());
  };

  lift(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  dispose(): void {
    this.lift();
    this.#signal?.removeEventListener('abort', this.#aborted);
  }
}

function abortedError(): KubeError {
  return new KubeError('aborted', 'the request was given up');
}

/** Sends `body` and resolves with the response as soon as its headers are there. */
export function exchange(
  options: RequestOptions,
  body: string | null,
  patience: Patience,
): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    if (patience.signal?.aborted === true) {
      reject(abortedError());
      return;
    }
    let response: IncomingMessage | null = null;
    const send = options.protocol === 'http:' ? requestPlain : requestTls;
    const request = send(options);
    const limit = new Limit(patience, (error) => {
      // NB: once there is a response, destroying the request would end its body without an error.
      (response ?? request).destroy(error);
    });
    request.once('response', (incoming) => {
      response = incoming;
      // NB: an error that comes between two reads has no reader; without a listener it would end the process.
      incoming.on('error', () => undefined);
      const release = (): void => {
        limit.dispose();
        if (!incoming.readableEnded) incoming.destroy();
      };
      resolve({
        response: incoming,
        lift: () => {
          limit.lift();
        },
        release,
      });
    });
    request.on('error', (error: Error) => {
      if (response === null) limit.dispose();
      reject(retryable(error, request.reusedSocket, options.method));
    });
    request.end(body ?? undefined);
  });
}

/** A read that found its kept-alive connection closed by the server: nothing was processed, the next attempt connects anew. */
export class StaleConnectionError extends Error {
  override readonly name = 'StaleConnectionError';
}

function retryable(error: Error, reused: boolean, method: string | undefined): Error {
  const closed = 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
  if (!closed || !reused || method !== 'GET') return error;
  return new StaleConnectionError(error.message, { cause: error });
}

/** Reads the whole body as text, at most `bytesMax` bytes of it. */
export async function readText(response: IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunksOf(response)) {
    bytes += chunk.length;
    if (bytes > bytesMax) {
      throw new KubeError('too-large', `the API server's answer is larger than ${bytesMax} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes).toString('utf8');
}

/** The body as it arrives; throws where it ends before its end. */
export async function* chunksOf(response: IncomingMessage): AsyncGenerator<Buffer, void, void> {
  for await (const chunk of response) {
    if (chunk instanceof Buffer) yield chunk;
  }
}
