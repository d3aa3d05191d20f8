/** The elector as a program sees it: callbacks, terms, ends, and what goes wrong. Names in front of a colon are those of client-go's tests. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  Elector,
  NotLeading,
  type ElectionEvent,
  type ElectorOptions,
  type Term,
} from '../../src/election/elector.ts';
import { RecordingLogger } from '../kube/support/recorder.ts';
import { ElectionClock, settle } from './support/election-clock.ts';
import { MemoryLease, MemoryLock, type Fate } from './support/memory-lock.ts';
import { held } from './support/walk.ts';

let clock: ElectionClock;
let lock: MemoryLock;
let log: RecordingLogger;
let stop: AbortController;
/** What callbacks were told, in order. */
let told: string[];
let errors: unknown[];
let terms: Term[];
const unhandled: unknown[] = [];
const onUnhandled = (error: unknown): void => void unhandled.push(error);

beforeEach(() => {
  clock = new ElectionClock();
  lock = new MemoryLock();
  log = new RecordingLogger();
  stop = new AbortController();
  told = [];
  errors = [];
  terms = [];
  process.on('unhandledRejection', onUnhandled);
});

afterEach(async () => {
  stop.abort();
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', onUnhandled);
  expect(unhandled.splice(0)).toEqual([]);
});

function create(options: Partial<ElectorOptions> = {}): Elector {
  return new Elector({
    lock,
    onStartedLeading: (term) => {
      told.push('started');
      terms.push(term);
    },
    onStoppedLeading: () => void told.push('stopped'),
    onNewLeader: (identity) => void told.push(`leader ${identity ?? 'nobody'}`),
    onError: (error) => void errors.push(error),
    log,
    clock,
    sleep: clock.sleep,
    random: () => 0,
    ...options,
  });
}

/** An elector that leads, its end to come. */
async function lead(options: Partial<ElectorOptions> = {}) {
  const elector = create(options);
  const ended = elector.run(stop.signal);
  await settle();
  return { elector, ended, term: terms[0]! };
}

describe('leading', () => {
  it('begins with the Lease, and is told', async () => {
    const { elector, term } = await lead();
    expect(told).toEqual(['leader baz', 'started']);
    expect(elector).toMatchObject({ isLeader: true, leader: 'baz', name: 'bar' });
    expect(term.fence).toBe(0);
    expect(term.remainingMs()).toBe(12_000);
    expect(term.signal.aborted).toBe(false);
    expect(lock.patience[0]?.timeoutMs).toBe(5_000);
  });

  it('is renewed each retry period', async () => {
    const { term } = await lead();
    await clock.pass(60_000, 1_000);
    expect(lock.operations.filter((each) => each === 'update')).toHaveLength(30);
    expect(term.remainingMs()).toBe(12_000);
    expect(lock.lease.record.renewTime).toBe('2026-03-01T12:01:00.000000Z');
  });

  it('goes on when the work returns by itself', async () => {
    const { elector } = await lead({ onStartedLeading: () => 'done' });
    await clock.pass(20_000, 1_000);
    expect(elector.isLeader).toBe(true);
    expect(told).toEqual(['leader baz']);
  });

  it('ends when the Lease is taken away: signal first, then the work, then the callback', async () => {
    const { elector, ended, term } = await lead({
      onStartedLeading: async (given) => {
        terms.push(given);
        await new Promise<void>((resolve) => {
          given.signal.addEventListener('abort', () => {
            told.push('aborted');
            resolve();
          });
        });
        await clock.sleep(1_000, new AbortController().signal);
        told.push('work over');
      },
    });
    lock.lease.put(held('bing'));
    await clock.pass(2_000);
    expect(told).toEqual(['leader baz', 'aborted', 'leader bing']);
    expect(term.signal.reason).toBeInstanceOf(NotLeading);
    expect(elector).toMatchObject({ isLeader: false, leader: 'bing' });
    await clock.pass(1_000);
    await expect(ended).resolves.toBe('lost');
    expect(told.slice(3)).toEqual(['work over', 'stopped']);
    expect(lock.lease.record.holder).toBe('bing');
    expect(lock.isClosed).toBe(true);
  });

  it('ends in time when the API server is out of reach', async () => {
    const { ended, term } = await lead();
    lock.fate = () => new Error('connection refused');
    await clock.pass(11_900);
    expect(term.signal.aborted).toBe(false);
    expect(term.remainingMs()).toBe(100);
    await clock.pass(100);
    expect(term.signal.aborted).toBe(true);
    await expect(ended).resolves.toBe('lost');
    expect(log.lines).toContain('warn lease request failed');
  });

  it('survives one request that hangs', async () => {
    const { term } = await lead();
    lock.fate = (operation, count) => (operation === 'update' && count === 1 ? 'unsent' : 'done');
    await clock.pass(9_000);
    expect(lock.operations).toEqual(['get', 'create', 'update', 'get', 'update', 'update']);
    expect(term.signal.aborted).toBe(false);
  });

  it('outlives an answer that was lost', async () => {
    const { term } = await lead();
    lock.fate = (operation, count) => (operation === 'update' && count === 1 ? 'lost' : 'done');
    await clock.pass(20_000);
    expect(term.signal.aborted).toBe(false);
    expect(lock.lease.record.transitions).toBe(0);
  });
});

