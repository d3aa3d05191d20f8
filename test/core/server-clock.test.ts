import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sampleDate, serverTimeAt, unknownClock, type ServerClock } from '../../src/core/server-clock.ts';
import { monotonicMs, serverMs } from '../../src/core/time.ts';

const offset = 1_700_000_000_000;

/** Samples a server whose clock is `ahead` of monotonic time, asked at `sentAt` and answering after `latencyMs`. */
function sample(clock: ServerClock, sentAt: number, latencyMs: number, ahead = offset): ServerClock {
  const date = Math.floor((sentAt + latencyMs / 2 + ahead) / 1000) * 1000;
  return sampleDate(clock, monotonicMs(sentAt), monotonicMs(sentAt + latencyMs), serverMs(date));
}

describe('the API server’s clock', () => {
  it('is unknown before the first answer', () => {
    expect(serverTimeAt(unknownClock, monotonicMs(0))).toBeNull();
  });

  it('is bounded by the moments of sending and receiving and the header’s second', () => {
    const clock = sampleDate(unknownClock, monotonicMs(100), monotonicMs(140), serverMs(5000));
    expect(serverTimeAt(clock, monotonicMs(140))).toEqual({ min: 5000, max: 6040 });
    expect(serverTimeAt(clock, monotonicMs(1140))).toEqual({ min: 6000, max: 7040 });
  });

  it('always contains the true time, and narrows as answers come in', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 500 }), { minLength: 1, maxLength: 20 }),
        (latencies) => {
          let clock = unknownClock;
          let at = 0;
          let width = Infinity;
          for (const latencyMs of latencies) {
            clock = sample(clock, at, latencyMs);
            at += latencyMs;
            const now = serverTimeAt(clock, monotonicMs(at));
            expect(now).not.toBeNull();
            if (now === null) return;
            expect(now.min).toBeLessThanOrEqual(at + offset);
            expect(now.max).toBeGreaterThanOrEqual(at + offset);
            if (latencies.length <= 8) expect(now.max - now.min).toBeLessThanOrEqual(width);
            width = now.max - now.min;
            at += 9_137;
          }
        },
      ),
    );
  });

  it('covers API servers whose clocks disagree a little', () => {
    const clock = sample(sample(unknownClock, 0, 10), 10_000, 10, offset + 3000);
    const now = serverTimeAt(clock, monotonicMs(20_000));
    expect(now?.min).toBeLessThanOrEqual(offset + 20_000);
    expect(now?.max).toBeGreaterThanOrEqual(offset + 23_000);
    expect(clock.steppedAt).toBeNull();
  });

  it('goes on covering them as further answers come in', () => {
    let clock = sample(sample(unknownClock, 0, 10), 10_000, 10, offset + 3000);
    clock = sample(clock, 20_000, 10, offset + 1500);
    const now = serverTimeAt(clock, monotonicMs(30_000));
    expect(now?.min).toBeLessThanOrEqual(offset + 30_000);
    expect(now?.max).toBeGreaterThanOrEqual(offset + 33_000);
    expect(clock.steppedAt).toBeNull();
  });

  it('allows for five seconds between them, and takes any more for a step', () => {
    const first = sampleDate(unknownClock, monotonicMs(0), monotonicMs(0), serverMs(0));
    const after = (ms: number) => sampleDate(first, monotonicMs(0), monotonicMs(0), serverMs(ms));
    expect(after(6000).steppedAt).toBeNull();
    expect(after(6001).steppedAt).toBe(0);
  });

  it('notices that the monotonic clock stood still, and forgets what it knew', () => {
    const clock = sample(sample(unknownClock, 0, 10), 10_000, 10, offset + 3_600_000);
    expect(clock.steppedAt).toBe(10_010);
    expect(serverTimeAt(clock, monotonicMs(10_010))?.min).toBeGreaterThan(offset + 3_600_000);
  });

  it('notices a server’s clock that was set back', () => {
    expect(sample(sample(unknownClock, 0, 10), 10_000, 10, offset - 60_000).steppedAt).toBe(10_010);
  });

  it('remembers that there was a step after further answers, and keeps only the latest eight', () => {
    let clock = sample(sample(unknownClock, 0, 10), 10_000, 10, offset + 60_000);
    for (let at = 20_000; at < 200_000; at += 10_000) clock = sample(clock, at, 10, offset + 60_000);
    expect(clock.steppedAt).toBe(10_010);
    expect(clock.samples).toHaveLength(8);
  });
});
