import { describe, expect, it } from 'vitest';
import { judgeTimeoutMs } from '../../src/server/deadline.ts';

describe('the time for a judgement', () => {
  it.each([
    ['/validate', 1000],
    ['/validate?timeout=1s', 800],
    ['/validate?timeout=2s', 1000],
    ['/validate?a=b&timeout=1s&c=d', 800],
    ['/validate?timeout=1m0s', 1000],
    ['/validate?timeout=0s', 1000],
    ['/validate?timeout=1.5s', 1000],
    ['/validate?timeout=1h', 1000],
    ['/validate?timeout=-1s', 1000],
    ['/validate?timeout=', 1000],
    ['/validate?xtimeout=1s', 1000],
  ])('at %s is %i ms where a second is allowed', (url, expected) => {
    expect(judgeTimeoutMs(url, 1000)).toBe(expected);
  });

  it('leaves a fifth of a longer time for the way back', () => {
    expect(judgeTimeoutMs('/validate?timeout=10s', 60_000)).toBe(8_000);
    expect(judgeTimeoutMs('/validate?timeout=1m30s', 100_000)).toBe(72_000);
  });
});
