/** `lockwarden preflight` as it is called: files good and bad, formats, exit codes, and API servers that say no. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { systemClock } from '../../src/clock.ts';
import { preflight, type PreflightIo, type PreflightOptions } from '../../src/cli/preflight.ts';
import { logLines } from '../../src/cli/log-lines.ts';
import type { LogLine } from '../../src/audit-log/line.ts';
import {
  failure,
  kubeconfigText,
  startFakeApiServer,
  type Asked,
  type FakeApiServer,
} from '../kube/support/fake-api-server.ts';
import { writesOf } from '../support/recordings.ts';
import { eventOf, eventsOf, linesOf } from '../preflight/support/audit-events.ts';
import { aRenewalOf, theftInsteadOf } from '../preflight/support/looked.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockwarden-preflight-'));
});

afterAll(() => rm(folder, { recursive: true }));

let files = 0;

async function fileOf(content: string | Buffer): Promise<string> {
  const path = join(folder, `audit-${String((files += 1))}.log`);
  await writeFile(path, content);
  return path;
}

interface Ran {
  readonly exitCode: number;
  readonly text: string;
  readonly shown: string;
}

interface Surroundings {
  readonly stdin?: string;
  readonly terminal?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  readonly enough?: Promise<unknown>;
}

async function run(
  options: Partial<PreflightOptions>,
  { stdin = '', terminal = false, env = {}, enough = new Promise(() => undefined) }: Surroundings = {},
): Promise<Ran> {
  let text = '';
  let shown = '';
  const io: PreflightIo = {
    stdout: { isTTY: terminal, write: (part) => (text += part) },
    stderr: { isTTY: terminal, write: (part) => (shown += part) },
    stdin: async function* () {
      await Promise.resolve();
      yield Buffer.from(stdin);
    },
    env,
    clock: systemClock(),
    sleep: () => enough,
    interrupted: () => enough,
  };
  const all = { for: '1m', output: 'table', lockwardenNamespace: 'lockwarden-system', ...options };
  const exitCode = await preflight(all, io);
  return { exitCode, text, shown };
}

function robbed(): string {
  const writes = writesOf('go-lease');
  const at = aRenewalOf(writes);
  return linesOf([...writes.slice(0, at), theftInsteadOf(writes[at]!)].map(eventOf));
}

const honest = linesOf(eventsOf('go-lease'));

describe('lockwarden preflight --audit-log', () => {
  it('ends with 0 where nothing would be denied', async () => {
    const { exitCode, text } = await run({ auditLog: await fileOf(honest) });
    expect(exitCode).toBe(0);
    expect(text).toMatch(
      /^Start with the defaults: nothing that was seen would be denied, 2 changes of holder/,
    );
    expect(text).toMatch(/lease\/el-go-lease-453f\/lock +b-0 +client-go +6s +1s +in step +2 +fine/);
    expect(text).toContain('judged by the built-in defaults');
  });

  it('ends with 3 where something would be, and says what, who, and what to do', async () => {
    const { exitCode, text } = await run({ auditLog: await fileOf(robbed()) });
    expect(exitCode).toBe(3);
    expect(text).toMatch(
      /^Start with the audit-only component \(manifests\/components\/audit-only\): 1 lock/,
    );
    expect(text).toContain('denied once, at 2026-11-22T');
    expect(text).toContain('by eve:');
    expect(text).toContain('[lockwarden U15 PrematureTakeover, built-in defaults]');
    expect(text).toContain('kind: ClusterLockPolicy');
  });

  it('reads standard input', async () => {
    const { exitCode, text } = await run({ auditLog: '-' }, { stdin: robbed() });
    expect(exitCode).toBe(3);
    expect(text).toContain('of standard input');
  });

  it('says the same as JSON and as YAML', async () => {
    const auditLog = await fileOf(robbed());
    const json: unknown = JSON.parse((await run({ auditLog, output: 'json' })).text);
    expect(json).toMatchObject({
      conclusion: { startWith: 'audit-only', denied: 1 },
      locks: [{ denied: 1 }],
    });
    expect(parse((await run({ auditLog, output: 'yaml' })).text)).toEqual(json);
  });

  it('shows more columns when it is told to, and colours on a terminal only', async () => {
    const auditLog = await fileOf(honest);
    const wide = await run({ auditLog, output: 'wide' });
    expect(wide.text).toContain('LONGEST GAP');
    expect(wide.text).toContain('profile: Strict');
    expect(wide.text).not.toContain('\u001b');
    const terminal = await run({ auditLog }, { terminal: true });
    expect(terminal.text).toContain('\u001b[32m');
    expect(terminal.shown).toContain('looking at locks');
    const plain = await run({ auditLog }, { terminal: true, env: { NO_COLOR: '1' } });
    expect(plain.text).not.toContain('\u001b');
  });

  it('looks at one namespace when it is told to', async () => {
    const auditLog = await fileOf(robbed());
    const { exitCode, text } = await run({ auditLog, namespace: 'another' });
    expect(exitCode).toBe(0);
    expect(text).toContain('the audit log holds no write to a lock in the namespace another');
  });

  it('leaves out what is cut, foreign, or no JSON at all, and says so', async () => {
    const pod = JSON.stringify({ kind: 'Pod', apiVersion: 'v1' });
    const content = `${pod}\n# a comment\n\n${robbed()}${honest.slice(0, 300)}`;
    const { exitCode, text } = await run({ auditLog: await fileOf(content) });
    expect(exitCode).toBe(3);
    expect(text).toContain('2 lines are no audit events, and left out');
    expect(text).toContain('the last line is cut, and left out');
  });

  it('says at which level writes must be recorded', async () => {
    const withoutObjects = { level: 'Metadata', requestObject: undefined, responseObject: undefined };
    const atMetadata = eventsOf('go-lease').map((event) => ({ ...event, ...withoutObjects }));
    await expect(run({ auditLog: await fileOf(linesOf(atMetadata)) })).rejects.toMatchObject({
      code: 'StorageFailed',
      message: expect.stringMatching(
        /without their objects \(\d+ of leases at Metadata\).*RequestResponse/,
      ) as string,
    });
    const mixed = linesOf([...atMetadata.slice(0, 2), ...eventsOf('python-lease')]);
    const { exitCode, text } = await run({ auditLog: await fileOf(mixed) });
    expect(exitCode).toBe(0);
    expect(text).toContain('writes were recorded without their objects (2 of leases at Metadata)');
  });

  it.each([
    ['is empty', ''],
    ['holds no audit events', 'x\ny\n'],
    ['holds no audit events', Buffer.from([0x1f, 0x8b, 0x08, 0x00, 0x0a, 0x01, 0x02])],
  ])('that %s is told in a sentence', async (why, content) => {
    await expect(run({ auditLog: await fileOf(content) })).rejects.toMatchObject({
      code: 'StorageFailed',
      message: expect.stringContaining(why) as string,
    });
  });

  it('that is not there, or is a folder, is told in a sentence', async () => {
    const missing = { code: 'StorageFailed', message: expect.stringContaining('no such file') as string };
    await expect(run({ auditLog: join(folder, 'missing') })).rejects.toMatchObject(missing);
    const isFolder = { code: 'StorageFailed', message: expect.stringContaining('it is a folder') as string };
    await expect(run({ auditLog: folder })).rejects.toMatchObject(isFolder);
  });

  it('prints what others wrote so that it cannot reach the terminal', async () => {
    const text = robbed().replaceAll('thief-0', 'thief\\u001b[31m');
    const { text: printed } = await run({ auditLog: await fileOf(text) });
    expect(printed).not.toContain('\u001b');
    expect(printed).toContain('thief\\u{1b}[31m');
  });
});

describe('the lines of a log', () => {
  async function linesIn(chunks: readonly string[], bytesMax?: number): Promise<readonly LogLine[]> {
    const lines: LogLine[] = [];
    const source = async function* (): AsyncGenerator<Buffer> {
      for (const chunk of chunks) yield await Promise.resolve(Buffer.from(chunk));
    };
    for await (const line of logLines(source(), bytesMax)) lines.push(line);
    return lines;
  }

  it('come whole, however they are cut into chunks', async () => {
    const text = (line: string): LogLine => ({ text: line, complete: true });
    expect(await linesIn(['ab', 'c\nd', '\n', '\nef\n'])).toEqual([
      text('abc'),
      text('d'),
      text(''),
      text('ef'),
    ]);
    expect(await linesIn(['a\nb'])).toEqual([text('a'), { text: 'b', complete: false }]);
  });

  it('are passed over where they are too long, and what follows is read', async () => {
    expect(await linesIn(['a\n', '1234', '5678', '9\nb\n'], 8)).toEqual([
      { text: 'a', complete: true },
      { tooLong: true },
      { text: 'b', complete: true },
    ]);
    expect(await linesIn(['123456789'], 8)).toEqual([{ tooLong: true }]);
    expect(await linesIn(['12345678\n'], 8)).toEqual([{ text: '12345678', complete: true }]);
  });
});

describe('lockwarden preflight on a cluster', () => {
  const kubeconfigFor = (server: string): Promise<string> => fileOf(kubeconfigText(server));

  /** Answers by path until it is closed. */
  async function serve(answer: (asked: Asked) => void): Promise<FakeApiServer> {
    const server = await startFakeApiServer();
    void (async () => {
      for (;;) answer(await server.next());
    })();
    return server;
  }

  const list = (items: readonly unknown[] = []): object => ({ metadata: { resourceVersion: '1' }, items });
  const forbidden = ({ url }: Asked, verb = 'list'): object => {
    const [, resource = ''] = /([^/]+)$/.exec(url.pathname) ?? [];
    const said = `${resource} is forbidden: User "eve" cannot ${verb} resource "${resource}" in API group ""`;
    return failure(403, 'Forbidden', `${said} at the cluster scope`);
  };

  it('sees nothing, and says so, where there are no locks', async () => {
    const enough = Promise.withResolvers<undefined>();
    const watched = new Set<string>();
    const server = await serve((asked) => {
      if (asked.method !== 'GET') asked.reply(500, {});
      else if (asked.url.pathname.includes('lockwarden.dev')) asked.reply(404, failure(404, 'NotFound'));
      else if (asked.url.searchParams.get('watch') === 'true') {
        asked.stream();
        watched.add(asked.url.pathname);
        if (watched.size === 3) enough.resolve(undefined);
      } else asked.reply(200, list());
    });
    const kubeconfig = await kubeconfigFor(server.url);
    const { exitCode, text } = await run({ kubeconfig }, { enough: enough.promise });
    await server.close();
    expect(exitCode).toBe(0);
    expect(text).toMatch(/^Nothing was seen: there are no locks in the cluster/);
    expect([...watched].sort()).toEqual([
      '/api/v1/configmaps',
      '/api/v1/endpoints',
      '/apis/coordination.k8s.io/v1/leases',
    ]);
  });

  it('ends with the missing right where it may list no kind of lock', async () => {
    const server = await serve((asked) => {
      asked.reply(403, forbidden(asked));
    });
    const kubeconfig = await kubeconfigFor(server.url);
    await expect(run({ kubeconfig })).rejects.toMatchObject({
      kind: 'forbidden',
      message: expect.stringContaining('grant it the verb `list` on `leases`') as string,
    });
    await server.close();
  });

  it('ends with the missing right where it may list locks and not watch them', async () => {
    const server = await serve((asked) => {
      if (asked.url.searchParams.get('watch') !== 'true') asked.reply(200, list());
      else asked.reply(403, forbidden(asked, 'watch'));
    });
    const kubeconfig = await kubeconfigFor(server.url);
    await expect(run({ kubeconfig })).rejects.toMatchObject({
      kind: 'forbidden',
      message: expect.stringContaining('grant it the verb `watch` on `leases`') as string,
    });
    await server.close();
  });

  it('ends with a sentence where there is no API server', async () => {
    const server = await startFakeApiServer();
    await server.close();
    const kubeconfig = await kubeconfigFor(server.url);
    await expect(run({ kubeconfig })).rejects.toMatchObject({
      kind: 'unreachable',
      message: expect.stringContaining('nothing listens there') as string,
    });
  });

  it.each(['soon', '0s', '-1m', '1000h', '5'])('does not take --for %s', async (text) => {
    await expect(run({ for: text })).rejects.toMatchObject({ code: 'UsageInvalid' });
  });

  it('does not take a format or a namespace that there is not', async () => {
    await expect(run({ output: 'xml' })).rejects.toMatchObject({ code: 'UsageInvalid' });
    await expect(run({ namespace: 'a/b' })).rejects.toMatchObject({ code: 'UsageInvalid' });
  });
});
