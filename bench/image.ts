/**
 * What a replica takes to start, and holds once it runs: `npm run image:measure [-- --locks 1000 --starts 5 --idle 60]`, after
 * `npm run build:image`. Starts the program with the flags that the image starts it with, on an embedded control plane, whose API
 * server and etcd share the machine. Prints the size of the image too, where a Docker engine has it.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { createKubeClient, type KubeClient } from '../src/kube/client.ts';
import { loadKubeconfig } from '../src/kube/kubeconfig.ts';
import { ensureControlPlane } from '../src/sandbox/control-plane-binaries.ts';
import { startControlPlane } from '../src/sandbox/control-plane.ts';
import { freePorts, loopback } from '../src/sandbox/free-port.ts';
import { endWithParent } from '../src/sandbox/parent-watch.ts';
import { root } from '../tools/image/bundle.ts';
import { entrypointOf, ownDockerfile } from '../tools/image/dockerfile.ts';
import { imageTag, programFolder } from '../tools/image/program.ts';
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

/** LIMIT: a replica that needs longer is not slow but stuck. */
const patienceMs = 60_000;
/** LIMIT: the error of a start-up time; small beside the hundreds of milliseconds that are measured. */
const pollMs = 5;
const ownNamespace = 'lockwarden-system';

const program = join(root, programFolder);

interface Replica {
  /** From the start of the process. */
  readonly readyMs: number;
  /** How long it had kept a processor busy by then, which depends less on what else the machine does. */
  readonly processorMs: number;
  readonly healthPort: number;
  readonly process: ChildProcess;
}

/** Starts a replica like those in a Deployment, and resolves once it says that it is ready. */
async function startReplica(name: string, kubeconfig: string, webhookPort?: number): Promise<Replica> {
  const [port = 0, healthPort = 0] = await freePorts(2);
  const [, ...args] = entrypointOf(ownDockerfile()).map((word) => word.replace(/^\/app\b/, program));
  const flags = [
    `--kubeconfig=${kubeconfig}`,
    `--port=${port}`,
    `--health-port=${healthPort}`,
    `--bind-address=${loopback}`,
    `--webhook-url=https://${loopback}:${webhookPort ?? port}`,
    `--replica-name=${name}`,
    '--leader-elect',
  ];
  const begunMs = performance.now();
  const child = spawn(process.execPath, [...args, 'serve', ...flags], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (child.pid !== undefined) endWithParent(child.pid);
  while (!(await isReady(healthPort))) {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
    if (performance.now() - begunMs > patienceMs) throw new Error(`${name} does not become ready`);
    await sleep(pollMs);
  }
  const readyMs = performance.now() - begunMs;
  return { readyMs, processorMs: processorMsOf(child.pid), healthPort, process: child };
}

/** NaN where there is no /proc. SOURCE: proc_pid_stat(5): utime and stime, in ticks, of which Linux counts 100 a second. */
function processorMsOf(pid: number | undefined): number {
  try {
    const afterName = readFileSync(`/proc/${pid ?? ''}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    return (Number(afterName[11]) + Number(afterName[12])) * 10;
  } catch {
    return NaN;
  }
}

async function isReady(healthPort: number): Promise<boolean> {
  try {
    return (await fetch(`http://${loopback}:${healthPort}/readyz`)).ok;
  } catch {
    return false;
  }
}

async function stop({ process: child }: Replica): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** A metric without labels, as the replica tells it; NaN where there is none. */
async function metricOf(healthPort: number, name: string): Promise<number> {
  const metrics = await (await fetch(`http://${loopback}:${healthPort}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1]);
}

interface Memory {
  readonly residentBytes: number;
  readonly heapBytes: number;
}

async function memoryOf({ healthPort }: Replica): Promise<Memory> {
  return {
    residentBytes: await metricOf(healthPort, 'process_resident_memory_bytes'),
    heapBytes: await metricOf(healthPort, 'nodejs_heap_size_used_bytes'),
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
  const client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  const namespace = { metadata: { name: ownNamespace } };
  await client.request({ method: 'POST', path: '/api/v1/namespaces', body: namespace });
  await createLocks(client);
  client.close();

  const first = await startReplica('first', controlPlane.kubeconfig);
  console.log(`ready, the first replica of an installation: ${milliseconds([first.readyMs])}`);
  const webhookPort = Number(first.process.spawnargs.find((each) => each.startsWith('--port='))?.slice(7));
  const replicas: Replica[] = [];
  for (let start = 1; start <= starts; start += 1) {
    const replica = await startReplica(`replica-${start}`, controlPlane.kubeconfig, webhookPort);
    replicas.push(replica);
    await stop(replica);
  }
  const took = milliseconds(replicas.map(({ readyMs }) => readyMs));
  const busy = milliseconds(replicas.map(({ processorMs }) => processorMs));
  console.log(`ready, a replica beside others: ${took}, having used a processor for ${busy}`);

  const second = await startReplica('second', controlPlane.kubeconfig, webhookPort);
  await sleep(idleSeconds * 1_000);
  const memory = { leader: await memoryOf(first), another: await memoryOf(second) };
  const idle = `idle for ${idleSeconds} s with ${locks} locks`;
  console.log(`${idle}, the leader: ${describeMemory(memory.leader)}`);
  console.log(`${idle}, another replica: ${describeMemory(memory.another)}`);
  await writeResult('image', {
    ...{ locks, idleSeconds, memory, firstReadyMs: first.readyMs },
    starts: replicas.map(({ readyMs, processorMs }) => ({ readyMs, processorMs })),
  });
  await Promise.all([stop(first), stop(second)]);
} finally {
  await controlPlane.stop();
}
