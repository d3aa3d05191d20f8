import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { allowed, denied, type AdmissionReviewResponse } from '../../src/admission/response.ts';
import type { AdmissionRequest } from '../../src/admission/review.ts';
import { LockwardenError } from '../../src/errors.ts';
import type { Judge } from '../../src/server/deadline.ts';
import { leaseReview, leaseReviewBody, parsedLeaseRequest, reviewUid } from '../support/admission-review.ts';
import { parseAnswers, startEdge, type Edge } from './edge.ts';

let edge: Edge | null = null;

async function start(...args: Parameters<typeof startEdge>): Promise<Edge> {
  edge = await startEdge(...args);
  return edge;
}

afterEach(async () => {
  await edge?.close();
  edge = null;
});

/** LIMIT: two busy cores have been seen to take a second for what takes milliseconds. */
const soon = { timeout: 15_000, interval: 1 };

const head = (length: number, path = '/validate'): string =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${String(length)}\r\n\r\n`;

describe('a review', () => {
  it('reaches the judge and comes back with its answer, byte for byte', async () => {
    const seen: AdmissionRequest[] = [];
    const { post } = await start((request) => {
      seen.push(request);
      return Promise.resolve(denied(request.uid, { message: 'held by `a`' }));
    });
    const reply = await post(leaseReviewBody());
    expect(seen).toEqual([parsedLeaseRequest]);
    expect(reply.status).toBe(200);
    expect(reply.headers['content-type']).toBe('application/json');
    expect(reply.body).toBe(
      `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"${reviewUid}","allowed":false,` +
        '"status":{"status":"Failure","message":"held by `a`","reason":"Forbidden","code":403}}}',
    );
  });

  it.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON;charset=UTF-8'])(
    'is taken as %s',
    async (contentType) => {
      const { post } = await start();
      const reply = await post(leaseReviewBody(), { headers: { 'content-type': contentType } });
      expect(reply.review).toEqual(allowed(reviewUid));
    },
  );

  it('is taken at /validate whatever the query', async () => {
    const { post } = await start();
    expect((await post(leaseReviewBody(), { path: '/validate?timeout=2s' })).review).toEqual(
      allowed(reviewUid),
    );
  });

  it('may come in pieces, without a length', async () => {
    const { post } = await start();
    const headers = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' };
    expect((await post(leaseReviewBody(), { headers })).review).toEqual(allowed(reviewUid));
  });

  it('is the last on its connection where the caller is to connect anew', async () => {
    const { raw } = await start(undefined, {}, { closesAfter: ({ name }) => name === 'last' });
    const [one, two] = [leaseReviewBody({ name: 'first' }), leaseReviewBody({ name: 'last' })];
    const { socket, until, ended } = raw(head(one.length) + one);
    expect(await until((received) => parseAnswers(received).length === 1)).not.toContain('Connection: close');
    socket.write(head(two.length) + two);
    expect(await ended).toContain('Connection: close');
  });

  it.each(['/validate', '/validate?timeout=2s', '/validate/'])(
    'that a defect keeps from being answered gets a 500, and the process serves on (%s)',
    async (path) => {
      const closesAfter = (): boolean => {
        throw new TypeError('a defect');
      };
      const { post, lines } = await start(undefined, {}, { closesAfter });
      const replies = [await post(leaseReviewBody(), { path }), await post(leaseReviewBody(), { path })];
      for (const { status, review } of replies) {
        expect(status).toBe(500);
        expect(review.response).toMatchObject({ uid: '', allowed: false, status: { code: 500 } });
      }
      expect(lines.map(({ message }) => message)).toEqual(['request failed', 'request failed']);
    },
  );

  it('of 7 MiB is judged', async () => {
    const { post } = await start();
    const body = leaseReviewBody({ object: { padding: 'x'.repeat(7 * 1024 * 1024) } });
    expect((await post(body)).review).toEqual(allowed(reviewUid));
  });

  it('after review on one connection is answered in order, also when they are sent ahead', async () => {
    const { raw } = await start(async (request) => {
      // The first is judged last: order is the connection's business.
      if (request.name === 'first') await new Promise((resolve) => setTimeout(resolve, 5));
      return allowed(request.uid);
    });
    const [one, two] = [leaseReviewBody({ uid: 'u-1', name: 'first' }), leaseReviewBody({ uid: 'u-2' })];
    const { socket, until } = raw(head(one.length) + one + head(two.length) + two + head(5) + 'hello');
    const received = await until((text) => text.includes('not JSON') && text.endsWith('}}'));
    const answers = parseAnswers(received);
    expect(answers.map(({ status, review }) => [status, review.response.uid])).toEqual([
      [200, 'u-1'],
      [200, 'u-2'],
      [400, ''],
    ]);
    expect(answers.every(({ headers }) => headers.includes('connection: keep-alive'))).toBe(true);
    socket.destroy();
  });
});

describe('what is no review', () => {
  it.each([
    ['an empty body', '', 400, ''],
    ['text', 'hello', 400, ''],
    ['null', 'null', 400, ''],
    ['a truncated review', leaseReviewBody().slice(0, -9), 200, reviewUid],
    [
      'another version',
      JSON.stringify({ ...leaseReview(), apiVersion: 'admission.k8s.io/v2' }),
      200,
      reviewUid,
    ],
    ['another kind', JSON.stringify({ ...leaseReview(), kind: 'TokenReview' }), 200, reviewUid],
    ['an update without object', leaseReviewBody({ object: null }), 200, reviewUid],
  ])(
    'such as %s is refused in a review, with HTTP 200 only if its uid is known',
    async (_what, body, status, uid) => {
      const { post, malformed } = await start(() => Promise.reject(new Error('must not be asked')));
      const reply = await post(body);
      expect(reply.status).toBe(status);
      expect(reply.review).toMatchObject({
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        response: { uid, allowed: false, status: { code: 400, reason: 'BadRequest' } },
      });
      expect(await malformed('review')).toBe(1);
    },
  );

  it.each(['text/plain', 'application/jsonp', 'application/vnd.kubernetes.protobuf', ''])(
    'because it is sent as `%s` is refused with 415',
    async (contentType) => {
      const { post, malformed } = await start();
      const headers: Record<string, string> = contentType === '' ? {} : { 'content-type': contentType };
      const known = await post(leaseReviewBody(), { headers });
      expect(known.status).toBe(200);
      expect(known.review.response).toMatchObject({ uid: reviewUid, allowed: false, status: { code: 415 } });
      const unknown = await post('a=b', { headers });
      expect(unknown.status).toBe(415);
      expect(unknown.review.response).toMatchObject({ uid: '', allowed: false, status: { code: 415 } });
      expect(await malformed('contentType')).toBe(2);
    },
  );

  it.each(['GET', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'REPORT'])(
    'because of %s is refused with 405',
    async (method) => {
      const { send, malformed } = await start();
      const reply = await send(method, '/validate');
      expect(reply.status).toBe(405);
      expect(reply.headers.allow).toBe('POST');
      expect(reply.review.response).toMatchObject({ uid: '', allowed: false, status: { code: 405 } });
      expect(await malformed('method')).toBe(1);
    },
  );

  it.each(['/', '/validate/x', '/mutate', '/metrics', '/%', '/..//', '/validate%00'])(
    'because it is sent to %s is refused with 404',
    async (path) => {
      const { post } = await start();
      const reply = await post(leaseReviewBody(), { path });
      expect(reply.status).toBe(404);
      expect(reply.review.response).toMatchObject({ uid: '', allowed: false, status: { code: 404 } });
    },
  );

  it('because it is compressed is refused, not inflated', async () => {
    const { post } = await start();
    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    expect((await post(Buffer.from('1f8b0800', 'hex'), { headers })).review.response.status?.code).toBe(400);
  });
});

describe('a body out of bounds', () => {
  it('that says it is too large is refused at its first bytes, with its uid', async () => {
    const { raw, malformed } = await start(undefined, { bodyBytesMax: 4096 });
    const [answer] = parseAnswers(await raw(head(1_000_000) + leaseReviewBody().slice(0, 300)).ended);
    expect(answer?.status).toBe(200);
    expect(answer?.headers).toContain('connection: close');
    expect(answer?.review.response).toMatchObject({ uid: reviewUid, allowed: false, status: { code: 413 } });
    expect(await malformed('size')).toBe(1);
  });

  it('that turns out too large is refused, and its sender sees the answer although it is still sending', async () => {
    const { post } = await start(undefined, { bodyBytesMax: 4096, lingerMs: 5_000 });
    const headers = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' };
    const reply = await post(leaseReviewBody({ padding: 'x'.repeat(8_000_000) }), { headers });
    expect(reply.review.response).toMatchObject({ uid: reviewUid, allowed: false, status: { code: 413 } });
    const anonymous = await post('x'.repeat(8_000_000), { headers });
    expect(anonymous.status).toBe(413);
  });

  it('beyond the real limit is refused', async () => {
    const { post } = await start(undefined, { lingerMs: 5_000 });
    const reply = await post(leaseReviewBody({ padding: 'x'.repeat(20 * 1024 * 1024) }));
    expect(reply.review.response).toMatchObject({ uid: reviewUid, allowed: false, status: { code: 413 } });
  });

  it('that trickles in is refused after its time, with its uid', async () => {
    const { raw, malformed } = await start(undefined, { bodyTimeoutMs: 30 });
    const conversation = raw(head(5_000) + leaseReviewBody().slice(0, 200));
    const trickle = setInterval(() => conversation.socket.write(' '), 5);
    const [answer] = parseAnswers(await conversation.ended);
    clearInterval(trickle);
    expect(answer?.review.response).toMatchObject({ uid: reviewUid, allowed: false, status: { code: 408 } });
    expect(answer?.headers).toContain('connection: close');
    expect(await malformed('slow')).toBe(1);
  });

  it('that never starts is refused after its time', async () => {
    const { raw } = await start(undefined, { bodyTimeoutMs: 10 });
    const [answer] = parseAnswers(await raw(head(5_000)).ended);
    expect(answer?.status).toBe(408);
    expect(answer?.review.response).toMatchObject({ uid: '', allowed: false, status: { code: 408 } });
  });

  it('whose sender goes away is forgotten', async () => {
    const { raw, malformed, metrics } = await start();
    const { socket } = raw(head(5_000) + leaseReviewBody().slice(0, 200));
    await expect.poll(async () => (await metrics.edge.inFlight.get()).values[0]?.value, soon).toBe(1);
    socket.destroy();
    await expect.poll(() => malformed('gone'), soon).toBe(1);
    expect((await metrics.edge.inFlight.get()).values[0]?.value).toBe(0);
  });

  it('with nesting as deep as the limit allows is answered', async () => {
    const { post } = await start();
    const reply = await post('['.repeat(7 * 1024 * 1024));
    expect(reply.review.response).toMatchObject({ uid: '', allowed: false, status: { code: 413 } });
  });
});

describe('more reviews than there is room for', () => {
  it('are answered 503 at once, to be tried again, and room is given back', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const { post, malformed } = await start(
      async (request) => {
        await held;
        return allowed(request.uid);
      },
      { bytesInFlightMax: 2 * 16 * 1024 },
    );
    const judged = [post(leaseReviewBody({ uid: 'a' })), post(leaseReviewBody({ uid: 'b' }))];
    await expect.poll(async () => (await edge?.metrics.edge.inFlight.get())?.values[0]?.value, soon).toBe(2);

    const refused = await post(leaseReviewBody());
    expect(refused.status).toBe(503);
    expect(refused.headers).toMatchObject({ 'retry-after': '1', connection: 'close' });
    expect(refused.review.response).toMatchObject({ uid: '', allowed: false, status: { code: 503 } });
    expect(await malformed('overload')).toBe(1);

    release();
    expect((await Promise.all(judged)).map(({ review }) => review.response.allowed)).toEqual([true, true]);
    expect((await post(leaseReviewBody())).review).toEqual(allowed(reviewUid));
  });

  it('are recognised by their bytes, also when no length was announced', async () => {
    const { post } = await start(undefined, { bytesInFlightMax: 100_000, lingerMs: 5_000 });
    const headers = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' };
    expect((await post(leaseReviewBody({ padding: 'x'.repeat(200_000) }), { headers })).status).toBe(503);
    expect((await post(leaseReviewBody(), { headers })).status).toBe(200);
  });
});

describe('a judge', () => {
  const unjudged = async (name: string, judge: Judge, why: string): Promise<void> => {
    const { post, lines } = await start(judge, { judgeTimeoutMs: 20 });
    const reply = await post(leaseReviewBody());
    expect(reply.status, name).toBe(200);
    expect(reply.review.response).toMatchObject({ uid: reviewUid, allowed: true });
    expect(reply.review.response.warnings).toEqual([expect.stringContaining(why)]);
    expect(lines).toHaveLength(1);
    expect(lines[0]?.fields).toMatchObject({ reviewUid });
  };

  it('that throws lets the write pass with a warning', () =>
    unjudged(
      'throws',
      () => {
        throw new TypeError('a defect');
      },
      'internal error [CouldNotJudge]',
    ));

  it('that rejects lets the write pass with a warning', () =>
    unjudged(
      'rejects',
      () => Promise.reject(new LockwardenError('ClusterUnreachable', 'no answer')),
      'internal error [CouldNotJudge]',
    ));

  it('that takes too long lets the write pass with a warning, and its answer is ignored', async () => {
    const judgement = Promise.withResolvers<AdmissionReviewResponse>();
    await unjudged('late', () => judgement.promise, 'it took too long [CouldNotJudge]');
    judgement.resolve(denied('late', { message: 'late' }));
    await judgement.promise;
  });

  it('that fails only after its time leaves no rejection unhandled', async () => {
    const judgement = Promise.withResolvers<AdmissionReviewResponse>();
    await unjudged('late failure', () => judgement.promise, 'it took too long [CouldNotJudge]');
    judgement.reject(new Error('after all'));
    await setImmediate();
  });

  it('has no more time than the caller gives', async () => {
    const { post } = await start(() => new Promise(() => undefined), { judgeTimeoutMs: 60_000 });
    const reply = await post(leaseReviewBody(), { path: '/validate?timeout=1s' });
    expect(reply.review.response.warnings?.[0]).toContain('took too long');
  });

  it('whose caller goes away is waited for no longer', async () => {
    const { raw, malformed } = await start(() => new Promise(() => undefined), { judgeTimeoutMs: 60_000 });
    const body = leaseReviewBody();
    const { socket } = raw(head(body.length) + body);
    await expect.poll(async () => (await edge?.metrics.edge.inFlight.get())?.values[0]?.value, soon).toBe(1);
    socket.destroy();
    await expect.poll(() => malformed('gone'), soon).toBe(1);
    await expect.poll(async () => (await edge?.metrics.edge.inFlight.get())?.values[0]?.value, soon).toBe(0);
  });
});
