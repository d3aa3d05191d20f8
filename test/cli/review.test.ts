/** `lockwarden review` as it is called: files, standard input, clusters, formats, and text that means harm. */
import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { systemClock } from '../../src/clock.ts';
import type { ReviewIo } from '../../src/cli/review-io.ts';
import { reviewShow } from '../../src/cli/review-show.ts';
import { reviewTimeline } from '../../src/cli/review-timeline.ts';
import { review, type ReviewOptions } from '../../src/cli/review.ts';
import {
  failure,
  kubeconfigText,
  startFakeApiServer,
  type Asked,
  type FakeApiServer,
} from '../kube/support/fake-api-server.ts';
import { at, changed, changeLine, lineOf } from '../review-report/support/night.ts';

const line = await lineOf();
let folder: string;
let files = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockwarden-review-'));
});

afterAll(() => rm(folder, { recursive: true }));

async function fileOf(...lines: readonly string[]): Promise<string> {
  const path = join(folder, `replica-${String((files += 1))}.log`);
  await writeFile(path, lines.map((each) => `${each}\n`).join(''));
  return path;
}

function refusal(clock: string, fields: object = {}): string {
  return changed(line, { time: at(clock), reviewUid: `review-${clock}`, ...fields });
}

interface Surroundings {
  readonly stdin?: AsyncIterable<Buffer>;
  readonly terminal?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  readonly enough?: Promise<unknown>;
  readonly columns?: number;
  readonly sleep?: ReviewIo['sleep'];
}

function surroundings({ stdin, terminal = false, env = {}, enough, columns, sleep }: Surroundings = {}) {
  const written = { out: '', err: '' };
  const io: ReviewIo = {
    stdout: { isTTY: terminal, columns, write: (part) => (written.out += part) },
    stderr: { write: (part) => (written.err += part) },
    stdin: () => stdin ?? chunksOf(''),
    stdinIsTerminal: stdin === undefined,
    env,
    clock: systemClock(),
    sleep: sleep ?? (() => new Promise((resolve) => setImmediate(resolve))),
    interrupted: () => enough ?? new Promise(() => undefined),
  };
  return { io, written };
}

async function* chunksOf(text: string): AsyncGenerator<Buffer> {
  await Promise.resolve();
  yield Buffer.from(text);
}

const sources = { cluster: false, previous: false, lockwardenNamespace: 'lockwarden-system' };
const all = { ...sources, files: [], output: 'table', follow: false, limit: '200' };

async function run(options: Partial<ReviewOptions>, around: Surroundings = {}) {
  const { io, written } = surroundings(around);
  return { exitCode: await review({ ...all, ...options }, io), ...written };
}

