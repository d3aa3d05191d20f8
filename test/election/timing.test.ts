/** What durations an election takes, and what follows from them. */
import { describe, expect, it } from 'vitest';
import { Elector, type ElectorOptions } from '../../src/election/elector.ts';
import { riskOf, rulesOf, timingDefault } from '../../src/election/timing.ts';
import { LockwardenError } from '../../src/errors.ts';
import { RecordingLogger } from '../kube/support/recorder.ts';
import { MemoryLock } from './support/memory-lock.ts';

const nothing = (): void => undefined;

function elector(options: Partial<ElectorOptions> = {}): Elector {
  return new Elector({
    lock: new MemoryLock(),
    onStartedLeading: nothing,
    onStoppedLeading: nothing,
    log: new RecordingLogger(),
    ...options,
  });
}

/** The message that it is refused with; empty: it is not. */
function refusal(options: Partial<Record<keyof ElectorOptions, unknown>>): string {
  try {
    elector(options as Partial<ElectorOptions>);
    return '';
  } catch (error) {
    expect(error).toBeInstanceOf(LockwardenError);
    expect(error).toMatchObject({ code: 'UsageInvalid' });
    return (error as LockwardenError).message;
  }
}

describe('TestLeaderElectionConfigValidation', () => {
  it('ok', () => {
    expect(refusal({ leaseDurationMs: 15_000, renewDeadlineMs: 2_000, retryPeriodMs: 1_000 })).toBe('');
    expect(refusal({ leaseDurationMs: undefined })).toBe('');
  });

  it('Lock identity is empty', () => {
    expect(refusal({ lock: new MemoryLock('') })).toContain('identity');
  });

  const all = {
    leaseDurationMs: 500,
    renewDeadlineMs: 600,
    retryPeriodMs: 700,
    onStartedLeading: undefined,
    onStoppedLeading: undefined,
    lock: undefined,
  };
  it.each([
    [{}, 'the lease duration must be longer than the renew deadline'],
    [{ leaseDurationMs: 900 }, 'longer than 1.2 times the retry period'],
    [{ leaseDurationMs: -5, renewDeadlineMs: -6, retryPeriodMs: -7 }, 'the lease duration must be positive'],
    [{ leaseDurationMs: 900, renewDeadlineMs: -6, retryPeriodMs: -7 }, 'the renew deadline must be positive'],
    [{ leaseDurationMs: 900, retryPeriodMs: 0 }, 'the retry period must be positive'],
    [{ leaseDurationMs: 900, retryPeriodMs: 400 }, 'onStartedLeading must be a function'],
    [{ leaseDurationMs: 900, retryPeriodMs: 400, onStartedLeading: nothing }, 'onStoppedLeading must be a'],
    [
      { leaseDurationMs: 900, retryPeriodMs: 400, onStartedLeading: nothing, onStoppedLeading: nothing },
      'the elector needs a lock',
    ],
  ])('is in the order of client-go: %j', (options, message) => {
    expect(refusal({ ...all, ...options })).toContain(message);
  });

  it.each([
    [{ leaseDurationMs: 999, renewDeadlineMs: 500, retryPeriodMs: 100 }, 'at least a second'],
    [{ leaseDurationMs: 4_900, renewDeadlineMs: 4_500, retryPeriodMs: 1_000 }, 'in whole seconds'],
    [{ leaseDurationMs: Infinity }, '31 bits'],
    [{ leaseDurationMs: NaN }, 'longer than the renew deadline'],
    [{ renewDeadlineMs: NaN }, 'longer than the renew deadline'],
    [{ retryPeriodMs: NaN }, '1.2 times'],
  ])('refuses what a Lease cannot say: %j', (options, message) => {
    expect(refusal(options)).toContain(message);
  });
});

describe('the rules', () => {
  const who = { identity: 'baz', releases: true };

  it('are client-go’s by default', () => {
    expect(rulesOf(timingDefault, who)).toEqual({
      identity: 'baz',
      releases: true,
      leaseDurationSeconds: 15,
      renewDeadlineMs: 10_000,
      retryPeriodMs: 2_000,
      requestTimeoutMs: 5_000,
      certainMs: 12_000,
    });
  });

  it.each([
    [{ leaseDurationMs: 12_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 }, 11_400],
    [{ leaseDurationMs: 4_900, renewDeadlineMs: 3_900, retryPeriodMs: 500 }, 3_755],
    [{ leaseDurationMs: 4_000, renewDeadlineMs: 2_500, retryPeriodMs: 500 }, 3_000],
  ])('leave a margin of the lease as written: %j', (timing, certainMs) => {
    expect(rulesOf(timing, who).certainMs).toBe(certainMs);
  });

  it('never let a request time out in less than a second', () => {
    const timing = { leaseDurationMs: 3_000, renewDeadlineMs: 1_500, retryPeriodMs: 250 };
    expect(rulesOf(timing, who).requestTimeoutMs).toBe(1_000);
  });
});

describe('a risk', () => {
  it('is a lease that leaves no room for a slow answer', () => {
    expect(riskOf(timingDefault)).toBeNull();
    expect(riskOf({ leaseDurationMs: 4_000, renewDeadlineMs: 2_500, retryPeriodMs: 500 })).toBeNull();
    expect(riskOf({ leaseDurationMs: 12_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 })).toContain(
      'at least 13 s',
    );
  });

  it('is warned about, once', () => {
    const log = new RecordingLogger();
    elector({ log, leaseDurationMs: 12_000 });
    elector({ log });
    expect(log.lines).toEqual(['warn election timing is risky']);
  });
});
