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
import { parseArgs } from 'node:util';

import { createKubeClient, type KubeClient } from '../src/kube/client.ts';
import { loadKubeconfig } from '../src/kube/kubeconfig.ts';
import { ensureControlPlane } from '../src/sandbox/control-plane-binaries.ts';
import { startControlPlane } from '../src/sandbox/control-plane.ts';
import { guardLeaseName } from '../src/switch/policies.ts';
import { installSwitch, ownNamespace } from '../test/conformance/support/switch.ts';
import { microTime, Namespace, withSpec } from '../test/kube/support/cluster.ts';
import { auditOnly, untilLeftAlone } from './support/audit-only.ts';
import { median, quantile } from './support/figures.ts';
import { startControllerRuntime } from './support/peer.ts';
import { processNamed } from './support/processes.ts';
import { callFor, callNoMore } from './support/registration.ts';
import { writeResult } from './support/result.ts';
import { takeTurns, type Way } from './support/turns.ts';
import { leaseRenewals } from './support/writes.ts';

const { values: flags } = parseArgs({
  options: {
    renewals: { type: 'string', default: '4000' },
    kubeconfig: { type: 'string' },
    address: { type: 'string', default: '127.0.0.1' },
  },
});
const rounds = Math.ceil(Number(flags.renewals) / 100);
const ways = ['unguarded', 'switch', 'webhook'] as const;
type WayName = (typeof ways)[number];
const namespaceOf = (way: WayName): string => `bench-${way}`;

/** Where it is measured. */
interface Ground {
  readonly client: KubeClient;
  /** Once the namespaces are there: has the switch leave two of them alone. */
  prepare(): Promise<void>;
  /** Called every few hundred renewals of each kind. */
  keepAsleep(): Promise<void>;
  close(): Promise<void>;
}

const notGuarded = [namespaceOf('unguarded'), namespaceOf('webhook')];

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
  return {
    client,
    prepare: async () => {
      for (const namespace of notGuarded) await auditOnly(client, namespace);
      await untilLeftAlone(client, notGuarded);
    },
    keepAsleep: () => Promise.resolve(),
    close: async () => {
      await callNoMore(client);
      for (const way of ways)
        await client.request({ method: 'DELETE', path: `/api/v1/namespaces/${namespaceOf(way)}` });
      client.close();
    },
  };
}

const ground = flags.kubeconfig === undefined ? await startEmbedded() : openCluster(flags.kubeconfig);
const { client } = ground;
const webhook = await startControllerRuntime(flags.address);
try {
  const processes = { 'API server': await processNamed('kube-apiserver'), webhook: webhook.pid };
  const turns = new Map<WayName, Way>();
  for (const way of ways) {
    const namespace = await Namespace.create(client, namespaceOf(way));
    turns.set(way, { write: await leaseRenewals(namespace), processes });
  }
  await ground.prepare();
  await callFor(client, webhook, { namespace: namespaceOf('webhook'), resources: ['leases'] });
  const measured = await takeTurns(turns, { rounds, beforeRound: () => ground.keepAsleep() });
  const rows = [...measured].map(([way, { tookMs, cpuMs }]) => ({
    ...{ way, medianMs: median(tookMs), p99Ms: quantile(tookMs, 0.99) },
    cpuMs: Object.values(cpuMs).reduce((sum, each) => sum + each),
  }));
  for (const { way, medianMs, p99Ms, cpuMs } of rows) {
    process.stdout.write(
      `${way.padEnd(10)} median ${medianMs.toFixed(3)} ms, p99 ${p99Ms.toFixed(2)} ms, CPU ${cpuMs.toFixed(3)} ms\n`,
    );
  }
  for (const what of ['medianMs', 'cpuMs'] as const) {
    const of = (way: WayName): number => rows.find((row) => row.way === way)?.[what] ?? NaN;
    const added = { switch: of('switch') - of('unguarded'), webhook: of('webhook') - of('unguarded') };
    process.stdout.write(
      `${what.slice(0, -2).padEnd(6)} the switch adds ${added.switch.toFixed(3)} ms, a call ${added.webhook.toFixed(3)} ms: ${((100 * added.switch) / added.webhook).toFixed(0)} % of it\n`,
    );
  }
  await writeResult('switch', { rounds, rows });
} finally {
  await ground.close();
  await webhook.stop();
}
