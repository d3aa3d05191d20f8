/** The guard Lease on a real API server, kept by real processes: renewed while lockwarden is asked, and by nothing else. */
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, afterEach, beforeAll, describe, expect, inject, test, vi } from 'vitest';

import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { microTime, Namespace } from '../kube/support/cluster.ts';
import { ownNamespace, ReplicaSet } from './support/replica-set.ts';
import { onAnyPort, startServe, untilCalled, type ServeProcess } from './support/serve-process.ts';

const lease = 'lockwarden-guard';
const leasePath = `/apis/coordination.k8s.io/v1/namespaces/${ownNamespace}/leases/${lease}`;
/** LIMIT: a busy machine takes several times what an idle one does. */
const patience = { timeout: 30_000, interval: 50 };

let controlPlane: ControlPlane;
let client: KubeClient;
let own: Namespace;
let team: Namespace;
let running: ServeProcess[] = [];

beforeAll(async () => {
  controlPlane = await startControlPlane({ binaries: inject('binaries') });
  client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  own = await Namespace.create(client, ownNamespace);
  team = await Namespace.create(client, 'team');
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.kill()));
});

afterAll(async () => {
  client.close();
  await controlPlane.stop();
});

/** A process that is alone, and that the API server asks. */
async function start(args: readonly string[] = [], env: Record<string, string> = {}): Promise<ServeProcess> {
  const { kubeconfig } = controlPlane;
  const process = startServe({
    kubeconfig,
    args: [...onAnyPort, '--replica-name=alone', '--shutdown-grace-period=2s', ...args],
    env,
  });
  running = [...running, process];
  await process.untilReady();
  await untilCalled(client);
  return process;
}

interface Reading {
  readonly spec: JsonObject;
  readonly uid: string;
  readonly renewedMs: number;
  /** The API server's time, at the latest. */
  readonly serverMs: number;
}

async function read(): Promise<Reading> {
  const { body, dateMs } = await client.request({ method: 'GET', path: leasePath });
  const spec = objectAt(body, 'spec');
  const renewedMs = Date.parse(stringAt(spec, 'renewTime'));
  return {
    spec,
    uid: stringAt(objectAt(body, 'metadata'), 'uid'),
    renewedMs,
    serverMs: (dateMs ?? 0) + 1_000,
  };
}

const isHeld = ({ spec }: Reading): boolean => stringAt(spec, 'holderIdentity') !== '';

/** Waits for the Lease to be such, and says how long it took. */
async function until(holds: (reading: Reading) => boolean): Promise<number> {
  const begunAt = performance.now();
  await vi.waitFor(async () => {
    expect(holds(await read())).toBe(true);
  }, patience);
  return performance.now() - begunAt;
}

function report(what: string, ms: number): void {
  console.log(`${what}: ${String(Math.round(ms))} ms`);
}