describe('a stop', () => {
  it('ends the work, and only then gives the lease back', async () => {
    const work = Promise.withResolvers<undefined>();
    const { elector, ended, term } = await lead({
      onStartedLeading: (given) => {
        terms.push(given);
        return work.promise;
      },
      onStoppedLeading: async () => {
        await clock.sleep(1_000, new AbortController().signal);
        told.push(`stopped, held by ${lock.lease.record.holder}`);
      },
    });
    stop.abort();
    expect(term.signal.aborted).toBe(true);
    expect(elector.isLeader).toBe(false);
    await clock.pass(30_000, 1_000);
    // A second candidate would have had no chance: the lease is renewed for as long as the work goes on.
    expect(lock.lease.record).toMatchObject({ holder: 'baz', renewTime: '2026-03-01T12:00:30.000000Z' });
    work.resolve(undefined);
    await settle();
    await clock.pass(1_000);
    await expect(ended).resolves.toBe('stopped');
    expect(told).toEqual(['leader baz', 'stopped, held by baz', 'leader nobody']);
    expect(lock.lease.record).toMatchObject({ holder: '', durationSeconds: 1 });
  });

  it('before the beginning asks nothing, and calls onStoppedLeading all the same', async () => {
    stop.abort();
    await expect(create().run(stop.signal)).resolves.toBe('stopped');
    expect(told).toEqual(['stopped']);
    expect(lock.operations).toEqual([]);
  });

  it('of a standby leaves the Lease alone', async () => {
    lock.lease.put(held('bing'));
    const ended = create().run(stop.signal);
    await settle();
    stop.abort();
    await expect(ended).resolves.toBe('stopped');
    expect(told).toEqual(['leader bing', 'stopped']);
    expect(lock.operations).toEqual(['get']);
  });

  it.each(['update', 'get'] as const)(
    'TestReleaseOnCancellation_Leases: release acquired lock on cancellation of %s',
    async (operation) => {
      const events: string[] = [];
      const { ended } = await lead({ recordEvent: ({ message }) => void events.push(message) });
      // The fast path fails where the read of the slow one is to be hit.
      let isHung = false;
      lock.fate = (each) => {
        if (isHung) return 'done';
        if (operation === 'get' && each === 'update') return new Error('not this way');
        isHung = each === operation;
        return isHung ? 'unsent' : 'done';
      };
      await clock.pass(2_000);
      expect(isHung).toBe(true);
      stop.abort();
      await expect(ended).resolves.toBe('stopped');
      expect(lock.operations.slice(-2)).toEqual(['get', 'update']);
      expect(lock.lease.record.holder).toBe('');
      expect(events).toEqual(['baz became leader', 'baz stopped leading']);
    },
  );

  it('does not wait for a release that hangs for longer than the renew deadline', async () => {
    const { ended } = await lead();
    lock.fate = (operation) => (operation === 'update' ? 'unsent' : 'done');
    stop.abort();
    await clock.pass(10_000);
    await expect(ended).resolves.toBe('stopped');
    expect(lock.lease.record.holder).toBe('baz');
  });

  it('leaves the lease to run out when that is wanted', async () => {
    const { ended } = await lead({ releaseOnStop: false });
    stop.abort();
    await ended;
    expect(lock.operations).toEqual(['get', 'create']);
  });

  it('and a release let the next one in at once', async () => {
    const other = new MemoryLock('bing', lock.lease);
    const { ended } = await lead();
    const next = create({ lock: other });
    const stopNext = new AbortController();
    const nextEnded = next.run(stopNext.signal);
    await settle();
    stop.abort();
    await ended;
    await clock.pass(2_000);
    expect(next.isLeader).toBe(true);
    expect(terms.at(-1)?.fence).toBe(1);
    stopNext.abort();
    await nextEnded;
  });
});

