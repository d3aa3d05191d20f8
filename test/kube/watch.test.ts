import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { isObject, objectAt } from '../../src/kube/json.ts';
import type { WatchedResource } from '../../src/kube/resource.ts';
import { Watch } from '../../src/kube/watch.ts';
import { failure, startFakeApiServer, type FakeApiServer } from './support/fake-api-server.ts';
import { ManualTime } from './support/manual-time.ts';
import { RecordingLogger, RecordingSink } from './support/recorder.ts';

const leases = { path: '/apis/coordination.k8s.io/v1/leases' };

let server: FakeApiServer;
let time: ManualTime;
let sink: RecordingSink;
let logger: RecordingLogger;
let watch: Watch;

beforeEach(async () => {
  server = await startFakeApiServer();
  time = new ManualTime();
  sink = new RecordingSink();
  logger = new RecordingLogger();
});

afterEach(async () => {
  await watch.stop();
  await server.close();
});

function start(resource: WatchedResource = leases): void {
  const options = { clock: time, logger, sleep: time.sleep, random: () => 0.5 };
  watch = new Watch(server.client, resource, sink, options);
  watch.start();
}

function object(name: string, version: number, more: { uid?: string; annotations?: object } = {}): object {
  const { uid = `uid-${name}`, annotations } = more;
  return { metadata: { namespace: 'ns', name, uid, resourceVersion: String(version), annotations } };
}

function list(version: number, items: readonly object[], next = ''): object {
  return { kind: 'LeaseList', metadata: { resourceVersion: String(version), continue: next }, items };
}

/** Answers a list and takes the watch that follows. */
async function listed(version: number, items: readonly object[]): Promise<ReturnType<typeof watching>> {
  (await server.next()).reply(200, list(version, items));
  return watching();
}

async function watching(): Promise<{
  version: string | null;
  query: URLSearchParams;
  accept: string | undefined;
  stream: ReturnType<Awaited<ReturnType<FakeApiServer['next']>>['stream']>;
  destroy: () => void;
}> {
  const asked = await server.next();
  const query = asked.url.searchParams;
  expect(query.get('watch')).toBe('true');
  const stream = asked.stream();
  return {
    version: query.get('resourceVersion'),
    query,
    accept: asked.headers.accept,
    stream,
    destroy: () => {
      asked.destroy();
    },
  };
}

