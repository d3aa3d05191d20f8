import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  heartbeatMs,
  isSucceeded,
  living,
  Presence,
  presenceName,
  readReplicas,
  type Replica,
  type ReplicaState,
} from '../../src/replica/presence.ts';
import {
  failure,
  startFakeApiServer,
  type Asked,
  type FakeApiServer,
} from '../kube/support/fake-api-server.ts';
import { ManualTime } from '../kube/support/manual-time.ts';
import { RecordingLogger } from '../kube/support/recorder.ts';

const collection = '/api/v1/namespaces/guards/configmaps';
const nowMs = Date.UTC(2026, 0, 2);
const state: ReplicaState = { servesLeaf: 'abc', leafNotAfterMs: 5, hesitates: null, version: '1' };

describe('the list of replicas', () => {
  it('is read line by line, and what is no line is left out', () => {
    const line = JSON.stringify({ ...state, saidAtMs: 1 });
    const data = {
      a: line,
      b: 'garbage',
      c: '[]',
      d: 7,
      e: JSON.stringify({ ...state }),
      f: JSON.stringify({ saidAtMs: 2, servesLeaf: 9, leafNotAfterMs: 'soon' }),
    };
    expect(readReplicas({ data })).toEqual([
      { ...state, name: 'a', saidAtMs: 1 },
      { name: 'f', saidAtMs: 2, servesLeaf: null, leafNotAfterMs: null, hesitates: null, version: '' },
    ]);
    expect(readReplicas(null)).toEqual([]);
  });

  it('takes who has missed three heartbeats for dead, and nobody earlier', () => {
    const replica = { ...state, name: 'a', saidAtMs: nowMs };
    expect(living([replica], nowMs + 3 * heartbeatMs)).toEqual([replica]);
    expect(living([replica], nowMs + 4 * heartbeatMs)).toEqual([]);
  });
});

describe('a replica that leaves', () => {
  const other = { ...state, name: 'two', saidAtMs: nowMs };
  const isSucceededBy = (...replicas: readonly Replica[]): boolean =>
    isSucceeded([{ ...state, name: 'one', saidAtMs: nowMs }, ...replicas], 'one', nowMs);

  it('is succeeded by one that lives, serves, and stays', () => {
    expect(isSucceededBy(other)).toBe(true);
    expect(isSucceededBy({ ...other, leaves: true }, other)).toBe(true);
  });

  it('is the last where there is none, or all others are dead, serve nothing, or leave too', () => {
    expect(isSucceededBy()).toBe(false);
    expect(isSucceededBy({ ...other, saidAtMs: nowMs - 60_000 })).toBe(false);
    expect(isSucceededBy({ ...other, servesLeaf: null })).toBe(false);
    expect(isSucceededBy({ ...other, leaves: true })).toBe(false);
  });
});

