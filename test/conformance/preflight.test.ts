/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- client-node declares its models as classes and takes plain objects */
/** A preflight of a real cluster: client-go's electors go on, a rogue steals once, and both sources tell it the same. */
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';

import { preflight, type PreflightIo, type PreflightOptions } from '../../src/cli/preflight.ts';
import { systemClock } from '../../src/clock.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import type { LockReport } from '../../src/preflight/lock-report.ts';
import type { PreflightReport } from '../../src/preflight/report.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import type { Elector, ElectorOptions } from '../../src/scene/elector.ts';
import { withRecord } from '../kube/support/cluster.ts';
import { createTestNamespace, type TestNamespace } from '../support/identities.ts';
import { createCandidate, holderOf, type Candidate } from './support/candidate.ts';
import { startElector } from './support/pod-elector.ts';

/** A preflight of the cluster under way: what it will have printed, once it is told that it has seen enough. */
interface Looking {
  readonly done: Promise<number>;
  /** Resolves once it has found a lock, and so watches for the next writes. */
  begun(): Promise<void>;
  end(): Promise<{ readonly exitCode: number; readonly report: PreflightReport }>;
}

let controlPlane: ControlPlane;
let admin: KubeClient;
let namespace: TestNamespace;
let rogue: Candidate;
/** Of a pod that may read the locks of its namespace, and nothing else. */
let reader: string;
let electors: Elector[] = [];

beforeAll(async () => {
  controlPlane = await startControlPlane({ binaries: inject('binaries'), audit: true });
  admin = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  namespace = await createTestNamespace(controlPlane.kubeconfig, 'preflight');
  await namespace.serviceAccount('candidate');
  const verbs = ['get', 'list', 'watch'];
  await namespace.serviceAccount('reader', [
    { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs },
    { apiGroups: [''], resources: ['endpoints'], verbs },
  ]);
  rogue = await createCandidate(namespace, 'candidate', 'rogue');
  reader = (await namespace.pod('reader', 'reader')).kubeconfig;
});

afterEach(async () => {
  await Promise.all(electors.map((each) => each.kill()));
  electors = [];
});

afterAll(async () => {
  rogue.close();
  admin.close();
  await controlPlane.stop();
});

async function start(
  lock: string,
  identity: string,
  options: Partial<ElectorOptions> = {},
): Promise<Elector> {
  const elector = await startElector(namespace, lock, identity, options);
  electors.push(elector);
  return elector;
}

const common = { for: '10m', output: 'json', lockwardenNamespace: 'lockwarden-system' };

function look(options: Partial<PreflightOptions>): Looking {
  const enough = Promise.withResolvers<undefined>();
  let text = '';
  let progress = '';
  const io: PreflightIo = {
    stdout: { write: (part: string) => (text += part) },
    stderr: { isTTY: true, write: (part: string) => (progress += part) },
    stdin: () => {
      throw new Error('nobody reads standard input');
    },
    env: {},
    clock: systemClock(),
    sleep: () => enough.promise,
    interrupted: () => enough.promise,
  };
  const done = preflight({ ...common, ...options }, io);
  done.catch(() => undefined);
  return {
    done,
    begun: async () => {
      await expect.poll(() => progress, { timeout: 20_000 }).toMatch(/looking at locks: .* [1-9]\d* locks/);
    },
    end: async () => {
      enough.resolve(undefined);
      const exitCode = await done;
      return { exitCode, report: JSON.parse(text) as PreflightReport };
    },
  };
}

function lockOf({ locks }: PreflightReport, name: string, kind = 'Lease'): LockReport {
  const found = locks.find(
    (lock) => lock.namespace === namespace.name && lock.name === name && lock.kind === kind,
  );
  if (found === undefined) throw new Error(`the report has no ${kind} ${name}`);
  return found;
}

/** Resolves once the lock has gone on for some renewals. */
async function untilRenewed(lock: string, times: number): Promise<void> {
  const seen = new Set<unknown>();
  await expect
    .poll(
      async () => {
        const { spec } = (await rogue.locks.get('leases', lock)) as { spec: { renewTime?: unknown } };
        seen.add(spec.renewTime);
        return seen.size;
      },
      { timeout: 20_000, interval: 50 },
    )
    .toBeGreaterThan(times);
}

describe('an election that goes as it should', () => {
  test('would have nothing denied, with a crash and a lawful takeover in it', async () => {
    const first = await start('lawful', 'lawful-0');
    await first.until('started-leading');
    const second = await start('lawful', 'lawful-1');
    await second.untilFollowing('lawful-0');
    const looking = look({ kubeconfig: controlPlane.kubeconfig, namespace: namespace.name });
    await looking.begun();
    await untilRenewed('lawful', 4);
    await first.kill();
    await second.until('started-leading');
    await untilRenewed('lawful', 4);
    const { exitCode, report } = await looking.end();

    expect(exitCode).toBe(0);
    expect(report.conclusion).toMatchObject({ startWith: 'defaults', denied: 0, holderChanges: 1 });
    const lock = lockOf(report, 'lawful');
    expect(lock).toMatchObject({ holder: 'lawful-1', guarded: true, leaseDurationMs: 3_000, unseen: 0 });
    expect(lock.client?.name).toBe('client-go');
    expect(lock.renewals).toBeGreaterThan(5);
    expect(lock.renewedEveryMs).toBeGreaterThan(150);
    expect(lock.renewedEveryMs).toBeLessThan(1_000);
    expect(lock.calls).toMatchObject({ asked: 0 });
    // One machine, one clock.
    expect(lock.clockOffsetMs!.min).toBeLessThanOrEqual(50);
    expect(lock.clockOffsetMs!.max).toBeGreaterThanOrEqual(-50);
    expect(lock.offences).toEqual([]);

    const read = await look({ auditLog: controlPlane.auditLog ?? '', namespace: namespace.name }).end();
    expect(read.exitCode).toBe(0);
    expect(lockOf(read.report, 'lawful')).toMatchObject({
      holder: 'lawful-1',
      holderChanges: 1,
      offences: [],
    });
  });
});

