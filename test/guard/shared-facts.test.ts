import type { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LockRef } from '../../src/core/lock.ts';
import type { LockFacts } from '../../src/core/shared-facts.ts';
import { lineOf } from '../../src/guard/fact-entry.ts';
import { shardOf } from '../../src/guard/fact-shard.ts';
import { SharedFacts } from '../../src/guard/shared-facts.ts';
import { objectAt, stringAt } from '../../src/kube/json.ts';
import { createMetrics } from '../../src/server/metrics.ts';
import {
  failure,
  startFakeApiServer,
  type Asked,
  type FakeApiServer,
} from '../kube/support/fake-api-server.ts';
import { ManualTime } from '../kube/support/manual-time.ts';
import { Recorded, RecordingLogger } from '../kube/support/recorder.ts';
import { t0 } from '../support/locks.ts';

const path = '/api/v1/namespaces/lockwarden-system/configmaps';
const named = (name: string): LockRef => ({ kind: 'Lease', namespace: 'team', name });
const facts = (version: number, holder = 'h'): LockFacts => ({
  asserted: [{ uid: 'u', version, holder, acquireTime: null, transitions: null, pod: null }],
  deleted: null,
});
const lock = named('election');
const name = 'lockwarden-facts-27';
const configMap = (version: number, lines: readonly (string | null)[], of = name): object => ({
  metadata: { name: of, namespace: 'lockwarden-system', uid: 'x', resourceVersion: String(version) },
  data: { facts: lines.map((each) => `${each ?? ''}\n`).join('') },
});
const textOf = (asked: Asked): string => stringAt(objectAt(asked.body, 'data'), 'facts');

let server: FakeApiServer;
let time: ManualTime;
let logger: RecordingLogger;
let told: Recorded;
let registry: Registry;
let shared: SharedFacts;
let synced: number;

beforeEach(async () => {
  server = await startFakeApiServer();
  time = new ManualTime();
  logger = new RecordingLogger();
  told = new Recorded();
  synced = 0;
  const metrics = createMetrics(
    { monotonicMs: () => time.monotonicMs(), wallMs: () => 0 },
    { processMetrics: false },
  );
  registry = metrics.registry;
  shared = new SharedFacts({
    client: server.client,
    namespace: 'lockwarden-system',
    clock: time,
    logger,
    metrics: metrics.sharedFacts,
    onFacts: (ref, { asserted }) => {
      told.add(`${ref.name} ${asserted.map(({ version }) => version).join(' ')}`);
    },
    onSynced: () => {
      synced += 1;
    },
    isGone: () => true,
    serverNow: () => ({ min: t0, max: t0 }),
    sleep: time.sleep,
    random: () => 0.5,
  });
});

afterEach(async () => {
  const stopped = shared.stop();
  time.advance(10_000);
  await stopped;
  await server.close();
});

/** Begins, and answers the question whether anything can be written; resolves to the list that is asked for. */
async function startAsking(
  answer: (asked: Asked) => void = (asked) => {
    asked.reply(201, {});
  },
): Promise<Asked> {
  shared.start();
  const both = [await server.next(), await server.next()];
  const probe = both.find(({ method }) => method === 'POST')!;
  expect(Object.fromEntries(probe.url.searchParams)).toEqual({ fieldManager: 'lockwarden', dryRun: 'All' });
  answer(probe);
  return both.find(({ method }) => method === 'GET')!;
}

/** The same, and answers the list, and takes the watch. */
async function start(items: readonly object[] = []): Promise<ReturnType<Asked['stream']>> {
  (await startAsking()).reply(200, { metadata: { resourceVersion: '100' }, items });
  return (await server.next()).stream();
}

/** The write that follows, once what was published has settled. */
async function nextWrite(): Promise<Asked> {
  await time.asleep(10, 10);
  time.advance(10);
  return server.next();
}

async function metric(line: string): Promise<string | undefined> {
  const text = await registry.metrics();
  return text
    .split('\n')
    .find((each) => each.startsWith(line))
    ?.split(' ')
    .at(-1);
}

