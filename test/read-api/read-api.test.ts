/** The listener of the read API: its certificate, what is no HTTP, and its end. */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { ReadApi } from '../../src/read-api/read-api.ts';
import { RecentRejections } from '../../src/review/recent.ts';
import { createMetrics, type Metrics } from '../../src/server/metrics.ts';
import { issueServingCertificate, type ServingCertificate } from '../support/serving-certificate.ts';
import { startFakeCluster, type FakeCluster } from './support/fake-cluster.ts';

let certificate: ServingCertificate;
let cluster: FakeCluster;
let metrics: Metrics;
let api: ReadApi;
let port: number;
let warned: object[];

beforeAll(async () => {
  certificate = await issueServingCertificate({
    ...{ hosts: ['127.0.0.1'], nowMs: Date.now(), validityMs: 3_600_000, backdateMs: 60_000 },
  });
});

beforeEach(async () => {
  const clock = systemClock();
  warned = [];
  cluster = await startFakeCluster(() => Date.now());
  metrics = createMetrics(clock, { processMetrics: false });
  const none = () => undefined;
  api = new ReadApi({
    ...{ client: cluster.client, recent: new RecentRejections(), clock, nowMs: () => Date.now() },
    sources: { replica: 'replica-0', locks: () => [], viewOf: () => null },
    metrics: metrics.readApi,
    edge: metrics.edge,
    log: {
      error: none,
      warn: (fields: object) => void warned.push(fields),
      info: none,
      debug: none,
    } as never,
  });
  port = await api.listen(0, '127.0.0.1');
});

afterEach(async () => {
  await api.close();
  await cluster.close();
});

async function dial(): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', ca: certificate.caPem });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  return socket;
}

async function said(bytes: string): Promise<string> {
  const socket = await dial();
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  socket.write(bytes);
  await once(socket, 'close');
  return text;
}

const path = '/apis/review/v1/rejections?namespace=team';

it('serves nobody before there is a certificate, nor when it is withheld', async () => {
  await expect(dial()).rejects.toThrow();
  api.reload(certificate);
  (await dial()).destroy();
  api.withhold();
  await expect(dial()).rejects.toThrow();
});

it('answers what is no HTTP with a Status, and counts it', async () => {
  api.reload(certificate);
  expect(await said('what is this\r\n\r\n')).toMatch(
    /^HTTP\/1.1 400 [\s\S]*"kind":"Status"[\s\S]*"code":400/,
  );
  expect(await said('CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n')).toMatch(
    /^HTTP\/1.1 405 [\s\S]*only GET is served/,
  );
  const long = `GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${'a'.repeat(20_000)}\r\n\r\n`;
  expect(await said(long)).toMatch(/^HTTP\/1.1 431 /);
  const { values } = await metrics.readApi.requests.get();
  expect(values.map(({ labels }) => `${String(labels.resource)} ${String(labels.code)}`)).toEqual([
    'other 400',
    'other 405',
    'other 431',
  ]);
});

it('counts who comes, and says seldom why nobody can be let in', async () => {
  api.reload(certificate);
  const get = async (token: string): Promise<string> =>
    said(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  expect(await get('garbage')).toMatch(/^HTTP\/1.1 401 /);
  cluster.rights.add('reader list rejections team');
  const token = await cluster.mint('team:reader');
  expect(await get(token)).toMatch(/^HTTP\/1.1 200 /);
  cluster.broken.add('/apis/authentication.k8s.io/v1/tokenreviews');
  for (let times = 0; times < 3; times += 1)
    expect(await get(await cluster.mint('team:reader'))).toMatch(/^HTTP\/1.1 503 /);
  expect(warned).toHaveLength(1);
  expect(JSON.stringify(warned)).not.toContain('eyJ');
  const { values } = await metrics.readApi.authentications.get();
  const counted = values.map(({ labels, value }) => `${String(labels.outcome)} ${String(value)}`);
  expect(counted.toSorted()).toEqual(['accepted 1', 'malformed 1', 'unavailable 3']);
});

it('ends its streams when it ends', async () => {
  api.reload(certificate);
  cluster.rights.add('reader watch rejections team');
  const token = await cluster.mint('team:reader');
  const stream = said(`GET ${path}&watch=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  const streams = async (): Promise<number | undefined> =>
    (await metrics.readApi.streams.get()).values[0]?.value;
  await expect.poll(streams).toBe(1);
  await api.close();
  expect(await stream).toContain('"type":"ERROR"');
  expect(await streams()).toBe(0);
});
