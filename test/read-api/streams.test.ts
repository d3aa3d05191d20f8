/** Live streams: what comes, to whom, for how long, and what becomes of readers that do not read. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { monotonicMs } from '../../src/core/time.ts';
import { readLimits } from '../../src/read-api/limits.ts';
import type { Refusal } from '../../src/read-api/refusal.ts';
import { RejectionStream, type LineSink, type StreamOptions } from '../../src/read-api/rejection-stream.ts';
import { recordOf } from './support/records.ts';
import { startServing, type Serving } from './support/serving.ts';

const rejections = '/apis/review/v1/rejections';
const generous = { perSecond: 1_000, burst: 1_000 };

class Sink implements LineSink {
  readonly lines: Record<string, unknown>[] = [];
  readonly #listeners = new Map<string, () => void>();
  takes = true;
  state: 'open' | 'ended' | 'destroyed' = 'open';

  write(text: string): boolean {
    this.lines.push(JSON.parse(text) as Record<string, unknown>);
    return this.takes;
  }

  on(event: string, listener: () => void): void {
    this.#listeners.set(event, listener);
  }

  emit(event: 'drain' | 'close'): void {
    this.#listeners.get(event)?.();
  }

  end(): void {
    this.state = 'ended';
  }

  destroy(): void {
    this.state = 'destroyed';
  }

  get told(): readonly string[] {
    return this.lines.map(({ type, object }) => {
      const { reviewUid = '', count = '', code = '' } = object as Record<string, string>;
      return [type, reviewUid, count, code].filter((each) => each !== '').join(' ');
    });
  }
}

function streamOf(options: Partial<StreamOptions> = {}) {
  const sink = new Sink();
  const ends: string[] = [];
  const stream = new RejectionStream(sink, {
    replica: 'replica-0',
    limits: readLimits,
    first: [],
    startedAt: monotonicMs(0),
    endsAt: Infinity,
    reauthorise: () => Promise.resolve(null),
    onEnd: () => ends.push('ended'),
    ...options,
  });
  return { sink, stream, ends };
}

const rejection = (sequence: number, uid: string, count = 1) => ({
  sequence,
  record: recordOf('team', uid, { count }),
});
const refusal: Refusal = { code: 403, reason: 'Forbidden', message: 'no more' };

describe('a stream', () => {
  it('has what there is, says so, and goes on', () => {
    const { sink, stream } = streamOf({ first: [rejection(1, 'a'), rejection(2, 'b')] });
    expect(sink.told).toEqual(['ADDED a 1', 'ADDED b 1', 'BOOKMARK']);
    stream.told(rejection(3, 'c'), 'added');
    stream.told(rejection(1, 'a', 9), 'modified');
    stream.flush();
    expect(sink.told.slice(3)).toEqual(['ADDED c 1', 'MODIFIED a 9']);
    expect(sink.lines.at(-1)).toEqual({ type: 'MODIFIED', object: recordOf('team', 'a', { count: 9 }) });
  });

  it('of which nothing comes has a heartbeat, and no more than that', () => {
    const { sink, stream } = streamOf();
    for (let second = 1; second <= 60; second += 1) stream.tick(monotonicMs(second * 1_000));
    expect(sink.told).toEqual(Array(5).fill('BOOKMARK'));
    expect(sink.lines[0]).toEqual({
      type: 'BOOKMARK',
      object: { kind: 'Rejection', apiVersion: 'review.lockwarden.dev/v1', replica: 'replica-0' },
    });
  });

  it('waits for its reader, and brings up to date what waits', () => {
    const { sink, stream } = streamOf();
    sink.takes = false;
    stream.told(rejection(1, 'a'), 'added');
    stream.flush();
    for (let count = 2; count < 500; count += 1) {
      stream.told(rejection(2, 'b', count), count === 2 ? 'added' : 'modified');
      stream.flush();
    }
    expect(sink.told).toEqual(['BOOKMARK', 'ADDED a 1']);
    sink.takes = true;
    sink.emit('drain');
    expect(sink.told).toEqual(['BOOKMARK', 'ADDED a 1', 'ADDED b 499']);
  });

  it('is cut off when its reader takes nothing for long, or too much waits for it', () => {
    const silent = streamOf();
    silent.sink.takes = false;
    silent.stream.told(rejection(1, 'a'), 'added');
    silent.stream.flush();
    silent.stream.tick(monotonicMs(readLimits.stalledMs - 1));
    expect(silent.sink.state).toBe('open');
    silent.stream.tick(monotonicMs(readLimits.stalledMs));
    expect(silent.sink.state).toBe('destroyed');
    expect(silent.ends).toEqual(['ended']);

    const slow = streamOf();
    slow.sink.takes = false;
    for (let sequence = 1; sequence <= readLimits.waitingMax + 2; sequence += 1) {
      slow.stream.told(rejection(sequence, String(sequence)), 'added');
      slow.stream.flush();
    }
    expect(slow.sink.state).toBe('destroyed');
    expect(slow.sink.lines.length).toBeLessThan(3);
  });

  it('has its caller looked at again and again, and ends with the reason as soon as they may no more', async () => {
    const answers: (Refusal | null)[] = [null, refusal];
    let asked = 0;
    const { sink, stream, ends } = streamOf({
      reauthorise: () => {
        asked += 1;
        return Promise.resolve(answers.shift() ?? null);
      },
    });
    const settle = () => new Promise((resolve) => setImmediate(resolve));
    for (let second = 1; second < 25; second += 1) stream.tick(monotonicMs(second * 1_000));
    expect(asked).toBe(0);
    stream.tick(monotonicMs(25_000));
    stream.tick(monotonicMs(25_500));
    await settle();
    expect(asked).toBe(1);
    stream.tick(monotonicMs(50_000));
    await settle();
    expect(sink.state).toBe('ended');
    expect(sink.told.at(-1)).toBe('ERROR 403');
    expect(ends).toEqual(['ended']);
    const { length } = sink.lines;
    stream.told(rejection(1, 'a'), 'added');
    stream.flush();
    stream.tick(monotonicMs(90_000));
    expect(sink.lines).toHaveLength(length);
  });

  it('ends in time', () => {
    const { sink, stream } = streamOf({ endsAt: 5_000 });
    stream.tick(monotonicMs(4_999));
    expect(sink.state).toBe('open');
    stream.tick(monotonicMs(5_000));
    expect(sink.state).toBe('ended');
  });

  it('ends at once where its reader takes nothing, and would never see the end', () => {
    const { sink, stream } = streamOf();
    sink.takes = false;
    stream.told(rejection(1, 'a'), 'added');
    stream.flush();
    stream.close(refusal);
    expect(sink.state).toBe('destroyed');
    expect(sink.told).toEqual(['BOOKMARK', 'ADDED a 1']);
  });

  it('ends with its reader', () => {
    const { sink, stream, ends } = streamOf();
    sink.emit('close');
    expect([stream.ended, ends]).toEqual([true, ['ended']]);
  });
});

describe('streams over HTTP', () => {
  let serving: Serving;
  let token: string;

  beforeEach(async () => {
    serving = await startServing({ inAll: generous, perConnection: generous });
    token = await serving.cluster.mint('team:reader');
    serving.cluster.rights.add('reader watch rejections team');
  });

  afterEach(() => serving.close());

  const told = (lines: readonly Record<string, unknown>[]) =>
    lines.map(({ type, object }) =>
      `${String(type)} ${(object as { reviewUid?: string }).reviewUid ?? ''}`.trim(),
    );

  it('tell of the namespace that was asked for and of no other', async () => {
    serving.recent.told(recordOf('team', 'before'));
    serving.recent.told(recordOf('secret', 'hidden'));
    const { response, lines } = await serving.follow(`${rejections}?namespace=team&watch=true`, token);
    expect(response.headers).toMatchObject({
      'content-type': 'application/jsonl',
      'cache-control': 'no-store',
    });
    serving.recent.told(recordOf('secret', 'hidden-2'));
    serving.recent.told(recordOf('team', 'after'));
    await expect.poll(() => told(lines)).toEqual(['ADDED before', 'BOOKMARK', 'ADDED after']);
    expect(JSON.stringify(lines)).not.toContain('hidden');
    response.destroy();
    await expect.poll(() => serving.streamCount).toBe(0);
  });

  it('need a right of their own', async () => {
    serving.cluster.rights.clear();
    serving.cluster.rights.add('reader list rejections team');
    expect(await serving.get(`${rejections}?namespace=team&watch=true`, token)).toMatchObject({
      status: 403,
    });
  });

  it('are few for one user, and for all', async () => {
    const { streamsPerUserMax, streamsMax } = readLimits;
    const follow = (own: string) => serving.follow(`${rejections}?namespace=team&watch=true`, own);
    for (let index = 0; index < streamsPerUserMax; index += 1) await follow(token);
    const path = `${rejections}?namespace=team&watch=true`;
    expect(await serving.get(path, token)).toMatchObject({
      status: 429,
      body: { reason: 'TooManyRequests' },
    });
    // Another token of the same user is no other user.
    expect(await serving.get(path, await serving.cluster.mint('team:reader'))).toMatchObject({ status: 429 });
    for (let index = streamsPerUserMax; index < streamsMax; index += 1) {
      serving.cluster.rights.add(`reader-${String(index)} watch rejections team`);
      await follow(await serving.cluster.mint(`team:reader-${String(index)}`));
    }
    expect(serving.streamCount).toBe(streamsMax);
    serving.cluster.rights.add('late watch rejections team');
    expect(await serving.get(path, await serving.cluster.mint('team:late'))).toMatchObject({ status: 429 });
  });

  it('end when the token was revoked, the right taken away, or the API server cannot be asked', async () => {
    const { users, rights, broken } = serving.cluster;
    const endings: [string, () => unknown, number][] = [
      ['revoked', users.clear.bind(users), 401],
      ['taken away', rights.clear.bind(rights), 403],
      ['away', () => broken.add('/apis/authentication.k8s.io/v1/tokenreviews'), 503],
    ];
    for (const [name, end, code] of endings) {
      const own = await serving.cluster.mint('team:reader');
      serving.cluster.rights.add('reader watch rejections team');
      const { lines, ended } = await serving.follow(`${rejections}?namespace=team&watch=true`, own);
      await expect.poll(() => lines.length).toBe(1);
      end();
      serving.pass(readLimits.reauthoriseMs);
      await ended;
      expect(lines.at(-1), name).toMatchObject({ type: 'ERROR', object: { kind: 'Status', code } });
    }
  });

  it('end before their token does', async () => {
    const own = await serving.cluster.mint('team:reader', {
      exp: Date.parse('2026-03-01T03:12:10Z') / 1_000,
    });
    const { ended } = await serving.follow(`${rejections}?namespace=team&watch=true`, own);
    serving.pass(10_000);
    await ended;
    expect(serving.streamCount).toBe(0);
  });

  it('end with the replica, and none begins after that', async () => {
    const { lines, ended } = await serving.follow(`${rejections}?namespace=team&watch=true`, token);
    serving.streams.close();
    await ended;
    expect(lines.at(-1)).toMatchObject({ type: 'ERROR', object: { code: 503 } });
    const path = `${rejections}?namespace=team&watch=true`;
    expect(await serving.get(path, token)).toMatchObject({ status: 503 });
  });

  it('to a reader that reads nothing hold neither memory nor anybody up', async () => {
    const { response } = await serving.follow(`${rejections}?namespace=team&watch=true`, token);
    response.pause();
    const detail = 'x'.repeat(1_000);
    for (let index = 0; index < 20_000; index += 1) {
      serving.recent.told(recordOf('team', `flood-${String(index)}`, { detail }));
      if (index % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await expect.poll(() => serving.streamCount, { timeout: 5_000 }).toBe(0);
  });
});