describe('what others tell', () => {
  it('is listed and watched in the namespace, by label', async () => {
    const list = await startAsking();
    expect(list.url.pathname).toBe(path);
    const selector = 'app.kubernetes.io/managed-by=lockwarden,lockwarden.dev/component=facts';
    expect(list.url.searchParams.get('labelSelector')).toBe(selector);
    list.reply(200, {
      metadata: { resourceVersion: '100' },
      items: [configMap(90, [lineOf(lock, facts(5))])],
    });
    const watch = await server.next();
    expect(watch.url.searchParams.get('labelSelector')).toBe(selector);
    expect(told.lines).toEqual(['election 5']);
    expect(synced).toBe(1);
    const stream = watch.stream();
    stream.event('MODIFIED', configMap(101, [lineOf(lock, facts(5)), lineOf(named('l1'), facts(6))]));
    stream.event('MODIFIED', configMap(102, [lineOf(lock, facts(7))]));
    await told.until('election 7');
    expect(await metric('lockwarden_shared_facts_received_total')).toBe('3');
  });

  it('is ignored where it cannot be read, in a ConfigMap of another name too, with one line', async () => {
    const stream = await start();
    stream.event('ADDED', configMap(101, [lineOf(lock, facts(5))], 'somebody-elses'));
    stream.event('ADDED', configMap(102, ['garbage']));
    stream.event('MODIFIED', configMap(103, ['garbage']));
    stream.event('MODIFIED', configMap(104, ['garbage', lineOf(lock, facts(6))]));
    await told.until('election 6');
    expect(told.lines).toEqual(['election 6']);
    expect(logger.lines).toEqual(['warn shared facts that cannot be read are ignored']);
  });

  it('does not keep a replica from being ready where it may not be read, and is told of once', async () => {
    let list = await startAsking();
    for (const attempt of [1, 2]) {
      if (attempt > 1) list = await server.next();
      list.reply(403, failure(403, 'Forbidden', 'no'));
      time.advance(await time.asleep(250, 60_000));
      expect(synced).toBe(1);
      expect(logger.lines, String(attempt)).toEqual(['warn watch on shared facts interrupted']);
    }
  });
});

