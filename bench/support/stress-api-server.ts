/** bench/stress.ts: through an API server that asks lockwarden. */
import { setTimeout as sleep } from 'node:timers/promises';

import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { ensureControlPlane } from '../../src/sandbox/control-plane-binaries.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { startServe, untilCalled } from '../../test/conformance/support/serve-process.ts';
import { ownNamespace } from '../../test/conformance/support/switch.ts';
import { Namespace, withSpec } from '../../test/kube/support/cluster.ts';
import { createTestNamespace, type TestNamespace } from '../../test/support/identities.ts';
import { median, quantile } from './figures.ts';
import { pace, Renewals, Takeovers } from './lawful.ts';
import { describeOthers, othersOf } from './others.ts';
import { enforceIn } from './policy.ts';
import { apiServerAt, cpuSecondsOf } from './processes.ts';
import { productionFlags, productionVariables } from './production.ts';
import { fire, type Expected, type Load } from './vegeta.ts';
import { recordOf } from './writes.ts';

export interface ApiStress {
  readonly rounds: number;
  readonly seconds: number;
  /** Refusals a second that an API server of this machine gives with time to spare. */
  readonly rate: number;
}

/** Who refuses the attacker's writes, and how the API server says so. */
const refusals = {
  lockwarden: { thief: 'thief', expected: { status: 403, text: 'lockwarden' } },
  'a policy': { thief: 'refused-by-policy', expected: { status: 422, text: 'ValidatingAdmissionPolicy' } },
} as const satisfies Readonly<Record<string, { readonly thief: string; readonly expected: Expected }>>;
type Refuser = keyof typeof refusals;

interface Condition {
  /** null: there is no attacker. */
  readonly refuser: Refuser | null;
  /** null: as fast as it is refused. */
  readonly rate: number | null;
}

interface Phase extends Condition {
  readonly renewals: readonly number[];
  readonly takeovers: readonly number[];
  readonly refusedPerSecond: number;
  readonly refusedP99Ms: number;
  /** Processor time of the API server, a second. */
  readonly cpu: number;
}

/** LIMIT: as many at once as a client in a loop has with a few goroutines; more only wait in the API server. */
const attackerConnections = 8;
/** LIMIT: longer than any bench takes. */
const heldSeconds = 3_600;
const leadMs = 500;

/** The attacker's writes: to a lock that is held, and stays so. */
class Attacker {
  readonly #plane: ControlPlane;
  readonly #token: string;
  readonly #victim: Namespace;

  constructor(plane: ControlPlane, token: string, victim: Namespace) {
    this.#plane = plane;
    this.#token = token;
    this.#victim = victim;
  }

  async prepare(): Promise<void> {
    await this.#victim.post('leases', 'held', { spec: recordOf('owner', heldSeconds, 0) });
  }