describe('lockwarden review', () => {
  it('puts replicas together by time, tells each rejection once, and says what was cut', async () => {
    const a = await fileOf(refusal('03:02:00'), 'not of ours', line.slice(0, 99));
    const b = await fileOf(refusal('03:01:00'), refusal('03:02:00'));
    const { exitCode, out, err } = await run({ files: [a, b] });
    expect(exitCode).toBe(0);
    expect(out.split('\n').slice(0, 4)).toEqual([
      'TIME                  LOCK               HOLDER  WOULD-BE HOLDER  WHO  REASON             OUTCOME  COUNT',
      '2026-03-01T03:01:00Z  lease/team/orders  a-0     b-0              b-0  PrematureTakeover  refused  1',
      '2026-03-01T03:02:00Z  lease/team/orders  a-0     b-0              b-0  PrematureTakeover  refused  1',
      '',
    ]);
    expect(err).toBe('lockwarden: 1 of 5 lines cut short or incomplete: what is told there is missing\n');
  });

  it('reads standard input, and says so when there is nothing to read', async () => {
    expect((await run({ files: ['-'], output: 'wide' }, { stdin: chunksOf(`${line}\n`) })).out).toContain(
      'review-1',
    );
    expect((await run({}, { stdin: chunksOf('x\n') })).out).toBe('No rejections in 1 lines.\n');
    await expect(run({})).rejects.toThrow('there is no log to read');
    await expect(run({ files: [join(folder, 'none')] })).rejects.toThrow('there is no such file');
    await expect(run({ files: [folder] })).rejects.toThrow('it is a folder');
    await expect(run({ files: ['x'], cluster: true })).rejects.toThrow('not both');
  });

  it('shows the newest, and those that are asked for', async () => {
    const old = new Date(Date.now() - 7_200_000).toISOString();
    const now = new Date().toISOString();
    const path = await fileOf(refusal('x', { time: old }), refusal('y', { time: now, namespace: 'other' }));
    const uids = async (options: Partial<ReviewOptions>): Promise<unknown> => {
      const { out } = await run({ files: [path], output: 'json', ...options });
      const { rejections, leftOut } = JSON.parse(out) as {
        rejections: { reviewUid: string }[];
        leftOut: number;
      };
      return [rejections.map((each) => each.reviewUid.slice(7)).join(), leftOut];
    };
    expect(await uids({})).toEqual(['x,y', 0]);
    expect(await uids({ limit: '1' })).toEqual(['y', 1]);
    expect(await uids({ since: '1h' })).toEqual(['y', 0]);
    expect(await uids({ namespace: 'team' })).toEqual(['x', 0]);
    expect(await uids({ lock: 'lease/orders' })).toEqual(['x,y', 0]);
    expect(await uids({ lock: 'cm/orders' })).toEqual(['', 0]);
    await expect(run({ files: [path], since: 'yesterday' })).rejects.toThrow('--since does not take');
    await expect(run({ files: [path], limit: '0' })).rejects.toThrow('--limit does not take');
    await expect(run({ files: [path], lock: 'a/b/c' })).rejects.toThrow('names no lock');
    await expect(run({ files: [path], output: 'xml' })).rejects.toThrow(
      'give table, wide, json, yaml or csv',
    );
  });

  it('keeps unknown keys, in YAML as well', async () => {
    const path = await fileOf(refusal('03:01:00', { fromTheFuture: [1] }));
    const { out } = await run({ files: [path], output: 'yaml' });
    expect(parse(out)).toMatchObject({ rejections: [{ fromTheFuture: [1], count: 1 }], leftOut: 0 });
  });

  it('writes CSV in which nothing is a formula', async () => {
    const hostile = { holder: '=cmd|x', wouldBeHolder: '"@a",b', pod: ' +1', requester: '-2' };
    const { out } = await run({ files: [await fileOf(refusal('03:01:00', hostile))], output: 'csv' });
    const [header, row] = out.split('\r\n');
    expect(header).toMatch(/^firstSeen,lastSeen,count,/);
    expect(row).toContain(`"'=cmd|x","'""@a"",b","'-2","' +1"`);
  });

  it('colours on a terminal only, and lets nothing through that a terminal obeys', async () => {
    const path = await fileOf(refusal('03:01:00', { holder: '\u001b]0;owned\u0007' }));
    const plain = await run({ files: [path] });
    expect(plain.out).toContain('\\u{1b}]0;owned\\u{7}');
    expect(plain.out).not.toContain('\u001b');
    const coloured = await run({ files: [path] }, { terminal: true });
    expect(coloured.out).toContain('\u001b[31mrefused\u001b[39m');
    expect((await run({ files: [path] }, { terminal: true, env: { NO_COLOR: '1' } })).out).toBe(plain.out);
  });

  // LIMIT: some seconds on a machine that does other things.
  it('reads a hundred thousand lines and keeps the newest', { timeout: 60_000 }, async () => {
    async function* many(): AsyncGenerator<Buffer> {
      const [before, after] = refusal('03:00:00', { reviewUid: 'UID' }).split('UID');
      for (let n = 0; n < 100_000; n += 1_000) {
        await Promise.resolve();
        yield Buffer.from(
          Array.from({ length: 1_000 }, (_, k) => `${before!}${String(n + k)}${after!}\n`).join(''),
        );
      }
    }
    const { out, err } = await run({ output: 'json', limit: '3' }, { stdin: many() });
    const { rejections, leftOut } = JSON.parse(out) as { rejections: object[]; leftOut: number };
    expect([rejections.length, leftOut, err]).toEqual([3, 99_997, '']);
  });

  it('follows a file as it grows, and the one that takes its place', async () => {
    const path = await fileOf(refusal('03:01:00'));
    const enough = Promise.withResolvers<undefined>();
    const { io, written } = surroundings({ enough: enough.promise });
    const done = review({ ...all, files: [path], follow: true, output: 'json' }, io);
    const until = async (uid: string): Promise<void> => {
      while (!written.out.includes(uid)) await new Promise((resolve) => setImmediate(resolve));
    };
    await until('review-03:01:00');
    await appendFile(path, `${refusal('03:02:00')}\n${refusal('03:01:00')}\n`);
    await until('review-03:02:00');
    await rename(path, `${path}.1`);
    await writeFile(path, `${refusal('03:03:00')}\n`);
    await until('review-03:03:00');
    enough.resolve(undefined);
    expect(await done).toBe(0);
    const uids = written.out
      .trim()
      .split('\n')
      .map((each) => (JSON.parse(each) as { reviewUid: string }).reviewUid);
    expect(uids).toEqual(['review-03:01:00', 'review-03:02:00', 'review-03:03:00']);
  });
});

