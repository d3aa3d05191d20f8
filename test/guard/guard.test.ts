import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { systemClock } from '../../src/clock.ts';
import { serveConfigOf } from '../../src/config.ts';
import { Guard } from '../../src/guard/guard.ts';
import type { Log } from '../../src/review/logger.ts';
import {
  failure,
  kubeconfigText,
  startFakeApiServer,
  type Asked,
  type FakeApiServer,
} from '../kube/support/fake-api-server.ts';

let server: FakeApiServer;
let folder: string;
let lines: { readonly message: string; readonly fields: object }[];

beforeEach(async () => {
  server = await startFakeApiServer();
  folder = await mkdtemp(join(tmpdir(), 'lockwarden-test-'));
  lines = [];
});

afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

async function createGuard(ports: { port?: number; healthPort?: number } = {}): Promise<Guard> {
  const kubeconfig = join(folder, 'kubeconfig');
  await writeFile(kubeconfig, kubeconfigText(server.url));
  const serveConfig = serveConfigOf({
    kubeconfig,
    namespace: 'lockwarden-system',
    port: String(ports.port ?? 0),
    healthPort: String(ports.healthPort ?? 0),
    bindAddress: '127.0.0.1',
    webhookUrl: 'https://127.0.0.1',
    inspectRenewals: false,
    logLevel: 'info',
  });
  const note = ((fields: object, message: string) => {
    lines.push({ fields, message });
  }) as Log['info'];
  const log: Log = { error: note, warn: note, info: note, debug: note };
  return new Guard(serveConfig, { log, clock: systemClock() });
}

const messages = (): readonly string[] => lines.map(({ message }) => message);

/** Answers requests until the first to which `answer` says false; that one is left without an answer. */
async function answerUntil(answer: (asked: Asked) => boolean): Promise<void> {
  while (answer(await server.next()));
}

test('a guard that is stopped before the API server answers ends without a word of failure', async () => {
  const guard = await createGuard();
  const starting = guard.start();
  await server.next();
  await guard.stop();
  await starting;
  expect(messages()).toEqual(['health port listening', 'webhook listening']);
});

test('a second stop does not wait for an API server that leaves the removal without an answer', async () => {
  const guard = await createGuard();
  const starting = guard.start();
  const registered = answerUntil((asked) => {
    const isConfiguration = asked.url.pathname.endsWith('/validatingwebhookconfigurations');
    if (asked.method === 'POST') asked.reply(201, { metadata: { resourceVersion: '1' } });
    else if (asked.url.pathname === '/version') asked.reply(200, {});
    else if (asked.url.pathname.endsWith('/lockwarden')) asked.reply(404, failure(404, 'NotFound'));
    else if (asked.url.searchParams.has('watch')) asked.stream();
    else asked.reply(200, { metadata: { resourceVersion: '1' }, items: [] });
    return asked.method !== 'POST' || !isConfiguration;
  });
  await Promise.all([starting, registered]);
  const stopping = guard.stop();
  await answerUntil((asked) => !asked.url.pathname.endsWith('/lockwarden'));
  await guard.stop();
  await stopping;
  const told = lines.find(({ message }) => message === 'webhook configuration not removed');
  expect(told?.fields).toMatchObject({
    remedy: 'kubectl delete validatingwebhookconfiguration lockwarden',
  });
});

test('a guard that starts under a policy for the Leases of nodes waits for those, too', async () => {
  const policy = {
    metadata: { name: 'nodes', uid: 'p', resourceVersion: '1', generation: 1 },
    spec: { match: { namespaces: ['kube-node-lease'] }, enforcement: 'Warn' },
  };
  const caches = (guard: Guard): unknown => guard.readiness.states().find(({ name }) => name === 'caches');
  const guard = await createGuard();
  const starting = guard.start();
  const ofNodes = Promise.withResolvers<Asked>();
  const answered = answerUntil((asked) => {
    const { pathname, searchParams } = asked.url;
    if (searchParams.has('watch')) asked.stream();
    else if (pathname.includes('/kube-node-lease/')) ofNodes.resolve(asked);
    else if (pathname.endsWith('/clusterlockpolicies')) {
      asked.reply(200, { metadata: { resourceVersion: '1' }, items: [policy] });
    } else if (pathname.endsWith('/lockwarden')) asked.reply(404, failure(404, 'NotFound'));
    else asked.reply(200, { metadata: { resourceVersion: '1' }, items: [] });
    return asked.method !== 'POST' || !pathname.endsWith('/validatingwebhookconfigurations');
  });
  const asked = await ofNodes.promise;
  await vi.waitFor(() => {
    expect(caches(guard)).toEqual({ name: 'caches', ready: false, why: 'waiting for NodeLease' });
  });
  asked.reply(200, { metadata: { resourceVersion: '1' }, items: [] });
  await vi.waitFor(() => {
    expect(caches(guard)).toEqual({ name: 'caches', ready: true, why: 'ok' });
  });
  await answered;
  const stopping = guard.stop();
  void guard.stop();
  await stopping;
  await starting;
});

test.each([
  ['port', '--port'],
  ['healthPort', '--health-port'],
] as const)('a %s that is taken is told with its flag', async (which, flag) => {
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const address = other.address();
  const taken = typeof address === 'object' && address !== null ? address.port : 0;
  const guard = await createGuard({ [which]: taken });
  const starting = guard.start();
  await expect(starting).rejects.toMatchObject({
    code: 'ListenFailed',
    message: expect.stringMatching(new RegExp(`127\\.0\\.0\\.1:${String(taken)}.*${flag}$`)) as string,
  });
  await guard.stop();
  other.close();
});
