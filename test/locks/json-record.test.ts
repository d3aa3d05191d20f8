import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readJsonRecord } from '../../src/locks/json-record.ts';

const t = '2026-08-17T23:11:09Z';
const at = Date.parse(t);

const recordIn = (text: string) => {
  const reading = readJsonRecord(text);
  expect(reading).toMatchObject({ kind: 'record' });
  return reading.kind === 'record' ? reading.record : null;
};
const whyNot = (text: string) => {
  const reading = readJsonRecord(text);
  return reading.kind === 'unreadable' ? reading.why : reading;
};

describe('the dialects of real clients', () => {
  it('client-go: seconds as a number, times in whole seconds', () => {
    const text = `{"holderIdentity":"a","leaseDurationSeconds":15,"acquireTime":"${t}","renewTime":"${t}","leaderTransitions":2}`;
    expect(recordIn(text)).toEqual({
      holder: 'a',
      leaseDurationMs: 15_000,
      renewTime: { raw: t, at },
      acquireTime: { raw: t, at },
      transitions: 2,
    });
  });

  it('fabric8: an ISO-8601 duration under another key, microseconds', () => {
    const time = '2026-08-17T23:11:09.123456Z';
    const text = `{"holderIdentity":"a","leaseDuration":"PT15S","acquireTime":"${time}","renewTime":"${time}","leaderTransitions":0}`;
    expect(recordIn(text)).toMatchObject({ leaseDurationMs: 15_000, renewTime: { raw: time, at: at + 123 } });
  });

  it('fabric8 released: no holder, one second', () => {
    expect(recordIn('{"leaseDuration":"PT1S"}')).toMatchObject({ holder: null, leaseDurationMs: 1000 });
  });

  it('older fabric8: seconds as a decimal under its key', () => {
    expect(recordIn('{"holderIdentity":"a","leaseDuration":15.000000000}')).toMatchObject({
      leaseDurationMs: 15_000,
    });
  });

  it('Python: the duration is a text, times have no zone and so name no instant', () => {
    const text =
      '{"holderIdentity":"a","leaseDurationSeconds":"17","acquireTime":"2026-08-17 23:11:09.123456","renewTime":"2026-08-17 23:11:09"}';
    expect(recordIn(text)).toEqual({
      holder: 'a',
      leaseDurationMs: 17_000,
      renewTime: { raw: '2026-08-17 23:11:09', at: null },
      acquireTime: { raw: '2026-08-17 23:11:09.123456', at: null },
      transitions: null,
    });
  });

  it('client-go before 1.17 released: no holder, no duration, null times', () => {
    const text =
      '{"holderIdentity":"","leaseDurationSeconds":0,"acquireTime":null,"renewTime":null,"leaderTransitions":1}';
    expect(recordIn(text)).toEqual({
      holder: null,
      leaseDurationMs: null,
      renewTime: null,
      acquireTime: null,
      transitions: 1,
    });
  });

  it('Go’s zero time is no time', () => {
    expect(recordIn('{"holderIdentity":"a","renewTime":"0001-01-01T00:00:00Z"}')?.renewTime).toBeNull();
  });

  it('Istio: a holder key beside the holder exempts nobody and is passed over', () => {
    expect(recordIn('{"holderIdentity":"a","holderKey":"default"}')?.holder).toBe('a');
  });

  it.each(['', ' ', '{}', 'null'])('nothing in it (%j): nobody holds', (text) => {
    expect(recordIn(text)?.holder).toBeNull();
  });
});

describe('durations', () => {
  it.each([
    ['PT1M', 60_000],
    ['PT1M30S', 90_000],
    ['PT2H', 7_200_000],
    ['PT0.5S', 500],
    ['PT0S', null],
  ])('%s', (text, ms) => {
    expect(recordIn(`{"leaseDuration":"${text}"}`)?.leaseDurationMs).toBe(ms);
  });

  it.each(['PT', 'P1D', '15S', 'PT-5S', 'PTS', ''])('%j cannot be read', (text) => {
    expect(whyNot(`{"leaseDuration":"${text}"}`)).toBe('the duration cannot be read');
  });

  it('both keys may stand when they agree', () => {
    expect(recordIn('{"leaseDuration":"PT15S","leaseDurationSeconds":15}')?.leaseDurationMs).toBe(15_000);
    expect(whyNot('{"leaseDuration":"PT15S","leaseDurationSeconds":16}')).toBe('the duration cannot be read');
  });
});