describe('lockwarden review show', () => {
  it('tells a story by the beginning of a uid, on one screen', async () => {
    const path = await fileOf(
      changeLine('02:40:00', 'x', 'a-0'),
      refusal('03:12:03', { reviewUid: '8f14e45f-1' }),
    );
    const { io, written } = surroundings();
    const options = { ...sources, files: [path], output: 'text' };
    expect(await reviewShow({ ...options, uid: '8f14' }, io)).toBe(0);
    expect(written.out).toContain('Held by    `a-0` had held it since 2026-03-01T02:40:00Z, for 32m 3s');
    expect(written.out.split('\n').length).toBeLessThan(30);
    await expect(reviewShow({ ...options, uid: '8f1' }, io)).rejects.toThrow('too short');
    await expect(reviewShow({ ...options, uid: '8f14', since: '1h' }, io)).rejects.toThrow('no line tells');
    await expect(reviewShow({ ...options, uid: 'abcd' }, io)).rejects.toThrow(
      'no line tells of a rejection `abcd`',
    );
  });

  it('wants more of a uid that begins two', async () => {
    const path = await fileOf(
      refusal('03:01:00', { reviewUid: 'same-1' }),
      refusal('03:02:00', { reviewUid: 'same-2' }),
    );
    const options = { ...sources, files: [path], uid: 'same', output: 'json' };
    await expect(reviewShow(options, surroundings().io)).rejects.toThrow('begins more than one uid');
  });
});

