import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { createKubeClient } from '../../src/kube/client.ts';
import { KubeError } from '../../src/kube/errors.ts';
import { configFor, failure, startFakeApiServer, type FakeApiServer } from './support/fake-api-server.ts';

let server: FakeApiServer;
let folder: string;

beforeEach(async () => {
  server = await startFakeApiServer();
  folder = mkdtempSync(join(tmpdir(), 'client-'));
});

afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

const get = { method: 'GET', path: '/x' } as const;

async function errorOf(work: Promise<unknown>): Promise<KubeError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof KubeError) return error;
    throw error;
  }
  throw new Error('it succeeded');
}

describe('a request', () => {
  test('carries method, path, query, body and what is accepted, and gives the JSON as it is', async () => {
    const answering = server.client.request({
      method: 'PATCH',
      path: '/apis/a/b',
      query: { fieldManager: 'x', selector: 'a=b,c' },
      body: { a: 'ü' },
      contentType: 'application/merge-patch+json',
      accept: 'application/json;as=Table',
    });
    const asked = await server.next();
    expect(asked.method).toBe('PATCH');
    expect(`${asked.url.pathname}${asked.url.search}`).toBe('/apis/a/b?fieldManager=x&selector=a%3Db%2Cc');
    expect(asked.headers).toMatchObject({
      'content-type': 'application/merge-patch+json',
      accept: 'application/json;as=Table',
      'user-agent': 'lockwarden',
    });
    expect(asked.body).toEqual({ a: 'ü' });
    asked.reply(201, { renewTime: '2026-01-02T03:04:05.678901Z' }, { date: 'Tue, 03 Feb 2026 04:05:06 GMT' });
    expect(await answering).toEqual({
      status: 201,
      body: { renewTime: '2026-01-02T03:04:05.678901Z' },
      dateMs: Date.UTC(2026, 1, 3, 4, 5, 6),
      warnings: [],
    });
  });

  test('gives the warnings that come with the answer, as they were meant', async () => {
    const answering = server.client.request(get);
    const text = Buffer.from('299 - "the holder’s \\"lease\\", a \\\\ and more"').toString('latin1');
    (await server.next()).reply(200, {}, { warning: text });
    expect((await answering).warnings).toEqual(['the holder’s "lease", a \\ and more']);
  });

  test('acts as another, with that one’s groups', async () => {
    const impersonate = { user: 'jane', groups: ['ops', 'dev'] };
    const client = createKubeClient(configFor(server.url), { impersonate });
    const answering = client.request(get);
    const asked = await server.next();
    asked.reply(200, {});
    await answering;
    client.close();
    expect(asked.headers).toMatchObject({ 'impersonate-user': 'jane', 'impersonate-group': 'ops, dev' });
  });

  test('keeps to the path prefix of the server', async () => {
    const client = createKubeClient(configFor(`${server.url}/k8s/clusters/c-1/`));
    const answering = client.request(get);
    const asked = await server.next();
    expect(asked.url.pathname).toBe('/k8s/clusters/c-1/x');
    asked.reply(200, {});
    await answering;
    client.close();
  });

  test('reuses its connection', async () => {
    const ports = new Set<unknown>();
    for (let each = 0; each < 3; each += 1) {
      const answering = server.client.request(get);
      const asked = await server.next();
      ports.add(asked.port);
      asked.reply(200, {});
      await answering;
    }
    expect(ports.size).toBe(1);
  });

  test('is repeated once on a new connection when the kept one turns out closed, if it only reads', async () => {
    const first = server.client.request(get);
    (await server.next()).reply(200, {});
    await first;
    const second = server.client.request(get);
    (await server.next()).destroy();
    (await server.next()).reply(200, { again: true });
    expect((await second).body).toEqual({ again: true });
  });

  test('is not repeated when it writes: it may have been processed', async () => {
    const first = server.client.request(get);
    (await server.next()).reply(200, {});
    await first;
    const writing = errorOf(server.client.request({ ...get, method: 'POST', body: {} }));
    (await server.next()).destroy();
    expect((await writing).kind).toBe('unreachable');
    expect(server.waiting).toBe(0);
  });

  test('fails with the Status of the answer and the delay that it asks for', async () => {
    const failing = errorOf(server.client.request(get));
    (await server.next()).reply(429, failure(429, 'TooManyRequests', 'slow down'), { 'retry-after': '2' });
    expect(await failing).toMatchObject({ kind: 'throttled', status: 429, retryAfterMs: 2000 });
  });

  test.for(['', '<html>', 'null{'])('fails when a success says %j, which is not JSON', async (body) => {
    const failing = errorOf(server.client.request(get));
    (await server.next()).reply(200, body);
    expect((await failing).kind).toBe('malformed');
  });

  test('fails when nobody listens, in a sentence that names the server', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => closed.once('listening', resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    const client = createKubeClient(configFor(`http://127.0.0.1:${String(port)}`));
    const error = await errorOf(client.request(get));
    expect(error.kind).toBe('unreachable');
    expect(error.message).toBe(
      `the API server at \`http://127.0.0.1:${String(port)}\` cannot be reached: nothing listens there`,
    );
  });

  test('fails when there is no answer in time, or only half of one', async () => {
    expect((await errorOf(server.client.request({ ...get, timeoutMs: 20 }))).kind).toBe('timeout');
    await server.next();
    const half = errorOf(server.client.request({ ...get, timeoutMs: 200 }));
    (await server.next()).stream().send('{"a":');
    expect((await half).kind).toBe('timeout');
  });

  test('fails when the connection breaks within the answer', async () => {
    const broken = errorOf(server.client.request(get));
    const asked = await server.next();
    asked.stream().send('{"a":');
    asked.destroy();
    expect((await broken).kind).toBe('unreachable');
  });

  test('fails when it is given up: before, while waiting, within the answer', async () => {
    expect((await errorOf(server.client.request({ ...get, signal: AbortSignal.abort() }))).kind).toBe(
      'aborted',
    );
    const waiting = new AbortController();
    const waited = errorOf(server.client.request({ ...get, signal: waiting.signal }));
    await server.next();
    waiting.abort();
    expect((await waited).kind).toBe('aborted');
    const reading = new AbortController();
    const read = errorOf(server.client.request({ ...get, signal: reading.signal }));
    (await server.next()).stream().send('{"a":');
    reading.abort();
    expect((await read).kind).toBe('aborted');
  });

  test('reads no more than it is told to', async () => {
    const large = errorOf(server.client.request({ ...get, bytesMax: 100 }));
    (await server.next()).reply(200, { a: 'x'.repeat(100) });
    expect((await large).kind).toBe('too-large');
  });
});

