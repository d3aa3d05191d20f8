/** The state machine, told step by step. Names in front of a colon are those of client-go's tests. */
import { describe, expect, it, test } from 'vitest';
import { held, leaseWith, Walk } from './support/walk.ts';

describe('TestTryAcquireOrRenewLeases', () => {
  const unset = {};
  it.each([
    { name: 'acquire from no object', spec: null, operations: ['get', 'create'], transitions: 0 },
    // A Lease without a record: client-go's first locks were annotations, and the name has stayed.
    {
      name: 'acquire from object without annotations',
      spec: unset,
      operations: ['get', 'update'],
      transitions: 1,
    },
    { name: 'acquire from unled object', spec: held('', 0), operations: ['get', 'update'], transitions: 1 },
    {
      name: 'acquire from led, unacked object',
      spec: held('bing', 0),
      operations: ['get', 'update'],
      transitions: 1,
    },
    {
      name: 'acquire from empty led, acked object',
      spec: held('', 15),
      operations: ['get', 'update'],
      transitions: 1,
    },
    {
      name: 'renew already acquired object',
      spec: held('baz', 15, 7),
      operations: ['get', 'update'],
      transitions: 7,
    },
  ])('$name', ({ spec, operations, transitions }) => {
    const walk = new Walk(leaseWith(spec)).lead();
    expect(walk.operations).toEqual(operations);
    expect(walk.lease.record).toMatchObject({ holder: 'baz', durationSeconds: 15, transitions });
    expect(walk.told.filter((each) => each !== 'slowpath')).toEqual(['leader baz', `lead ${transitions}`]);
  });

  it('acquire from led object with the lease duration seconds', () => {
    const walk = new Walk(leaseWith(held('bing', 3))).lead();
    expect(walk.told).toEqual(['leader bing']);
    walk.pass(2_000).serveAll();
    expect(walk.phase).toBe('acquiring');
    walk.pass(2_000).serveAll();
    expect(walk.operations).toEqual(['get', 'get', 'get', 'update']);
    expect(walk.told).toEqual(['leader bing', 'leader baz', 'lead 1']);
  });

  it("don't acquire from led, acked object", () => {
    const walk = new Walk(leaseWith(held('bing'))).lead();
    expect(walk.operations).toEqual(['get']);
    expect(walk.told).toEqual(['leader bing']);
    expect(walk.lease.record.holder).toBe('bing');
  });
});

describe('TestTryCoordinatedRenew', () => {
  // Candidates that a coordinator chooses among are out of scope; a Lease of theirs is left whole.
  const coordinated = { strategy: 'OldestEmulationVersion', preferredHolder: 'other' };

  it("don't acquire from led, acked object", () => {
    const walk = new Walk(leaseWith({ ...held('bing'), ...coordinated })).lead();
    expect(walk.operations).toEqual(['get']);
    expect(walk.told).toEqual(['leader bing']);
  });

  it('renew already acquired object', () => {
    const walk = new Walk(leaseWith({ ...held('baz'), ...coordinated })).lead().pass(2_000).serveAll();
    expect(walk.told).toEqual(['slowpath', 'leader baz', 'lead 0']);
    expect(walk.lease.object?.['spec']).toMatchObject(coordinated);
  });
});

describe('TestFastPathLeaderElection', () => {
  it('Exercise fast path after lock acquired', () => {
    const walk = new Walk().lead().pass(2_000).serveAll().pass(2_000).serveAll();
    expect(walk.operations).toEqual(['get', 'create', 'update', 'update']);
    expect(walk.told).not.toContain('slowpath');
  });

  it('Fallback to slow path after fast path fails', () => {
    const walk = new Walk().lead().pass(2_000).serveAll().pass(2_000).fail(true).serveAll();
    walk.pass(2_000).serveAll();
    expect(walk.operations).toEqual(['get', 'create', 'update', 'update', 'get', 'update', 'update']);
    expect(walk.told.filter((each) => each === 'slowpath')).toHaveLength(1);
    expect(walk.phase).toBe('leading');
  });

  it('a renewal keeps acquire time and transitions, and moves the renew time', () => {
    const walk = new Walk(leaseWith(held('bing', 0, 4))).lead();
    const taken = walk.lease.record;
    walk.pass(2_000).serveAll().pass(2_000).fail().serveAll();
    expect(walk.lease.record).toEqual({ ...taken, renewTime: '2026-03-01T12:00:04.000000Z' });
    expect(taken.acquireTime).toBe('2026-03-01T12:00:00.000000Z');
  });
});

