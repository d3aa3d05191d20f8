import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  authoritySecretName,
  fenceAnnotation,
  fenceIn,
  MemoryStore,
  rotateAnnotation,
  rotationAsked,
  SecretStore,
  type StoredSecret,
  type WriteLeave,
} from '../../src/replica/secret-store.ts';
import { failure, startFakeApiServer, type FakeApiServer } from '../kube/support/fake-api-server.ts';

const collection = '/api/v1/namespaces/guards/secrets';
const path = `${collection}/${authoritySecretName}`;

const annotated = (annotations: Readonly<Record<string, unknown>>): StoredSecret => ({
  metadata: { annotations },
});

describe('the fence in a Secret', () => {
  it.each([
    ['no Secret', null, -1],
    ['no annotation', { metadata: {} }, -1],
    ['a number', annotated({ [fenceAnnotation]: '12' }), 12],
    ['zero', annotated({ [fenceAnnotation]: '0' }), 0],
    ['text', annotated({ [fenceAnnotation]: 'twelve' }), -1],
    ['a number below zero', annotated({ [fenceAnnotation]: '-3' }), -1],
    ['more digits than a number has', annotated({ [fenceAnnotation]: '9'.repeat(20) }), -1],
    ['what is no text', annotated({ [fenceAnnotation]: 12 }), -1],
  ])('of %s', (_, secret, fence) => {
    expect(fenceIn(secret)).toBe(fence);
  });
});

describe('a rotation that is asked for', () => {
  it.each([
    ['leaf:2026-01-02', { what: 'leaf', token: '2026-01-02' }],
    ['authority:a.b_c:d', { what: 'authority', token: 'a.b_c:d' }],
    ['authority:', null],
    ['leaf', null],
    ['root:1', null],
    ['leaf:with space', null],
    [`leaf:${'x'.repeat(101)}`, null],
    ['', null],
  ])('by `%s`', (text, asked) => {
    expect(rotationAsked(annotated({ [rotateAnnotation]: text }))).toEqual(asked);
  });

  it('by nobody', () => {
    expect(rotationAsked(null)).toBeNull();
  });
});

describe('the store in the cluster', () => {
  let server: FakeApiServer;
  let store: SecretStore;

  beforeEach(async () => {
    server = await startFakeApiServer();
    store = new SecretStore(server.client, 'guards');
  });
  afterEach(() => server.close());

  it('reads the state of now, past every cache', async () => {
    const reading = store.read();
    const asked = await server.next();
    expect([asked.method, asked.url.pathname, asked.url.search]).toEqual(['GET', path, '']);
    asked.reply(200, { data: { a: 'b' } });
    expect(await reading).toEqual({ data: { a: 'b' } });
  });

  it('reads null where there is none, and fails where that is not known', async () => {
    const missing = store.read();
    (await server.next()).reply(404, failure(404, 'NotFound'));
    expect(await missing).toBeNull();
    const refused = store.read();
    (await server.next()).reply(403, failure(403, 'Forbidden'));
    await expect(refused).rejects.toMatchObject({ kind: 'forbidden' });
  });

  it('creates what was not there, and nothing else: somebody who was faster is a conflict', async () => {
    const writing = store.write({ 'ca.crt': 'YQ==' }, null, leave(3));
    const asked = await server.next();
    expect([asked.method, asked.url.pathname]).toEqual(['POST', collection]);
    expect(asked.body).toMatchObject({
      kind: 'Secret',
      type: 'Opaque',
      data: { 'ca.crt': 'YQ==' },
      metadata: { name: authoritySecretName, annotations: { [fenceAnnotation]: '3' } },
    });
    asked.reply(409, failure(409, 'AlreadyExists'));
    await expect(writing).rejects.toMatchObject({ kind: 'already-exists' });
  });

  it('replaces the version that it was given, keeps what is not its own, and drops keys that are over', async () => {
    const before = {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: {
        name: authoritySecretName,
        resourceVersion: '7',
        labels: { theirs: 'stays' },
        annotations: { [rotateAnnotation]: 'leaf:1', [fenceAnnotation]: '2' },
      },
      data: { 'next-ca.crt': 'b2xk', 'theirs.txt': 'c3RheXM=' },
    };
    const writing = store.write({ 'ca.crt': 'YQ==' }, before, leave(4));
    const asked = await server.next();
    expect([asked.method, asked.url.pathname]).toEqual(['PUT', path]);
    expect(asked.body).toMatchObject({
      type: 'kubernetes.io/tls',
      metadata: {
        resourceVersion: '7',
        labels: { theirs: 'stays', 'app.kubernetes.io/managed-by': 'lockwarden' },
        annotations: { [rotateAnnotation]: 'leaf:1', [fenceAnnotation]: '4' },
      },
    });
    expect((asked.body as { data: unknown }).data).toEqual({ 'ca.crt': 'YQ==', 'theirs.txt': 'c3RheXM=' });
    asked.reply(200, { stored: true });
    expect(await writing).toEqual({ stored: true });
  });

  it('gives up when leadership is certain no more', async () => {
    const writing = store.write({}, { metadata: { resourceVersion: '7' } }, { fence: 4, timeoutMs: 20 });
    await server.next();
    await expect(writing).rejects.toMatchObject({ kind: 'timeout' });
  });

  it('fails with a conflict when somebody has written meanwhile', async () => {
    const writing = store.write({}, { metadata: { resourceVersion: '7' } }, leave(4));
    (await server.next()).reply(409, failure(409, 'Conflict'));
    await expect(writing).rejects.toMatchObject({ kind: 'conflict' });
  });
});

function leave(fence: number): WriteLeave {
  return { fence, timeoutMs: Infinity };
}

describe('the store in memory', () => {
  it('holds what was written, and tells of it', async () => {
    const told: StoredSecret[] = [];
    const store = new MemoryStore((secret) => told.push(secret));
    expect(await store.read()).toBeNull();
    const written = await store.write({ 'ca.crt': 'YQ==' });
    expect(await store.read()).toEqual(written);
    expect(told).toEqual([{ data: { 'ca.crt': 'YQ==' } }]);
  });
});
