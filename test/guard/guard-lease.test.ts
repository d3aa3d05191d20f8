/** The guard Lease as replicas keep it, against an API server that a test plays: one that stores one Lease, and compares versions. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { monotonicMs, serverMs } from '../../src/core/time.ts';
import { GuardLease } from '../../src/guard/guard-lease.ts';
import type { Vigil } from '../../src/guard/guard-record.ts';
import { objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import {
  failure,
  startFakeApiServer,
  type Asked,
  type FakeApiServer,
} from '../kube/support/fake-api-server.ts';
import { ManualTime } from '../kube/support/manual-time.ts';
import { RecordingLogger } from '../kube/support/recorder.ts';

const bootMs = Date.parse('2026-03-01T12:00:00Z');
const collection = '/apis/coordination.k8s.io/v1/namespaces/own/leases';
const path = `${collection}/lockwarden-guard`;
const patience = { timeout: 5_000, interval: 5 };

/** An API server with one Lease. */
class LeaseStore {
  lease: JsonObject | null = null;
  /** Specs that were written, in order. */
  readonly written: JsonObject[] = [];
  reads = 0;
  /** Has a request treated otherwise: true where it has been. */
  meddle: (asked: Asked) => boolean = () => false;
  #version = 10;
  readonly #streams: ReturnType<Asked['stream']>[] = [];

  async serve(server: FakeApiServer): Promise<void> {
    for (;;) this.#answer(await server.next());
  }