describe('what is published', () => {
  it('is created where there is nothing yet, after a moment, with the time it took', async () => {
    const stream = await start();
    shared.publish(lock, facts(5));
    const write = await nextWrite();
    expect([write.method, write.url.pathname]).toEqual(['POST', path]);
    expect(textOf(write)).toBe(`${lineOf(lock, facts(5))!}\n`);
    write.reply(201, configMap(101, [lineOf(lock, facts(5))]));
    while ((await metric('lockwarden_shared_facts_writes_total')) !== '1') await new Promise(setImmediate);
    time.advance(7);
    stream.event('ADDED', configMap(101, [lineOf(lock, facts(5))]));
    stream.event('ADDED', configMap(102, [], 'lockwarden-facts-26'));
    stream.event('MODIFIED', configMap(103, [lineOf(lock, facts(5)), lineOf(named('l1'), facts(1))]));
    stream.event('MODIFIED', configMap(104, [lineOf(lock, facts(9))]));
    await told.until('election 9');
    expect(told.lines).not.toContain('election 5');
    expect(await metric('lockwarden_shared_facts_published_total')).toBe('1');
    expect(await metric('lockwarden_shared_facts_window_seconds_sum')).toBe('0.017');
    expect(await metric('lockwarden_shared_facts_writes_total')).toBe('1');
  });

  it('is written over what is there, only if that is still so, and joined with what came between', async () => {
    await start([configMap(90, [lineOf(lock, facts(3))])]);
    shared.publish(lock, facts(5));
    const write = await nextWrite();
    expect([write.method, write.url.pathname]).toEqual(['PUT', `${path}/${name}`]);
    expect(objectAt(write.body, 'metadata')['resourceVersion']).toBe('90');
    write.reply(409, failure(409, 'Conflict'));
    const reread = await server.next();
    expect(reread.method).toBe('GET');
    reread.reply(200, configMap(95, [lineOf(lock, facts(4)), lineOf(named('l1'), facts(1))]));
    time.advance(25);
    const again = await server.next();
    expect(objectAt(again.body, 'metadata')['resourceVersion']).toBe('95');
    expect(textOf(again)).toContain('[4,"u","h"');
    expect(textOf(again)).toContain('[5,"","h"');
    again.reply(200, configMap(96, []));
    expect(told.lines).toEqual(
      ['election 3', 'election 4', 'l1 1'].filter((each) => told.lines.includes(each)),
    );
    expect(told.lines).toContain('election 4');
  });

  it.each([
    ['created by another', 409, 'AlreadyExists', []],
    ['deleted by another', 404, 'NotFound', [configMap(90, [])]],
  ] as const)('is written once more where the ConfigMap was %s', async (_, status, reason, items) => {
    await start(items);
    shared.publish(lock, facts(5));
    (await nextWrite()).reply(status, failure(status, reason));
    const reread = await server.next();
    if (reason === 'NotFound') reread.reply(404, failure(404, 'NotFound'));
    else reread.reply(200, configMap(95, []));
    const again = await server.next();
    expect(again.method).toBe(reason === 'NotFound' ? 'POST' : 'PUT');
    again.reply(200, configMap(99, []));
  });

  it('comes in one write for many of one shard, one shard after another', async () => {
    await start();
    const same = Array.from({ length: 2000 }, (_, i) => named(`l${String(i)}`)).filter(
      (each) => shardOf(each) === 27,
    );
    for (const each of same) shared.publish(each, facts(5));
    shared.publish(named('l0'), facts(6));
    const first = await nextWrite();
    expect(textOf(first).split('\n')).toHaveLength(same.length + 1);
    shared.publish(lock, facts(7));
    first.reply(201, configMap(101, textOf(first).split('\n').slice(0, -1)));
    time.advance(await time.asleep(1, 25));
    const second = await server.next();
    expect(objectAt(second.body, 'metadata')['name']).not.toBe(name);
    second.reply(201, configMap(102, [], stringAt(objectAt(second.body, 'metadata'), 'name')));
    time.advance(await time.asleep(1, 25));
    const third = await server.next();
    expect([third.method, objectAt(third.body, 'metadata')['resourceVersion']]).toEqual(['PUT', '101']);
    expect(textOf(third)).toContain('[7,"u","h"');
    third.reply(200, configMap(103, []));
  });

  it('waits while the API server fails, and is told of once', async () => {
    await start();
    shared.publish(lock, facts(5));
    (await nextWrite()).reply(500, failure(500, 'InternalError'));
    time.advance(await time.asleep(250, 500));
    (await server.next()).reply(429, failure(429, 'TooManyRequests'), { 'retry-after': '3' });
    time.advance(await time.asleep(3000, 3000));
    const write = await server.next();
    expect(textOf(write)).toBe(`${lineOf(lock, facts(5))!}\n`);
    write.reply(201, configMap(101, []));
    expect(logger.lines).toEqual(['warn shared facts not written yet']);
    expect(await metric('lockwarden_shared_facts_write_failures_total')).toBe('2');
  });

  it.each([
    [404, 'NotFound'],
    [403, 'Forbidden'],
  ] as const)(
    'is dropped without a namespace or a permission (%i), with one line and one attempt a minute',
    async (status, reason) => {
      await start();
      shared.publish(lock, facts(5));
      (await nextWrite()).reply(status, failure(status, reason, 'no'));
      await logger.until(
        'warn shared facts cannot be written, so other replicas and a restart do not know what this one saw',
      );
      shared.publish(lock, facts(6));
      expect(await metric('lockwarden_shared_facts_dropped_total{cause="unavailable"}')).toBe('2');
      time.advance(60_000);
      shared.publish(lock, facts(7));
      (await nextWrite()).reply(status, failure(status, reason, 'no'));
      while ((await metric('lockwarden_shared_facts_dropped_total{cause="unavailable"}')) !== '3')
        await new Promise(setImmediate);
      time.advance(60_000);
      shared.publish(lock, facts(8));
      const write = await nextWrite();
      expect(textOf(write)).toContain('[8,');
      expect(textOf(write)).not.toContain('[5,');
      write.reply(201, configMap(101, []));
      await logger.until('info shared facts are written again');
      expect(logger.lines).toHaveLength(2);
    },
  );

  it('is dropped from the start without a namespace, with the line at the start', async () => {
    const list = await startAsking((asked) => {
      asked.reply(404, failure(404, 'NotFound', 'no such namespace'));
    });
    list.reply(200, { metadata: { resourceVersion: '100' }, items: [] });
    (await server.next()).stream();
    await logger.until(
      'warn shared facts cannot be written, so other replicas and a restart do not know what this one saw',
    );
    shared.publish(lock, facts(5));
    expect(await metric('lockwarden_shared_facts_dropped_total{cause="unavailable"}')).toBe('1');
  });

  it('is dropped where the API server refuses it for what it is', async () => {
    await start();
    shared.publish(lock, facts(5));
    (await nextWrite()).reply(422, failure(422, 'Invalid', 'no'));
    await logger.until('warn shared facts refused by the API server');
    expect(await metric('lockwarden_shared_facts_dropped_total{cause="refused"}')).toBe('1');
  });

  it('is bounded: what does not fit, and what is too much, is counted', async () => {
    await start();
    shared.publish(lock, facts(5, 'h'.repeat(300)));
    expect(await metric('lockwarden_shared_facts_dropped_total{cause="size"}')).toBe('1');
    for (let i = 0; i < 15_010; i += 1) shared.publish(named(`l${String(i)}`), facts(5));
    expect(await metric('lockwarden_shared_facts_dropped_total{cause="queue"}')).toBe('10');
    expect(await metric('lockwarden_shared_facts_published_total')).toBe('15000');
    for (let i = 0; i < 5_010; i += 1) shared.publish({ ...lock, namespace: `calm-${String(i)}` }, facts(5));
    expect(await metric('lockwarden_shared_facts_dropped_total{cause="queue"}')).toBe('20');
    expect(await metric('lockwarden_shared_facts_published_total')).toBe('20000');
  });
});