describe('credentials', () => {
  async function authorizationOf(user: Readonly<Record<string, unknown>>): Promise<string | undefined> {
    const client = createKubeClient(configFor(server.url, user));
    const answering = client.request(get);
    const asked = await server.next();
    asked.reply(200, {});
    await answering;
    client.close();
    return asked.headers.authorization;
  }

  test('a token, a token file with its line feed, a name with its password', async () => {
    expect(await authorizationOf({ token: 'abc' })).toBe('Bearer abc');
    const tokenFile = join(folder, 'token');
    writeFileSync(tokenFile, 'from-a-file\n');
    const authProvider = { name: 'tokenFile', config: { tokenFile } };
    expect(await authorizationOf({ authProvider })).toBe('Bearer from-a-file');
    expect(await authorizationOf({ username: 'u', password: 'p' })).toBe(`Basic ${btoa('u:p')}`);
  });

  function plugin(script: string): object {
    const command = join(folder, 'plugin');
    writeFileSync(command, `#!/bin/sh\n${script}\n`);
    chmodSync(command, 0o755);
    return { exec: { apiVersion: 'client.authentication.k8s.io/v1', command, args: [] } };
  }

  test('an exec plugin', async () => {
    const user = plugin(`echo '{"status":{"token":"from-a-plugin"}}'`);
    expect(await authorizationOf({ ...user })).toBe('Bearer from-a-plugin');
  });

  test.for([
    [
      'that fails',
      `echo 'first line' >&2; echo 'not logged in' >&2; exit 1`,
      /cannot be obtained: not logged in$/u,
    ],
    ['that prints no JSON', 'echo hello', /cannot be obtained: .*JSON/u],
  ] as const)('an exec plugin %s is one sentence', async ([, script, sentence]) => {
    const client = createKubeClient(configFor(server.url, { ...plugin(script) }));
    const error = await errorOf(client.request(get));
    expect(error.kind).toBe('unauthorized');
    expect(error.message).toMatch(sentence);
    expect(server.waiting).toBe(0);
  });

  test('an exec plugin that does not end is not waited for beyond the deadline', async () => {
    const client = createKubeClient(configFor(server.url, { ...plugin('read forever') }));
    const error = await errorOf(client.request({ ...get, timeoutMs: 50 }));
    expect(error).toMatchObject({ kind: 'timeout' });
  });
});

describe('a stream', () => {
  test('gives the bytes as they come, and ends with the server', async () => {
    const opening = server.client.stream(get);
    const sent = (await server.next()).stream();
    const { chunks } = await opening;
    const reader = chunks[Symbol.asyncIterator]();
    sent.send('a');
    expect(String((await reader.next()).value)).toBe('a');
    sent.send('b');
    expect(String((await reader.next()).value)).toBe('b');
    sent.end();
    expect((await reader.next()).done).toBe(true);
  });

  test('outlives the deadline of its beginning', async () => {
    const opening = server.client.stream({ ...get, timeoutMs: 100 });
    const sent = (await server.next()).stream();
    const reader = (await opening).chunks[Symbol.asyncIterator]();
    const reading = reader.next();
    // Another request's deadline, set later and as long, has passed before anything is sent.
    expect((await errorOf(server.client.request({ ...get, timeoutMs: 100 }))).kind).toBe('timeout');
    sent.send('late');
    expect(String((await reading).value)).toBe('late');
  });

  test('that is refused fails like a request', async () => {
    const refused = errorOf(server.client.stream(get));
    (await server.next()).reply(410, failure(410, 'Expired'));
    expect((await refused).kind).toBe('gone');
  });

  test('that is closed or given up ends whoever reads it', async () => {
    for (const how of ['close', 'signal', 'break'] as const) {
      const giving = new AbortController();
      const opening = server.client.stream({ ...get, signal: giving.signal });
      const asked = await server.next();
      asked.stream();
      const stream = await opening;
      const reading = errorOf(stream.chunks[Symbol.asyncIterator]().next());
      if (how === 'close') stream.close();
      else if (how === 'signal') giving.abort();
      else asked.destroy();
      expect((await reading).kind).toBe(how === 'break' ? 'unreachable' : 'aborted');
      stream.close();
    }
  });
});
