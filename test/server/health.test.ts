import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Counter, Registry } from 'prom-client';
import { createHealthServer, type HealthServer } from '../../src/server/health.ts';
import { Readiness } from '../../src/server/readiness.ts';

let health: HealthServer;
let readiness: Readiness;
let registry: Registry;
let base: string;

beforeEach(async () => {
  readiness = new Readiness(['certificate', 'caches', 'webhook']);
  registry = new Registry();
  health = createHealthServer(readiness, registry);
  base = `http://127.0.0.1:${String(await health.listen(0, '127.0.0.1'))}`;
});

afterEach(() => health.close());

async function get(path: string, init: RequestInit = {}): Promise<[number, string]> {
  const response = await fetch(base + path, init);
  return [response.status, await response.text()];
}

describe('the health port', () => {
  it('says that the process lives, ready or not', async () => {
    expect(await get('/livez')).toEqual([200, 'ok\n']);
  });

  it('says what is missing as long as it is not ready', async () => {
    readiness.set('certificate', true);
    readiness.set('webhook', false, 'not registered: the API server does not answer');
    expect(await get('/readyz')).toEqual([
      503,
      '[+]certificate ok\n[-]caches not ready yet\n' +
        '[-]webhook not registered: the API server does not answer\nreadyz check failed\n',
    ]);
  });

  it('says when it is ready, and when it is not any more', async () => {
    for (const condition of ['certificate', 'caches', 'webhook'] as const) readiness.set(condition, true);
    expect(await get('/readyz?verbose')).toEqual([
      200,
      '[+]certificate ok\n[+]caches ok\n[+]webhook ok\nreadyz check passed\n',
    ]);
    readiness.set('caches', false);
    expect(await get('/readyz')).toMatchObject([503, expect.stringContaining('[-]caches not ready\n')]);
  });

  it('shows details that are worth a look, and is as ready with them as without', async () => {
    for (const condition of ['certificate', 'caches', 'webhook'] as const) readiness.set(condition, true);
    readiness.tell('canary', false, 'not proven: timeout: look for a NetworkPolicy');
    expect(await get('/readyz?verbose')).toEqual([
      200,
      '[+]certificate ok\n[+]caches ok\n[+]webhook ok\n' +
        '[~]canary not proven: timeout: look for a NetworkPolicy\nreadyz check passed\n',
    ]);
    readiness.tell('canary', true, 'ok');
    expect((await get('/readyz'))[1]).toContain('[+]canary ok\nreadyz check passed');
  });

  it('serves the metrics of its registry', async () => {
    new Counter({ name: 'lockwarden_test_total', help: 'A test.', registers: [registry] }).inc();
    expect(await get('/metrics')).toMatchObject([200, expect.stringContaining('lockwarden_test_total 1')]);
  });

  it('answers when metrics cannot be collected', async () => {
    new Counter({
      name: 'lockwarden_test_total',
      help: 'A test.',
      registers: [registry],
      collect: () => {
        throw new Error('a defect');
      },
    });
    expect(await get('/metrics')).toEqual([500, 'the metrics could not be collected\n']);
  });

  it('knows nothing else', async () => {
    expect((await get('/'))[0]).toBe(404);
    expect((await get('/readyz/x'))[0]).toBe(404);
    expect((await get('/livez', { method: 'POST' }))[0]).toBe(405);
    expect((await get('/livez', { method: 'HEAD' }))[0]).toBe(200);
  });

  it('says in one sentence that its port is taken', async () => {
    const port = Number(new URL(base).port);
    const second = createHealthServer(readiness, registry);
    await expect(second.listen(port, '127.0.0.1')).rejects.toMatchObject({
      code: 'ListenFailed',
      message: expect.stringMatching(/the port is taken.*choose another --health-port$/) as string,
    });
    await second.close();
  });

  it('closes more than once, and under open connections', async () => {
    await get('/livez');
    await health.close();
    await health.close();
    await expect(get('/livez')).rejects.toThrow();
  });
});

describe('readiness', () => {
  it('ignores a condition that nobody requires', () => {
    const nothing = new Readiness([]);
    expect(nothing.ready).toBe(true);
    nothing.set('webhook', false, 'whatever');
    expect(nothing.ready).toBe(true);
    expect(nothing.states()).toEqual([]);
  });
});
