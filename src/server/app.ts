/**
 * The admission endpoint. Every request gets a well-formed AdmissionReview, whatever is wrong with it.
 *
 * HTTP status: 200 whenever the uid is known, since the API server takes anything else for a failed call and goes by
 * its failure policy; without the uid it could not use the answer anyway. 503 when there is no room: then the failure
 * policy is the right judge, and `Retry-After` has the API server try again while its own time lasts.
 * SOURCE: https://github.com/kubernetes/client-go/blob/v0.36.3/rest/with_retry.go (checkWait)
 *
 * express routes what is no review; bodies are read here, since its JSON middleware answers errors in HTML and inflates what it is sent.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import express, { type ErrorRequestHandler } from 'express';
import { couldNotJudge, errored, type AdmissionReviewResponse } from '../admission/response.ts';
import { findUid, parseReview, type AdmissionRequest } from '../admission/review.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../review/logger.ts';
import { send, sendAndClose } from './answer.ts';
import { readBody, type BodyReading } from './body.ts';
import { ByteBudget } from './budget.ts';
import { judgeTimeoutMs, judgeWithin, type Judge } from './deadline.ts';
import type { RequestLimits } from './limits.ts';
import type { EdgeMetrics, MalformedCause } from './metrics.ts';

/** What the endpoint needs. */
export interface AppOptions {
  readonly judge: Judge;
  /** The answer for a request that was not judged, for `why` (a clause in lower case). Default: it passes with a warning. */
  readonly unjudged?: (request: AdmissionRequest, why: string) => AdmissionReviewResponse;
  /** Requests after whose answer the connection is closed. Default: none. */
  readonly closesAfter?: (request: AdmissionRequest) => boolean;
  readonly limits: RequestLimits;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: EdgeMetrics;
}

/** The application: `POST /validate` takes admission.k8s.io/v1 reviews; anything else is answered 404 or 405. */
export function createApp(options: AppOptions): RequestListener {
  const budget = new ByteBudget(options.limits.bytesInFlightMax);
  const refuse = (response: ServerResponse, code: number, cause: MalformedCause, message: string): void => {
    options.metrics.malformed.inc({ cause });
    send(response, code, errored('', { code, message }));
  };
  const failed = (error: unknown, response: ServerResponse, close: () => void): void => {
    options.log.error({ err: error }, 'request failed');
    if (response.headersSent) close();
    else send(response, 500, errored('', { code: 500, message: 'internal error' }));
  };
  const onError: ErrorRequestHandler = (error: unknown, _request, response, next) => {
    // NB: express's own handler closes the connection.
    failed(error, response, () => {
      next(error);
    });
  };

  const others = express();
  others.disable('x-powered-by').disable('etag').set('query parser', false);
  others.post('/validate', (request, response) => serve(options, budget, request, response));
  others.all('/validate', (_request, response) => {
    response.setHeader('Allow', 'POST');
    refuse(response, 405, 'method', 'reviews are sent with POST');
  });
  others.use((_request, response) => {
    refuse(response, 404, 'path', 'reviews are sent to /validate');
  });
  others.use(onError);
  return (request, response) => {
    if (isReview(request)) {
      serve(options, budget, request, response)
        .catch((error: unknown) => {
          failed(error, response, () => response.destroy());
        })
        .catch(() => response.destroy());
    } else others(request, response);
  };
}

/** What nearly all requests are. NB: asked before any routing, which costs a small review a twentieth of its answer (bench/profile.ts). */
function isReview({ method, url = '' }: IncomingMessage): boolean {
  return method === 'POST' && (url === '/validate' || url.startsWith('/validate?'));
}

async function serve(
  options: AppOptions,
  budget: ByteBudget,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { metrics, clock } = options;
  const startMs = clock.monotonicMs();
  metrics.inFlight.inc();
  const reading = await readBody(request, options.limits, budget);
  try {
    if (reading.outcome === 'complete') await review(options, reading.read, request, response);
    else refuseBody(options, reading, request, response);
  } finally {
    budget.give(reading.heldBytes);
    metrics.inFlight.dec();
    metrics.durationSeconds.observe((clock.monotonicMs() - startMs) / 1000);
  }
}

/** What is told about a body that was not read to its end. */
const unread = {
  tooLarge: { code: 413, cause: 'size', message: 'the body is too large' },
  tooSlow: { code: 408, cause: 'slow', message: 'the body did not arrive in time' },
  noRoom: { code: 503, cause: 'overload', message: 'too many reviews at once' },
} as const;

function refuseBody(
  options: AppOptions,
  reading: BodyReading,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  if (reading.outcome === 'gone' || reading.outcome === 'complete') {
    options.metrics.malformed.inc({ cause: 'gone' });
    return;
  }
  const { code, cause, message } = unread[reading.outcome];
  options.metrics.malformed.inc({ cause });
  const uid = code === 503 ? '' : findUid(reading.read);
  const answer = errored(uid, { code, message });
  const headers: Record<string, string> = code === 503 ? { 'Retry-After': '1' } : {};
  sendAndClose(
    request,
    response,
    { httpStatus: httpStatusOf(uid, code), answer, headers },
    options.limits.lingerMs,
  );
}

async function review(
  options: AppOptions,
  body: Buffer,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (!isJson(request.headers['content-type'])) {
    const uid = findUid(body);
    options.metrics.malformed.inc({ cause: 'contentType' });
    const answer = errored(uid, { code: 415, message: 'reviews are sent as application/json' });
    send(response, httpStatusOf(uid, 415), answer);
    return;
  }
  const parsed = parseReview(body);
  if (!parsed.ok) {
    const { uid, status: code, message } = parsed;
    options.metrics.malformed.inc({ cause: 'review' });
    send(response, httpStatusOf(uid, code), errored(uid, { code, message }));
    return;
  }
  if (options.closesAfter?.(parsed.request) === true) response.shouldKeepAlive = false;
  const timeoutMs = (): number => judgeTimeoutMs(request.url ?? '', options.limits.judgeTimeoutMs);
  const judgement = await judgeWithin(options.judge, parsed.request, response, timeoutMs);
  if (judgement.kind === 'gone') options.metrics.malformed.inc({ cause: 'gone' });
  else send(response, 200, answerFrom(judgement, parsed.request, options));
}

type Settled = Exclude<Awaited<ReturnType<typeof judgeWithin>>, { readonly kind: 'gone' }>;

function answerFrom(
  judgement: Settled,
  request: AdmissionRequest,
  options: AppOptions,
): AdmissionReviewResponse {
  if (judgement.kind === 'answer') return judgement.answer;
  const { log, metrics, unjudged = passWithWarning } = options;
  metrics.unjudged.inc({ cause: judgement.kind });
  if (judgement.kind === 'late') {
    log.warn({ reviewUid: request.uid }, 'judgement took too long');
    return unjudged(request, 'it took too long');
  }
  log.error({ reviewUid: request.uid, err: judgement.error }, 'judgement failed');
  return unjudged(request, 'internal error');
}

function passWithWarning({ uid }: AdmissionRequest, why: string): AdmissionReviewResponse {
  return couldNotJudge(uid, why);
}

function httpStatusOf(uid: string, code: number): number {
  return uid === '' ? code : 200;
}

/** NB: the API server sends `application/json`; parameters (a charset) are let pass, since UTF-8 is checked anyway. */
function isJson(contentType: string | undefined): boolean {
  return /^application\/json\s*(;|$)/i.test(contentType ?? '');
}