describe('the guard', () => {
  it('lets pass what certainly fits, and nothing else', async () => {
    const { term } = await lead();
    lock.fate = () => 'unsent';
    await clock.pass(2_000);
    term.guard();
    term.guard(10_000);
    expect(() => {
      term.guard(10_001);
    }).toThrow(NotLeading);
    await clock.pass(5_001, 5_001);
    expect(() => {
      term.guard();
    }).toThrow('not certain for long enough');
    term.guard(4_999);
    expect(() => {
      term.guard(-1);
    }).not.toThrow();
  });

  it('notices a stall before any timer has fired, and ends the term', async () => {
    const { term } = await lead();
    clock.stall(12_000);
    expect(term.remainingMs()).toBe(0);
    expect(() => {
      term.guard(0);
    }).toThrow('has ended');
    expect(term.signal.aborted).toBe(true);
  });

  it('refuses after a stop, although the lease is still held', async () => {
    const { term } = await lead({
      onStartedLeading: (given) => (terms.push(given), new Promise(() => undefined)),
    });
    stop.abort();
    expect(term.remainingMs()).toBe(0);
    expect(() => {
      term.guard(0);
    }).toThrow(expect.objectContaining({ name: 'NotLeading', isOver: true }) as Error);
  });

  it('has the lease renewed at once where the wall clock was set back', async () => {
    const { term } = await lead();
    clock.stepWall(-3_600_000);
    expect(() => {
      term.guard();
    }).toThrow(expect.objectContaining({ name: 'NotLeading', isOver: false }) as Error);
    await settle();
    term.guard();
    expect(lock.operations).toEqual(['get', 'create', 'update']);
    expect(term.signal.aborted).toBe(false);
  });

  it('counts from the sending of a renewal', async () => {
    const answer = Promise.withResolvers<Fate>();
    const { term } = await lead();
    lock.fate = (operation) => (operation === 'update' ? answer.promise : 'done');
    await clock.pass(2_000);
    await clock.pass(4_000);
    answer.resolve('done');
    await settle();
    expect(term.remainingMs()).toBe(8_000);
  });
});

describe('the metrics and Events', () => {
  const seen: string[] = [];
  const metrics = {
    leaderOn: (name: string) => void seen.push(`${name} on`),
    leaderOff: (name: string) => void seen.push(`${name} off`),
    slowpathExercised: (name: string) => void seen.push(`${name} slow`),
  };
  beforeEach(() => void seen.splice(0));

  it('say who leads, and when renewing was hard', async () => {
    const { ended } = await lead({ metrics, name: 'election' });
    lock.fate = (operation, count) => (operation === 'update' && count === 1 ? new Error('no') : 'done');
    await clock.pass(4_000);
    expect(seen).toEqual(['election off', 'election on', 'election slow']);
    stop.abort();
    await ended;
    expect(seen.slice(3)).toEqual(['election off']);
  });

  it('TestRecordEventSuccess', async () => {
    const events: ElectionEvent[] = [];
    const { ended } = await lead({ recordEvent: (event) => events.push(event) });
    stop.abort();
    await ended;
    expect(events.map(({ message }) => message)).toEqual(['baz became leader', 'baz stopped leading']);
    expect(events[0]).toEqual({
      type: 'Normal',
      reason: 'LeaderElection',
      message: 'baz became leader',
      regarding: {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        namespace: 'foo',
        name: 'bar',
        uid: 'lease-uid',
        resourceVersion: '1',
      },
    });
  });

  it('TestRecordEventNilRecorder', async () => {
    const { ended } = await lead();
    stop.abort();
    await expect(ended).resolves.toBe('stopped');
    expect(errors).toEqual([]);
  });
});