  put(spec: JsonObject | null): void {
    this.#version += 1;
    const gone = this.lease;
    this.lease = spec === null ? null : { metadata: { ...this.#metadata() }, spec };
    const type = spec === null ? 'DELETED' : gone === null ? 'ADDED' : 'MODIFIED';
    const object = this.lease ?? { ...gone, metadata: this.#metadata() };
    for (const stream of this.#streams) stream.event(type, object);
  }

  get spec(): JsonObject {
    return objectAt(this.lease, 'spec');
  }

  #metadata(): JsonObject {
    const resourceVersion = String(this.#version);
    return { name: 'lockwarden-guard', namespace: 'own', uid: 'u', resourceVersion };
  }

  #answer(asked: Asked): void {
    if (this.meddle(asked)) return;
    const { method, url, body } = asked;
    if (url.searchParams.has('watch')) this.#streams.push(asked.stream());
    else if (url.pathname === collection && method === 'GET') {
      const items = this.lease === null ? [] : [this.lease];
      asked.reply(200, { metadata: { resourceVersion: String(this.#version) }, items });
    } else if (method === 'GET') {
      this.reads += 1;
      if (this.lease === null) asked.reply(404, failure(404, 'NotFound'));
      else asked.reply(200, this.lease);
    } else this.#write(asked, objectAt(body, 'spec'));
  }

  #write(asked: Asked, spec: JsonObject): void {
    const { method, body } = asked;
    const version = stringAt(objectAt(body, 'metadata'), 'resourceVersion');
    const stored = stringAt(objectAt(this.lease, 'metadata'), 'resourceVersion');
    if (method === 'POST' && this.lease !== null) asked.reply(409, failure(409, 'AlreadyExists'));
    else if (method === 'PUT' && this.lease === null) asked.reply(404, failure(404, 'NotFound'));
    else if (method === 'PUT' && version !== stored) asked.reply(409, failure(409, 'Conflict'));
    else {
      this.written.push(spec);
      this.put(spec);
      asked.reply(method === 'POST' ? 201 : 200, this.lease);
    }
  }
}

let server: FakeApiServer;
let store: LeaseStore;
let time: ManualTime;
let logger: RecordingLogger;
let vigils: Vigil[];
let counts: { renewals: number; failures: number };
let guards: GuardLease[];

beforeEach(async () => {
  server = await startFakeApiServer();
  store = new LeaseStore();
  time = new ManualTime();
  logger = new RecordingLogger();
  vigils = [];
  counts = { renewals: 0, failures: 0 };
  guards = [];
  void store.serve(server);
});

afterEach(async () => {
  const stopped = guards.map((guard) => guard.stop());
  await server.close();
  await Promise.all(stopped);
});

/** The API server's time: that of the test. */
const nowMs = (): number => bootMs + time.monotonicMs() - 1_000_000;
const count = (what: keyof typeof counts): { inc: () => void } => ({
  inc: () => {
    counts[what] += 1;
  },
});

function start(name: string): GuardLease {
  const guard = new GuardLease({
    client: server.client,
    namespace: 'own',
    name,
    clock: time,
    serverTimeAt: (at) => {
      const min = bootMs + at - 1_000_000;
      return { min, max: min + 50 };
    },
    metrics: { renewals: count('renewals'), failures: count('failures') } as never,
    logger,
    sleep: time.sleep,
    onVigil: (vigil) => void vigils.push(vigil),
  });
  guards.push(guard);
  guard.start();
  return guard;
}

/** The replica has a proof of now. */
function prove(guard: GuardLease): void {
  const serverAt = serverMs(Math.floor(nowMs() / 1000) * 1000);
  guard.proven({ serverAt, sentAt: monotonicMs(time.monotonicMs()) });
}

const micro = (ms: number): string => new Date(ms).toISOString().replace('Z', '000Z');
const heldBy = (holderIdentity: string, renewedMs = nowMs()): JsonObject => ({
  holderIdentity,
  leaseDurationSeconds: 10,
  acquireTime: micro(renewedMs),
  renewTime: micro(renewedMs),
  leaseTransitions: 0,
});

const until = (holds: () => void): Promise<void> => vi.waitFor(holds, patience);
const untilHeldBy = (holder: string): Promise<void> =>
  until(() => {
    expect(store.spec).toMatchObject({ holderIdentity: holder, renewTime: micro(nowMs()) });
  });
/** Long enough for a request that is wrongly made to arrive. */
const aMoment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 60));

const soon = (): AbortSignal => AbortSignal.timeout(300);

describe('a guard Lease', () => {
  test('is there from the start, wakes the switch, and is renewed by a proof and by nothing else', async () => {
    const guard = start('a');
    await until(() => {
      expect(store.spec).toEqual({ holderIdentity: '', leaseDurationSeconds: 10, leaseTransitions: 0 });
    });
    for (let seconds = 0; seconds < 20; seconds += 1) {
      time.advance(1_000);
      await aMoment();
    }
    expect(store.written).toHaveLength(1);
    time.advance(420);
    prove(guard);
    await until(() => {
      expect(store.spec).toMatchObject({
        holderIdentity: 'a',
        leaseDurationSeconds: 10,
        renewTime: '2026-03-01T12:00:20.420000Z',
        acquireTime: '2026-03-01T12:00:20.420000Z',
      });
    });
    await until(() => {
      expect(logger.lines).toEqual(['info switch asleep']);
    });
    expect([vigils, counts.renewals]).toEqual([[], 1]);
  });

  test('takes the whole second of the proof where what is known besides contradicts it', async () => {
    const guard = start('a');
    guard.proven({ serverAt: serverMs(nowMs() - 60_000), sentAt: time.monotonicMs() });
    await until(() => {
      expect(store.spec['renewTime']).toBe(micro(nowMs() - 60_000));
    });
  });

  test('is written every three seconds by three replicas together, and stays in one hand', async () => {
    const replicas = ['a', 'b', 'c'].map(start);
    await until(() => {
      expect(store.lease).not.toBeNull();
    });
    const before = store.written.length;
    for (let round = 0; round < 10; round += 1) {
      for (const replica of replicas) {
        prove(replica);
        await aMoment();
        time.advance(1_000);
      }
    }
    const written = store.written.slice(before).filter(({ holderIdentity }) => holderIdentity !== '');
    expect(written).toHaveLength(10);
    expect(new Set(written.map(({ holderIdentity }) => holderIdentity))).toEqual(new Set(['a']));
    const times = written.map(({ renewTime }) => String(renewTime));
    expect(times).toEqual([...times].sort());
    // Others are read no more often than they are written: the watch shows that there is nothing to do.
    expect(store.reads).toBeLessThan(20);
  });

  test('passes to another replica when its holder has no more proofs, well before it runs out', async () => {
    const [a, b] = [start('a'), start('b')];
    prove(a);
    await untilHeldBy('a');
    for (const afterMs of [1_000, 3_000]) {
      time.advance(afterMs);
      prove(b);
      await aMoment();
    }
    expect(store.spec).toMatchObject({ holderIdentity: 'b', renewTime: micro(bootMs + 4_000) });
    expect(vigils).toEqual([]);
  });

  test('never moves back, whoever proves something of before', async () => {
    const guard = start('a');
    store.put(heldBy('b', nowMs() + 5_000));
    prove(guard);
    await aMoment();
    expect(store.written.filter(({ holderIdentity }) => holderIdentity !== '')).toEqual([]);
  });

  test('that another renews between reading and writing is left to it', async () => {
    const guard = start('a');
    store.put(heldBy('b', nowMs() - 5_000));
    let raced = false;
    store.meddle = ({ method }) => {
      if (method === 'PUT' && !raced) {
        raced = true;
        store.put(heldBy('b'));
      }
      return false;
    };
    prove(guard);
    await until(() => {
      expect(raced).toBe(true);
    });
    await aMoment();
    expect(store.spec).toEqual(heldBy('b'));
    expect([counts.failures, logger.lines.filter((line) => line.startsWith('warn'))]).toEqual([0, []]);
  });

  test('that is deleted is back at once as it was, without a proof', async () => {
    const guard = start('a');
    prove(guard);
    await untilHeldBy('a');
    const { spec } = store;
    // By the watch, which then has shown it.
    await aMoment();
    store.put(null);
    await until(() => {
      expect(store.spec).toEqual(spec);
    });
    expect(counts.renewals).toBe(1);
    await until(() => {
      expect(logger.lines.at(-1)).toBe('info guard lease made anew');
    });
  });
});

describe('when the API server', () => {
  test('refuses, it is told once, tried again with each proof, and made good', async () => {
    const guard = start('a');
    store.meddle = (asked) => {
      if (asked.method === 'GET') return false;
      asked.reply(403, failure(403, 'Forbidden', 'no'));
      return true;
    };
    for (let round = 1; round <= 3; round += 1) {
      prove(guard);
      await until(() => {
        expect(counts.failures).toBeGreaterThanOrEqual(round);
      });
      time.advance(3_000);
    }
    store.meddle = () => false;
    prove(guard);
    await untilHeldBy('a');
    expect(logger.lines.filter((line) => line.startsWith('warn'))).toEqual(['warn guard lease not kept']);
  });

  test('hangs, proofs pile up nowhere, and the last of them counts', { timeout: 10_000 }, async () => {
    const guard = start('a');
    await until(() => {
      expect(store.lease).not.toBeNull();
    });
    let hung = 0;
    store.meddle = ({ method }) => {
      if (method !== 'GET') hung += 1;
      return method !== 'GET';
    };
    for (let proofs = 0; proofs < 5; proofs += 1) {
      prove(guard);
      await aMoment();
      time.advance(3_000);
    }
    expect(hung).toBe(1);
    store.meddle = () => false;
    prove(guard);
    await untilHeldBy('a');
    await until(() => {
      expect(counts).toEqual({ renewals: 1, failures: 1 });
    });
  });

  test('hangs at the end, that holds nobody up', async () => {
    const guard = start('a');
    prove(guard);
    await until(() => {
      expect(counts).toMatchObject({ renewals: 1 });
    });
    store.meddle = () => true;
    await guard.stop();
    const begunAt = performance.now();
    await guard.empty(soon());
    expect(performance.now() - begunAt).toBeLessThan(1_000);
    expect(logger.lines.at(-1)).toBe('warn guard lease not emptied');
  });
});

describe('at the end', () => {
  test('the last replica empties it, with the time, and whoever held it', async () => {
    const guard = start('a');
    store.put(heldBy('b'));
    await aMoment();
    time.advance(1_500);
    await guard.stop();
    await guard.empty(soon());
    expect(store.spec).toEqual({
      ...heldBy('b', bootMs),
      holderIdentity: '',
      renewTime: '2026-03-01T12:00:01.500000Z',
    });
    expect(logger.lines.at(-1)).toBe('info switch awake');
  });

  test('where there never was one, nothing is made', async () => {
    store.meddle = (asked) => {
      if (asked.method !== 'POST') return false;
      asked.reply(404, failure(404, 'NotFound', 'no such namespace'));
      return true;
    };
    const guard = start('a');
    await until(() => {
      expect(counts.failures).toBe(1);
    });
    await guard.stop();
    store.meddle = () => false;
    await guard.empty(soon());
    expect(store.lease).toBeNull();
    expect(logger.lines).toEqual(['warn guard lease not kept']);
  });

  test('any other leaves it, and writes nothing more', async () => {
    const guard = start('a');
    prove(guard);
    await untilHeldBy('a');
    const writes = store.written.length;
    await guard.stop();
    time.advance(3_000);
    prove(guard);
    store.put(null);
    await aMoment();
    expect(store.written).toHaveLength(writes);
  });
});

describe('the first renewal after', () => {
  test('a lapse tells for how long the switch stood watch', async () => {
    store.put(heldBy('b'));
    time.advance(40_000);
    const [a, b] = [start('a'), start('b')];
    prove(a);
    prove(b);
    await until(() => {
      expect(vigils).toEqual([{ sinceMs: bootMs + 10_000, untilMs: bootMs + 40_000, orderly: false }]);
    });
    await aMoment();
    time.advance(3_000);
    prove(a);
    prove(b);
    await aMoment();
    expect(vigils).toHaveLength(1);
    expect(logger.lines).toEqual([]);
  });

  test('an orderly end tells since when nobody was there', async () => {
    store.put({ ...heldBy('b'), holderIdentity: '' });
    time.advance(4_000);
    prove(start('a'));
    await until(() => {
      expect(vigils).toEqual([{ sinceMs: bootMs, untilMs: bootMs + 4_000, orderly: true }]);
    });
  });
});

test('the path is that of lockwarden’s own namespace', async () => {
  const asked: string[] = [];
  store.meddle = ({ method, url }) => {
    asked.push(`${method} ${url.pathname}`);
    return false;
  };
  const guard = start('a');
  prove(guard);
  await untilHeldBy('a');
  expect(new Set(asked)).toEqual(new Set([`GET ${collection}`, `GET ${path}`, `POST ${collection}`]));
});
