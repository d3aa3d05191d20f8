import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { ServerTimeSamples, type ServerTimeSample } from '../../src/kube/server-time.ts';
import { failure, startFakeApiServer, type FakeApiServer } from './support/fake-api-server.ts';
import { ManualTime } from './support/manual-time.ts';

let server: FakeApiServer;
let time: ManualTime;
let samples: ServerTimeSamples;
let taken: ServerTimeSample[];

beforeEach(async () => {
  server = await startFakeApiServer();
  time = new ManualTime();
  taken = [];
  const onSample = (sample: ServerTimeSample): void => {
    taken.push(sample);
  };
  samples = new ServerTimeSamples(server.client, { clock: time, sleep: time.sleep, onSample });
  samples.start();
});

afterEach(async () => {
  await samples.stop();
  await server.close();
});

describe('samples of the API server’s time', () => {
  test('hold the date of the answer and the moments around it, and come every ten seconds', async () => {
    const sentAt = time.monotonicMs();
    const asked = await server.next();
    expect(asked.url.pathname).toBe('/version');
    time.advance(40);
    asked.reply(200, {}, { date: 'Tue, 03 Feb 2026 04:05:06 GMT' });
    await time.asleep(10_000, 10_000);
    expect(taken).toEqual([{ sentAt, receivedAt: sentAt + 40, dateMs: Date.UTC(2026, 1, 3, 4, 5, 6) }]);
    time.advance(10_000);
    (await server.next()).reply(200, {}, { date: 'Tue, 03 Feb 2026 04:05:16 GMT' });
    await time.asleep(10_000, 10_000);
    expect(samples.counts).toEqual({ taken: 2, failed: 0 });
  });

  test('failures and answers without a date are counted, and nothing else', async () => {
    (await server.next()).reply(500, failure(500, 'InternalError'));
    await time.asleep(10_000, 10_000);
    time.advance(10_000);
    (await server.next()).reply(200, {}, { date: 'yesterday' });
    await time.asleep(10_000, 10_000);
    expect(samples.counts).toEqual({ taken: 0, failed: 2 });
    expect(taken).toEqual([]);
  });

  test('end when stopped, also in the middle of a request', async () => {
    await server.next();
    await samples.stop();
    expect(samples.counts).toEqual({ taken: 0, failed: 0 });
    expect(taken).toEqual([]);
  });
});