describe('release', () => {
  const stopped = (walk: Walk): Walk => walk.happen({ type: 'stopped' }).happen({ type: 'concluded' });

  it('TestReleaseLeaseLeases: release acquired lock from no object', () => {
    const walk = stopped(new Walk().lead()).serve();
    expect(walk.operations).toEqual(['get', 'create', 'get', 'update']);
    walk.serve();
    expect(walk.lease.record).toEqual({
      holder: '',
      durationSeconds: 1,
      acquireTime: '2026-03-01T12:00:00.000000Z',
      renewTime: '2026-03-01T12:00:00.000000Z',
      transitions: 0,
    });
    expect(walk.told).toEqual(['leader baz', 'lead 0', 'end stopped', 'leader ', 'finish']);
  });

  it('TestReleaseLeaseLeases: a Lease that is gone needs no release', () => {
    const walk = new Walk().lead();
    walk.lease.put(null);
    stopped(walk).serveAll();
    expect(walk.operations).toEqual(['get', 'create', 'get']);
    expect(walk.phase).toBe('done');
  });

  it('TestReleaseMethodCallsGet', () => {
    const walk = stopped(new Walk().lead());
    expect(walk.request?.type).toBe('read');
    expect(walk.wakeAfterMs).toBe(5_000);
  });

  it('TestReleaseRetriesOnConflict', () => {
    const walk = stopped(new Walk().lead()).serve().fail(true).serve().fail(true).serveAll();
    expect(walk.operations.slice(2)).toEqual(['get', 'update', 'get', 'update', 'get', 'update']);
    expect(walk.lease.record.holder).toBe('');
  });

  it('gives up at another failure, and after the renew deadline', () => {
    expect(stopped(new Walk().lead()).serve().fail().phase).toBe('done');
    const late = stopped(new Walk().lead())
      .serve()
      .stall(6_000)
      .fail(true)
      .stall(3_999)
      .happen({ type: 'woke' });
    expect(late.phase).toBe('releasing');
    expect(late.pass(1).phase).toBe('done');
    expect(late.told.slice(-2)).toEqual(['cancel', 'finish']);
  });

  it('does not give away what is another’s by now, whatever was seen last', () => {
    const walk = new Walk().lead();
    walk.lease.put(held('bing'));
    stopped(walk).serveAll();
    expect(walk.operations).toEqual(['get', 'create', 'get']);
    expect(walk.lease.record.holder).toBe('bing');
  });

  it('keeps the transitions', () => {
    const walk = stopped(new Walk(leaseWith(held('bing', 0, 8))).lead()).serveAll();
    expect(walk.lease.record).toMatchObject({ holder: '', transitions: 9 });
  });

  it('is left out when it is not wanted', () => {
    const walk = stopped(new Walk(leaseWith(null), { releases: false }).lead());
    expect(walk.operations).toEqual(['get', 'create']);
    expect(walk.phase).toBe('done');
  });

  it('follows a stop while a write is under way, which may have been stored', () => {
    const walk = new Walk().happen({ type: 'started' }).serve();
    expect(walk.request?.type).toBe('create');
    walk.reach();
    stopped(walk).serveAll();
    expect(walk.told).toEqual(['cancel', 'end stopped', 'finish']);
    expect(walk.operations).toEqual(['get', 'create', 'get', 'update']);
    expect(walk.lease.record.holder).toBe('');
  });

  it('does not follow where nothing was ever written', () => {
    const walk = stopped(new Walk(leaseWith(held('bing'))).lead());
    expect(walk.operations).toEqual(['get']);
    expect(walk.told).toEqual(['leader bing', 'end stopped', 'finish']);
  });
});

