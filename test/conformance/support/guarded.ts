/** A guard in this process, as `serve` would run it, and the lines of its log. */
import { setTimeout as sleep } from 'node:timers/promises';

import { pino } from 'pino';

import { systemClock } from '../../../src/clock.ts';
import { serveConfigOf, type ServeConfig, type ServeOptions } from '../../../src/config.ts';
import { Guard } from '../../../src/guard/guard.ts';
import { createKubeClient, type KubeClient } from '../../../src/kube/client.ts';
import { loadKubeconfig } from '../../../src/kube/kubeconfig.ts';
import { rejectionMessage } from '../../../src/review/record.ts';
import type { RejectionRecord } from '../../../src/review/record-schema.ts';
import { failureOf, leaderAnnotation } from '../../kube/support/cluster.ts';

/** A line of the log. */
export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [key: string]: unknown;
}

/** A guard that the API server asks. */
export interface Guarded {
  /** Every line of its log so far. */
  lines(): readonly LogLine[];
  /** The refusals in its log so far. */
  rejections(): readonly RejectionRecord[];
  stop(): Promise<void>;
}

/** LIMIT: an API server takes in a new configuration within a second; a machine that is busy takes its time. */
const patienceMs = 20_000;
const pollMs = 50;
const ownNamespace = 'lockwarden-system';

/** Starts a guard of the cluster of `kubeconfig`, and resolves once the API server calls it for every kind of lock. */
export async function startGuarded(
  kubeconfig: string,
  options: Partial<ServeOptions> = {},
): Promise<Guarded> {
  const lines: LogLine[] = [];
  const write = (line: string): void => {
    lines.push(JSON.parse(line) as LogLine);
  };
  const log = pino({ level: 'debug', base: null }, { write });
  await createOwnNamespace(kubeconfig);
  const guard = new Guard(configOf(kubeconfig, options), { log, clock: systemClock() });
  try {
    await guard.start();
    await untilCalled(kubeconfig, guard);
  } catch (error) {
    await guard.stop();
    throw error;
  }
  return {
    lines: () => lines,
    rejections: () => lines.filter(isRejection),
    stop: () => guard.stop(),
  };
}

function isRejection(line: LogLine): line is LogLine & RejectionRecord {
  return line.msg === rejectionMessage;
}

function configOf(kubeconfig: string, options: Partial<ServeOptions>): ServeConfig {
  return serveConfigOf({
    kubeconfig,
    namespace: ownNamespace,
    port: '0',
    healthPort: '0',
    bindAddress: '127.0.0.1',
    webhookUrl: 'https://127.0.0.1',
    inspectRenewals: false,
    logLevel: 'debug',
    ...options,
  });
}

/** Where its canary lives; another test may have created it. */
async function createOwnNamespace(kubeconfig: string): Promise<void> {
  const client = createKubeClient(loadKubeconfig({ file: kubeconfig }));
  const body = { metadata: { name: ownNamespace } };
  try {
    await failureOf(client.request({ method: 'POST', path: '/api/v1/namespaces', body }));
  } finally {
    client.close();
  }
}

/** A promise of long ago is refused whatever else is known, and a dry run leaves nothing behind. */
async function untilCalled(kubeconfig: string, guard: Guard): Promise<void> {
  const client = createKubeClient(loadKubeconfig({ file: kubeconfig }));
  const deadline = AbortSignal.timeout(patienceMs);
  const name = 'asks-whether-it-is-guarded';
  const long = '2020-01-01T00:00:00.000000Z';
  const record = { holderIdentity: name, leaseDurationSeconds: 15, renewTime: long };
  const annotations = { [leaderAnnotation]: JSON.stringify(record) };
  try {
    for (;;) {
      const called = await Promise.all([
        isRefused(client, '/apis/coordination.k8s.io/v1/namespaces/default/leases', {
          metadata: { name },
          spec: record,
        }),
        isRefused(client, '/api/v1/namespaces/default/configmaps', { metadata: { name, annotations } }),
      ]);
      if (guard.readiness.ready && called.every((each) => each)) return;
      if (deadline.aborted)
        throw new Error(`not called, or not ready: ${JSON.stringify(guard.readiness.states())}`);
      await sleep(pollMs);
    }
  } finally {
    client.close();
  }
}

async function isRefused(client: KubeClient, path: string, body: object): Promise<boolean> {
  const failure = await failureOf(client.request({ method: 'POST', path, query: { dryRun: 'All' }, body }));
  return failure?.message.includes('[lockwarden S1 StaleRenewTime') === true;
}
