/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- client-node declares its models as classes and takes plain objects: it serializes by attribute, never by instance */
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { AuthenticationV1Api, VersionApi } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';

import { startControlPlane } from '../../src/sandbox/control-plane.ts';
import { Elector } from '../../src/scene/elector.ts';
import { connect, createTestNamespace, type TestNamespace } from '../support/identities.ts';

const kubeconfig = inject('kubeconfig');
const elector = inject('elector');
const binaries = inject('binaries');

let namespace: TestNamespace;

beforeAll(async () => {
  namespace = await createTestNamespace(kubeconfig, 'control-plane');
  await namespace.serviceAccount('candidate');
});

afterAll(() => namespace.clear());

describe('control plane', () => {
  test('the API server is of the version that was asked for', async () => {
    const { gitVersion } = await connect(kubeconfig).config.makeApiClient(VersionApi).getCode();
    expect(gitVersion).toBe(`v${binaries.version}`);
  });

  test("the administrator's kubeconfig is readable by its owner only", async () => {
    expect((await stat(kubeconfig)).mode & 0o777).toBe(0o600);
  });

  test('a token bound to a Pod authenticates as its ServiceAccount and names the Pod', async () => {
    const pod = await namespace.pod('bound-0', 'candidate');
    const review = await pod.config.makeApiClient(AuthenticationV1Api).createSelfSubjectReview({ body: {} });
    expect(review.status?.userInfo?.username).toBe(pod.user);
    expect(review.status?.userInfo?.extra).toMatchObject({
      'authentication.kubernetes.io/pod-name': [pod.pod],
      'authentication.kubernetes.io/pod-uid': [pod.podUid],
    });
  });

  test('a Pod that is replaced under its name is another to the API server, at once', async () => {
    const old = await namespace.pod('bound-1', 'candidate');
    const replaced = await namespace.pod('bound-1', 'candidate');
    expect(replaced.podUid).not.toBe(old.podUid);
    await replaced.coordination.listNamespacedLease({ namespace: namespace.name });
  });

  test('RBAC refuses what a candidate was not given', async () => {
    const pod = await namespace.pod('bound-2', 'candidate');
    await expect(pod.core.listNamespacedSecret({ namespace: namespace.name })).rejects.toMatchObject({
      code: 403,
    });
  });
});

describe('client-go electors without lockwarden', () => {
  const electors: Elector[] = [];

  afterAll(() => Promise.all(electors.map((candidate) => candidate.kill())));

  const start = async (identity: string, name: string, releaseOnCancel = false): Promise<Elector> => {
    const pod = await namespace.pod(identity, 'candidate');
    const candidate = new Elector({
      binary: elector,
      kubeconfig: pod.kubeconfig,
      namespace: namespace.name,
      name,
      identity,
      releaseOnCancel,
    });
    electors.push(candidate);
    return candidate;
  };

  const holderOf = async (name: string): Promise<string | undefined> => {
    const lease = await namespace.admin.coordination.readNamespacedLease({ namespace: namespace.name, name });
    return lease.spec?.holderIdentity;
  };

  test('three candidates elect one, and a survivor follows a crashed holder no sooner than a lease later', async () => {
    const first = await start('a', 'crash');
    await first.until('started-leading');
    const others = [await start('b', 'crash'), await start('c', 'crash')];
    await Promise.all(others.map((other) => other.until('new-leader', ({ leader }) => leader === 'a')));
    const renewed = await namespace.admin.coordination.readNamespacedLease({
      namespace: namespace.name,
      name: 'crash',
    });
    await first.kill();
    const next = await Promise.race(others.map((other) => other.until('started-leading')));
    expect(await holderOf('crash')).toBe(next.identity);
    // NB: client-node declares a MicroTime as a Date and delivers the text.
    const waitedMs = Date.parse(next.at) - Date.parse(String(renewed.spec!.renewTime));
    // The lease is 3 s on the survivor's monotonic clock; these are wall clocks of two processes.
    expect(waitedMs).toBeGreaterThanOrEqual(2_500);
    const loser = others.find((other) => other.identity !== next.identity)!;
    await loser.until('new-leader', ({ leader }) => leader === next.identity);
    expect(loser.events.some(({ event }) => event === 'started-leading')).toBe(false);
  });

  test('a holder that stops in order releases the lock, and exits with 0', async () => {
    const holder = await start('d', 'release', true);
    await holder.until('started-leading');
    await expect(holder.stop()).resolves.toBe(0);
    expect(holder.events.at(-1)?.event).toBe('stopped-leading');
    expect(await holderOf('release')).toBe('');
  });
});

describe('a control plane of its own', () => {
  test('the API server comes back at the same address with the same objects, also after a crash of etcd', async () => {
    const plane = await startControlPlane({ binaries });
    try {
      const own = await createTestNamespace(plane.kubeconfig, 'restart');
      await own.serviceAccount('candidate');
      await plane.apiserver.stop();
      await expect(own.admin.core.listNamespace()).rejects.toThrow();
      await plane.etcd.kill();
      await plane.etcd.start();
      await plane.apiserver.start();
      const account = await own.admin.core.readNamespacedServiceAccount({
        namespace: own.name,
        name: 'candidate',
      });
      expect(account.metadata?.name).toBe('candidate');
    } finally {
      await plane.stop();
    }
    await expect(stat(plane.kubeconfig)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a port that was taken between choosing and binding is chosen again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lockwarden-test-'));
    const etcd = join(folder, 'etcd');
    const unlucky = `if mkdir "${folder}/once"; then echo "listen tcp: bind: address already in use" >&2; exit 1; fi`;
    await writeFile(etcd, `#!/bin/sh\n${unlucky}\nexec "${binaries.etcd}" "$@"\n`, { mode: 0o755 });
    try {
      const plane = await startControlPlane({ binaries: { ...binaries, etcd } });
      await plane.stop();
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('a server that cannot start says why in its own last lines', async () => {
    const starting = startControlPlane({ binaries, apiserverFlags: ['--no-such-flag'] });
    await expect(starting).rejects.toMatchObject({
      code: 'ToolFailed',
      message: expect.stringMatching(
        /kube-apiserver ended before it was ready[^]*unknown flag: --no-such-flag/,
      ) as string,
    });
  });
});
