/** When an election is unwell. */
import { afterEach, describe, expect, it } from 'vitest';
import { Elector, ElectionHealth, type ElectorOptions } from '../../src/election/elector.ts';
import { RecordingLogger } from '../kube/support/recorder.ts';
import { ElectionClock, settle } from './support/election-clock.ts';
import { MemoryLock } from './support/memory-lock.ts';
import { held } from './support/walk.ts';

const clock = new ElectionClock();
let lock = new MemoryLock();
let end = new AbortController();

function start(options: Partial<ElectorOptions> = {}): { health: ElectionHealth; ended: Promise<unknown> } {
  const elector = new Elector({
    lock,
    leaseDurationMs: 60_000,
    name: 'foo',
    onStartedLeading: () => undefined,
    onStoppedLeading: () => undefined,
    log: new RecordingLogger(),
    clock,
    sleep: clock.sleep,
    random: () => 0,
    ...options,
  });
  const health = new ElectionHealth(20_000);
  health.watch(elector);
  return { health, ended: elector.run(end.signal) };
}

afterEach(() => {
  end.abort();
  end = new AbortController();
  lock = new MemoryLock();
});

describe('TestLeaderElectionHealthChecker', () => {
  it('call check before leader elector initialized', () => {
    expect(new ElectionHealth(20_000).check()).toBeNull();
    expect(new ElectionHealth(20_000).name).toBe('leaderElection');
  });

  it('call check when the lease is far expired', async () => {
    const { health } = start({ onStartedLeading: () => new Promise(() => undefined) });
    await settle();
    lock.fate = () => 'unsent';
    await clock.pass(80_000, 1_000);
    expect(health.check()).toBeNull();
    await clock.advance(1_001);
    expect(health.check()?.message).toMatch(
      /^the lease of the election `foo` could not be renewed for 81001 ms$/,
    );
  });

  it('call check when the lease is far expired but held by another server', async () => {
    lock.lease.put(held('otherServer', 60));
    const { health } = start();
    await settle();
    lock.fate = () => 'unsent';
    await clock.pass(200_000, 1_000);
    expect(health.check()).toBeNull();
  });

  it('call check when the lease is not expired', async () => {
    const { health } = start();
    await settle();
    expect(health.check()).toBeNull();
  });

  it('call check when the lease is expired but inside the timeout', async () => {
    const { health } = start({ onStartedLeading: () => new Promise(() => undefined) });
    await settle();
    lock.fate = () => 'unsent';
    await clock.pass(61_000, 1_000);
    expect(health.check()).toBeNull();
  });
});

it('TestCheckMethodRace: nothing that goes on at the same time makes a leader that renews unwell', async () => {
  const { health } = start({ leaseDurationMs: 2_000, renewDeadlineMs: 1_000, retryPeriodMs: 5 });
  await settle();
  for (let ms = 0; ms < 2_000; ms += 10) {
    await clock.advance(10);
    expect(health.check()).toBeNull();
  }
  expect(lock.operations.length).toBeGreaterThan(150);
});

it('is well again once the lease is given back', async () => {
  const { health, ended } = start();
  await settle();
  end.abort();
  await ended;
  await clock.advance(200_000);
  expect(health.check()).toBeNull();
});