describe('a candidate', () => {
  it('waits from one to 2.2 retry periods between tries', () => {
    const walk = new Walk(leaseWith(held('bing'))).lead();
    expect(walk.wakeAfterMs).toBe(2_000);
    walk.random = 0.999_999;
    walk.pass(2_000).serveAll();
    expect(walk.wakeAfterMs).toBeCloseTo(4_400, 1);
  });

  it('counts from the last change that it saw, by the duration in the record', () => {
    const walk = new Walk(leaseWith(held('bing', 4))).lead().pass(2_000);
    walk.lease.put({ ...held('bing', 4), renewTime: '2026-03-01T12:00:01.000001Z' });
    walk.serveAll().pass(2_000).serveAll();
    expect(walk.phase).toBe('acquiring');
    walk.pass(2_000).serveAll();
    expect(walk.phase).toBe('leading');
  });

  it('is not put off by writes that change no record', () => {
    const walk = new Walk(leaseWith(held('bing', 4))).lead();
    for (const index of [1, 2]) {
      walk.pass(2_000);
      walk.lease.put(held('bing', 4), { labels: { edited: String(index) } });
      walk.serveAll();
    }
    expect(walk.phase).toBe('leading');
  });

  it('is not hurried by a wall clock that jumps, nor by times in the record', () => {
    const walk = new Walk(leaseWith({ ...held('bing'), renewTime: '2001-01-01T00:00:00.000000Z' })).lead();
    walk.wallOffsetMs = 3_600_000;
    walk.pass(14_999).serveAll();
    expect(walk.phase).toBe('acquiring');
  });

  it('judges by when it asked, not by when it was answered', () => {
    const walk = new Walk(leaseWith(held('bing'))).lead().pass(14_000).serve(1_000);
    expect(walk.told).toEqual(['leader bing']);
    expect(walk.phase).toBe('acquiring');
  });

  it('does not lead when the answer comes late, and then renews what is its own', () => {
    const walk = new Walk(leaseWith(held('bing', 0))).happen({ type: 'started' }).serve();
    const answer = walk.reach();
    walk.stall(12_000).happen(answer);
    expect(walk.phase).toBe('acquiring');
    walk.pass(2_000).serveAll();
    expect(walk.told).toEqual(['leader baz', 'lead 1']);
    expect(walk.operations).toEqual(['get', 'update', 'update']);
  });

  it('goes on with the count of a Lease that is gone, so that no fence comes twice', () => {
    const walk = new Walk(leaseWith(held('bing', 15, 6))).lead();
    walk.lease.put(null);
    walk.pass(2_000).serveAll();
    expect(walk.told.at(-1)).toBe('lead 7');
  });

  it('looks again after a request that failed or hung', () => {
    const walk = new Walk().happen({ type: 'started' }).fail();
    expect(walk.wakeAfterMs).toBe(2_000);
    walk.pass(2_000);
    expect(walk.wakeAfterMs).toBe(5_000);
    walk.pass(5_000);
    expect(walk.told).toEqual(['cancel']);
    walk.pass(2_000).serveAll();
    expect(walk.phase).toBe('leading');
  });

  it('takes no answer that another holder is in', () => {
    const walk = new Walk().happen({ type: 'started' }).serve();
    const answer = walk.reach();
    const { record, object } = (answer as Extract<typeof answer, { type: 'written' }>).stored;
    walk.happen({ ...answer, stored: { record: { ...record, holder: 'changed' }, object } } as typeof answer);
    expect(walk.phase).toBe('acquiring');
    expect(walk.told).toEqual(['leader changed']);
  });
});

