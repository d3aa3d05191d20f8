/** Control planes to measure on: one of which lockwarden knows nothing, and one with all that production has of it. */
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { ensureControlPlane } from '../../src/sandbox/control-plane-binaries.ts';
import { startControlPlane } from '../../src/sandbox/control-plane.ts';
import { Applier, objectsOf } from '../../test/conformance/support/manifests.ts';
import {
  startServe,
  sumOf,
  untilCalled,
  type ServeProcess,
} from '../../test/conformance/support/serve-process.ts';
import { ownNamespace } from '../../test/conformance/support/switch.ts';
import { Namespace, textOf } from '../../test/kube/support/cluster.ts';
import { auditOnly, untilLeftAlone } from './audit-only.ts';
import { apiServerAt } from './processes.ts';

/** A control plane. */
export interface Plane {
  readonly client: KubeClient;
  readonly kubeconfig: string;
  /** Process ID of its API server. */
  readonly pid: number;
  /** What the API server has counted until now. */
  counts(): Promise<Counts>;
  stop(): Promise<void>;
}

/** Sums of the samples of a metric that have some labels; 0 where there is none. */
export type Counts = (metric: string, labels: Readonly<Record<string, string>>) => number;

export async function startPlane(): Promise<Plane> {
  const binaries = await ensureControlPlane({ env: process.env, progress: () => undefined });
  const controlPlane = await startControlPlane({ binaries });
  const { kubeconfig, server } = controlPlane;
  const config = loadKubeconfig({ file: kubeconfig });
  const client = createKubeClient(config);
  return {
    client,
    kubeconfig,
    pid: await apiServerAt(server),
    counts: async () => {
      const text = await textOf(config, '/metrics');
      return (metric, labels) => sumOf(text, metric, labels) ?? 0;
    },
    stop: async () => {
      client.close();
      await controlPlane.stop();
    },
  };
}

/**
 * Starts `lockwarden serve` in a process of its own, with its registration, its policies' kinds and the dead man's switch, and resolves once
 * the switch sleeps and leaves `unswitched` alone, a namespace that is there.
 */
export async function startGuardOf({ client, kubeconfig }: Plane, unswitched: string): Promise<ServeProcess> {
  await Namespace.create(client, ownNamespace);
  await installCrds(client);
  await auditOnly(client, unswitched);
  const lockwarden = startServe({ kubeconfig });
  try {
    await untilCalled(client);
    await lockwarden.untilLine('switch asleep');
    await untilLeftAlone(client, [unswitched]);
  } catch (error) {
    await lockwarden.kill();
    throw error;
  }
  return lockwarden;
}

/** The kinds of policies. An API server serves them a moment later. */
export async function installCrds(client: KubeClient): Promise<void> {
  const applier = new Applier(client);
  for (const crd of await objectsOf('crds')) await applier.apply(crd);
}
