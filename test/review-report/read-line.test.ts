/** Lines of logs, ours and others’, whole and not. */
import { describe, expect, it } from 'vitest';
import { clauseSentence, namedClauses } from '../../src/review-report/clauses.ts';
import { readLine } from '../../src/review-report/read-line.ts';
import { rejectionRecordSchema } from '../../src/review/record-schema.ts';
import { read } from '../style/tree.ts';
import { at, changed, changeLine, lineOf } from './support/night.ts';

const line = await lineOf();

describe('a line of a log', () => {
  it('that the real logger wrote about a real refusal is its record', () => {
    const entry = readLine(line);
    expect(entry).toMatchObject({
      kind: 'rejection',
      record: {
        ...{ lockKind: 'Lease', namespace: 'team', name: 'orders', holder: 'a-0', wouldBeHolder: 'b-0' },
        ...{ pod: 'b-0', reason: 'PrematureTakeover', rule: 'U15', enforcement: 'Deny', count: 1 },
        ...{ reviewUid: 'review-1', elapsedMinMs: 2_000, dryRun: false },
      },
    });
    const { record } = entry as Extract<typeof entry, { kind: 'rejection' }>;
    expect(rejectionRecordSchema.parse(record)).toEqual(record);
    expect(Object.keys(record)).not.toContain('level');
  });

  it('of version 0.1.0 is one, with defaults for keys it does not have', () => {
    const { firstSeen, lastSeen, count, enforcement, instance, ...old } = JSON.parse(line) as Record<
      string,
      unknown
    >;
    expect([firstSeen, lastSeen, count, enforcement, instance]).not.toContain(undefined);
    const at = (old['time'] as string).slice(0, 23);
    expect(readLine(JSON.stringify(old))).toMatchObject({
      kind: 'rejection',
      atMs: Date.parse(old['time'] as string),
      record: {
        enforcement: 'Deny',
        count: 1,
        instance: '',
        firstSeen: expect.stringContaining(at) as string,
      },
    });
  });

  it.each([
    ['kubectl logs --prefix', (text: string) => `[pod/lockwarden-0/lockwarden] ${text}`],
    ['kubectl logs --timestamps', (text: string) => `2026-03-01T03:12:03.123456789Z ${text}`],
    ['both', (text: string) => `[pod/lockwarden-0/lockwarden] 2026-03-01T03:12:03.123456789Z ${text}`],
    ['a container runtime', (text: string) => `2026-03-01T03:12:03.123456789+01:00 stdout F ${text}`],
    [
      'docker',
      (text: string) => JSON.stringify({ log: `${text}\n`, stream: 'stdout', time: at('03:12:03') }),
    ],
  ])('is read whatever %s puts around it', (_, wrap) => {
    expect(readLine(wrap(line))).toEqual(readLine(line));
  });

  it('has its times from the record before that of the log', () => {
    const folded = changed(line, {
      time: at('03:14:00'),
      count: 7,
      firstSeen: at('03:12:00'),
      lastSeen: at('03:13:00'),
    });
    expect(readLine(folded)).toMatchObject({
      atMs: Date.parse(at('03:12:00')),
      lastMs: Date.parse(at('03:13:00')),
      record: { count: 7 },
    });
  });

  it.each([
    ['lock write warned about', 'Warn'],
    ['lock write audited', 'Audit'],
    ['lock write allowed with a warning', 'Warn'],
    ['lock write allowed and recorded', 'Audit'],
  ])('`%s` is a violation under %s', (msg, enforcement) => {
    expect(readLine(changed(line, { msg }))).toMatchObject({ kind: 'rejection', record: { enforcement } });
  });

  it('about a change of holder is one', () => {
    expect(readLine(changeLine('03:00:00', 'a-0', null))).toMatchObject({
      kind: 'change',
      atMs: Date.parse(at('03:00:00')),
      record: { holder: 'a-0', newHolder: null },
    });
  });

  it.each([
    '',
    'plain text',
    '[1, 2]',
    '{"msg":"lockwarden is ready"}',
    '{"other":1}',
    '{"log":"hello"}',
    'null',
  ])('of another program is none: %s', (text) => {
    expect(readLine(text)).toEqual({ kind: 'other' });
  });

  it.each([
    ['cut short', line.slice(0, 300)],
    ['a part by the runtime’s own word', `2026-03-01T03:12:03.1Z stdout P ${line}`],
    ['without a lock', changed(line, { name: undefined })],
    ['without a reason', changed(line, { reason: 7 })],
    ['without a time', changed(line, { time: undefined })],
    ['with a time that is none', changed(line, { time: '2026-99-99T99:99:99Z' })],
  ])('%s is torn', (_, text) => {
    expect(readLine(text)).toEqual({ kind: 'torn' });
  });

  it('is made safe for terminals, unknown keys too, and cannot touch prototypes', () => {
    const hostile = changed(line, {
      holder: '\u001b[2Jx\u202e',
      extra: { deep: ['\u009b31m'] },
      constructor: 1,
    });
    const read = readLine(hostile.replace('"extra"', '"__proto__":{"polluted":true},"extra"'));
    expect(JSON.stringify(read)).not.toMatch(/[\u0000-\u001f\u0080-\u009f\u202e]/);
    expect(read).toMatchObject({
      record: { holder: '\\u{1b}[2Jx\\u{202e}', extra: { deep: ['\\u{9b}31m'] } },
    });
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    expect(Object.keys((read as { record: object }).record)).not.toContain('__proto__');
  });

  it('may hold anything at all', () => {
    for (const value of [null, 1, 'x', [], {}, true, 1e308, '9'.repeat(5_000)]) {
      const all = Object.fromEntries(Object.keys(JSON.parse(line) as object).map((key) => [key, value]));
      for (const msg of ['lock write rejected', 'lock changed hands']) {
        expect(['torn', 'rejection', 'change']).toContain(readLine(JSON.stringify({ ...all, msg })).kind);
      }
    }
  });
});

describe('the sentences of clauses', () => {
  const page = read('docs/semantics.md').replaceAll(/\s+/g, ' ');

  it.each(namedClauses)('%s says what the page says', (clause) => {
    const text = clauseSentence(clause) ?? '';
    const inTable = page.includes(`**${clause}** | `);
    const words = inTable ? [`**${clause}** | ${text.replace(': ', ' | ')}`, text] : [text];
    expect(text.length).toBeGreaterThan(10);
    expect(
      words.some((each) => page.includes(each)),
      text,
    ).toBe(true);
  });

  it('are all there', () => {
    const union = /export type Clause =([\s\S]*?);/.exec(read('src/core/decision.ts'))?.[1] ?? '';
    expect([...union.matchAll(/'(\w+)'/g)].map(([, clause]) => clause)).toEqual(namedClauses);
    expect(clauseSentence('X9')).toBeNull();
  });
});
