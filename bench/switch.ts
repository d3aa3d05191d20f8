/**
 * What the dead man's switch costs a renewal, beside what being called costs it: `node bench/switch.ts [renewals]`. Default: 4,000 of each
 * kind, in rounds that take turns, on an embedded control plane: not guarded at all; under the switch, which is asleep; and sent to
 * a webhook of controller-runtime in a process of its own, which decodes both Leases and allows. On the same machine, so a call has no
 * network to cross: the least that any costs.
 */
import { createKubeClient, type KubeClient } from '../src/kube/client.ts';
import type { JsonObject } from '../src/kube/json.ts';
import { loadKubeconfig } from '../src/kube/kubeconfig.ts';
import { ensureControlPlane } from '../src/sandbox/control-plane-binaries.ts';
import { startControlPlane } from '../src/sandbox/control-plane.ts';
import { guardLeaseName } from '../src/switch/policies.ts';
import { installSwitch } from '../test/conformance/support/switch.ts';
import { microTime, Namespace, withSpec } from '../test/kube/support/cluster.ts';
import { apiserverCpuSeconds, cpuSecondsOf } from './support/cpu.ts';
import { median, quantile } from './support/figures.ts';
import { startControllerRuntime } from './support/peer.ts';

const [renewals = 4_000] = process.argv.slice(2).map(Number);
const rounds = 40;
const ways = ['unguarded', 'switch', 'webhook'] as const;
type Way = (typeof ways)[number];

/** A Lease that is renewed as client-go renews one: the whole object, by the version that the last answer had. */
class Renewed {
  readonly #namespace: Namespace;
  #object: JsonObject = {};

  constructor(client: KubeClient, way: Way) {
    this.#namespace = new Namespace(client, `bench-${way}`);
  }

  async create(): Promise<void> {
    await Namespace.create(this.#namespace.client, this.#namespace.name);
    const spec = {
      holderIdentity: 'a',
      leaseDurationSeconds: 15,
      renewTime: microTime(),
      leaseTransitions: 0,
    };
    this.#object = await this.#namespace.post('leases', 'lock', { spec });
  }

  /** Resolves to what it took, in milliseconds. */
  async renew(): Promise<number> {
    const body = withSpec(this.#object, { renewTime: microTime() });
    const began = performance.now();
    this.#object = await this.#namespace.putWhole('leases', 'lock', body);
    return performance.now() - began;
  }
}

async function callFor(client: KubeClient, url: string, caBundle: string): Promise<void> {
  const webhook = {
    name: 'bench.lockwarden.dev',
    clientConfig: { url, caBundle: btoa(caBundle) },
    rules: [
      {
        apiGroups: ['coordination.k8s.io'],
        apiVersions: ['v1'],
        operations: ['UPDATE'],
        resources: ['leases'],
      },
    ],
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'bench-webhook' } },
    ...{ sideEffects: 'None', admissionReviewVersions: ['v1'], failurePolicy: 'Fail', timeoutSeconds: 2 },
  };
  const path = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
  await client.request({ method: 'POST', path, body: { metadata: { name: 'bench' }, webhooks: [webhook] } });
}

/** Renews the guard Lease as a replica does, so that the switch sleeps. */
async function keepAsleep(own: Namespace): Promise<void> {
  await own.put('leases', guardLeaseName, (object) => withSpec(object, { renewTime: microTime() }));
}

const binaries = await ensureControlPlane({ env: process.env, progress: () => undefined });
const controlPlane = await startControlPlane({ binaries });
const client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
const webhook = await startControllerRuntime();
try {
  const terms = {
    toleranceMs: 1_000,
    names: null,
    excludeNames: [],
    exempt: { usernames: [], groups: [] },
    shortening: true,
    stamps: true,
  };
  const unguarded = ['bench-unguarded', 'bench-webhook', 'kube-system', 'lockwarden-system'];
  const own = await installSwitch(client, { unguarded, others: terms, classes: [] });
  await callFor(client, webhook.url, webhook.caPem);
  const leases = new Map(ways.map((way) => [way, new Renewed(client, way)]));
  for (const lease of leases.values()) await lease.create();
  const took: Record<Way, number[]> = { unguarded: [], switch: [], webhook: [] };
  /** CPU seconds of API server and webhook together. */
  const spent: Record<Way, number> = { unguarded: 0, switch: 0, webhook: 0 };
  const spentSoFar = async (): Promise<number> =>
    (await apiserverCpuSeconds(client)) + (await cpuSecondsOf(webhook.pid));
  for (let round = -4; round < rounds; round += 1) {
    await keepAsleep(own);
    for (const way of ways) {
      const before = await spentSoFar();
      for (let index = 0; index < renewals / rounds; index += 1) {
        const oneTook = (await leases.get(way)?.renew()) ?? NaN;
        if (round >= 0) took[way].push(oneTook);
      }
      if (round >= 0) spent[way] += (await spentSoFar()) - before;
    }
  }
  for (const way of ways) {
    process.stdout.write(
      `${way.padEnd(10)} median ${median(took[way]).toFixed(3)} ms, p99 ${quantile(took[way], 0.99).toFixed(2)} ms, CPU ${((spent[way] * 1_000) / renewals).toFixed(3)} ms\n`,
    );
  }
  const share = (of: (way: Way) => number): string => {
    const added = { switch: of('switch') - of('unguarded'), webhook: of('webhook') - of('unguarded') };
    return `the switch adds ${added.switch.toFixed(3)} ms, a call ${added.webhook.toFixed(3)} ms: ${((100 * added.switch) / added.webhook).toFixed(0)} % of it`;
  };
  process.stdout.write(`time: ${share((way) => median(took[way]))}\n`);
  process.stdout.write(`CPU:  ${share((way) => (spent[way] * 1_000) / renewals)}\n`);
} finally {
  client.close();
  await webhook.stop();
  await controlPlane.stop();
}
