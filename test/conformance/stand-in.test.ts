/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- client-node declares its models as classes and takes plain objects */
/** From end to end: lockwarden is killed, or hangs, and the API server stands in for it until it is back. */
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';

import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import type { KubeError } from '../../src/kube/errors.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { failureOf, withSpec } from '../kube/support/cluster.ts';
import { createTestNamespace, type TestNamespace } from '../support/identities.ts';
import { createCandidate, type Candidate } from './support/candidate.ts';
import { runLockwarden, startServe, untilCalled, type ServeProcess } from './support/serve-process.ts';

/** LIMIT: the guard Lease is for ten seconds; a machine that is busy takes its time. */
const patience = { timeout: 45_000, interval: 250 };
const ofSwitch = 'lockwarden is down';
const ofWebhook = 'admission webhook "leases.lockwarden.dev" denied the request';

let controlPlane: ControlPlane;
let client: KubeClient;
let namespace: TestNamespace;
let lockwarden: ServeProcess;
let alice: Candidate;
let bob: Candidate;
let locks = 0;

beforeAll(async () => {
  controlPlane = await startControlPlane({ binaries: inject('binaries') });
  client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  namespace = await createTestNamespace(controlPlane.kubeconfig, 'stand-in');
  await namespace.admin.core.createNamespace({ body: { metadata: { name: 'lockwarden-system' } } });
  await namespace.serviceAccount('candidate');
  [alice, bob] = [
    await createCandidate(namespace, 'candidate', 'alice'),
    await createCandidate(namespace, 'candidate', 'bob'),
  ];
  lockwarden = startServe({ kubeconfig: controlPlane.kubeconfig });
  await untilCalled(client);
  await lockwarden.untilLine('switch asleep');
  await lockwarden.untilLine('switch written');
});

afterAll(async () => {
  await lockwarden.kill();
  for (const each of [alice, bob]) each.close();
  client.close();
  await controlPlane.stop();
});

/** Why `bob` may not take what `alice` has just taken for a minute; null: he may. */
async function theft(): Promise<KubeError | null> {
  locks += 1;
  const name = `lock-${String(locks)}`;
  expect(await alice.create(name, 60)).toBeNull();
  return bob.take(name);
}

/** How long it takes until a theft is refused with `message`, in milliseconds; what passes meanwhile is counted. */
async function untilRefused(message: string): Promise<{ readonly tookMs: number; readonly passed: number }> {
  const beganAt = performance.now();
  let passed = 0;
  await vi.waitFor(async () => {
    const failure = await theft();
    if (failure === null) passed += 1;
    expect(failure?.message).toContain(message);
  }, patience);
  return { tookMs: performance.now() - beganAt, passed };
}

/** What explain says of a lock that there is none of yet. */
async function explained(): Promise<string> {
  const ran = await runLockwarden([
    ...['explain', 'lease/any', '-n', namespace.name, '-o', 'json'],
    `--kubeconfig=${controlPlane.kubeconfig}`,
  ]);
  expect(ran, ran.stderr).toMatchObject({ code: 0 });
  return (JSON.parse(ran.stdout) as { whileDown: string }).whileDown;
}

test('while it runs it is lockwarden that refuses, and `explain` says what would', async () => {
  for (let attempt = 0; attempt < 40; attempt += 1) {
    expect((await theft())?.message).toContain(ofWebhook);
    await sleep(50);
  }
  expect(await explained()).toBe('Switch');
});

test(
  'killed, the API server refuses in its place, and lets pass what is due',
  { timeout: 120_000 },
  async () => {
    expect(await alice.create('due', 2)).toBeNull();
    await lockwarden.kill();
    const { tookMs, passed } = await untilRefused(ofSwitch);
    console.log(
      `stand-in: awake ${(tookMs / 1_000).toFixed(1)} s after kill -9; ${String(passed)} thefts passed before`,
    );
    expect(passed).toBeGreaterThan(0);
    expect(await bob.take('due')).toBeNull();
    const released = { holderIdentity: '', leaseDurationSeconds: 1 };
    expect(
      await failureOf(bob.locks.put('leases', 'due', (object) => withSpec(object, released), 'elector')),
    ).toBeNull();
    expect(await alice.take('due')).toBeNull();
    expect(await alice.renew('due')).toBeNull();
  },
);

test(
  'back again, it is asked, the switch sleeps, and the log says how long it stood watch',
  { timeout: 120_000 },
  async () => {
    // Somebody takes over in the meantime, as he may.
    expect(await alice.create('meanwhile', 1)).toBeNull();
    await sleep(2_500);
    expect(await bob.take('meanwhile')).toBeNull();
    lockwarden = startServe({ kubeconfig: controlPlane.kubeconfig });
    await untilCalled(client);
    const { seconds, locks: told } = await lockwarden.untilLine('switch stood watch');
    expect(seconds).toBeGreaterThan(0);
    expect(JSON.stringify(told)).toContain('meanwhile');
    expect((await theft())?.message).toContain(ofWebhook);
  },
);

test('hanging, it is as good as dead, until it goes on', { timeout: 120_000 }, async () => {
  lockwarden.signal('SIGSTOP');
  const { tookMs, passed } = await untilRefused(ofSwitch);
  console.log(
    `stand-in: awake ${(tookMs / 1_000).toFixed(1)} s after SIGSTOP; ${String(passed)} thefts passed before`,
  );
  lockwarden.signal('SIGCONT');
  await untilRefused(ofWebhook);
});

test(
  'stopped in order, a process alone leaves nothing behind that could refuse',
  { timeout: 120_000 },
  async () => {
    lockwarden.signal('SIGTERM');
    expect(await lockwarden.exit).toMatchObject({ code: 0 });
    await vi.waitFor(async () => {
      expect(await theft()).toBeNull();
    }, patience);
    expect(await explained()).toBe('Nothing');
  },
);
