/**
 * What a replica takes to start, and holds once it runs: `npm run image:measure [-- --locks 1000 --starts 5 --idle 60]`, after
 * `npm run build:image`. Starts the program with the flags that the image starts it with, on an embedded control plane, whose API
 * server and etcd share the machine. Prints the size of the image too, where a Docker engine has it.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { createKubeClient, type KubeClient } from '../src/kube/client.ts';
import { loadKubeconfig } from '../src/kube/kubeconfig.ts';
import { ensureControlPlane } from '../src/sandbox/control-plane-binaries.ts';
import { startControlPlane } from '../src/sandbox/control-plane.ts';
import { imageTag } from '../tools/image/program.ts';
import { metricOf, program, startReplica, stopReplica, type Replica } from './support/replica.ts';
import { writeResult } from './support/result.ts';

const { values } = parseArgs({
  options: {
    locks: { type: 'string', default: '1000' },
    starts: { type: 'string', default: '5' },
    idle: { type: 'string', default: '60' },
  },
});
const [locks, starts, idleSeconds] = [values.locks, values.starts, values.idle].map(Number) as [
  number,
  number,
  number,
];

const ownNamespace = 'lockwarden-system';

interface Memory {
  readonly residentBytes: number;
  readonly heapBytes: number;
}

async function memoryOf(replica: Replica): Promise<Memory> {
  return {
    residentBytes: await metricOf(replica, 'process_resident_memory_bytes'),
    heapBytes: await metricOf(replica, 'nodejs_heap_size_used_bytes'),
  };
}

function describeMemory({ residentBytes, heapBytes }: Memory): string {
  return `resident ${mebibytes(residentBytes)}, of which heap in use ${mebibytes(heapBytes)}`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(0)} MiB`;
}

/** What a registry would hold for it is less, since it compresses. */
function describeSize(): string {
  const files = readdirSync(program, { recursive: true, withFileTypes: true }).filter((each) =>
    each.isFile(),
  );
  const bytes = files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
  return `size: ${mebibytes(bytes)} in ${files.length} files for the program; ${imageSize()}`;
}

function imageSize(): string {
  try {
    const text = execFileSync('docker', ['image', 'inspect', '--format', '{{.Size}}', imageTag()], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return `${mebibytes(Number(text))} for ${imageTag()} with its base`;
  } catch {
    return `no Docker engine with ${imageTag()} answers, so the image's is not known`;
  }
}

async function createLocks(client: KubeClient): Promise<void> {
  const now = new Date().toISOString().replace('Z', '000Z');
  const spec = { holderIdentity: 'holder', leaseDurationSeconds: 15, acquireTime: now, renewTime: now };
  for (let index = 0; index < locks; index += 1) {
    await client.request({
      method: 'POST',
      path: '/apis/coordination.k8s.io/v1/namespaces/default/leases',
      body: { metadata: { name: `lock-${index}` }, spec },
    });
  }
}

function milliseconds(all: readonly number[]): string {
  const sorted = all.toSorted((a, b) => a - b).map((each) => each.toFixed(0));
  return `${sorted[Math.floor(sorted.length / 2)] ?? ''} ms (${sorted.join(', ')})`;
}

console.log(describeSize());
const controlPlane = await startControlPlane({ binaries: await ensureControlPlane({}) });
try {
  const { kubeconfig } = controlPlane;
  const client = createKubeClient(loadKubeconfig({ file: kubeconfig }));
  const namespace = { metadata: { name: ownNamespace } };
  await client.request({ method: 'POST', path: '/api/v1/namespaces', body: namespace });
  await createLocks(client);
  client.close();

  const first = await startReplica({ name: 'first', kubeconfig });
  console.log(`ready, the first replica of an installation: ${milliseconds([first.readyMs])}`);
  const webhookPort = first.port;
  const replicas: Replica[] = [];
  for (let start = 1; start <= starts; start += 1) {
    const replica = await startReplica({ name: `replica-${start}`, kubeconfig, webhookPort });
    replicas.push(replica);
    await stopReplica(replica, 'SIGKILL');
  }
  const took = milliseconds(replicas.map(({ readyMs }) => readyMs));
  const busy = milliseconds(replicas.map(({ processorMs }) => processorMs));
  console.log(`ready, a replica beside others: ${took}, having used a processor for ${busy}`);

  const second = await startReplica({ name: 'second', kubeconfig, webhookPort });
  await sleep(idleSeconds * 1_000);
  const memory = { leader: await memoryOf(first), another: await memoryOf(second) };
  const idle = `idle for ${idleSeconds} s with ${locks} locks`;
  console.log(`${idle}, the leader: ${describeMemory(memory.leader)}`);
  console.log(`${idle}, another replica: ${describeMemory(memory.another)}`);
  await writeResult('image', {
    ...{ locks, idleSeconds, memory, firstReadyMs: first.readyMs },
    starts: replicas.map(({ readyMs, processorMs }) => ({ readyMs, processorMs })),
  });
  await Promise.all([first, second].map((each) => stopReplica(each, 'SIGKILL')));
} finally {
  await controlPlane.stop();
}
