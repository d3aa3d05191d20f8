/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- client-node declares its models as classes and takes plain objects */
/** The locks of a real, guarded cluster: held by client-go, by a pod that is gone, by nobody any more, and by no promise at all. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';

import { locks, type LocksOptions } from '../../src/cli/locks.ts';
import { systemClock } from '../../src/clock.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import type { LockRow } from '../../src/locks-report/report.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { Elector } from '../../src/scene/elector.ts';
import { withRecord } from '../kube/support/cluster.ts';
import { createTestNamespace, type TestNamespace } from '../support/identities.ts';
import { createCandidate, type Candidate } from './support/candidate.ts';
import { installCrds } from './support/crds.ts';
import { startGuarded, type Guarded } from './support/guarded.ts';

let controlPlane: ControlPlane;
let admin: KubeClient;
let namespace: TestNamespace;
let guarded: Guarded;
let elector: Elector;
const candidates: Candidate[] = [];
const identity = `orders-0_${randomUUID()}`;
/** Of a pod that may read the leases of its namespace, and nothing else. */
let reader: string;

beforeAll(async () => {
  controlPlane = await startControlPlane({ binaries: inject('binaries') });
  const { kubeconfig } = controlPlane;
  admin = createKubeClient(loadKubeconfig({ file: kubeconfig }));
  await installCrds(admin);
  namespace = await createTestNamespace(kubeconfig, 'locks');
  await namespace.serviceAccount('candidate');
  const verbs = ['get', 'list', 'watch'];
  await namespace.serviceAccount('reader', [
    { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs },
  ]);
  reader = (await namespace.pod('reader', 'reader')).kubeconfig;
  guarded = await startGuarded(kubeconfig);
  await policies();
  await elections();
});

afterAll(async () => {
  await elector.kill();
  for (const each of candidates) each.close();
  await guarded.stop();
  admin.close();
  await controlPlane.stop();
});

async function policies(): Promise<void> {
  const group = '/apis/lockwarden.dev/v1alpha1';
  const policy = async (kind: string, path: string, name: string, spec: object): Promise<void> => {
    const body = { apiVersion: 'lockwarden.dev/v1alpha1', kind, metadata: { name }, spec };
    await admin.request({ method: 'POST', path: `${group}/${path}`, body });
  };
  await policy('ClusterLockPolicy', 'clusterlockpolicies', 'strict', {
    match: { namespaces: [namespace.name] },
    profile: 'Strict',
  });
  await policy('LockPolicy', `namespaces/${namespace.name}/lockpolicies`, 'lenient', {
    match: { names: ['left-alone'] },
    enforcement: 'Warn',
  });
}

async function candidate(name: string): Promise<Candidate> {
  const made = await createCandidate(namespace, 'candidate', name);
  candidates.push(made);
  return made;
}

async function elections(): Promise<void> {
  const { kubeconfig } = await namespace.pod('orders-0', 'candidate');
  const common = { binary: inject('elector'), kubeconfig, namespace: namespace.name };
  elector = new Elector({ ...common, name: 'orders', identity });
  await elector.until('started-leading');
  const [crashed, quiet] = [await candidate('crashed-0'), await candidate('quiet-0')];
  expect(await crashed.create('orphan', 600)).toBeNull();
  expect(await quiet.create('left-alone', 3)).toBeNull();
  await quiet.locks.post('leases', 'forever', { spec: { holderIdentity: 'someone' } });
  const record = JSON.stringify({ holderIdentity: 'legacy-0' });
  await quiet.locks.post('configmaps', 'legacy', withRecord({ data: { password: 'hidden' } }, record));
  await quiet.locks.post('configmaps', 'no-lock', { data: { password: 'hidden' } });
  await namespace.admin.core.deleteNamespacedPod({
    namespace: namespace.name,
    name: 'crashed-0',
    gracePeriodSeconds: 0,
  });
}

interface Listed {
  readonly exitCode: number;
  readonly text: string;
  readonly errors: string;
}

async function list(options: Partial<LocksOptions> = {}): Promise<Listed> {
  let text = '';
  let errors = '';
  const common = {
    kubeconfig: controlPlane.kubeconfig,
    namespace: namespace.name,
    allNamespaces: false,
    watch: false,
    output: 'json',
    sortBy: 'name',
    lockwardenNamespace: 'lockwarden-system',
  };
  const exitCode = await locks(
    { ...common, ...options },
    {
      stdout: { write: (part: string) => (text += part) },
      stderr: { write: (part: string) => (errors += part) },
      env: {},
      clock: systemClock(),
      sleep: (ms, signal) => delay(ms, undefined, { signal }).catch(() => undefined),
      interrupted: () => new Promise(() => undefined),
    },
  );
  return { exitCode, text, errors };
}