describe('lockwarden review timeline', () => {
  const draw = async (
    output: string,
    lines: readonly string[],
    around: Surroundings = {},
  ): Promise<string> => {
    const { io, written } = surroundings({ columns: 60, ...around });
    const options = { ...sources, files: [await fileOf(...lines)], lock: 'lease/orders', namespace: 'team' };
    expect(await reviewTimeline({ ...options, output }, io)).toBe(0);
    return written.out;
  };
  const lines = [
    changeLine('03:00:00', 'x', 'a-0'),
    refusal('03:05:00'),
    changeLine('03:10:00', 'a-0', null),
  ];

  it('is drawn as wide as the terminal, and in ASCII where that is all there is', async () => {
    const drawn = await draw('text', lines, { env: { LANG: 'C.UTF-8' } });
    expect(drawn).toContain('a-0          ██████████████');
    expect(drawn).toContain('✗');
    const picture = drawn.split('\n').slice(2, 9);
    expect(Math.max(...picture.map((each) => each.length))).toBeLessThanOrEqual(60);
    const ascii = await draw('text', lines, { env: { LANG: 'C' } });
    expect(ascii).toContain('##########');
    expect(ascii).toMatch(/^[\n\x20-\x7e]*$/);
  });

  it('is one HTML file in which no text is markup, and nothing comes from elsewhere', async () => {
    const hostile = '</title><script>alert(1)</script>"\'&';
    const html = await draw('html', [...lines, changeLine('03:12:00', null, hostile)]);
    expect(html).not.toContain('<script');
    expect(html).not.toMatch(/(?:src|href)=|url\((?!#)|@import/);
    expect(html).toContain('&lt;/title&gt;&lt;script&gt;');
    expect(html).toContain("default-src 'none'");
    expect(html.match(/class="held/g)?.length).toBe(3);
    expect(html).toContain('<polygon class="Deny"');
  });

  it('is data as JSON', async () => {
    expect(JSON.parse(await draw('json', lines))).toMatchObject({
      spans: [
        { holder: 'x' },
        { holder: 'a-0', from: at('03:00:00'), durationMs: 600_000 },
        { kind: 'free' },
      ],
      rejections: [{ reviewUid: 'review-03:05:00' }],
    });
    await expect(draw('json', ['x'])).rejects.toThrow('no line tells of `lease/orders`');
  });
});

describe('the logs of a cluster', () => {
  let server: FakeApiServer;
  let kubeconfig: string;

  beforeAll(async () => {
    server = await startFakeApiServer();
    kubeconfig = join(folder, 'kubeconfig');
    await writeFile(kubeconfig, kubeconfigText(server.url));
  });

  afterAll(() => server.close());

  const pod = (name: string, restartCount = 0): object => ({
    metadata: { name, uid: `uid-${name}` },
    spec: { containers: [{ name: 'sidecar' }, { name: 'lockwarden' }] },
    status: { containerStatuses: [{ name: 'lockwarden', restartCount }] },
  });

  const stamped = (text: string): string => `2026-03-01T03:12:03.123456789Z ${text}\n`;

  /** The next requests by their pod and whether it is the previous container. */
  async function asked(count: number): Promise<ReadonlyMap<string, Asked>> {
    const each: (readonly [string, Asked])[] = [];
    while (each.length < count) {
      const request = await server.next();
      const name = request.url.pathname.split('/').at(-2) ?? '';
      each.push([`${name}${request.url.searchParams.has('previous') ? ' before' : ''}`, request]);
    }
    return new Map(each);
  }

  it('are those of all replicas; one that cannot be read is left out, and said', async () => {
    const running = run({ cluster: true, kubeconfig, since: '60m', output: 'csv' });
    const list = await server.next();
    expect(`${list.url.pathname} ${list.url.searchParams.get('labelSelector') ?? ''}`).toBe(
      '/api/v1/namespaces/lockwarden-system/pods app.kubernetes.io/name=lockwarden,app.kubernetes.io/component=webhook',
    );
    list.reply(200, { items: [pod('r-0', 1), pod('r-1')] });
    const logs = await asked(2);
    expect(Object.fromEntries(logs.get('r-0')!.url.searchParams)).toEqual({
      ...{ timestamps: 'true', container: 'lockwarden', sinceSeconds: '3600' },
    });
    const now = new Date().toISOString();
    logs.get('r-0')!.reply(200, stamped(refusal('x', { time: now })));
    logs.get('r-1')!.reply(400, failure(400, 'BadRequest', 'container is waiting to start'));
    const { out, err } = await running;
    expect(out).toContain('"review-x"');
    expect(err).toContain('the log of r-1 is left out');
  });

  it('are read from before a restart too, if asked', async () => {
    const running = run({ cluster: true, kubeconfig, previous: true, output: 'json' });
    (await server.next()).reply(200, { items: [pod('r-0', 1), pod('r-1')] });
    const logs = await asked(2);
    logs.get('r-1')!.reply(200, '');
    logs.get('r-0 before')!.reply(200, stamped(refusal('03:01:00')));
    (await asked(1)).get('r-0')!.reply(200, stamped(refusal('03:02:00')));
    expect(JSON.parse((await running).out)).toMatchObject({
      rejections: [{ reviewUid: 'review-03:01:00' }, { reviewUid: 'review-03:02:00' }],
    });
  });

  it('are an error when there are none, or when they may not be read', async () => {
    const none = run({ cluster: true, kubeconfig });
    (await server.next()).reply(200, { items: [] });
    await expect(none).rejects.toThrow('there is no pod of lockwarden in the namespace `lockwarden-system`');
    const forbidden = run({ cluster: true, kubeconfig });
    (await server.next()).reply(200, { items: [pod('r-0')] });
    (await server.next()).reply(403, failure(403, 'Forbidden', 'pods/log is forbidden'));
    await expect(forbidden).rejects.toThrow('forbidden');
  });

  it('are followed over breaks, from the last line on, and lines that come again are told once', async () => {
    const enough = Promise.withResolvers<undefined>();
    const wake = Promise.withResolvers<undefined>();
    // Only the look for new pods (5 s) waits for ever.
    const sleep: ReviewIo['sleep'] = (ms) =>
      ms === 5_000 ? wake.promise : new Promise((resolve) => setImmediate(resolve));
    const { io, written } = surroundings({ enough: enough.promise, sleep });
    const done = review({ ...all, cluster: true, kubeconfig, follow: true, output: 'json' }, io);
    (await server.next()).reply(200, { items: [pod('r-0')] });
    const first = await server.next();
    expect(first.url.searchParams.get('follow')).toBe('true');
    const stream = first.stream();
    stream.send(stamped(refusal('03:01:00')));
    while (!written.out.includes('03:01:00')) await new Promise((resolve) => setImmediate(resolve));
    first.destroy();
    const second = await server.next();
    expect(second.url.searchParams.get('sinceTime')).toBe('2026-03-01T03:12:03.123456789Z');
    second.stream().send(stamped(refusal('03:01:00')) + stamped(refusal('03:02:00')));
    while (!written.out.includes('review-03:02:00')) await new Promise((resolve) => setImmediate(resolve));
    enough.resolve(undefined);
    wake.resolve(undefined);
    expect(await done).toBe(0);
    expect(written.out.trim().split('\n')).toHaveLength(2);
  });
});
