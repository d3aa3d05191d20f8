/** The canary against an API server that a test plays: what it sends, when, and what it makes of the answers. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { Canary, type CanaryProof } from '../../src/guard/canary.ts';
import type { CanaryOutcome } from '../../src/guard/canary-outcome.ts';
import { objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import {
  failure,
  startFakeApiServer,
  type Asked,
  type FakeApiServer,
} from '../kube/support/fake-api-server.ts';
import { ManualTime } from '../kube/support/manual-time.ts';
import { RecordingLogger } from '../kube/support/recorder.ts';

const serverMs = Date.parse('2026-03-01T12:00:00Z');
const path = '/apis/coordination.k8s.io/v1/namespaces/own/leases/lockwarden-canary';
const refusal = failure(
  403,
  'Forbidden',
  'admission webhook "canary.lockwarden.dev" denied the request: lease/own/lockwarden-canary: taken early; [lockwarden U15 PrematureTakeover, built-in canary]',
);

let server: FakeApiServer;
let time: ManualTime;
let logger: RecordingLogger;
let canary: Canary;
let outcomes: CanaryOutcome[];
let proofs: CanaryProof[];
let mended: number;

beforeEach(async () => {
  server = await startFakeApiServer();
  time = new ManualTime();
  logger = new RecordingLogger();
  outcomes = [];
  proofs = [];
  mended = 0;
  canary = new Canary({
    client: server.client,
    namespace: 'own',
    clock: time,
    logger,
    sleep: time.sleep,
    onAttempt: (outcome) => void outcomes.push(outcome),
    onProof: (proof) => void proofs.push(proof),
    mend: () => {
      mended += 1;
    },
  });
});

afterEach(async () => {
  await canary.stop();
  await server.close();
});

/** A Lease as an API server has it whose stamps are its own. */
function leaseOf({
  ageS = 0,
  spec = {},
  stamped = true,
}: { ageS?: number; spec?: JsonObject; stamped?: boolean } = {}): JsonObject {
  const at = new Date(serverMs - ageS * 1000).toISOString();
  const entry = {
    manager: 'lockwarden',
    operation: 'Update',
    time: `${at.slice(0, 19)}Z`,
    fieldsV1: { 'f:spec': { 'f:holderIdentity': {}, 'f:renewTime': {} } },
  };
  return {
    metadata: {
      name: 'lockwarden-canary',
      namespace: 'own',
      uid: 'uid-1',
      resourceVersion: '7',
      managedFields: stamped ? [entry] : [],
    },
    spec: {
      holderIdentity: 'lockwarden-canary',
      leaseDurationSeconds: 3_600,
      renewTime: at.replace('Z', '000Z'),
      ...spec,
    },
  };
}

const reply = (asked: Asked, status: number, body: object): void => {
  asked.reply(status, body, { date: new Date(serverMs).toUTCString() });
};

/** Takes the next request, which must be as told. */
async function expectNext(method: string, pathname = path): Promise<Asked> {
  const asked = await server.next();
  expect([asked.method, asked.url.pathname]).toEqual([method, pathname]);
  return asked;
}

async function expectAttempt(): Promise<Asked> {
  const asked = await expectNext('PUT');
  expect(asked.url.searchParams.get('dryRun')).toBe('All');
  return asked;
}

async function proveOnce(): Promise<void> {
  reply(await expectNext('GET'), 200, leaseOf());
  reply(await expectAttempt(), 403, refusal);
}

describe('an attempt', () => {
  test('is a takeover of a live Lease in a dry run; refused, it is a proof with the time before it', async () => {
    canary.start();
    reply(await expectNext('GET'), 200, leaseOf({ ageS: 1_700 }));
    const attempt = await expectAttempt();
    expect(attempt.body).toMatchObject({
      metadata: { resourceVersion: '7' },
      spec: {
        holderIdentity: 'lockwarden-canary-rogue',
        renewTime: '2026-03-01T12:00:00.000000Z',
        leaseTransitions: 1,
      },
    });
    reply(attempt, 403, refusal);
    expect(await time.asleep(3_000, 3_000)).toBe(3_000);
    expect(outcomes).toEqual([{ kind: 'proven' }]);
    expect(proofs).toEqual([{ serverAt: serverMs, sentAt: time.monotonicMs() }]);
    expect(canary.lastProof).toEqual(proofs[0]);
    expect(canary.state).toMatchObject({ failures: 0, cause: null });
    expect(logger.lines).toEqual(['info canary proven']);
  });

  test('that passes has the registration looked at, and comes again after a second', async () => {
    canary.start();
    reply(await expectNext('GET'), 200, leaseOf());
    reply(await expectAttempt(), 200, leaseOf());
    await time.asleep(1_000, 1_000);
    expect(outcomes).toMatchObject([{ cause: 'allowed' }]);
    expect(mended).toBe(1);
    expect(proofs).toEqual([]);
    time.advance(1_000);
    await proveOnce();
    await time.asleep(3_000, 3_000);
    expect(logger.lines).toEqual(['info canary proven']);
  });

  test('that fails for the bundle has the registration looked at; one that fails for the path has not', async () => {
    canary.start();
    await proveOnce();
    await time.asleep(3_000, 3_000);
    const call = 'failed calling webhook "canary.lockwarden.dev": failed to call webhook: Post "https://x"';
    for (const why of ['context deadline exceeded', 'x509: certificate signed by unknown authority']) {
      time.advance(3_000);
      reply(await expectNext('GET'), 200, leaseOf());
      reply(await expectAttempt(), 500, failure(500, 'InternalError', `${call}: ${why}`));
      await time.asleep(1_000, 1_000);
    }
    expect(mended).toBe(1);
    expect(logger.lines).toEqual(['info canary proven', 'error canary not proven']);
    expect(logger.fields.at(-1)).toMatchObject({
      cause: 'timeout',
      remedy: expect.stringContaining('NetworkPolicy') as string,
      detail: expect.stringContaining('context deadline exceeded') as string,
    });
    expect(canary.state).toMatchObject({ failures: 2, cause: 'untrusted' });
    time.advance(3_000);
    await proveOnce();
    await logger.until('info canary proven');
    expect(logger.fields.at(-1)).toEqual({ unprovenForMs: 9_000 });
  });

  test('that another replica’s write gets in the way of is made again at once', async () => {
    canary.start();
    reply(await expectNext('GET'), 200, leaseOf());
    reply(await expectAttempt(), 409, failure(409, 'Conflict'));
    await proveOnce();
    await time.asleep(3_000, 3_000);
    expect(outcomes).toEqual([{ kind: 'proven' }]);
  });

  test('that is under way when the canary is stopped tells nobody anything', async () => {
    canary.start();
    reply(await expectNext('GET'), 200, leaseOf());
    await expectAttempt();
    await canary.stop();
    expect([outcomes, logger.lines]).toEqual([[], []]);
  });
});