describe('the presence of a replica', () => {
  let server: FakeApiServer;
  let time: ManualTime;
  let logger: RecordingLogger;
  let presence: Presence;
  let isTimeKnown: boolean;

  beforeEach(async () => {
    server = await startFakeApiServer();
    time = new ManualTime();
    logger = new RecordingLogger();
    isTimeKnown = true;
    presence = new Presence({
      client: server.client,
      namespace: 'guards',
      name: 'one',
      nowMs: () => (isTimeKnown ? nowMs : null),
      logger,
      sleep: time.sleep,
    });
  });
  afterEach(async () => {
    const stopped = presence.stop();
    void server.next().then((asked) => {
      asked.destroy();
    });
    await stopped;
    await server.close();
  });

  /** The line that a request writes. */
  function lineOf({ body }: Asked): unknown {
    const text = (body as { data: Readonly<Record<string, string>> }).data['one'];
    return text === undefined ? text : JSON.parse(text);
  }

  const isAsleep = (): Promise<number> => time.asleep(heartbeatMs, heartbeatMs);

  it('is told at once, of this replica alone, in API-server time', async () => {
    presence.tell(state);
    presence.start();
    const asked = await server.next();
    expect([asked.method, asked.url.pathname]).toEqual(['PATCH', `${collection}/${presenceName}`]);
    expect(asked.headers['content-type']).toBe('application/merge-patch+json');
    expect(lineOf(asked)).toEqual({ ...state, saidAtMs: nowMs });
    asked.reply(200, {});
    await isAsleep();
  });

  it('says that it leaves, from then on, and learns who else is there', async () => {
    presence.tell(state);
    presence.start();
    (await server.next()).reply(200, {});
    await isAsleep();
    const leaving = presence.leave(AbortSignal.timeout(5_000));
    const asked = await server.next();
    expect(lineOf(asked)).toEqual({ ...state, saidAtMs: nowMs, leaves: true });
    asked.reply(200, { data: { two: 'x' } });
    expect(await leaving).toEqual({ data: { two: 'x' } });
    time.advance(heartbeatMs);
    const next = await server.next();
    expect(lineOf(next)).toMatchObject({ leaves: true });
    next.reply(200, {});
    await isAsleep();
  });

  it('learns who else is there though it has nothing to say of itself', async () => {
    const leaving = presence.leave(AbortSignal.timeout(5_000));
    const asked = await server.next();
    expect(asked.body).toEqual({ data: { one: null } });
    asked.reply(404, failure(404, 'NotFound'));
    const created = await server.next();
    expect(created.body).toMatchObject({ data: {} });
    created.reply(201, { data: {} });
    expect(await leaving).toEqual({ data: {} });
  });

  it('creates the list where there is none, and writes into one that somebody else was faster to create', async () => {
    presence.tell(state);
    presence.start();
    (await server.next()).reply(404, failure(404, 'NotFound'));
    const created = await server.next();
    expect([created.method, created.url.pathname]).toEqual(['POST', collection]);
    expect(created.body).toMatchObject({ metadata: { name: presenceName } });
    expect(lineOf(created)).toMatchObject(state);
    created.reply(409, failure(409, 'AlreadyExists'));
    const again = await server.next();
    expect(again.method).toBe('PATCH');
    again.reply(200, {});
    await isAsleep();
    expect(logger.lines).toEqual([]);
  });

  it('keeps silent while it knows nothing to tell, or not the time', async () => {
    presence.start();
    await isAsleep();
    isTimeKnown = false;
    presence.tell(state);
    await isAsleep();
    expect(server.waiting).toBe(0);
  });

  it('is told again with each heartbeat, and at once when it changes', async () => {
    presence.tell(state);
    presence.start();
    (await server.next()).reply(200, {});
    await isAsleep();
    time.advance(heartbeatMs);
    (await server.next()).reply(200, {});
    await isAsleep();
    presence.tell({ ...state });
    presence.tell({ ...state, servesLeaf: 'def' });
    const asked = await server.next();
    expect(lineOf(asked)).toMatchObject({ servesLeaf: 'def' });
    asked.reply(200, {});
    await isAsleep();
    expect(server.waiting).toBe(0);
  });

  it('does not lose a change that comes while the last one is being written', async () => {
    presence.tell(state);
    presence.start();
    const first = await server.next();
    presence.tell({ ...state, servesLeaf: 'def' });
    first.reply(200, {});
    const second = await server.next();
    expect(lineOf(second)).toMatchObject({ servesLeaf: 'def' });
    second.reply(200, {});
    await isAsleep();
  });

  it('is repeated at once when its line has gone', async () => {
    presence.tell(state);
    presence.start();
    (await server.next()).reply(200, {});
    await isAsleep();
    presence.repeat();
    const asked = await server.next();
    expect(lineOf(asked)).toMatchObject(state);
    asked.reply(200, {});
    await isAsleep();
  });

  it('writes one line of log for an outage, however long, and another for the next', async () => {
    presence.tell(state);
    presence.start();
    for (const status of [500, 500, 500, 200, 500]) {
      (await server.next()).reply(status, status === 200 ? {} : failure(500, 'InternalError'));
      await isAsleep();
      time.advance(heartbeatMs);
    }
    (await server.next()).reply(200, {});
    await isAsleep();
    expect(logger.lines).toEqual(['warn presence not told', 'warn presence not told']);
  });

  it('takes its line away at the end, so that nobody waits for it', async () => {
    presence.tell(state);
    presence.start();
    (await server.next()).reply(200, {});
    await isAsleep();
    const stopped = presence.stop();
    const asked = await server.next();
    expect(asked.body).toEqual({ data: { one: null } });
    asked.reply(200, {});
    await stopped;
  });
});
