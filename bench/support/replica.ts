/** lockwarden as its image runs it: the program of `build/image`, by the flags and variables of the Dockerfile, in a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { freePorts, loopback } from '../../src/sandbox/free-port.ts';
import { endWithParent } from '../../src/sandbox/parent-watch.ts';
import { root } from '../../tools/image/bundle.ts';
import { entrypointOf, ownDockerfile } from '../../tools/image/dockerfile.ts';
import { programFolder } from '../../tools/image/program.ts';
import { cpuSecondsOf } from './processes.ts';
import { productionVariables } from './production.ts';

/** Where the program is; `npm run build:image` writes it. */
export const program = join(root, programFolder);

/** LIMIT: a replica that needs longer is not slow but stuck. */
const patienceMs = 60_000;
/** LIMIT: the error of a start-up time; small beside the hundreds of milliseconds that are measured. */
const pollMs = 5;

/** What to start. */
export interface ReplicaOptions {
  readonly name: string;
  readonly kubeconfig: string;
  /** Of the replica that the API server is to ask. Default: its own. */
  readonly webhookPort?: number;
  /** Whether it is one of several. Default: it is. */
  readonly leaderElect?: boolean;
  /** More flags for Node. */
  readonly nodeFlags?: readonly string[];
}

/** A replica that is ready. */
export interface Replica {
  /** From the start of the process. */
  readonly readyMs: number;
  /** How long it had kept a processor busy by then, which depends less on what else the machine does. */
  readonly processorMs: number;
  readonly port: number;
  readonly healthPort: number;
  readonly pid: number;
  readonly process: ChildProcess;
}

/** Starts a replica like those in a Deployment, and resolves once it says that it is ready. */
export async function startReplica(options: ReplicaOptions): Promise<Replica> {
  const { name, kubeconfig, leaderElect = true, nodeFlags = [] } = options;
  const [port = 0, healthPort = 0] = await freePorts(2);
  const [, ...args] = entrypointOf(ownDockerfile()).map((word) => word.replace(/^\/app\b/, program));
  const flags = [
    `--kubeconfig=${kubeconfig}`,
    `--port=${String(port)}`,
    `--health-port=${String(healthPort)}`,
    `--bind-address=${loopback}`,
    `--webhook-url=https://${loopback}:${String(options.webhookPort ?? port)}`,
    `--replica-name=${name}`,
    ...(leaderElect ? ['--leader-elect'] : []),
  ];
  const begunMs = performance.now();
  const child = spawn(process.execPath, [...nodeFlags, ...args, 'serve', ...flags], {
    env: { ...process.env, ...productionVariables() },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const { pid = NaN } = child;
  if (child.pid !== undefined) endWithParent(child.pid);
  while (!(await isReady(healthPort))) {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${String(child.exitCode)}`);
    if (performance.now() - begunMs > patienceMs) throw new Error(`${name} does not become ready`);
    await sleep(pollMs);
  }
  const readyMs = performance.now() - begunMs;
  // NB: NaN where there is no /proc.
  const processorMs = (await cpuSecondsOf(pid).catch(() => NaN)) * 1_000;
  return { readyMs, processorMs, port, healthPort, pid, process: child };
}

/** Ends it by a signal: SIGKILL is a crash, after SIGTERM one that is alone takes its registration back. */
export async function stopReplica({ process: child }: Replica, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}

/** A metric of a replica, by its labels as they are written (`kind="Lease"`); NaN where there is none. */
export async function metricOf({ healthPort }: Replica, name: string, labels = ''): Promise<number> {
  const response = await fetch(`http://${loopback}:${String(healthPort)}/metrics`);
  const begin = labels === '' ? `${name} ` : `${name}{${labels}} `;
  const line = (await response.text()).split('\n').find((each) => each.startsWith(begin));
  return line === undefined ? NaN : Number(line.slice(begin.length));
}

async function isReady(healthPort: number): Promise<boolean> {
  try {
    return (await fetch(`http://${loopback}:${String(healthPort)}/readyz`)).ok;
  } catch {
    return false;
  }
}