describe('what throws', () => {
  const failing = (): never => {
    throw new Error('mine');
  };
  const rejecting = (): Promise<never> => Promise.reject(new Error('mine'));

  it.each([
    ['onStartedLeading', failing],
    ['onStartedLeading', rejecting],
    ['onNewLeader', failing],
    ['onNewLeader', rejecting],
  ])('in %s is told, and leadership is given up in good order', async (name, callback) => {
    const { ended } = await lead({ [name]: callback });
    await expect(ended).resolves.toBe('failed');
    // Two leaders were told of: this one, and then nobody.
    expect(errors).toEqual(Array.from({ length: name === 'onNewLeader' ? 2 : 1 }, () => new Error('mine')));
    expect(told.at(-1)).toMatch(name === 'onNewLeader' ? 'stopped' : 'leader nobody');
    expect(lock.lease.record.holder).toBe('');
  });

  it('in onStoppedLeading is told, and the lease is given back', async () => {
    const { ended } = await lead({ onStoppedLeading: rejecting });
    stop.abort();
    await expect(ended).resolves.toBe('stopped');
    expect(errors).toEqual([new Error('mine')]);
    expect(lock.lease.record.holder).toBe('');
  });

  it('in ports that leadership does not depend on is told, and nothing else', async () => {
    const metrics = { leaderOn: failing, leaderOff: failing, slowpathExercised: failing };
    const { elector, ended } = await lead({ metrics, recordEvent: rejecting });
    await clock.pass(10_000);
    expect(elector.isLeader).toBe(true);
    stop.abort();
    await expect(ended).resolves.toBe('stopped');
    expect(errors).toHaveLength(5);
  });

  it('in onError itself is nobody’s to hear', async () => {
    const { ended } = await lead({ onStartedLeading: failing, onError: failing });
    await expect(ended).resolves.toBe('failed');
  });

  it('goes to the log without onError', async () => {
    const elector = new Elector({
      lock,
      onStartedLeading: failing,
      onStoppedLeading: () => undefined,
      log,
      clock,
      sleep: clock.sleep,
    });
    await expect(elector.run(stop.signal)).resolves.toBe('failed');
    expect(log.lines).toContain('error election callback failed');
  });

  it.each([
    ['the clock', (broken: () => boolean) => ({ clock: brokenClock(broken) })],
    ['the timer', (broken: () => boolean) => ({ sleep: brokenSleep(broken) })],
  ])('in %s ends everything, and is thrown', async (_, withBroken) => {
    let isBroken = false;
    const { ended, term } = await lead(withBroken(() => isBroken));
    const failure = expect(ended).rejects.toThrow('broken');
    isBroken = true;
    await clock.pass(4_000);
    await failure;
    expect(term.signal.aborted).toBe(true);
    expect(told.at(-1)).toBe('stopped');
  });

  function brokenClock(isBroken: () => boolean): ElectorOptions['clock'] & object {
    const monotonicMs = (): ReturnType<typeof clock.monotonicMs> => {
      if (isBroken()) throw new Error('broken');
      return clock.monotonicMs();
    };
    return { monotonicMs, wallMs: () => clock.wallMs() };
  }

  function brokenSleep(isBroken: () => boolean): ElectorOptions['sleep'] & object {
    return (ms, signal) => (isBroken() ? Promise.reject(new Error('broken')) : clock.sleep(ms, signal));
  }
});

describe('an elector', () => {
  it('runs once', async () => {
    const { elector, ended } = await lead();
    await expect(elector.run(stop.signal)).rejects.toMatchObject({ code: 'UsageInvalid' });
    stop.abort();
    await ended;
    await expect(elector.run(stop.signal)).rejects.toThrow('runs once');
  });

  it('waits for callbacks before it resolves', async () => {
    let isTold = false;
    const { ended } = await lead({
      onNewLeader: async (identity) => {
        if (identity !== null) return;
        await clock.sleep(500, new AbortController().signal);
        isTold = true;
      },
    });
    stop.abort();
    await settle();
    await clock.advance(500);
    await ended;
    expect(isTold).toBe(true);
  });

  it('tells of a new leader only when there is one', async () => {
    lock.lease.put(held('bing', 4));
    const ended = create().run(stop.signal);
    await settle();
    await clock.pass(2_000);
    lock.lease.put(held('', 1, 1));
    lock.fate = (operation) => (operation === 'update' ? new Error('no') : 'done');
    await clock.pass(4_000);
    lock.lease.put(held('bong', 4, 2));
    await clock.pass(2_000);
    stop.abort();
    await ended;
    expect(told).toEqual(['leader bing', 'leader nobody', 'leader bong', 'stopped']);
  });

  it('works on real time, and keeps the process alive for it', async () => {
    const real = new Elector({
      lock: new MemoryLock('real', new MemoryLease()),
      leaseDurationMs: 1_000,
      renewDeadlineMs: 500,
      retryPeriodMs: 20,
      onStartedLeading: (term) => void terms.push(term),
      onStoppedLeading: () => undefined,
    });
    const ended = real.run(stop.signal);
    await expect.poll(() => real.isLeader).toBe(true);
    expect(terms[0]?.remainingMs()).toBeGreaterThan(300);
    stop.abort();
    await expect(ended).resolves.toBe('stopped');
  });
});