describe('what clients would read differently is unreadable', () => {
  it.each([
    ['{"holderIdentity":"a","holderIdentity":"b"}', 'the key `holderIdentity` stands twice'],
    ['{"holderIdentity":"a","\\u0068olderIdentity":"b"}', 'the key `holderIdentity` stands twice'],
    [
      '{"holderIdentity":"a","HolderIdentity":"b"}',
      'the key `HolderIdentity` reads as `holderIdentity` in Go',
    ],
    ['{"HOLDERIDENTITY":"b"}', 'the key `HOLDERIDENTITY` reads as `holderIdentity` in Go'],
    [
      '{"leaseDurationSecond\u017f":1}',
      'the key `leaseDurationSecond\u017f` reads as `leaseDurationSeconds` in Go',
    ],
    ['{"extra":1,"Extra":2}', 'the key `Extra` reads as `extra` in Go'],
    ['{"holderIdentity":5}', 'the holder is not a text'],
    ['{"holderIdentity":{"a":1}}', 'the holder is not a text'],
    ['{"renewTime":5}', 'a time is not a text'],
    ['{"acquireTime":[]}', 'a time is not a text'],
    ['{"leaderTransitions":1.5}', 'the transitions are not a whole number'],
    ['{"leaderTransitions":"1"}', 'the transitions are not a whole number'],
    ['{"leaseDurationSeconds":1.5}', 'the duration cannot be read'],
    ['{"leaseDurationSeconds":10.0}', 'the duration cannot be read'],
    ['{"leaseDurationSeconds":1e1}', 'the duration cannot be read'],
    ['{"leaseDurationSeconds":"1e1"}', 'the duration cannot be read'],
    ['{"leaseDurationSeconds":true}', 'the duration cannot be read'],
    ['[]', 'it is not a JSON object'],
    ['"a"', 'it is not a JSON object'],
    ['{"holderIdentity":"a"} trailing', 'it is not JSON'],
    ['{"holderIdentity":"a",}', 'it is not JSON'],
    ['{/* a */"holderIdentity":"a"}', 'it is not JSON'],
    ["{'holderIdentity':'a'}", 'it is not JSON'],
    ['{"holderIdentity":"a"', 'it is not JSON'],
    ['\uFEFF{"holderIdentity":"a"}', 'it is not JSON'],
    ['['.repeat(100_000), 'it is longer than 16384 characters'],
    ['['.repeat(10_000), 'it is nested'],
    [`{"holderIdentity":"${'a'.repeat(20_000)}"}`, 'it is longer than 16384 characters'],
  ])('%.60j', (text, why) => {
    expect(whyNot(text)).toBe(why);
  });

  it('a duration of nothing, or less, promises nothing', () => {
    expect(recordIn('{"leaseDurationSeconds":-5}')?.leaseDurationMs).toBeNull();
    expect(recordIn('{"leaseDuration":-5}')?.leaseDurationMs).toBeNull();
  });

  it('keys of the prototype are keys like any other', () => {
    expect(recordIn('{"__proto__":{"holderIdentity":"x"},"constructor":1}')?.holder).toBeNull();
  });

  it('reads or refuses any text, and what it reads JSON.parse reads too', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.string().map((each) => `{"holderIdentity":${each}`),
        ),
        (text) => {
          const reading = readJsonRecord(text);
          if (reading.kind !== 'record' || text.trim() === '') return;
          const parsed = JSON.parse(text) as { holderIdentity?: unknown } | null;
          expect(reading.record.holder ?? '').toBe(parsed?.holderIdentity ?? '');
        },
      ),
      { numRuns: 2000 },
    );
  });
});
