import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { sharedRoster, soleRoster, type Roster } from '../../src/replica/roster.ts';
import type { ReplicaState } from '../../src/replica/presence.ts';
import {
  failure,
  startFakeApiServer,
  type Asked,
  type FakeApiServer,
} from '../kube/support/fake-api-server.ts';
import { ManualTime } from '../kube/support/manual-time.ts';
import { RecordingLogger } from '../kube/support/recorder.ts';

const nowMs = Date.UTC(2026, 0, 2);
const state: ReplicaState = { servesLeaf: 'abc', leafNotAfterMs: 5, hesitates: null, version: '1' };
const minute = 60_000;

let server: FakeApiServer;
let roster: Roster;
let changes: number;
let logger: RecordingLogger;

function optionsOf(name: string) {
  return {
    client: server.client,
    namespace: 'guards',
    name,
    nowMs: () => nowMs,
    onChange: () => {
      changes += 1;
    },
    clock: new ManualTime(),
    logger,
  };
}

beforeEach(async () => {
  server = await startFakeApiServer();
  logger = new RecordingLogger();
  changes = 0;
});

afterEach(async () => {
  const stopped = roster.stop();
  await server.close();
  await stopped;
});

const line = (saidAtMs: number): string => JSON.stringify({ ...state, saidAtMs });

function listOf(data: Readonly<Record<string, string>>, version: string): object {
  const metadata = { namespace: 'guards', name: 'lockwarden-replicas', uid: 'u', resourceVersion: version };
  return { metadata, data };
}

/** The roster, and the requests that are its own writes; the list and the watch are answered with `data`. */
async function start(data: Readonly<Record<string, string>>): Promise<{
  readonly write: () => Promise<Asked>;
  readonly event: (type: string, object: object) => void;
}> {
  roster = sharedRoster(optionsOf('one'));
  roster.start();
  const listed = await server.next();
  listed.reply(200, { metadata: { resourceVersion: '1' }, items: [listOf(data, '1')] });
  const watched = await server.next();
  const stream = watched.stream();
  return {
    write: () => server.next(),
    event: (type, object) => {
      stream.event(type, object);
    },
  };
}

describe('a roster that all replicas write', () => {
  it('knows who lives, and tells when that may have changed', async () => {
    const { event } = await start({ two: line(nowMs - 5_000), dead: line(nowMs - minute) });
    expect(roster.living().map(({ name }) => name)).toEqual(['two']);
    const before = changes;
    event('MODIFIED', listOf({ two: line(nowMs), three: line(nowMs) }, '2'));
    await vi.waitFor(() => {
      expect(roster.living().map(({ name }) => name)).toEqual(['two', 'three']);
    });
    expect(changes).toBe(before + 1);
  });

  it('knows whether somebody else stays when it leaves', async () => {
    const { write } = await start({});
    for (const [others, isLast] of [
      [{ two: line(nowMs), three: JSON.stringify({ ...state, saidAtMs: nowMs, leaves: true }) }, false],
      [{ three: JSON.stringify({ ...state, saidAtMs: nowMs, leaves: true }) }, true],
      [{}, true],
    ] as const) {
      const left = roster.leave(AbortSignal.timeout(5_000));
      (await write()).reply(200, listOf({ one: line(nowMs), ...others }, '2'));
      expect(await left).toBe(isLast);
    }
  });

  it('goes by what it last saw when it cannot say that it leaves', async () => {
    const { write } = await start({ two: line(nowMs) });
    await vi.waitFor(() => {
      expect(roster.living()).toHaveLength(1);
    });
    const left = roster.leave(AbortSignal.timeout(5_000));
    (await write()).reply(403, failure(403, 'Forbidden'));
    expect(await left).toBe(false);
    expect(logger.lines).toEqual(['warn leave not told']);
  });

  it('takes away the lines of those that are long dead, and of nobody else', async () => {
    const { write } = await start({ two: line(nowMs - minute), dead: line(nowMs - 6 * minute) });
    const tidied = roster.tidy();
    const asked = await write();
    expect(asked.body).toEqual({ data: { dead: null } });
    asked.reply(500, {});
    await tidied;
    expect(logger.lines).toEqual(['warn roster not tidied']);
  });

  it('writes nothing when there is nobody to take away', async () => {
    await start({ two: line(nowMs - minute) });
    await roster.tidy();
    expect(server.waiting).toBe(0);
  });

  it.each([
    ['the list was deleted', 'DELETED', listOf({ one: line(nowMs) }, '3')],
    ['its line was', 'MODIFIED', listOf({ two: line(nowMs) }, '3')],
  ] as const)('says again at once what it serves when %s', async (_, type, object) => {
    const { write, event } = await start({ one: line(nowMs) });
    roster.tell(state);
    (await write()).reply(200, {});
    event(type, object);
    const asked = await write();
    expect(asked.method).toBe('PATCH');
    expect(Object.keys((asked.body as { data: object }).data)).toEqual(['one']);
    asked.reply(200, {});
  });
});

describe('the roster of a replica that is alone', () => {
  it('lists it once it has told something, and tells of changes only', () => {
    roster = soleRoster(optionsOf('one'));
    expect(roster.living()).toEqual([]);
    roster.tell(state);
    roster.tell({ ...state });
    expect(roster.living()).toEqual([{ ...state, name: 'one', saidAtMs: nowMs }]);
    expect(changes).toBe(1);
  });

  it('is the last whenever it leaves', async () => {
    roster = soleRoster(optionsOf('one'));
    expect(await roster.leave(AbortSignal.timeout(1))).toBe(true);
  });
});
