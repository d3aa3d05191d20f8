import { afterEach, beforeEach, expect, test } from 'vitest';

import { splitBundle } from '../../src/certs/bundle.ts';
import { issueServingCertificate } from '../support/serving-certificate.ts';
import { bundlesIn } from '../../src/replica/observed-bundle.ts';
import { TrustWidener } from '../../src/replica/trust-widener.ts';
import { isObject, type JsonObject } from '../../src/kube/json.ts';
import { failure, startFakeApiServer, type FakeApiServer } from '../kube/support/fake-api-server.ts';
import { ManualTime } from '../kube/support/manual-time.ts';
import { RecordingLogger } from '../kube/support/recorder.ts';

const nowMs = Date.now();

let server: FakeApiServer;
let time: ManualTime;
let logger: RecordingLogger;
let widener: TrustWidener;
let ours: string;
let theirs: string;

beforeEach(async () => {
  server = await startFakeApiServer();
  time = new ManualTime();
  logger = new RecordingLogger();
  widener = new TrustWidener({ client: server.client, clock: time, logger });
  const authority = async (): Promise<string> =>
    (await issueServingCertificate({ hosts: ['x'], nowMs, validityMs: 3_600_000, backdateMs: 0 })).caPem;
  [ours, theirs] = await Promise.all([authority(), authority()]);
});

afterEach(async () => {
  await server.close();
});

function configuration(...bundles: readonly string[]): JsonObject {
  const webhooks = bundles.map((bundle, index) => ({
    name: `entry-${String(index)}`,
    clientConfig: { url: 'https://x', caBundle: Buffer.from(bundle).toString('base64') },
  }));
  return { metadata: { name: 'lockwarden', resourceVersion: '7' }, webhooks };
}

/** The trust is missing, and for as long as it takes. */
function lookLongEnough(): void {
  widener.look(ours, nowMs);
  time.advance(2_000);
  widener.look(ours, nowMs);
}

test('waits for the leader, who is quicker, before it does anything', async () => {
  widener.look(ours, nowMs);
  time.advance(1_999);
  widener.look(ours, nowMs);
  widener.look(null, nowMs);
  time.advance(1_999);
  widener.look(ours, nowMs);
  await widener.stop();
  expect(server.waiting).toBe(0);
});

test('adds what is missing to every entry, takes nothing away, and replaces the version that it read', async () => {
  lookLongEnough();
  (await server.next()).reply(200, configuration(theirs, '', ours));
  const put = await server.next();
  expect(put.method).toBe('PUT');
  const body = isObject(put.body) ? put.body : {};
  expect(body['metadata']).toMatchObject({ resourceVersion: '7' });
  expect(bundlesIn(body)?.map((each) => splitBundle(each).length)).toEqual([2, 1, 1]);
  expect(bundlesIn(body)?.every((each) => each.includes(ours.trim()))).toBe(true);
  expect(body['webhooks']).toMatchObject([{ name: 'entry-0', clientConfig: { url: 'https://x' } }, {}, {}]);
  put.reply(200, body);
  await widener.stop();
  expect(logger.lines).toEqual(['warn trust widened in the place of a leader']);
});

test('writes nothing where everything is trusted by now', async () => {
  lookLongEnough();
  const get = await server.next();
  const trusted = splitBundle(ours)
    .map(({ pem }) => pem)
    .join('');
  get.reply(200, configuration(trusted));
  await widener.stop();
  expect(server.waiting).toBe(0);
  expect(logger.lines).toEqual([]);
});

test('is silent when somebody else was faster, and tells what else went wrong', async () => {
  lookLongEnough();
  (await server.next()).reply(200, configuration(''));
  (await server.next()).reply(409, failure(409, 'Conflict'));
  await widener.stop();
  expect(logger.lines).toEqual([]);
  lookLongEnough();
  (await server.next()).reply(403, failure(403, 'Forbidden', 'no'));
  await widener.stop();
  expect(logger.lines).toEqual(['warn trust not widened']);
});