describe('list and watch', () => {
  test('what is listed, in pages, comes before what happens, and is told apart from it', async () => {
    start();
    const first = await server.next();
    expect(Object.fromEntries(first.url.searchParams)).toEqual({ limit: '500' });
    first.reply(200, list(10, [object('a', 1), object('b', 2)], 'page-2'));
    const second = await server.next();
    expect(Object.fromEntries(second.url.searchParams)).toEqual({ limit: '500', continue: 'page-2' });
    second.reply(200, list(10, [object('c', 3)]));
    const { stream, version, query } = await watching();
    expect(version).toBe('10');
    expect(query.get('allowWatchBookmarks')).toBe('true');
    expect(query.get('timeoutSeconds')).toBe('450');
    stream.event('ADDED', object('d', 11));
    stream.event('MODIFIED', object('a', 12));
    stream.event('DELETED', object('b', 13));
    await sink.until('deleted ns/b@13');
    expect(sink.lines).toEqual([
      'listed ns/a@1 ns/b@2',
      'listed ns/c@3',
      'synced',
      'connected',
      'added ns/d@11',
      'modified ns/a@12',
      'deleted ns/b@13',
    ]);
    expect(watch.status()).toMatchObject({
      phase: 'watching',
      synced: true,
      tracked: 3,
      lists: 1,
      restarts: 0,
    });
  });

  test('a page that is too large is asked for again in smaller pieces', async () => {
    start();
    const huge = 'x'.repeat(65 * 1024 * 1024);
    (await server.next()).reply(200, list(10, [{ ...object('a', 1), huge }], 'page-2'));
    const again = await server.next();
    expect(again.url.searchParams.get('limit')).toBe('50');
    again.reply(200, list(10, []));
    await watching();
    await sink.until('connected');
    expect(sink.lines).toEqual(['synced', 'connected']);
  });

  test('metadata alone is asked for where that is enough', async () => {
    start({
      path: '/api/v1/configmaps',
      metadataOnly: true,
      fieldSelector: 'metadata.namespace!=kube-system',
    });
    const asked = await server.next();
    expect(asked.headers.accept).toBe('application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1');
    expect(asked.url.searchParams.get('fieldSelector')).toBe('metadata.namespace!=kube-system');
    asked.reply(200, list(1, []));
    const { accept, query } = await watching();
    expect(accept).toBe('application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1');
    expect(query.get('fieldSelector')).toBe('metadata.namespace!=kube-system');
  });

  test('a watch that the server ends in good order continues from the last version, without a list', async () => {
    start();
    const { stream } = await listed(10, []);
    stream.event('ADDED', object('a', 11));
    stream.event('BOOKMARK', { metadata: { resourceVersion: '40' } });
    stream.end();
    expect((await watching()).version).toBe('40');
    await sink.until('connected');
    expect(sink.lines).toEqual(['synced', 'connected', 'added ns/a@11', 'connected']);
    expect(watch.status()).toMatchObject({ lists: 1, restarts: 1 });
  });

  test('bookmarks move on the version and the time of the last event, and nothing else', async () => {
    start();
    const { stream } = await listed(10, [object('a', 5)]);
    await sink.until('connected');
    expect(watch.status().lastEventAt).toBeNull();
    time.advance(60_000);
    stream.event('BOOKMARK', { metadata: { resourceVersion: '20' } });
    stream.event('MODIFIED', object('a', 21));
    await sink.until('modified ns/a@21');
    expect(watch.status().lastEventAt).toBe(time.monotonicMs());
    expect(watch.status().connectedSince).toBe(time.monotonicMs() - 60_000);
  });
});

describe('filter', () => {
  const passing = {
    path: '/api/v1/configmaps',
    passes: (each: unknown) =>
      isObject(each) && 'lock' in objectAt(objectAt(each, 'metadata'), 'annotations'),
  };
  const carried = { annotations: { lock: 'x' } };

  test('what does not pass is neither delivered nor tracked', async () => {
    start(passing);
    const { stream } = await listed(10, [object('plain', 1), object('lock', 2, carried)]);
    stream.event('ADDED', object('plain-2', 11));
    stream.event('MODIFIED', object('plain', 12));
    stream.event('DELETED', object('plain', 13));
    stream.event('MODIFIED', object('lock', 14, carried));
    await sink.until('modified ns/lock@14');
    expect(sink.lines).toEqual(['listed ns/lock@2', 'synced', 'connected', 'modified ns/lock@14']);
    expect(watch.status().tracked).toBe(1);
  });

  test('an object that stops passing is delivered once more as it is, and then forgotten', async () => {
    start(passing);
    const { stream } = await listed(10, [object('lock', 2, carried)]);
    stream.event('MODIFIED', object('lock', 11));
    stream.event('MODIFIED', object('lock', 12));
    stream.event('DELETED', object('lock', 13));
    stream.event('ADDED', object('end', 14, carried));
    await sink.until('added ns/end@14');
    expect(sink.take().slice(3)).toEqual(['modified ns/lock@11', 'added ns/end@14']);
  });

  test('an object that starts to pass is delivered from then on', async () => {
    start(passing);
    const { stream } = await listed(10, [object('late', 2)]);
    stream.event('MODIFIED', object('late', 11, carried));
    stream.event('DELETED', object('late', 12, carried));
    await sink.until('deleted ns/late@12');
    expect(sink.lines.slice(2)).toEqual(['modified ns/late@11', 'deleted ns/late@12']);
  });

  test('one that a new list shows without passing is delivered by that list', async () => {
    start(passing);
    const { stream } = await listed(10, [object('lock', 2, carried)]);
    stream.event('ERROR', failure(410, 'Expired'));
    await time.asleep(1, 10_000);
    time.advance(10_000);
    await listed(50, [object('lock', 40)]);
    await sink.until('connected');
    expect(sink.lines.slice(3)).toEqual(['disconnected gone', 'listed ns/lock@40', 'synced', 'connected']);
    expect(watch.status().tracked).toBe(0);
  });
});