  async load(refuser: Refuser, { seconds, rate }: Pick<Load, 'seconds' | 'rate'>): Promise<Load> {
    const { thief, expected } = refusals[refuser];
    const stolen = withSpec(await this.#victim.get('leases', 'held'), recordOf(thief, heldSeconds, 1));
    const url = `${this.#plane.server}${this.#victim.path('leases', 'held')}`;
    const headers = { Authorization: `Bearer ${this.#token}` };
    return {
      targets: [{ method: 'PUT', url, body: JSON.stringify(stolen), headers }],
      ...{ caPem: this.#plane.authority, connections: attackerConnections, seconds, rate, expected },
    };
  }
}

/** A policy in the API server that refuses one holder: what a refusal costs there without anybody being asked. */
async function refuseByPolicy(client: KubeClient, namespace: string): Promise<void> {
  const rule = { apiGroups: ['coordination.k8s.io'], apiVersions: ['v1'], resources: ['leases'] };
  const expression = `object.spec.?holderIdentity.orValue('') != '${refusals['a policy'].thief}'`;
  await enforceIn(client, namespace, 'bench-refuses', {
    failurePolicy: 'Fail',
    matchConstraints: { resourceRules: [{ ...rule, operations: ['UPDATE'] }] },
    validations: [{ expression, message: 'this holder is refused' }],
  });
  // An API server takes policies in within a second.
  await sleep(2_000);
}

export async function stressApiServer(stress: ApiStress): Promise<object> {
  const plane = await startControlPlane({ binaries: await ensureControlPlane({}) });
  try {
    const admin = createKubeClient(loadKubeconfig({ file: plane.kubeconfig }));
    await Namespace.create(admin, ownNamespace);
    // NB: a process by itself, as in a cluster; its flags come by the environment, since it is started by its command.
    const env = { ...productionVariables(), NODE_OPTIONS: productionFlags().join(' ') };
    await using serve = startServe({ kubeconfig: plane.kubeconfig, env });
    await serve.untilReady();
    await untilCalled(admin);
    const place = await createTestNamespace(plane.kubeconfig, 'stress');
    await refuseByPolicy(admin, place.name);
    const phases = await measure(plane, place, stress);
    admin.close();
    return report(phases);
  } finally {
    await plane.stop();
  }
}

async function measure(plane: ControlPlane, place: TestNamespace, stress: ApiStress): Promise<Phase[]> {
  for (const name of ['others', 'attacker']) await place.serviceAccount(name);
  const others = await place.unbound('others');
  const client = createKubeClient(loadKubeconfig({ file: others.kubeconfig }));
  const namespace = new Namespace(client, place.name);
  const [renewals, takeovers] = [new Renewals(namespace), new Takeovers(namespace)];
  const attacker = new Attacker(plane, (await place.unbound('attacker')).token, namespace);
  await attacker.prepare();
  await renewals.begin();
  await takeovers.begin();
  // All of them have to have run out.
  await sleep(3_000);
  const apiServer = await apiServerAt(plane.server);

  const phase = async ({ refuser, rate }: Condition, seconds: number): Promise<Phase> => {
    const besideSeconds = seconds + (2 * leadMs) / 1_000;
    const load = refuser === null ? null : await attacker.load(refuser, { seconds: besideSeconds, rate });
    const alongside = load === null ? null : fire(load);
    alongside?.catch(() => undefined);
    await sleep(leadMs);
    const before = await cpuSecondsOf(apiServer);
    const [renewed, taken] = await Promise.all([pace(renewals, seconds), pace(takeovers, seconds)]);
    const cpu = ((await cpuSecondsOf(apiServer)) - before) / seconds;
    const refused = (await alongside) ?? [];
    return {
      ...{ refuser, rate, renewals: renewed, takeovers: taken, cpu },
      refusedPerSecond: refused.length / besideSeconds,
      refusedP99Ms: quantile(refused, 0.99),
    };
  };

  const conditions: readonly Condition[] = [stress.rate, null].flatMap((rate) => [
    { refuser: null, rate: null },
    { refuser: 'lockwarden', rate },
    { refuser: 'a policy', rate },
  ]);
  for (const condition of conditions) await phase(condition, 1);
  const phases: Phase[] = [];
  for (let round = 0; round < stress.rounds; round += 1) {
    const order = round % 2 === 0 ? conditions : conditions.toReversed();
    for (const condition of order) phases.push(await phase(condition, stress.seconds));
  }
  client.close();
  return phases;
}

function report(phases: readonly Phase[]): object {
  const same = (one: Condition, other: Condition): boolean =>
    one.refuser === other.refuser && one.rate === other.rate;
  const kinds = phases.filter((phase, index) => phases.findIndex((each) => same(each, phase)) === index);
  const rows = kinds.map(({ refuser, rate }) => {
    const of = phases.filter((phase) => same(phase, { refuser, rate }));
    return {
      ...{ refuser, rate, ...othersOf(of) },
      refusedPerSecond: median(of.map((phase) => phase.refusedPerSecond)),
      refusedP99Ms: median(of.map((phase) => phase.refusedP99Ms)),
      cpu: median(of.map((phase) => phase.cpu)),
    };
  });
  const quiet = rows.find(({ refuser }) => refuser === null);
  for (const row of rows) {
    const who = row.refuser === null ? 'in the quiet' : `refused by ${row.refuser}`;
    process.stdout.write(
      `${who.padEnd(21)} ${row.refusedPerSecond.toFixed(0).padStart(4)}/s; ${describeOthers(row, quiet ?? row)}; CPU of the API server ${row.cpu.toFixed(2)}\n`,
    );
  }
  return { rows };
}