describe('the guard Lease of a process that is alone', { timeout: 90_000 }, () => {
  test('is renewed while it runs, in API-server time, whatever its own clock says', async () => {
    // src/clock.ts reads the wall clock in this way and in no other.
    const ahead = 'const{now}=Date;Date.now=()=>now()+3600000';
    await start([], { NODE_OPTIONS: `--import=data:text/javascript,${ahead}` });
    await until(isHeld);
    const times = new Set<number>();
    const begunAt = performance.now();
    while (performance.now() - begunAt < 12_000) {
      const { spec, renewedMs, serverMs } = await read();
      expect(spec).toMatchObject({ holderIdentity: 'alone', leaseDurationSeconds: 10 });
      expect(renewedMs).toBeLessThan(serverMs);
      expect(serverMs - renewedMs).toBeLessThan(8_000);
      times.add(renewedMs);
      await sleep(100);
    }
    expect([...times]).toEqual([...times].sort((a, b) => a - b));
    expect(times.size).toBeGreaterThanOrEqual(3);
    expect(times.size).toBeLessThanOrEqual(6);
  });

  test('is back at once when it is deleted, as it was', async () => {
    await start();
    await until(isHeld);
    const before = await read();
    await own.delete('leases', lease);
    const ms = await until(({ uid, renewedMs }) => uid !== before.uid && renewedMs >= before.renewedMs);
    report('guard Lease back', ms);
    expect(ms).toBeLessThan(2_000);
    expect(isHeld(await read())).toBe(true);
  });

  test('is renewed no more after a hard kill, and the next process tells of the time and of who took what', async () => {
    const process = await start();
    const { serverMs: startedAt } = await read();
    await until((reading) => isHeld(reading) && reading.renewedMs >= startedAt - 1_000);
    await process.kill();
    const before = await read();
    await until(({ serverMs, renewedMs }) => serverMs - renewedMs > 13_000);
    expect(await read()).toMatchObject({ spec: before.spec });
    const acquired = microTime();
    const spec = {
      holderIdentity: 'a',
      leaseDurationSeconds: 15,
      acquireTime: acquired,
      renewTime: acquired,
    };
    await team.post('leases', 'taken-meanwhile', { spec });
    await sleep(2_000);
    const next = await start();
    const told = await next.untilLine('switch stood watch');
    expect(told).toMatchObject({ level: 'warn', acquired: 1, locks: ['lease/team/taken-meanwhile'] });
    expect(Date.parse(String(told['since']))).toBe(before.renewedMs + 10_000);
    expect(told['seconds']).toBeGreaterThanOrEqual(4);
    await until(({ renewedMs }) => renewedMs > before.renewedMs);
    await sleep(4_000);
    expect(next.lines.filter(({ msg }) => msg === 'switch stood watch')).toHaveLength(1);
  });

  test('is emptied by the time it has ended in good order, and told of as such', async () => {
    const process = await start();
    await until(isHeld);
    process.signal('SIGTERM');
    report('guard Lease emptied', await until((reading) => !isHeld(reading)));
    await process.exit;
    const said = process.lines.map(({ msg }) => msg);
    expect(said.indexOf('switch awake')).toBeGreaterThan(0);
    expect(said.indexOf('stopped')).toBeGreaterThan(said.indexOf('switch awake'));
    const next = await start();
    expect(await next.untilLine('switch stood watch')).toMatchObject({ level: 'info' });
    expect(isHeld(await read())).toBe(true);
  });

  test('is left alone where the switch is left off', async () => {
    await own.delete('leases', lease).catch(() => undefined);
    const process = await start(['--stand-in=false']);
    await process.untilLine('canary proven');
    await sleep(4_000);
    await expect(read()).rejects.toMatchObject({ kind: 'not-found' });
    process.signal('SIGTERM');
    await process.exit;
    await expect(read()).rejects.toMatchObject({ kind: 'not-found' });
  });
});

describe('the guard Lease of three replicas', { timeout: 120_000 }, () => {
  test('stays in one hand, survives the end of one and the death of another, and is emptied by the last', async () => {
    const { kubeconfig } = controlPlane;
    const replicas = await ReplicaSet.create({
      kubeconfig,
      client,
      args: ['--shutdown-grace-period=10s'],
      withNamespace: false,
    });
    try {
      await replicas.start(3);
      await replicas.untilReady();
      await untilCalled(client);
      await vi.waitFor(read, patience);
      await until(isHeld);

      const seen: Reading[] = [];
      const begunAt = performance.now();
      while (performance.now() - begunAt < 12_000) {
        seen.push(await read());
        await sleep(100);
      }
      expect(new Set(seen.map(({ renewedMs }) => renewedMs)).size).toBeLessThanOrEqual(6);
      expect(Math.max(...seen.map(({ serverMs, renewedMs }) => serverMs - renewedMs))).toBeLessThan(10_000);

      // The one that holds it ends, and then the next is killed: others go on, and it never runs out.
      const holder = async (): Promise<string> => stringAt((await read()).spec, 'holderIdentity');
      const ended = await holder();
      expect(await replicas.end(ended)).toBe(0);
      expect(await holder()).not.toBe('');
      report('renewed by another', await until(({ spec }) => spec['holderIdentity'] !== ended));
      await until(({ serverMs, renewedMs }) => serverMs - renewedMs < 4_000);
      await replicas.start(1);
      await replicas.untilReady();
      const killed = await holder();
      await replicas.kill(killed);
      report('renewed after a kill', await until(({ spec }) => spec['holderIdentity'] !== killed));
      await until(({ serverMs, renewedMs }) => serverMs - renewedMs < 4_000);
      for (const { process } of replicas.history)
        expect(process.lines.map(({ msg }) => msg)).not.toContain('switch stood watch');

      // As when a Deployment is scaled to none: all are told at once. Whoever was killed is forgotten by then.
      await sleep(17_000);
      const last = replicas.replicas;
      for (const { process } of last) process.signal('SIGTERM');
      const ms = await until((reading) => !isHeld(reading));
      report('emptied by the last of those that ended together', ms);
      expect(ms).toBeLessThan(3_000);
      await Promise.all(last.map(({ process }) => process.exit));
      const awake = last.flatMap(({ process }) => process.lines.filter(({ msg }) => msg === 'switch awake'));
      expect(awake).toHaveLength(1);
    } finally {
      await replicas.close();
    }
  });
});
