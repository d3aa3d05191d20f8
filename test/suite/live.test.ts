/** What a run on a cluster says when the cluster will not do, and what it takes away again. test/conformance runs suites on a real one. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KubeError } from '../../src/kube/errors.ts';
import type { KubeClient, KubeRequest, KubeResponse } from '../../src/kube/client.ts';
import { monotonicMs } from '../../src/core/time.ts';
import { Created } from '../../src/suite/live/created.ts';
import { LiveGround } from '../../src/suite/live/ground.ts';
import { requirePolicyKinds } from '../../src/suite/live/policies.ts';
import { configFor, startFakeApiServer, type FakeApiServer } from '../kube/support/fake-api-server.ts';

const notFound = { kind: 'Status', status: 'Failure', reason: 'NotFound', code: 404 };

let server: FakeApiServer;
let ground: LiveGround;

beforeEach(async () => {
  server = await startFakeApiServer();
  ground = new LiveGround(configFor(server.url), {
    clock: { monotonicMs: () => monotonicMs(0) },
    signal: new AbortController().signal,
    runName: 'abc',
  });
});

afterEach(async () => {
  await ground.close();
  await server.close();
});

describe('a cluster', () => {
  it('that lockwarden does not guard is told as such', async () => {
    const opening = ground.open();
    (await server.next()).reply(404, notFound);
    await expect(opening).rejects.toMatchObject({
      name: 'LockwardenError',
      message: expect.stringMatching(
        /^lockwarden does not guard the cluster at http\S+: there is no ValidatingWebhookConfiguration `lockwarden`; install/,
      ) as string,
    });
  });

  it('without the kinds of policy is told how to get them', async () => {
    const asking = requirePolicyKinds(server.client);
    (await server.next()).reply(404, notFound);
    await expect(asking).rejects.toThrow(
      'the cluster has no LockPolicy and ClusterLockPolicy; install them: kubectl apply -k manifests/crds',
    );
  });

  it('keeps a namespace that was there, which must have the labels that a suite gives it', async () => {
    const ensuring = ground.ensureNamespace('shop', { tier: 'prod' });
    (await server.next()).reply(200, { metadata: { name: 'shop' } });
    (await server.next()).reply(409, { kind: 'Status', reason: 'AlreadyExists', code: 409 });
    (await server.next()).reply(200, { metadata: { name: 'shop', labels: { tier: 'test' } } });
    await expect(ensuring).rejects.toThrow(
      'the namespace `shop` is in the cluster already, without the label tier=prod that the suite gives it',
    );
  });

  it('makes a namespace once, with the labels that all suites agree on', async () => {
    const ensuring = ground.ensureNamespace('shop', { tier: 'prod' });
    (await server.next()).reply(404, notFound);
    const made = await server.next();
    expect(made.body).toEqual({ metadata: { name: 'shop', labels: { tier: 'prod' } } });
    made.reply(201, {});
    await ensuring;
    await ground.ensureNamespace('shop', { tier: 'prod' });
    await expect(ground.ensureNamespace('shop', {})).rejects.toThrow(
      'the namespace `shop` has other labels in this suite than in one before it; run them one by one',
    );
    const closing = ground.close();
    const removed = await server.next();
    expect([removed.method, removed.url.pathname]).toEqual(['DELETE', '/api/v1/namespaces/shop']);
    removed.reply(200, {});
    expect(await closing).toEqual([]);
  });

  it('gives names that no other run gives', () => {
    expect([ground.newName(), ground.newName()]).toEqual(['locktest-abc-1', 'locktest-abc-2']);
  });
});

describe('what was made', () => {
  const deleted: string[] = [];
  const failing = new Set<string>();
  const admin: KubeClient = {
    server: '',
    request: ({ method, path }: KubeRequest): Promise<KubeResponse> => {
      deleted.push(`${method} ${path}`);
      if (failing.has(path)) return Promise.reject(new KubeError('server-error', 'no'));
      if (path === '/gone') return Promise.reject(new KubeError('not-found', 'gone', { status: 404 }));
      return Promise.resolve({ status: 200, body: {}, dateMs: null, warnings: [] });
    },
    stream: () => Promise.reject(new Error('nothing streams here')),
    close: () => undefined,
  };

  beforeEach(() => {
    deleted.length = 0;
    failing.clear();
  });

  it('goes again, the last first, and what could not be removed is told', async () => {
    const created = new Created(admin);
    for (const path of ['/a', '/gone', '/b']) await created.make(path, () => Promise.resolve());
    created.claim('/c');
    failing.add('/b');
    expect(await created.removeAll()).toEqual(['/b']);
    expect(deleted).toEqual(['DELETE /c', 'DELETE /b', 'DELETE /gone', 'DELETE /a']);
    expect(await created.removeAll()).toEqual([]);
  });

  it('is what the API server has said that it made, or has not answered', async () => {
    const created = new Created(admin);
    const refused = new KubeError('forbidden', 'no', { status: 403 });
    const lost = new KubeError('unreachable', 'the connection was reset');
    await expect(created.make('/refused', () => Promise.reject(refused))).rejects.toBe(refused);
    await expect(created.make('/lost', () => Promise.reject(lost))).rejects.toBe(lost);
    await created.removeAll();
    expect(deleted).toEqual(['DELETE /lost']);
  });

  it('is not what was there before', async () => {
    const created = new Created(admin);
    const exists = new KubeError('already-exists', 'there', { status: 409 });
    expect(await created.makeIfAbsent('/theirs', () => Promise.reject(exists))).toBe(false);
    expect(await created.makeIfAbsent('/ours', () => Promise.resolve())).toBe(true);
    await created.removeAll();
    expect(deleted).toEqual(['DELETE /ours']);
  });
});