describe('a leader', () => {
  it('is certain from the sending of its renewal for the renew deadline and the retry period', () => {
    const walk = new Walk().happen({ type: 'started' }).serve().serve(2_000);
    expect(walk.certainMs).toBe(8_000);
    walk.pass(2_000).serve(1_000);
    expect(walk.certainMs).toBe(10_000);
  });

  it('is certain for no longer than the lease, less a margin', () => {
    const walk = new Walk(leaseWith(null), { certainMs: 11_400 }).lead();
    expect(walk.certainMs).toBe(11_400);
  });

  it('goes on trying until it can no longer be certain, and then loses', () => {
    const walk = new Walk().lead();
    for (let ms = 0; ms < 12_000; ms += 1_000) {
      expect(walk.phase).toBe('leading');
      walk.pass(1_000);
      while (walk.request !== null) walk.fail();
    }
    expect(walk.told.slice(-1)).toEqual(['end lost']);
    expect(walk.operations.filter((each) => each === 'get').length).toBeGreaterThan(4);
  });

  it('bounds each request by the client timeout, and by what is left', () => {
    const walk = new Walk().lead().pass(2_000);
    expect(walk.request?.timeoutMs).toBe(5_000);
    walk.pass(5_000);
    expect(walk.request).toMatchObject({ type: 'read', timeoutMs: 5_000 });
    walk.fail().pass(2_000).fail();
    expect(walk.request?.timeoutMs).toBe(3_000);
  });

  it('that hung past its time loses, although the answer came', () => {
    const walk = new Walk().lead().pass(2_000);
    const answer = walk.reach();
    walk.stall(10_000).happen(answer);
    expect(walk.told.slice(-2)).toEqual(['cancel', 'end lost']);
    expect(walk.certainMs).toBe(0);
  });

  it.each([
    ['holds it', held('bing', 15, 1)],
    ['held it in between', held('baz', 15, 2)],
    ['has emptied it', held('', 1)],
  ])('loses at once when it reads that somebody else %s', (_, spec) => {
    const walk = new Walk().lead().pass(2_000);
    walk.lease.put(spec);
    walk.serveAll();
    expect(walk.told).toContain('end lost');
  });

  it('puts back a Lease that was deleted, with its acquire time and its fence', () => {
    const walk = new Walk(leaseWith(held('bing', 0, 4))).lead();
    const { acquireTime } = walk.lease.record;
    walk.lease.put(null);
    walk.pass(2_000).fail().serveAll();
    expect(walk.operations.slice(2)).toEqual(['update', 'get', 'create']);
    expect(walk.lease.record).toMatchObject({ acquireTime, transitions: 5 });
    expect(walk.phase).toBe('leading');
  });

  it('learns at once that another has created it instead', () => {
    const walk = new Walk().lead();
    walk.lease.put(null);
    walk.pass(2_000).fail().serve();
    walk.lease.put(held('bing'));
    walk.serveAll();
    expect(walk.operations.slice(2)).toEqual(['update', 'get', 'create', 'get']);
    expect(walk.told).toContain('end lost');
  });

  it('is renewed until its work is over', () => {
    const walk = new Walk().lead().happen({ type: 'stopped' });
    expect(walk.certainMs).toBe(0);
    for (let ms = 0; ms < 30_000; ms += 2_000) walk.pass(2_000).serveAll();
    expect(walk.lease.record.holder).toBe('baz');
    walk.happen({ type: 'stopped' }).happen({ type: 'concluded' }).serveAll();
    expect(walk.told.filter((each) => each.startsWith('end'))).toEqual(['end stopped']);
    expect(walk.lease.record.holder).toBe('');
  });

  it('that cannot be renewed while its work winds up ends once', () => {
    const walk = new Walk().lead().happen({ type: 'stopped' }).stall(12_000).happen({ type: 'concluded' });
    expect(walk.told.filter((each) => each.startsWith('end'))).toEqual(['end stopped']);
    expect(walk.phase).toBe('releasing');
  });

  it('tells its tale once: after the end nothing happens any more', () => {
    const walk = new Walk(leaseWith(null), { releases: false }).lead().happen({ type: 'stopped' });
    walk.happen({ type: 'concluded' });
    const { told, operations } = walk;
    const before = [...told, ...operations];
    walk.happen({ type: 'stopped' }).happen({ type: 'concluded' }).happen({ type: 'doubted' }).pass(60_000);
    expect([...told, ...operations]).toEqual(before);
    expect(walk.wakeAfterMs).toBeNull();
  });
});

describe('clocks', () => {
  test('a wall clock that went back leaves doubt until the next renewal', () => {
    const walk = new Walk().lead();
    walk.wallOffsetMs = -10_000;
    walk.stall(1_000);
    expect(walk.certainMs).toBe(0);
    walk.happen({ type: 'doubted' }).serveAll();
    expect(walk.operations).toEqual(['get', 'create', 'update']);
    expect(walk.certainMs).toBe(12_000);
    expect(walk.told).not.toContain('end lost');
  });

  test('a wall clock that went ahead shortens what is certain, and leaves doubt when that is used up', () => {
    const walk = new Walk().lead();
    walk.wallOffsetMs = 5_000;
    expect(walk.certainMs).toBe(7_000);
    walk.wallOffsetMs = 3_600_000;
    expect(walk.certainMs).toBe(0);
    expect(walk.happen({ type: 'woke' }).phase).toBe('leading');
    expect(walk.happen({ type: 'doubted' }).serveAll().certainMs).toBe(12_000);
  });

  test('a step as small as reading two clocks may differ is none', () => {
    const walk = new Walk().lead();
    walk.wallOffsetMs = -49;
    expect(walk.stall(1_000).certainMs).toBe(11_000);
  });

  test('a doubt moves one renewal forward, not a flood of them', () => {
    const walk = new Walk().lead();
    walk.wallOffsetMs = -10_000;
    walk.happen({ type: 'doubted' }).happen({ type: 'doubted' });
    walk.wallOffsetMs = -20_000;
    walk.stall(100).serveAll();
    expect(walk.certainMs).toBe(0);
    walk.happen({ type: 'doubted' }).happen({ type: 'doubted' });
    expect(walk.operations).toEqual(['get', 'create', 'update']);
    walk.pass(2_000).serveAll();
    expect(walk.certainMs).toBe(12_000);
    walk.wallOffsetMs = -30_000;
    walk.happen({ type: 'doubted' }).serveAll();
    expect(walk.operations).toHaveLength(5);
  });

  test('what is certain is in no doubt', () => {
    const walk = new Walk().lead().happen({ type: 'doubted' });
    expect(walk.request).toBeNull();
  });

  test('time that only the wall clock saw pass counts against a leader', () => {
    const walk = new Walk().lead();
    walk.wallOffsetMs = 60_000;
    expect(walk.certainMs).toBe(0);
  });
});