describe('at the end', () => {
  it('what waits is written without delay', async () => {
    await start();
    shared.publish(lock, facts(5));
    shared.publish(named('l0'), facts(5));
    const stopped = shared.stop();
    for (const version of [101, 102]) {
      const write = await server.next();
      write.reply(201, configMap(version, [], stringAt(objectAt(write.body, 'metadata'), 'name')));
    }
    await stopped;
    shared.publish(lock, facts(6));
    expect(await metric('lockwarden_shared_facts_dropped_total{cause="stopped"}')).toBe('1');
  });

  it('an API server that does not answer is not waited for', async () => {
    await start();
    shared.publish(lock, facts(5));
    const stopped = shared.stop();
    await server.next();
    await time.asleep(1500, 1500);
    time.advance(1500);
    await stopped;
    expect(await metric('lockwarden_shared_facts_dropped_total{cause="stopped"}')).toBe('1');
  });
});

describe('now and then', () => {
  it('lines of locks that are gone are swept out, and where there are none nothing is written', async () => {
    await start([configMap(90, [lineOf(lock, facts(5))])]);
    time.advance(await time.asleep(300_000, 600_000));
    await time.asleep(10, 10);
    time.advance(10);
    const write = await server.next();
    expect([write.method, textOf(write)]).toEqual(['PUT', '']);
    write.reply(200, configMap(101, []));
    while ((await metric('lockwarden_shared_facts_writes_total')) !== '1') await new Promise(setImmediate);
    time.advance(await time.asleep(300_000, 600_000));
    await time.asleep(10, 10);
    time.advance(10);
    shared.publish(lock, facts(6));
    // The watch was silent for so long that it begins anew meanwhile.
    let asked = await server.next();
    while (asked.method === 'GET') asked = await server.next();
    expect(textOf(asked)).toContain('[6,');
  });
});
