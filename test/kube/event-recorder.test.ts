import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { EventRecorder } from '../../src/kube/event-recorder.ts';
import type { Happening } from '../../src/kube/event.ts';
import { failure, startFakeApiServer, type Asked, type FakeApiServer } from './support/fake-api-server.ts';
import { ManualTime } from './support/manual-time.ts';
import { RecordingLogger } from './support/recorder.ts';

const events = '/apis/events.k8s.io/v1/namespaces/team/events';

let server: FakeApiServer;
let time: ManualTime;
let logger: RecordingLogger;
let dropped: string[];
let recorder: EventRecorder;

beforeEach(async () => {
  server = await startFakeApiServer();
  time = new ManualTime();
  logger = new RecordingLogger();
  dropped = [];
  let made = 0;
  recorder = new EventRecorder(server.client, {
    instance: 'lockwarden-0',
    clock: time,
    nowMs: () => Date.parse('2026-03-01T12:00:00Z') + time.monotonicMs() - 1_000_000,
    logger,
    onDrop: (why) => void dropped.push(why),
    sleep: time.sleep,
    backoff: { baseMs: 100, random: () => 0 },
    suffix: () => String((made += 1)),
  });
});

afterEach(async () => {
  const stopping = recorder.stop();
  time.advance(1_000);
  await stopping;
  await server.close();
});

function happening(note = 'n', name = 'lock'): Happening {
  const regarding = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace: 'team', name };
  return { regarding, type: 'Normal', reason: 'LeaderElected', action: 'Elect', note };
}

async function expectNext(method: string, path: string, body: object): Promise<Asked> {
  const asked = await server.next();
  expect([asked.method, asked.url.pathname]).toEqual([method, path]);
  expect(asked.body).toMatchObject(body);
  return asked;
}

describe('a happening', () => {
  test('is told of at once, and one after another', async () => {
    recorder.record(happening('one'));
    recorder.record(happening('two'));
    const first = await expectNext('POST', events, {
      metadata: { name: 'lock.1', namespace: 'team' },
      note: 'one',
      eventTime: '2026-03-01T12:00:00.000000Z',
      reportingInstance: 'lockwarden-0',
    });
    expect(server.waiting).toBe(0);
    first.reply(201, {});
    (await expectNext('POST', events, { note: 'two' })).reply(201, {});
    await recorder.stop();
    expect([dropped, logger.lines]).toEqual([[], []]);
  });

  test('that is repeated before it was told is told of once, with how often', async () => {
    recorder.record(happening('first'));
    const held = await expectNext('POST', events, { note: 'first' });
    for (let count = 0; count < 3; count += 1) {
      recorder.record(happening('again'));
      time.advance(1_000);
    }
    held.reply(201, {});
    const told = await expectNext('POST', events, {
      note: 'again',
      eventTime: '2026-03-01T12:00:00.000000Z',
      series: { count: 3, lastObservedTime: '2026-03-01T12:00:02.000000Z' },
    });
    told.reply(201, {});
  });

  test('that is repeated later is counted in its Event, not more than twice a minute', async () => {
    recorder.record(happening());
    (await expectNext('POST', events, { note: 'n' })).reply(201, {});
    for (let count = 0; count < 3; count += 1) {
      time.advance(1_000);
      recorder.record(happening());
    }
    expect(server.waiting).toBe(0);
    await time.asleep(1, 30_000);
    time.advance(30_000);
    const patched = await expectNext('PATCH', `${events}/lock.1`, {
      series: { count: 4, lastObservedTime: '2026-03-01T12:00:03.000000Z' },
    });
    expect(patched.headers['content-type']).toBe('application/merge-patch+json');
    patched.reply(200, {});
  });

  test('whose Event is gone is told of anew, with its count', async () => {
    recorder.record(happening());
    (await expectNext('POST', events, { note: 'n' })).reply(201, {});
    recorder.record(happening());
    await time.asleep(1, 30_000);
    time.advance(30_000);
    (await expectNext('PATCH', `${events}/lock.1`, {})).reply(404, failure(404, 'NotFound'));
    (await expectNext('POST', events, { metadata: { name: 'lock.1' }, series: { count: 2 } })).reply(201, {});
  });

  test('that is repeated after some minutes is another', async () => {
    recorder.record(happening());
    (await expectNext('POST', events, { metadata: { name: 'lock.1' } })).reply(201, {});
    time.advance(360_000);
    recorder.record(happening());
    const other = await expectNext('POST', events, { metadata: { name: 'lock.2' } });
    expect(other.body).not.toHaveProperty('series');
    other.reply(201, {});
  });
});

