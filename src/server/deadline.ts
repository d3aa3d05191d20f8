/**
 * A judgement in time: whatever the judge does, there is an answer before the API server stops waiting for one.
 */
import type { ServerResponse } from 'node:http';
import type { AdmissionRequest } from '../admission/review.ts';
import type { AdmissionReviewResponse } from '../admission/response.ts';

/**
 * Decides about one write, at once where it has nothing to wait for. Whatever takes long in there is bounded by itself: nobody tells it
 * that the caller waits no more.
 */
export type Judge = (request: AdmissionRequest) => AdmissionReviewResponse | Promise<AdmissionReviewResponse>;

/** What became of a judgement. */
export type Judgement =
  | { readonly kind: 'answer'; readonly answer: AdmissionReviewResponse }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'late' }
  | { readonly kind: 'gone' };

/**
 * Asks `judge`; takes no answer later than `timeoutMs` says, or after the caller of `response` has gone. Never throws, never rejects.
 * NB: nothing is prepared for an answer that is there already, as nearly all are (bench/profile.ts).
 */
export function judgeWithin(
  judge: Judge,
  request: AdmissionRequest,
  response: ServerResponse,
  timeoutMs: () => number,
): Judgement | Promise<Judgement> {
  try {
    const answer = judge(request);
    return answer instanceof Promise ? inTime(answer, response, timeoutMs()) : { kind: 'answer', answer };
  } catch (error) {
    return { kind: 'failed', error };
  }
}

function inTime(
  judging: Promise<AdmissionReviewResponse>,
  response: ServerResponse,
  timeoutMs: number,
): Promise<Judgement> {
  return new Promise((resolve) => {
    const settle = (judgement: Judgement): void => {
      clearTimeout(timer);
      response.off('close', onGone);
      resolve(judgement);
    };
    const onGone = (): void => {
      settle({ kind: 'gone' });
    };
    const timer = setTimeout(() => {
      settle({ kind: 'late' });
    }, timeoutMs);
    response.on('close', onGone);
    judging.then(
      (answer) => {
        settle({ kind: 'answer', answer });
      },
      (error: unknown) => {
        settle({ kind: 'failed', error });
      },
    );
  });
}

/**
 * How long a judgement may take: `maxMs`, or less when the caller waits for less. The API server names the time it gives
 * in the query (`?timeout=2s`), rounded up to a second; a fifth of it is left for the way back.
 * SOURCE: https://github.com/kubernetes/apiserver/blob/v0.36.3/pkg/admission/plugin/webhook/validating/dispatcher.go (callHook)
 */
export function judgeTimeoutMs(url: string, maxMs: number): number {
  const match = /[?&]timeout=(?:(\d{1,3})m)?(?:(\d{1,5})s)?(?:&|$)/.exec(url);
  const givenMs = (Number(match?.[1] ?? 0) * 60 + Number(match?.[2] ?? 0)) * 1000;
  return givenMs > 0 ? Math.min(maxMs, givenMs * 0.8) : maxMs;
}