describe('interruptions', () => {
  async function retried(): Promise<void> {
    await time.asleep(1, 10_000);
    time.advance(10_000);
  }

  test('a version that is too old leads to a new list, which also tells what was deleted unseen', async () => {
    start();
    const { stream } = await listed(10, [object('a', 1), object('b', 2), object('c', 3)]);
    stream.event('MODIFIED', object('a', 11));
    stream.event('ERROR', failure(410, 'Expired', 'too old resource version'));
    await retried();
    await listed(50, [object('a', 11), object('c', 45, { uid: 'another' })]);
    await sink.until('connected');
    expect(sink.lines.slice(3)).toEqual([
      'modified ns/a@11',
      'disconnected gone',
      'deletedUnseen ns/c uid-c',
      'listed ns/a@11 ns/c@45',
      'deletedUnseen ns/b uid-b',
      'synced',
      'connected',
    ]);
    expect(watch.status()).toMatchObject({ lists: 2, restarts: 1, tracked: 2 });
  });

  test('a refusal of the version by status is the same as by event', async () => {
    start();
    (await server.next()).reply(200, list(10, []));
    (await server.next()).reply(410, failure(410, 'Gone'));
    await retried();
    await listed(50, []);
    await sink.until('connected');
    expect(sink.lines).toEqual(['synced', 'disconnected gone', 'synced', 'connected']);
  });

  test('a broken connection continues from the last version that was delivered', async () => {
    start();
    const { stream, destroy } = await listed(10, []);
    stream.event('ADDED', object('a', 11));
    await sink.until('added ns/a@11');
    destroy();
    await retried();
    expect((await watching()).version).toBe('11');
    await sink.until('connected');
    expect(sink.lines.slice(2)).toEqual(['added ns/a@11', 'disconnected unreachable', 'connected']);
  });

  test('an event cut off by the end of the stream is not delivered, and asked for again', async () => {
    start();
    const { stream } = await listed(10, []);
    stream.event('ADDED', object('a', 11));
    stream.send('{"type":"ADDED","object":{"metadata":{"name":"b"');
    stream.end();
    expect((await watching()).version).toBe('11');
    await sink.until('connected');
    expect(sink.lines).not.toContain('added ns/b@12');
  });

  test.for([
    ['garbage', 'garbage\n'],
    ['an event without an object', '{"type":"ADDED"}\n'],
    ['an event of an unknown type', `${JSON.stringify({ type: 'ODD', object: object('a', 12) })}\n`],
    ['an array', '[]\n'],
    ['null', 'null\n'],
  ] as const)('%s in the stream leads to a new list', async ([, text]) => {
    start();
    const { stream } = await listed(10, [object('a', 1)]);
    stream.send(text);
    await retried();
    await listed(50, []);
    await sink.until('connected');
    expect(sink.lines.slice(3)).toEqual([
      'disconnected malformed',
      'deletedUnseen ns/a uid-a',
      'synced',
      'connected',
    ]);
  });

  test('an event beyond every bound is not read to its end', async () => {
    start();
    const { stream } = await listed(10, []);
    stream.send(`{"type":"ADDED","object":"${'x'.repeat(11 * 1024 * 1024)}`);
    await sink.until('disconnected too-large');
    await retried();
    await listed(50, []);
    await sink.until('connected');
  });

  test('three refusals in a row lead to a new list: the version may lie in the future of a restored etcd', async () => {
    start();
    (await server.next()).reply(200, list(1_000_000, []));
    for (let refusal = 0; refusal < 3; refusal += 1) {
      const asked = await server.next();
      expect(asked.url.searchParams.get('resourceVersion')).toBe('1000000');
      asked.reply(504, failure(504, 'Timeout', 'Too large resource version'));
      await retried();
    }
    expect((await listed(7, [])).version).toBe('7');
  });

  test('an API server that fails is asked again after delays that grow up to the cap', async () => {
    start();
    for (let attempt = 0; attempt < 8; attempt += 1) {
      (await server.next()).reply(500, failure(500, 'InternalError'));
      await retried();
    }
    await listed(10, []);
    await sink.until('connected');
    expect(time.slept.filter((ms) => ms < 100_000)).toEqual([375, 750, 1500, 3000, 6000, 7500, 7500, 7500]);
    expect(sink.lines.filter((line) => line === 'disconnected server-error')).toHaveLength(8);
  });

  test('the API server decides how long to wait at least', async () => {
    start();
    (await server.next()).reply(429, failure(429, 'TooManyRequests'), { 'retry-after': '9' });
    expect(await time.asleep(1, 10_000)).toBe(9000);
    time.advance(9000);
    await listed(10, []);
  });

  test('a watch that ends as soon as it has begun is not repeated in a hurry', async () => {
    start();
    const { stream } = await listed(10, []);
    stream.end();
    await sink.until('disconnected unreachable');
    await retried();
    await watching();
  });

  test('silence for longer than two bookmarks take counts as a dead connection', async () => {
    start();
    const { stream } = await listed(10, []);
    await time.asleep(150_000, 150_000);
    time.advance(149_000);
    stream.event('BOOKMARK', { metadata: { resourceVersion: '20' } });
    stream.event('ADDED', object('a', 21));
    await sink.until('added ns/a@21');
    time.advance(149_000);
    expect(watch.status().phase).toBe('watching');
    await time.asleep(1000, 1000);
    time.advance(1000);
    await sink.until('disconnected timeout');
    await retried();
    expect((await watching()).version).toBe('21');
  });

  test('a sink that fails costs a new list, not the watch', async () => {
    start();
    sink.added = () => {
      throw new Error('defect');
    };
    const { stream } = await listed(10, []);
    stream.event('ADDED', object('a', 11));
    await sink.until('disconnected malformed');
    expect(logger.lines).toEqual(['error a watch event could not be taken in']);
    await retried();
    await listed(50, [object('a', 11)]);
    await sink.until('connected');
  });

  test('a list that fails on its second page reports nothing as deleted', async () => {
    start();
    const { stream } = await listed(10, [object('a', 1), object('b', 2)]);
    stream.event('ERROR', failure(410, 'Expired'));
    await retried();
    (await server.next()).reply(200, list(50, [object('a', 1)], 'page-2'));
    (await server.next()).reply(410, failure(410, 'Expired'));
    await retried();
    await listed(60, [object('a', 1), object('b', 2)]);
    await sink.until('connected');
    expect(sink.lines.filter((line) => line.startsWith('deletedUnseen'))).toEqual([]);
  });
});

describe('stop', () => {
  test.for(['during a list', 'during a watch', 'during a delay', 'before the start'])('%s', async (when) => {
    start();
    if (when === 'during a list') await server.next();
    if (when === 'during a watch') await listed(10, []);
    if (when === 'during a delay') {
      (await server.next()).reply(500, failure(500, 'InternalError'));
      await time.asleep(1, 10_000);
    }
    await watch.stop();
    const lines = sink.lines.length;
    expect(watch.status().phase).toBe('stopped');
    expect(watch.status().connectedSince).toBeNull();
    await watch.stop();
    expect(sink.lines).toHaveLength(lines);
  });
});