describe('an API server', () => {
  test('that is away for a moment is asked again; an Event that it has after all is no failure', async () => {
    recorder.record(happening());
    (await expectNext('POST', events, {})).reply(503, failure(503, 'ServiceUnavailable'));
    await time.asleep(1, 100);
    time.advance(100);
    (await expectNext('POST', events, {})).reply(409, failure(409, 'AlreadyExists'));
    await recorder.stop();
    expect([dropped, logger.lines]).toEqual([[], []]);
  });

  test('that does not take Events is told of once, and what it does not take is counted', async () => {
    for (const note of ['one', 'two']) {
      recorder.record(happening(note));
      (await expectNext('POST', events, { note })).reply(403, failure(403, 'Forbidden', 'no'));
      await vi.waitFor(() => {
        expect(dropped).toHaveLength(note === 'one' ? 1 : 2);
      });
    }
    expect(dropped).toEqual(['notWritten', 'notWritten']);
    expect(logger.lines).toEqual(['warn events not written']);
    recorder.record(happening('one'));
    // As if it had never been: it is no series.
    const again = await expectNext('POST', events, { note: 'one' });
    expect(again.body).not.toHaveProperty('series');
    again.reply(201, {});
  });

  test('that stays away is given up after four attempts', async () => {
    recorder.record(happening());
    for (let attempt = 0; attempt < 4; attempt += 1) {
      (await expectNext('POST', events, {})).reply(503, failure(503, 'ServiceUnavailable'));
      if (attempt < 3) {
        await time.asleep(1, 1_000);
        time.advance(1_000);
      }
    }
    await logger.until('warn events not written');
    expect(dropped).toEqual(['notWritten']);
  });

  test('that is slower than what happens costs no memory without bound', async () => {
    for (let index = 0; index < 300; index += 1) recorder.record(happening('n', `lock-${String(index)}`));
    expect(dropped).toEqual(Array.from({ length: 44 }, () => 'noRoom'));
    for (let index = 0; index < 256; index += 1) (await expectNext('POST', events, {})).reply(201, {});
    // What has been told makes room.
    recorder.record(happening('n', 'late'));
    expect(dropped).toHaveLength(44);
    (await expectNext('POST', events, { metadata: { name: 'late.257' } })).reply(201, {});
  });
});

describe('the end', () => {
  test('waits for what is still to be told, and takes nothing more', async () => {
    recorder.record(happening('one'));
    recorder.record(happening('two'));
    const stopping = recorder.stop();
    recorder.record(happening('late'));
    expect(dropped).toEqual(['noRoom']);
    (await expectNext('POST', events, { note: 'one' })).reply(201, {});
    (await expectNext('POST', events, { note: 'two' })).reply(201, {});
    await stopping;
    expect(server.waiting).toBe(0);
  });

  test('tells a count that was not due yet', async () => {
    recorder.record(happening());
    (await expectNext('POST', events, {})).reply(201, {});
    recorder.record(happening());
    await time.asleep(1, 30_000);
    const stopping = recorder.stop();
    (await expectNext('PATCH', `${events}/lock.1`, { series: { count: 2 } })).reply(200, {});
    await stopping;
  });

  test('does not wait longer than a second', async () => {
    recorder.record(happening());
    await server.next();
    const stopping = recorder.stop();
    await time.asleep(1_000, 1_000);
    time.advance(1_000);
    await stopping;
    expect(dropped).toEqual(['notWritten']);
  });

  test('of one that has nothing to tell comes at once', async () => {
    await recorder.stop();
    expect(server.waiting).toBe(0);
  });
});
