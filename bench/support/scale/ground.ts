/** Where growth is measured: a control plane of one's own, a way to it that can be cut, and lockwarden on that way. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { createKubeClient, type KubeClient } from '../../../src/kube/client.ts';
import { loadKubeconfig } from '../../../src/kube/kubeconfig.ts';
import { ensureControlPlane } from '../../../src/sandbox/control-plane-binaries.ts';
import { startControlPlane, type ControlPlane } from '../../../src/sandbox/control-plane.ts';
import { freePorts } from '../../../src/sandbox/free-port.ts';
import { usesIn } from '../../../test/conformance/support/rights.ts';
import { inspectable } from '../../../test/conformance/support/heap.ts';
import { ownNamespace } from '../../../test/conformance/support/switch.ts';
import { failureOf, Namespace } from '../../../test/kube/support/cluster.ts';
import { installCrds } from '../planes.ts';
import { metricOf, startReplica, type Replica } from '../replica.ts';
import { namespaces } from './locks.ts';
import { startMeteredProxy, type MeteredProxy } from './proxy.ts';

/** Records each list and each watch of whoever comes with the administrator's certificate, once: lockwarden's, since nothing else here makes any. */
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    users: [sandbox-admin]
    verbs: [watch]
    omitStages: [RequestReceived, ResponseComplete]
  - level: Metadata
    users: [sandbox-admin]
    verbs: [list]
  - level: None
`;

/** What lockwarden has asked the API server for so far. */
export interface Asked {
  readonly lists: number;
  readonly watches: number;
}

/** A lockwarden that is ready, and whose heap can be looked at. */
export interface Watched extends Replica {
  readonly inspectPort: number;
  /** From the start of the process until every Lease that there was had been listed. */
  readonly warmMs: number;
  /** What it had received of the API server by then. */
  readonly receivedKiB: number;
}

export class Ground {
  readonly client: KubeClient;
  readonly proxy: MeteredProxy;
  readonly #controlPlane: ControlPlane;
  readonly #files: { readonly kubeconfig: string; readonly policyFile: string };

  private constructor(
    controlPlane: ControlPlane,
    proxy: MeteredProxy,
    files: { readonly kubeconfig: string; readonly policyFile: string },
  ) {
    this.#controlPlane = controlPlane;
    this.#files = files;
    this.proxy = proxy;
    this.client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  }

  /** With namespaces for locks, and the kinds of policies. */
  static async open(): Promise<Ground> {
    const binaries = await ensureControlPlane({ env: process.env, progress: () => undefined });
    const policyFile = join(tmpdir(), `lockwarden-scale-${String(process.pid)}.yaml`);
    await writeFile(policyFile, auditPolicy);
    const flags = [`--audit-policy-file=${policyFile}`];
    const controlPlane = await startControlPlane({ binaries, audit: true, apiserverFlags: flags });
    const proxy = await startMeteredProxy(controlPlane.server);
    const kubeconfig = join(dirname(controlPlane.kubeconfig), 'proxied-kubeconfig');
    const text = await readFile(controlPlane.kubeconfig, 'utf8');
    await writeFile(kubeconfig, text.replaceAll(controlPlane.server, proxy.url), { mode: 0o600 });
    const ground = new Ground(controlPlane, proxy, { kubeconfig, policyFile });
    for (const name of [ownNamespace, ...namespaces]) await Namespace.create(ground.client, name);
    await ground.#installCrds();
    return ground;
  }

  /** A lockwarden that is alone, as `serve --webhook-url` has it: it is ready once it is registered. */
  async start(): Promise<Watched> {
    const [inspectPort = 0] = await freePorts(1);
    const [begunMs, received] = [performance.now(), this.proxy.received];
    const replica = await startReplica({
      ...{ name: 'bench', kubeconfig: this.#files.kubeconfig, leaderElect: false },
      nodeFlags: inspectable(inspectPort),
    });
    // Ready means warm, unless the lists take so long that it goes on without them.
    let warmMs = replica.readyMs;
    while ((await metricOf(replica, 'lockwarden_watch_connected', 'kind="Lease"')) !== 1) {
      await sleep(20);
      warmMs = performance.now() - begunMs;
    }
    return { ...replica, inspectPort, warmMs, receivedKiB: (this.proxy.received - received) / 1_024 };
  }

  async asked(): Promise<Asked> {
    const uses = await usesIn(this.#controlPlane.auditLog ?? '');
    const count = (verb: string): number => uses.filter((each) => each.verb === verb).length;
    return { lists: count('list'), watches: count('watch') };
  }

  /** The API server crashes and comes back, with nothing in memory. Resolves once it is ready. */
  async restartApiserver(): Promise<void> {
    await this.#controlPlane.apiserver.kill();
    await this.#controlPlane.apiserver.start();
  }

  async close(): Promise<void> {
    this.client.close();
    await this.proxy.close();
    await this.#controlPlane.stop();
    await rm(this.#files.policyFile);
  }

  async #installCrds(): Promise<void> {
    await installCrds(this.client);
    for (const plural of ['lockpolicies', 'clusterlockpolicies']) {
      const path = `/apis/lockwarden.dev/v1alpha1/${plural}`;
      while ((await failureOf(this.client.request({ method: 'GET', path }))) !== null) await sleep(100);
    }
  }
}
