import { connect } from 'node:tls';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { LockMemories } from '../../src/admission/lock-memories.ts';
import { systemClock } from '../../src/clock.ts';
import { builtInDefaults } from '../../src/core/settings.ts';
import { createEdge } from '../../src/guard/edge.ts';
import type { HttpsListener } from '../../src/server/https.ts';
import { createMetrics } from '../../src/server/metrics.ts';
import { Readiness } from '../../src/server/readiness.ts';
import { leaseReviewBody } from '../support/admission-review.ts';
import { issueServingCertificate } from '../support/serving-certificate.ts';
import { converse, parseAnswers } from '../server/edge.ts';

let listener: HttpsListener | undefined;

afterEach(async () => {
  await listener?.drain({ settleMs: 0, graceMs: 0 });
});

/** What one review about a lock is answered by an edge whose teller does this, and what the edge logged. */
async function answerWhere(judged: (answersSoFar: number) => void) {
  const metrics = createMetrics(systemClock(), { processMetrics: false });
  const answered = vi.spyOn(metrics.edge.durationSeconds, 'observe');
  const log = { error: vi.fn(), warn: vi.fn(), info: vi.fn(), debug: vi.fn() };
  const nobody = (): never => {
    throw new Error('nobody is to be asked');
  };
  listener = createEdge({
    ...{ namespace: 'lockwarden-system', memories: new LockMemories(), clock: systemClock(), metrics, log },
    policies: { settingsFor: () => builtInDefaults },
    reviews: {
      judged: () => {
        judged(answered.mock.calls.length);
      },
    },
    client: { server: '', request: nobody, stream: nobody, close: () => undefined },
    readiness: new Readiness(['serving']),
  });
  const { caPem, ...certificate } = await issueServingCertificate({
    ...{ hosts: ['127.0.0.1'], nowMs: Date.now(), validityMs: 3_600_000, backdateMs: 60_000 },
  });
  listener.reload(certificate);
  const port = await listener.listen(0, '127.0.0.1');
  const body = leaseReviewBody();
  const head = `POST /validate HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${String(body.length)}\r\n\r\n`;
  const { ended } = converse(connect({ port, host: '127.0.0.1', ca: caPem }), head + body);
  return { answers: parseAnswers(await ended), log };
}

describe('an edge', () => {
  it('tells of a decision once it is answered', async () => {
    const told: number[] = [];
    const { answers } = await answerWhere((answersSoFar) => told.push(answersSoFar));
    expect(answers.map(({ status }) => status)).toEqual([200]);
    expect(told).toEqual([1]);
  });

  it('serves on where a decision cannot be told of, and says so', async () => {
    const { answers, log } = await answerWhere(() => {
      throw new Error('the disk is full');
    });
    expect(answers.map(({ review }) => review.response.allowed)).toEqual([true]);
    expect(log.error.mock.calls).toEqual([
      [{ err: new Error('the disk is full') }, 'a decision could not be told of'],
    ]);
  });
});