describe('a rogue that takes a lock', () => {
  test('would be denied, by what a watch shows and by what the API server has recorded', async () => {
    const leader = await start('stolen', 'stolen-0');
    await leader.until('started-leading');
    const looking = look({ kubeconfig: controlPlane.kubeconfig });
    await looking.begun();
    await untilRenewed('stolen', 4);
    await rogue.locks.patch(
      'leases',
      'stolen',
      'merge',
      { spec: { holderIdentity: 'rogue' } },
      'kubectl-patch',
    );
    await expect.poll(() => holderOf(rogue.locks, 'stolen')).toBe('rogue');
    const { exitCode, report } = await looking.end();

    expect(exitCode).toBe(3);
    const denied = { enforcement: 'Deny', rule: 'U15', reason: 'PrematureTakeover', count: 1 };
    const watched = lockOf(report, 'stolen');
    expect(watched.offences).toContainEqual(
      expect.objectContaining({ ...denied, by: ['field manager kubectl-patch'] }),
    );
    expect(watched.denied).toBe(1);
    expect(report.conclusion).toMatchObject({ startWith: 'audit-only', denied: 1, deniedLocks: 1 });
    expect(report.suggestedPolicies).toContain('reason: PrematureTakeover');
    expect(report.limits.join()).toContain('not who wrote it');

    const read = await look({ auditLog: controlPlane.auditLog ?? '', namespace: namespace.name }).end();
    expect(read.exitCode).toBe(3);
    const recorded = lockOf(read.report, 'stolen');
    const by = [`${rogue.user} (pod rogue)`];
    expect(recorded.offences).toContainEqual(expect.objectContaining({ ...denied, by }));
    expect(recorded.agents.join()).toMatch(/kubernetes\//);
    expect(recorded).toMatchObject({ denied: 1, unseen: 0, unjudged: 0 });
  });

  test('of a ConfigMap is found as well, of which only metadata is looked at', async () => {
    const record = (holder: string, ms: number): string =>
      JSON.stringify({
        holderIdentity: holder,
        leaseDurationSeconds: 15,
        acquireTime: `${new Date(ms).toISOString().slice(0, 19)}Z`,
        renewTime: `${new Date(ms).toISOString().slice(0, 19)}Z`,
        leaderTransitions: 0,
      });
    const { locks } = rogue;
    await locks.post(
      'configmaps',
      'legacy',
      withRecord({ data: { secret: 'x' } }, record('a-0', Date.now())),
    );
    const looking = look({ kubeconfig: controlPlane.kubeconfig, namespace: namespace.name });
    await looking.begun();
    await locks.put('configmaps', 'legacy', (object) =>
      withRecord(object, record('a-0', Date.now() + 1_000)),
    );
    await locks.put('configmaps', 'legacy', (object) =>
      withRecord(object, record('thief', Date.now() + 2_000)),
    );
    await expect.poll(async () => JSON.stringify(await locks.get('configmaps', 'legacy'))).toContain('thief');
    const told = await look({ auditLog: controlPlane.auditLog ?? '', namespace: namespace.name }).end();
    expect(lockOf(told.report, 'legacy', 'ConfigMap')).toMatchObject({ denied: 1 });
    const { report } = await looking.end();
    expect(lockOf(report, 'legacy', 'ConfigMap')).toMatchObject({ holder: 'thief', denied: 1, unseen: 0 });
    expect(JSON.stringify(report)).not.toContain('secret');
  });
});

describe('who may not read everything', () => {
  test('is told which right is missing, and gets the rest', async () => {
    const leader = await start('readable', 'readable-0');
    await leader.until('started-leading');
    const looking = look({ kubeconfig: reader, namespace: namespace.name });
    await looking.begun();
    await untilRenewed('readable', 6);
    const { exitCode, report } = await looking.end();
    expect(report.source).toMatchObject({ kind: 'watch', kinds: ['Lease', 'Endpoints'] });
    expect(exitCode).toBe(0);
    expect(lockOf(report, 'readable').renewals).toBeGreaterThan(2);
    const limits = report.limits.join('\n');
    expect(limits).toMatch(/ConfigMaps are left out: .* may not list configmaps in the namespace/);
    expect(limits).toMatch(/what policies say is not complete: .* may not list namespaces/);
  });

  test('ends with the missing right where nothing is left to look at', async () => {
    const looking = look({ kubeconfig: reader, namespace: 'default' });
    await expect(looking.done).rejects.toMatchObject({ kind: 'forbidden' });
  });
});
