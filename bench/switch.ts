/**
 * What the dead man's switch costs a renewal, beside what being called costs it: not guarded at all; under the switch, which is asleep; and
 * sent to a webhook of controller-runtime in a process of its own, which decodes both Leases and allows. Renewals take turns, in any
 * order, one by one for the time, and by the hundred for the CPU time of API server and webhook.
 *
 *   node bench/switch.ts                                       on an embedded control plane, with the webhook at 127.0.0.1
 *   node bench/switch.ts --kubeconfig FILE --address ADDRESS   on a cluster of this machine where lockwarden runs and nothing else is done, such
 *                                                              as `npm run kind:up` makes, with the webhook where that cluster reaches it
 *
 * `--renewals N`: of each kind, 4,000 unless told otherwise.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { createKubeClient, type KubeClient } from '../src/kube/client.ts';
import type { JsonObject } from '../src/kube/json.ts';
import { loadKubeconfig } from '../src/kube/kubeconfig.ts';
import { ensureControlPlane } from '../src/sandbox/control-plane-binaries.ts';
import { startControlPlane } from '../src/sandbox/control-plane.ts';
import { guardLeaseName, switchNames } from '../src/switch/policies.ts';
import { installSwitch, ownNamespace } from '../test/conformance/support/switch.ts';
import { microTime, Namespace, withSpec } from '../test/kube/support/cluster.ts';
import { cpuSecondsOf, processNamed } from './support/processes.ts';
import { median, quantile } from './support/figures.ts';
import { inAnyOrder } from './support/order.ts';
import { startControllerRuntime } from './support/peer.ts';

const { values: flags } = parseArgs({
  options: {
    renewals: { type: 'string', default: '4000' },
    kubeconfig: { type: 'string' },
    address: { type: 'string', default: '127.0.0.1' },
  },
});
const renewals = Number(flags.renewals);
const rounds = Math.ceil(renewals / 100);
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

const webhookName = 'lockwarden-bench';
const webhookConfigurations = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';

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
  const body = { metadata: { name: webhookName }, webhooks: [webhook] };
  await client.request({ method: 'POST', path: webhookConfigurations, body });
}

/** Where it is measured. */
interface Ground {
  readonly client: KubeClient;
  /** Once the namespaces are there: has the switch leave two of them alone. */
  prepare(): Promise<void>;
  /** Called every few hundred renewals. */
  keepAsleep(): Promise<void>;
  close(): Promise<void>;
}

const notGuarded = ['bench-unguarded', 'bench-webhook'];

/** A control plane where nothing but the switch is. */
async function startEmbedded(): Promise<Ground> {
  const binaries = await ensureControlPlane({ env: process.env, progress: () => undefined });
  const controlPlane = await startControlPlane({ binaries });
  const client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  const own = new Namespace(client, ownNamespace);
  return {
    client,
    prepare: async () => {
      const terms = {
        ...{ toleranceMs: 1_000, names: null, excludeNames: [], shortening: true, stamps: true },
        exempt: { usernames: [], groups: [] },
      };
      const unguarded = [...notGuarded, 'kube-system', ownNamespace];
      await installSwitch(client, { unguarded, others: terms, classes: [] });
    },
    // As a replica does on each proof that it is asked.
    keepAsleep: async () => {
      await own.put('leases', guardLeaseName, (object) => withSpec(object, { renewTime: microTime() }));
    },
    close: async () => {
      client.close();
      await controlPlane.stop();
    },
  };
}

/** A cluster where lockwarden itself keeps the switch and the guard Lease. */
function openCluster(file: string): Ground {
  const client = createKubeClient(loadKubeconfig({ file }));
  const spec = { enforcement: 'Audit' };
  return {
    client,
    prepare: async () => {
      for (const namespace of notGuarded) {
        const path = `/apis/lockwarden.dev/v1alpha1/namespaces/${namespace}/lockpolicies`;
        const body = {
          apiVersion: 'lockwarden.dev/v1alpha1',
          kind: 'LockPolicy',
          metadata: { name: 'a' },
          spec,
        };
        await client.request({ method: 'POST', path, body });
      }
      await untilLeftAlone(client);
    },
    keepAsleep: () => Promise.resolve(),
    close: async () => {
      await client.request({ method: 'DELETE', path: `${webhookConfigurations}/${webhookName}` });
      for (const way of ways)
        await client.request({ method: 'DELETE', path: `/api/v1/namespaces/bench-${way}` });
      client.close();
    },
  };
}

/** The leader has taken the policies in. */
async function untilLeftAlone(client: KubeClient): Promise<void> {
  const path = `/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/${switchNames.locks}`;
  const deadline = AbortSignal.timeout(30_000);
  for (;;) {
    const { body } = await client.request({ method: 'GET', path });
    if (notGuarded.every((namespace) => JSON.stringify(body).includes(`"${namespace}"`))) break;
    if (deadline.aborted) throw new Error('the switch does not follow the policies');
    await sleep(500);
  }
  // An API server takes policies in within a second.
  await sleep(2_000);
}

const ground = flags.kubeconfig === undefined ? await startEmbedded() : openCluster(flags.kubeconfig);
const { client } = ground;
const webhook = await startControllerRuntime(flags.address);
try {
  const leases = new Map(ways.map((way) => [way, new Renewed(client, way)]));
  for (const lease of leases.values()) await lease.create();
  await ground.prepare();
  await callFor(client, webhook.url, webhook.caPem);
  const renew = async (way: Way): Promise<number> => (await leases.get(way)?.renew()) ?? NaN;
  const took: Record<Way, number[]> = { unguarded: [], switch: [], webhook: [] };
  const spent: Record<Way, number> = { unguarded: 0, switch: 0, webhook: 0 };
  const servers = [await processNamed('kube-apiserver'), webhook.pid];
  const spentSoFar = async (): Promise<number> =>
    (await Promise.all(servers.map(cpuSecondsOf))).reduce((sum, each) => sum + each);
  for (let round = -4; round < rounds; round += 1) {
    await ground.keepAsleep();
    for (let index = 0; index < 100; index += 1) {
      for (const way of inAnyOrder(ways)) {
        const oneTook = await renew(way);
        if (round >= 0) took[way].push(oneTook);
      }
    }
    for (const way of inAnyOrder(ways)) {
      const before = await spentSoFar();
      for (let index = 0; index < 100; index += 1) await renew(way);
      if (round >= 0) spent[way] += (await spentSoFar()) - before;
    }
  }
  const time = (way: Way): number => median(took[way]);
  const cpu = (way: Way): number => (spent[way] * 1_000) / (100 * rounds);
  for (const way of ways) {
    process.stdout.write(
      `${way.padEnd(10)} median ${time(way).toFixed(3)} ms, p99 ${quantile(took[way], 0.99).toFixed(2)} ms, CPU ${cpu(way).toFixed(3)} ms\n`,
    );
  }
  for (const [what, of] of Object.entries({ time, CPU: cpu })) {
    const added = { switch: of('switch') - of('unguarded'), webhook: of('webhook') - of('unguarded') };
    process.stdout.write(
      `${what.padEnd(4)} the switch adds ${added.switch.toFixed(3)} ms, a call ${added.webhook.toFixed(3)} ms: ${((100 * added.switch) / added.webhook).toFixed(0)} % of it\n`,
    );
  }
} finally {
  await ground.close();
  await webhook.stop();
}
