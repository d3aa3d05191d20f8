import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { PodStates } from '../../src/kube/pods.ts';
import { failure, startFakeApiServer, type FakeApiServer } from './support/fake-api-server.ts';

let server: FakeApiServer;

beforeEach(async () => {
  server = await startFakeApiServer();
});

afterEach(() => server.close());

const pod = (uid: string, phase = 'Running'): object => ({
  kind: 'Pod',
  metadata: { name: 'a', uid },
  status: { phase },
});
const patient = { deadlineMs: 15_000 };

describe('the state of a pod', () => {
  test('a pod of that uid exists, one of another uid or none is gone', async () => {
    const pods = new PodStates(server.client, patient);
    const same = pods.podState('ns', 'a', 'uid-1');
    const asked = await server.next();
    expect(asked.url.pathname).toBe('/api/v1/namespaces/ns/pods/a');
    asked.reply(200, pod('uid-1'));
    expect(await same).toBe('exists');
    const other = pods.podState('ns', 'a', 'uid-1');
    (await server.next()).reply(200, pod('uid-2'));
    expect(await other).toBe('gone');
    const none = pods.podState('ns', 'a', 'uid-1');
    (await server.next()).reply(404, failure(404, 'NotFound', 'pods "a" not found'));
    expect(await none).toBe('gone');
  });

  test('a pod that has finished is gone, though its object is kept', async () => {
    for (const [phase, state] of Object.entries({
      Succeeded: 'gone',
      Failed: 'gone',
      Pending: 'exists',
      Unknown: 'exists',
    })) {
      const asking = new PodStates(server.client, patient).podState('ns', 'a', 'uid-1');
      (await server.next()).reply(200, pod('uid-1', phase));
      expect(await asking, phase).toBe(state);
    }
  });

  test.for([
    [404, '404 page not found'],
    [404, failure(404, '')],
    [403, failure(403, 'Forbidden')],
    [500, failure(500, 'InternalError')],
    [200, { kind: 'PodList', items: [] }],
    [200, 'garbage'],
  ] as const)('an answer of %d %j says nothing', async ([status, body]) => {
    const asking = new PodStates(server.client, patient).podState('ns', 'a', 'uid-1');
    (await server.next()).reply(status, body);
    expect(await asking).toBe('unknown');
  });

  test('no answer within the deadline, and no connection, say nothing', async () => {
    expect(await new PodStates(server.client, { deadlineMs: 20 }).podState('ns', 'a', 'uid-1')).toBe(
      'unknown',
    );
    const broken = new PodStates(server.client, patient).podState('ns', 'a', 'uid-1');
    await server.next();
    (await server.next()).destroy();
    expect(await broken).toBe('unknown');
  });

  test('names are data, not paths; an empty one is never asked for', async () => {
    const pods = new PodStates(server.client, patient);
    expect(await pods.podState('ns', '', 'uid-1')).toBe('unknown');
    expect(await pods.podState('', 'a', 'uid-1')).toBe('unknown');
    expect(await pods.podState('ns', 'a', '')).toBe('unknown');
    expect(server.waiting).toBe(0);
    const odd = pods.podState('ns', '../secrets?x', 'uid-1');
    const asked = await server.next();
    expect(asked.url.pathname).toBe('/api/v1/namespaces/ns/pods/..%2Fsecrets%3Fx');
    asked.reply(200, pod('uid-1'));
    await odd;
  });

  test('the same question at the same time is asked once, whatever the uids', async () => {
    const pods = new PodStates(server.client, patient);
    const asking = ['uid-1', 'uid-2', 'uid-1'].map((uid) => pods.podState('ns', 'a', uid));
    (await server.next()).reply(200, pod('uid-1'));
    expect(await Promise.all(asking)).toEqual(['exists', 'gone', 'exists']);
    expect(server.waiting).toBe(0);
  });

  test('beyond the bound the answer is unknown at once, and what was under way frees its place', async () => {
    const pods = new PodStates(server.client, { ...patient, inFlightMax: 2 });
    const asking = [pods.podState('ns', 'a', 'uid-1'), pods.podState('ns', 'b', 'uid-1')];
    expect(await pods.podState('ns', 'c', 'uid-1')).toBe('unknown');
    (await server.next()).reply(200, pod('uid-1'));
    (await server.next()).reply(200, pod('uid-1'));
    expect(await Promise.all(asking)).toEqual(['exists', 'exists']);
    const freed = pods.podState('ns', 'c', 'uid-1');
    (await server.next()).reply(200, pod('uid-1'));
    expect(await freed).toBe('exists');
  });

  test('who gives up gets no answer, and leaves the others theirs', async () => {
    const pods = new PodStates(server.client, patient);
    const giving = new AbortController();
    const given = pods.podState('ns', 'a', 'uid-1', giving.signal);
    const kept = pods.podState('ns', 'a', 'uid-1');
    giving.abort();
    expect(await given).toBe('unknown');
    expect(await pods.podState('ns', 'a', 'uid-1', giving.signal)).toBe('unknown');
    (await server.next()).reply(200, pod('uid-1'));
    expect(await kept).toBe('exists');
  });
});