describe('the Lease', () => {
  test('is created in the API server’s time where there is none', async () => {
    canary.start();
    reply(await expectNext('GET'), 404, failure(404, 'NotFound'));
    reply(await expectNext('GET', '/version'), 200, {});
    const created = await expectNext('POST', path.replace(/\/[^/]*$/u, ''));
    expect(created.body).toMatchObject({
      metadata: { name: 'lockwarden-canary' },
      spec: {
        holderIdentity: 'lockwarden-canary',
        leaseDurationSeconds: 3_600,
        renewTime: '2026-03-01T12:00:00.000000Z',
      },
    });
    reply(created, 201, leaseOf());
    reply(await expectAttempt(), 403, refusal);
    await time.asleep(3_000, 3_000);
    expect(outcomes).toEqual([{ kind: 'proven' }]);
  });

  test('is not needed any more when another replica was faster', async () => {
    canary.start();
    reply(await expectNext('GET'), 404, failure(404, 'NotFound'));
    reply(await expectNext('GET', '/version'), 200, {});
    const created = await expectNext('POST', path.replace(/\/[^/]*$/u, ''));
    reply(created, 409, failure(409, 'AlreadyExists'));
    await proveOnce();
    await time.asleep(3_000, 3_000);
    expect(outcomes).toEqual([{ kind: 'proven' }]);
  });

  test('that cannot be created where its namespace is missing is told at once', async () => {
    canary.start();
    const asked = (async () => {
      for (;;) {
        const each = await server.next();
        if (each.url.pathname === '/version') reply(each, 200, {});
        else if (each.method === 'GET') reply(each, 404, failure(404, 'NotFound'));
        else reply(each, 404, failure(404, 'NotFound', 'namespaces "own" not found'));
      }
    })();
    void asked;
    await logger.until('warn canary not proven');
    expect(logger.fields.at(-1)).toMatchObject({
      cause: 'notPossible',
      detail: 'namespaces "own" not found',
    });
  });

  test.for<[string, Parameters<typeof leaseOf>[0]]>([
    ['half run out', { ageS: 1_801 }],
    ['somebody else’s', { spec: { holderIdentity: 'somebody' } }],
    ['nobody’s', { spec: { holderIdentity: null } }],
    ['too short', { spec: { leaseDurationSeconds: 15 } }],
    ['without a time', { spec: { renewTime: null } }],
    ['stamped at another time than it says', { spec: { renewTime: '2026-03-01T11:00:00.000000Z' } }],
  ])('that is %s is written anew, by compare-and-swap', async ([, found]) => {
    canary.start();
    reply(await expectNext('GET'), 200, leaseOf(found));
    const written = await expectNext('PUT');
    expect(written.url.searchParams.has('dryRun')).toBe(false);
    expect(written.body).toMatchObject({
      metadata: { resourceVersion: '7' },
      spec: leaseOf()['spec'] as object,
    });
    reply(written, 200, leaseOf());
    reply(await expectAttempt(), 403, refusal);
    await time.asleep(3_000, 3_000);
    expect(outcomes).toEqual([{ kind: 'proven' }]);
  });

  test('that the API server no longer stamps is replaced', async () => {
    canary.start();
    reply(await expectNext('GET'), 200, leaseOf({ stamped: false }));
    reply(await expectNext('PUT'), 200, leaseOf({ stamped: false }));
    const deleted = await expectNext('DELETE');
    expect(deleted.body).toEqual({ preconditions: { uid: 'uid-1', resourceVersion: '7' } });
    reply(deleted, 200, {});
    reply(await expectNext('GET', '/version'), 200, {});
    const created = await expectNext('POST', path.replace(/\/[^/]*$/u, ''));
    expect(stringAt(objectAt(created.body, 'spec'), 'holderIdentity')).toBe('lockwarden-canary');
    reply(created, 201, leaseOf());
    reply(await expectAttempt(), 403, refusal);
    await time.asleep(3_000, 3_000);
    expect(outcomes).toEqual([{ kind: 'proven' }]);
  });

  test('is not judged by an answer that names no time', async () => {
    canary.start();
    (await expectNext('GET')).reply(200, leaseOf(), { date: '' });
    await time.asleep(1_000, 1_000);
    expect(outcomes).toMatchObject([{ cause: 'unreachable', detail: 'the answer carries no date' }]);
  });
});
