import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ObservedObject } from '../../src/replica/observed-object.ts';
import { startFakeApiServer, type FakeApiServer } from '../kube/support/fake-api-server.ts';
import { ManualTime } from '../kube/support/manual-time.ts';
import { Recorded, RecordingLogger } from '../kube/support/recorder.ts';

let server: FakeApiServer;
let time: ManualTime;
let logger: RecordingLogger;
let told: Recorded;
let observed: ObservedObject;

const object = (version: string, uid = 'u'): object => ({
  metadata: { namespace: 'guards', name: 'it', uid, resourceVersion: version },
});

beforeEach(async () => {
  server = await startFakeApiServer();
  time = new ManualTime();
  logger = new RecordingLogger();
  told = new Recorded();
  observed = new ObservedObject(
    { collection: '/api/v1/namespaces/guards/secrets', name: 'it' },
    {
      ...{ client: server.client, clock: time, logger, what: 'secret/it', sleep: time.sleep },
      onChange: () => {
        told.add(observed.known ? observed.resourceVersion || 'none' : 'unknown');
      },
    },
  );
  observed.start();
});

afterEach(async () => {
  const stopped = observed.stop();
  await server.close();
  await stopped;
});

async function list(...items: readonly object[]): Promise<void> {
  const asked = await server.next();
  expect(asked.url.searchParams.get('fieldSelector')).toBe('metadata.name=it');
  asked.reply(200, { metadata: { resourceVersion: '10' }, items });
}

describe('an observed object', () => {
  it('is not known until a list has told, and then as it is', async () => {
    expect([observed.known, observed.object]).toEqual([false, null]);
    await list();
    await told.until('none');
    expect([observed.known, observed.object]).toEqual([true, null]);
  });

  it('follows what happens to it', async () => {
    await list(object('5'));
    const stream = (await server.next()).stream();
    await told.until('5');
    stream.event('MODIFIED', object('6'));
    await told.until('6');
    stream.event('DELETED', object('7'));
    await told.until('none');
    stream.event('ADDED', object('8', 'another'));
    await told.until('8');
    expect(told.take()).toEqual(['5', '6', 'none', '8']);
  });

  it('stays as it was last seen while the watch is lost', async () => {
    await list(object('5'));
    (await server.next()).reply(500, {});
    await time.asleep(1, 10_000);
    expect([observed.known, observed.resourceVersion]).toEqual([true, '5']);
    expect(logger.lines).toEqual(['warn watch of an object interrupted']);
  });

  it.each([
    ['was replaced by another of its name', [object('9', 'another')], '9'],
    ['was deleted', [], 'none'],
  ] as const)('that %s unseen is told as it is now, and never as gone in between', async (_, items, now) => {
    await list(object('5'));
    await told.until('5');
    (await server.next()).reply(410, { kind: 'Status', code: 410, reason: 'Expired' });
    time.advance(await time.asleep(1, 10_000));
    await list(...items);
    await told.until(now);
    expect(told.take()).toEqual(['5', now]);
  });
});
