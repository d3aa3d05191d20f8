import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLogging, type Log, type LoggerOptions } from '../../src/review/logger.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lockwarden-log-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** What `write` leaves in the log after it was closed. */
async function logged(write: (log: Log) => void, options: Partial<LoggerOptions> = {}): Promise<string> {
  const path = join(folder, 'log');
  const fd = openSync(path, 'w');
  const logging = createLogging({ level: 'info', pretty: false, fd, ...options });
  write(logging.log);
  await logging.close();
  expect(logging.dropped()).toBe(0);
  return readFileSync(path, 'utf8');
}

function parse(text: string): Record<string, unknown>[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('the log', () => {
  it('is one JSON line each: level, time, fields, message, and no noise', async () => {
    const [line] = parse(
      await logged((log) => {
        log.warn({ holder: 'a\nb' }, 'lock write rejected');
      }),
    );
    expect(line).toEqual({
      level: 'warn',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string,
      holder: 'a\nb',
      msg: 'lock write rejected',
    });
  });

  it('holds nothing below its level', async () => {
    const write = (log: Log): void => {
      log.debug('d');
      log.info('i');
      log.warn('w');
      log.error('e');
    };
    expect(parse(await logged(write, { level: 'warn' })).map(({ msg }) => msg)).toEqual(['w', 'e']);
    expect(parse(await logged(write, { level: 'debug' })).map(({ msg }) => msg)).toEqual([
      'd',
      'i',
      'w',
      'e',
    ]);
  });

  it('is readable on a terminal, in this thread, and complete when it is closed', async () => {
    const text = await logged(
      (log) => {
        for (let n = 0; n < 100; n++) log.info({ n }, 'line');
      },
      { pretty: true },
    );
    expect(text.split('\n')).toHaveLength(101);
    expect(text).toContain('INFO');
    expect(text).not.toContain('"level"');
  });

  it('says on a terminal whom a lock went to', async () => {
    const change = { namespace: 'team', name: 'orders', holder: null, newHolder: 'a-0' };
    const text = await logged(
      (log) => {
        log.info(change, 'lock changed hands');
        log.info({ ...change, holder: 'a-0', newHolder: null }, 'lock changed hands');
        log.warn({ ...change, detail: 'held by `a-0`' }, 'lock write rejected');
      },
      { pretty: true },
    );
    expect(text).toContain('lock changed hands: team/orders, from nobody to a-0');
    expect(text).toContain('lock changed hands: team/orders, from a-0 to nobody');
    expect(text).toMatch(/lock write rejected.*held by `a-0`/);
  });

  it('shows no credentials, under whatever name or in whatever text they come', async () => {
    const jwt = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl-_';
    const key = '-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----';
    const text = await logged((log) => {
      log.info(
        { token: 'hunter2', request: { headers: { authorization: 'hunter2' }, password: 'hunter2' } },
        'm',
      );
      log.info({ keyPem: 'hunter2', url: `https://x/?t=${jwt}` }, `sent Bearer abc.def and ${jwt}`);
      log.error({ err: new Error(`refused: ${key} "Bearer opaque-token"`) }, 'm');
      log.info({ text: '-----BEGIN PRIVATE KEY-----\nMHcCAQEE (cut)' }, 'm');
    });
    for (const secret of ['hunter2', 'abc.def', 'eyJ', 'MHcC', 'opaque-token'])
      expect(text).not.toContain(secret);
    expect(parse(text)).toHaveLength(4);
    expect(parse(text)[1]).toMatchObject({
      msg: 'sent Bearer [secret] and [secret]',
      url: 'https://x/?t=[secret]',
    });
  });

  it('may be flushed and closed more than once, and drops what comes after', async () => {
    const fd = openSync(join(folder, 'log'), 'w');
    const logging = createLogging({ level: 'info', pretty: false, fd });
    logging.log.info('one');
    logging.flush();
    expect(readFileSync(join(folder, 'log'), 'utf8')).toContain('one');
    await Promise.all([logging.close(), logging.close()]);
    logging.log.info('two');
    logging.flush();
    expect(logging.dropped()).toBe(1);
    expect(parse(readFileSync(join(folder, 'log'), 'utf8'))).toHaveLength(1);
  });
});

describe('a log that cannot be written', () => {
  it('on a full disk keeps the process going, and counts what it had to drop', async () => {
    // Each write to /dev/full fails with ENOSPC.
    const fd = openSync('/dev/full', 'w');
    let told = 0;
    const logging = createLogging({ level: 'info', pretty: false, fd, onDrop: () => told++ });
    const text = 'x'.repeat(1024);
    for (let n = 0; n < 2_000; n++) logging.log.info({ n, text }, 'line');
    await logging.close();
    logging.flush();
    expect(logging.dropped()).toBeGreaterThan(900);
    expect(told).toBe(logging.dropped());
  });

  it('on a closed descriptor keeps the process going', async () => {
    const fd = openSync(join(folder, 'log'), 'w');
    const logging = createLogging({ level: 'info', pretty: false, fd });
    closeSync(fd);
    logging.log.info('line');
    await logging.close();
    logging.flush();
  });

  /** A program that logs to its standard output, and tells on its standard error how it went. */
  function run(body: string): ReturnType<typeof spawn> {
    const source = `
      import { createLogging } from '${new URL('../../src/review/logger.ts', import.meta.url).pathname}';
      const logging = createLogging({ level: 'info', pretty: false, fd: 1 });
      ${body}`;
    return spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  }

  async function outcome(child: ReturnType<typeof spawn>): Promise<{ code: number; stderr: string }> {
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (data: string) => (stderr += data));
    // NB: `close` would wait for the standard output of a child whose reader stalls.
    const [code] = (await once(child, 'exit')) as [number];
    return { code, stderr };
  }

  it('because its reader has gone keeps the process going', async () => {
    const child = run(`
      process.stdin.once('data', async () => {
        for (let n = 0; n < 10; n++) { logging.log.info({ n }, 'line'); await new Promise(setImmediate); }
        await logging.close();
        logging.flush();
        console.error('alive');
        process.stdin.destroy();
      });
      console.error('ready');`);
    child.stdout?.destroy();
    child.stderr?.once('data', () => child.stdin?.write('go'));
    const { code, stderr } = await outcome(child);
    expect(stderr).toContain('alive');
    expect(code).toBe(0);
  });

  it('because its reader has stalled does not hold the process up', async () => {
    const child = run(`
      const text = 'x'.repeat(1024);
      for (let n = 0; n < 5000; n++) logging.log.info({ n, text }, 'line');
      await logging.close();
      console.error('dropped', logging.dropped() > 1000);
      process.exit(0);`);
    const { code, stderr } = await outcome(child);
    expect(stderr).toContain('dropped true');
    expect(code).toBe(0);
  });

  it('loses nothing to a reader that keeps up, when the process ends at once', async () => {
    const child = run(`
      for (let n = 0; n < 500; n++) logging.log.info({ n }, 'line');
      logging.flush();
      process.exit(0);`);
    let stdout = '';
    child.stdout?.setEncoding('utf8').on('data', (data: string) => (stdout += data));
    const [{ code }] = await Promise.all([outcome(child), once(child, 'close')]);
    expect(code).toBe(0);
    expect(parse(stdout).map(({ n }) => n)).toEqual(Array.from({ length: 500 }, (_, n) => n));
  });
});
