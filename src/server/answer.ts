/**
 * Puts an AdmissionReview on the wire, whatever became of the request.
 */
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
import { errored, type AdmissionReviewResponse } from '../admission/response.ts';

/** Sends `answer` and leaves the connection to its next request. */
export function send(response: ServerResponse, httpStatus: number, answer: AdmissionReviewResponse): void {
  const body = JSON.stringify(answer);
  response.writeHead(httpStatus, headersFor(body)).end(body);
}

/**
 * Sends `answer` to a caller whose body has not been read to its end, and closes the connection. What still comes is
 * dropped for at most `lingerMs` first: closing a socket with unread bytes resets it, and a reset can overtake the answer.
 */
export function sendAndClose(
  request: IncomingMessage,
  response: ServerResponse,
  reply: {
    readonly httpStatus: number;
    readonly answer: AdmissionReviewResponse;
    readonly headers?: Record<string, string>;
  },
  lingerMs: number,
): void {
  const body = JSON.stringify(reply.answer);
  response.shouldKeepAlive = false;
  response.writeHead(reply.httpStatus, { ...headersFor(body), ...reply.headers });
  response.write(body);
  const end = (): void => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(end, lingerMs);
  request.on('end', end).on('close', end).resume();
}

/** The same answer as bytes for a socket on which no request could be read. */
export function rawAnswer(httpStatus: number, message: string, bodyOf = reviewBody): string {
  const body = bodyOf(httpStatus, message);
  const head = [
    `HTTP/1.1 ${String(httpStatus)} ${STATUS_CODES[httpStatus] ?? ''}`,
    ...Object.entries(headersFor(body)).map(([name, value]) => `${name}: ${String(value)}`),
    'Connection: close',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

function reviewBody(httpStatus: number, message: string): string {
  return JSON.stringify(errored('', { code: httpStatus, message }));
}

function headersFor(body: string): Record<string, string | number> {
  return { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
}
