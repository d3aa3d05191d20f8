/** `lockwarden replay` as it is called: logs good and bad, compressed, rotated; policies; formats; exit codes. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { systemClock } from '../../src/clock.ts';
import { logLineBytesMax } from '../../src/cli/log-lines.ts';
import { replay, type ReplayIo, type ReplayOptions } from '../../src/cli/replay.ts';
import { review } from '../../src/cli/review.ts';
import { rejectionRecordSchema } from '../../src/review/record-schema.ts';
import { writesOf } from '../support/recordings.ts';
import { eventOf, eventsOf, linesOf, type AuditEvent } from '../preflight/support/audit-events.ts';
import { aRenewalOf, theftInsteadOf } from '../preflight/support/looked.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockwarden-replay-'));
});

afterAll(() => rm(folder, { recursive: true }));

let files = 0;

async function fileOf(content: string | Buffer, name = `file-${String((files += 1))}`): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

interface Ran {
  readonly exitCode: number;
  readonly text: string;
  readonly shown: string;
}

interface Surroundings {
  readonly stdin?: string | Buffer;
  readonly terminal?: boolean;
}

async function run(
  options: Partial<ReplayOptions>,
  { stdin = '', terminal = false }: Surroundings = {},
): Promise<Ran> {
  let text = '';
  let shown = '';
  const io: ReplayIo = {
    stdout: { isTTY: terminal, write: (part) => (text += part) },
    stderr: { isTTY: terminal, write: (part) => (shown += part) },
    stdin: async function* () {
      await Promise.resolve();
      yield Buffer.from(stdin);
    },
    env: {},
  };
  const usual = { files: [], policies: [], output: 'table', records: false };
  const exitCode = await replay({ ...usual, lockwardenNamespace: 'lockwarden-system', ...options }, io);
  return { exitCode, text, shown };
}

const events: AuditEvent[] = (() => {
  const writes = writesOf('go-lease');
  const at = aRenewalOf(writes);
  return [...writes.slice(0, at), theftInsteadOf(writes[at]!)].map(eventOf);
})();
const robbed = linesOf(events);
const honest = linesOf(eventsOf('go-lease'));

describe('the report', () => {
  it('says what would have been refused, by whom, how often, and when', async () => {
    const { exitCode, text, shown } = await run({ files: [await fileOf(robbed)] });
    expect(exitCode).toBe(0);
    expect(text).toMatch(/^\d+ writes to locks judged: 1 would be refused, 0 warned about, 0 recorded\.\n/);
    expect(text).toContain('judged by the built-in defaults.');
    expect(text).toMatch(/\nLOCK +REASON +OUTCOME +WHO +COUNT +FIRST +LAST\n/);
    expect(text).toMatch(
      /\nlease\/el-go-lease-453f\/lock +PrematureTakeover +refused +eve +1 +2026-11-22T[\d:]+Z +2026-11-22T[\d:]+Z\n/,
    );
    expect(text).toContain('that lost a race or met nothing');
    expect(shown).toBe('');
  });

  it('has more columns where they are asked for, and colours on a terminal only', async () => {
    const file = await fileOf(robbed);
    const { text } = await run({ files: [file], output: 'wide' });
    expect(text).toMatch(/RULE +POLICY +HOLDER +WOULD-BE HOLDER +REQUESTER +MANAGER +AGENT/);
    expect(text).toMatch(/U15 +built-in defaults +a-0 +thief-0 +eve +go +go\//);
    expect(text).not.toContain('\u001b');
    const terminal = await run({ files: [file] }, { terminal: true });
    expect(terminal.text).toContain('\u001b[31m');
    expect(terminal.shown).toContain('replaying');
  });

  it('says the same as JSON, YAML and CSV', async () => {
    const file = await fileOf(robbed);
    const json = JSON.parse((await run({ files: [file], output: 'json' })).text) as { records: object[] };
    expect(json).toMatchObject({
      wouldBe: { refused: 1, warned: 0, recorded: 0 },
      records: [{ reason: 'PrematureTakeover', requester: 'eve', count: 1, manager: 'go' }],
    });
    expect(parse((await run({ files: [file], output: 'yaml' })).text)).toEqual(json);
    const { text } = await run({ files: [file], output: 'csv' });
    expect(text.split('\r\n')).toHaveLength(3);
    expect(text).toMatch(/^firstSeen,lastSeen,count,/);
  });

  it('of a log in which nothing would have been refused says so', async () => {
    const { exitCode, text } = await run({ files: [await fileOf(honest)], failOn: 'any' });
    expect(exitCode).toBe(0);
    expect(text).toMatch(/judged: 0 would be refused, 0 warned about, 0 recorded\.\n/);
    expect(text).not.toContain('REASON');
  });
});

describe('--fail-on', () => {
  it.each([
    ['Deny', 3],
    ['Warn', 0],
    ['Warn,Deny', 3],
    ['any', 3],
  ])('%s ends with %d', async (failOn, exitCode) => {
    expect((await run({ files: [await fileOf(robbed)], failOn })).exitCode).toBe(exitCode);
  });

  it('takes no other word', async () => {
    const file = await fileOf(robbed);
    await expect(run({ files: [file], failOn: 'deny' })).rejects.toThrow('--fail-on does not take `deny`');
  });
});

describe('--records', () => {
  it('prints lines of a log that the schema takes and `lockwarden review` reads', async () => {
    const { text } = await run({ files: [await fileOf(robbed)], records: true });
    const [line = '', ...others] = text.trimEnd().split('\n');
    expect(others).toEqual([]);
    const { level, time, msg, ...record } = JSON.parse(line) as Record<string, unknown>;
    expect({ level, msg }).toEqual({ level: 'warn', msg: 'lock write rejected' });
    expect(time).toBe(record['lastSeen']);
    expect(rejectionRecordSchema.parse(record)).toMatchObject({ instance: 'replay', requester: 'eve' });

    let table = '';
    const io = {
      stdout: { write: (part: string) => (table += part) },
      stderr: { write: () => true },
      stdin: () => {
        throw new Error('nobody reads standard input');
      },
      stdinIsTerminal: true,
      env: {},
      clock: systemClock(),
      sleep: () => Promise.resolve(),
      interrupted: () => new Promise(() => undefined),
    };
    const options = {
      cluster: false,
      previous: false,
      lockwardenNamespace: 'x',
      follow: false,
      limit: '200',
    };
    await review({ ...options, files: [await fileOf(text)], output: 'wide' }, io);
    expect(table).toMatch(/lease\/el-go-lease-453f\/lock +a-0 +thief-0 +eve +PrematureTakeover +refused +1/);
  });
});

describe('logs', () => {
  async function refused(options: Partial<ReplayOptions>, surroundings?: Surroundings): Promise<unknown> {
    const { text } = await run({ ...options, output: 'json' }, surroundings);
    return (JSON.parse(text) as { wouldBe: { refused: number } }).wouldBe.refused;
  }

  it('may come from standard input, compressed or not', async () => {
    expect(await refused({ files: ['-'] }, { stdin: robbed })).toBe(1);
    expect(await refused({ files: ['-'] }, { stdin: gzipSync(robbed) })).toBe(1);
  });

  it('may be rotated, compressed in part, and named in any order', async () => {
    const third = Math.floor(events.length / 3);
    const parts = [events.slice(0, third), events.slice(third, 2 * third), events.slice(2 * third)];
    const [first, second, last] = await Promise.all(
      parts.map((part, index) => fileOf(index === 1 ? linesOf(part) : gzipSync(linesOf(part)))),
    );
    for (const order of [
      [first!, second!, last!],
      [last!, first!, second!],
    ]) {
      const { text } = await run({ files: order, output: 'json' });
      expect(JSON.parse(text)).toMatchObject({
        wouldBe: { refused: 1 },
        notJudged: { firstSeen: 0, gap: 0 },
      });
    }
  });

  it('may be of several API servers, and are put together by time', async () => {
    const [even, odd] = [0, 1].map((rest) => linesOf(events.filter((_, index) => index % 2 === rest)));
    const { text } = await run({ files: [await fileOf(odd!), await fileOf(even!)], output: 'json' });
    expect(JSON.parse(text)).toMatchObject({ wouldBe: { refused: 1 }, notJudged: { gap: 0, late: 0 } });
  });

  it('may have garbage, a line that is far too long, and an end that is missing', async () => {
    const huge = Buffer.concat([Buffer.alloc(logLineBytesMax + 1, 'x'), Buffer.from('\n')]);
    const cut = honest.slice(0, 300);
    const content = Buffer.concat([Buffer.from('# a comment\n\n'), huge, Buffer.from(robbed + cut)]);
    const { text } = await run({ files: [await fileOf(content)], output: 'json' });
    expect(JSON.parse(text)).toMatchObject({
      wouldBe: { refused: 1 },
      left: { notEvents: 1, tooLong: 1, cut: 1 },
      limits: [
        '1 line is no audit events, and left out',
        '1 line is too long, and left out',
        'the last line of a file is cut, and left out',
      ],
    });
  });

  it('are read whatever their lines are laid out like', async () => {
    const spaced = events.map((event) => JSON.stringify(event, null, 1).replaceAll('\n', ' ')).join('\r\n');
    expect(await refused({ files: [await fileOf(spaced)] })).toBe(1);
  });

  it('may be looked at for one namespace', async () => {
    expect(await refused({ files: [await fileOf(robbed)], namespace: 'another' })).toBe(0);
  });

  const metadataOnly = linesOf(events.map((event) => ({ ...event, level: 'Metadata' })));

  it.each([
    ['nothing in it', '', 'there is nothing in it'],
    ['something else in it', 'a\nb\n', 'it holds no audit events'],
    [
      'no objects in it',
      metadataOnly,
      'record leases, configmaps and endpoints at the level RequestResponse',
    ],
    ['half of a compressed file', gzipSync(robbed).subarray(0, 500), 'it is compressed and cut short'],
  ])('with %s cannot be used', async (_, content, why) => {
    const running = run({ files: [await fileOf(content)] });
    await expect(running).rejects.toMatchObject({ code: 'StorageFailed' });
    await expect(running).rejects.toThrow(why);
  });

  it('that are not there, or folders, cannot be read', async () => {
    await expect(run({ files: [join(folder, 'nowhere')] })).rejects.toThrow('there is no such file');
    await expect(run({ files: [folder] })).rejects.toThrow('it is a folder');
    await expect(run({ files: ['-', '-'] })).rejects.toThrow('give `-` once only');
  });
});

describe('policies', () => {
  const spec = (text: string): string => `
apiVersion: lockwarden.dev/v1alpha1
kind: ClusterLockPolicy
metadata: { name: given }
spec: ${text}
`;

  async function wouldBe(policies: readonly string[]): Promise<unknown> {
    const { text } = await run({ files: [await fileOf(robbed)], policies, output: 'json' });
    const { refused, warned, recorded } = (JSON.parse(text) as { wouldBe: Record<string, number> }).wouldBe;
    return [refused, warned, recorded];
  }

  it('come from files, and from folders with other files in them', async () => {
    const file = await fileOf(spec("{ match: { names: ['*'] }, enforcement: Warn }"), 'warn.yaml');
    expect(await wouldBe([file])).toEqual([0, 1, 0]);
    await mkdir(join(folder, 'policies'));
    await fileOf('kind: Kustomization\n', 'policies/kustomization.yaml');
    await fileOf(spec("{ match: { names: ['*'] }, enforcement: Audit }"), 'policies/audit.yaml');
    expect(await wouldBe([join(folder, 'policies')])).toEqual([0, 0, 1]);
  });

  it('come as kubectl prints them, with the labels of namespaces', async () => {
    const metadata = {
      ...{ name: 'given', uid: 'u', resourceVersion: '7', generation: 3 },
      ...{ creationTimestamp: '2026-01-01T00:00:00Z', managedFields: [{ manager: 'kubectl' }] },
    };
    const match = { namespaceSelector: { matchLabels: { tier: 'gold' } } };
    const policy = {
      apiVersion: 'lockwarden.dev/v1alpha1',
      kind: 'ClusterLockPolicy',
      metadata,
      spec: { match, enforcement: 'Audit' },
      status: { observedGeneration: 3, conditions: [] },
    };
    const namespace = {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'el-go-lease-453f', labels: { tier: 'gold' } },
    };
    const list = (items: readonly object[]): string =>
      JSON.stringify({ kind: 'List', apiVersion: 'v1', items });
    expect(await wouldBe([await fileOf(list([policy]))])).toEqual([1, 0, 0]);
    expect(await wouldBe([await fileOf(list([policy, namespace]))])).toEqual([0, 0, 1]);
  });

  it('that are wrong are named with file and line, before anything is read', async () => {
    const file = await fileOf(spec('{ enforcement: Never }'));
    const running = run({ files: ['nowhere'], policies: [file] });
    await expect(running).rejects.toMatchObject({ code: 'UsageInvalid' });
    await expect(running).rejects.toThrow(`${file}:5:`);
    const none = await fileOf('kind: ConfigMap\n');
    await expect(run({ files: ['x'], policies: [none] })).rejects.toThrow('there is no policy in');
    await expect(run({ files: ['-'], policies: ['-'] })).rejects.toThrow('cannot be both');
  });
});