function rowsIn(text: string): readonly LockRow[] {
  return (JSON.parse(text) as { locks: LockRow[] }).locks;
}

async function rowOf(name: string, options: Partial<LocksOptions> = {}): Promise<LockRow> {
  const row = rowsIn((await list(options)).text).find((each) => each.name === name);
  if (row === undefined) throw new Error(`there is no lock ${name}`);
  return row;
}

describe('the locks of a cluster', () => {
  test('are all there, and no object that is none', async () => {
    const { text, exitCode } = await list();
    expect(exitCode).toBe(0);
    expect(rowsIn(text).map(({ kind, name }) => `${kind}/${name}`)).toEqual([
      'Lease/forever',
      'Lease/left-alone',
      'ConfigMap/legacy',
      'Lease/orders',
      'Lease/orphan',
    ]);
    expect(text).not.toContain('hidden');
    expect(text).toContain('"limits": []');
  });

  test('one that client-go renews is held by its pod, by the API server’s stamp, under the cluster’s policy', async () => {
    const row = await rowOf('orders');
    expect(row).toMatchObject({
      holder: identity,
      pod: { namespace: namespace.name, name: 'orders-0', state: 'runs' },
      lease: 'live',
      evidence: 'stamp',
      leaseDurationMs: 3_000,
      client: 'client-go',
      guarded: true,
      policies: ['clusterlockpolicy/strict'],
      enforcement: 'Deny',
      findings: [],
    });
    // It renews every 250 ms; a stamp and a `Date` have whole seconds.
    expect(row.renewedAgoMs!.min).toBeLessThan(1_500);
    expect(row.renewedAgoMs!.max).toBeLessThan(3_000);
  });

  test('one whose pod is gone is found, by what lockwarden saw of the pod when it took the lock', async () => {
    await expect
      .poll(async () => (await rowOf('orphan')).pod, { timeout: 20_000 })
      .toMatchObject({
        name: 'crashed-0',
        told: 'judged',
        state: 'gone',
      });
    const { lease, findings } = await rowOf('orphan');
    expect(lease).toBe('live');
    expect(findings).toEqual([
      {
        code: 'pod-gone',
        message: `the pod ${namespace.name}/crashed-0 took it, and does not run any more`,
      },
    ]);
    expect((await list({ failOn: 'pod-gone' })).exitCode).toBe(3);
  });

  test('one that is held without a promise is untimed', async () => {
    const { lease, findings } = await rowOf('forever');
    expect(lease).toBe('untimed');
    expect(findings.map(({ code }) => code)).toEqual(['untimed']);
  });

  test('a watch sees one run out, and ends as it is told to', async () => {
    const { exitCode, text } = await list({ watch: true, failOn: 'expired' });
    expect(exitCode).toBe(3);
    const changes = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as LockRow);
    const last = changes.findLast(({ name }) => name === 'left-alone');
    expect(last).toMatchObject({
      lease: 'expired',
      policies: ['clusterlockpolicy/strict', `lockpolicy/${namespace.name}/lenient`],
      enforcement: 'Warn',
      findings: [{ code: 'expired' }],
    });
    // Renewals are no changes.
    expect(changes.filter(({ name }) => name === 'orders')).toHaveLength(1);
  });

  test('lockwarden’s own, and those of the system, are there with -A, and are not judged', async () => {
    const { text } = await list({ allNamespaces: true, output: 'table' });
    expect(text).toMatch(/^kube-system +lease\/apiserver-\S+ .* - +- +unguarded$/m);
    expect(text).toMatch(new RegExp(`^${namespace.name} +lease/orders +${identity} +orders-0 `, 'm'));
  });

  test('are shown as far as rights go', async () => {
    const { exitCode, text, errors } = await list({ kubeconfig: reader, output: 'table' });
    expect(exitCode).toBe(0);
    expect(text).toMatch(/^lease\/orders /m);
    for (const missing of ['configmaps', 'endpoints', 'pods', 'namespaces', 'clusterlockpolicies'])
      expect(errors).toMatch(new RegExp(`may not list ${missing}`));
  });
});
