/**
 * What lockwarden adds to a write through the API server, in time and in CPU time of API server and webhook, beside what others add: a
 * policy that an operator would write by hand (ValidatingAdmissionPolicy), and a webhook of controller-runtime that decodes both objects,
 * allows, and is called for every update.
 *
 *   node bench/api-server.ts [--rounds N] [--only TEXT]     10 rounds unless told otherwise: 5 to 6 minutes; `--only renewal`: what has
 *                                                           that in its name
 *
 * Renewals of a Lease, takeovers of one that has run out, renewals of a lock in a ConfigMap, and writes of ConfigMaps that are no locks, of
 * 1, 100 and 900 KiB of which a small entry changes. One by one, the ways in any order, for the time; and in rows for the CPU time.
 *
 * lockwarden is `lockwarden serve` in a process of its own on an embedded control plane, registered as in production but by a URL, since
 * there is no Service without a network. All ways but `nothing` are namespaces of this one cluster, because what two API servers take for
 * the same write differs by more than what is looked for. lockwarden keeps its registration as it wants it, so `beside`, `policy` and
 * `controller-runtime` are in the three namespaces that it leaves out by itself (src/policy/built-in.ts): the API server is done with its
 * entries there after looking at the name, and has no object converted for them. What an entry costs is the difference to `beside`.
 * `nothing` is a second control plane without lockwarden, to show what it costs by being there: its watches.
 *
 * `conditional` is controller-runtime behind the match conditions of lockwarden's entry: what a webhook costs that spares renewals as lockwarden
 * does. Its Leases have a label, in the namespace of `beside`.
 *
 * `webhook` is lockwarden without the dead man's switch (a policy that only records, which the switch leaves alone; the webhook is called as
 * ever); `lockwarden` is both, as installed. `no locks` is a namespace of which no ConfigMap is a lock.
 */
import { parseArgs } from 'node:util';

import { objectAt, type JsonObject } from '../src/kube/json.ts';
import type { ServeProcess } from '../test/conformance/support/serve-process.ts';
import { microTime, Namespace, withRecord, type Plural } from '../test/kube/support/cluster.ts';
import { askedBetween, askedSoFar, type Asked } from './support/asked.ts';
import { median, quantile } from './support/figures.ts';
import { enforceByHand, untilEnforcedByHand } from './support/hand-written.ts';
import { operations, type Operation, type WayName } from './support/operations.ts';
import { startControllerRuntime, type Peer } from './support/peer.ts';
import { startGuardOf, startPlane, type Plane } from './support/planes.ts';
import { untilRefused } from './support/refusal.ts';
import { callBehindConditions, callFor } from './support/registration.ts';
import { writeResult } from './support/result.ts';
import { takeTurns, type Measured, type Way } from './support/turns.ts';
import { recordOf } from './support/writes.ts';

const { values: flags } = parseArgs({
  options: { rounds: { type: 'string', default: '10' }, only: { type: 'string', default: '' } },
});
const rounds = Number(flags.rounds);
const chosen = operations.filter(({ name }) => name.includes(flags.only));

const namespaceOf: Readonly<Record<WayName, string>> = {
  nothing: 'bench-nothing',
  beside: 'longhorn-system',
  policy: 'kube-public',
  'controller-runtime': 'kube-node-lease',
  conditional: 'longhorn-system',
  webhook: 'bench-webhook',
  lockwarden: 'bench-lockwarden',
  'no locks': 'bench-no-locks',
};

const conditionalLabels = { 'bench.lockwarden.dev/conditional': 'true' };

/** A namespace in which everything that is made is labelled so, and named so as well: it is made beside others. */
class Labelling extends Namespace {
  override object(plural: Plural, name: string, rest: JsonObject): JsonObject {
    const metadata = { ...objectAt(rest, 'metadata'), labels: conditionalLabels };
    return super.object(plural, `conditional-${name}`, { ...rest, metadata });
  }

  override path(plural: Plural, name: string): string {
    return super.path(plural, `conditional-${name}`);
  }
}

/** Where it is measured. */
interface Ground {
  readonly bare: Plane;
  readonly guarded: Plane;
  readonly lockwarden: ServeProcess;
  readonly peer: Peer;
}

/** What one way of an operation came to. Milliseconds. */
interface Row {
  readonly way: WayName;
  readonly medianMs: number;
  readonly p99Ms: number;
  /** CPU time for each write, by process. */
  readonly cpuMs: Readonly<Record<string, number>>;
  readonly samples: number;
}

/** Puts everything in place. Each namespace is there before anybody looks at it. */
async function prepare({ bare, guarded, peer }: Omit<Ground, 'lockwarden'>): Promise<ServeProcess> {
  await Namespace.create(bare.client, namespaceOf.nothing);
  const { client } = guarded;
  for (const way of ['beside', 'webhook', 'lockwarden', 'no locks'] as const)
    await Namespace.create(client, namespaceOf[way]);
  const called = {
    namespace: namespaceOf['controller-runtime'],
    resources: ['leases', 'configmaps'],
  } as const;
  await callFor(client, peer, called);
  await enforceByHand(client, namespaceOf.policy);
  const record = { holderIdentity: 'a', leaseDurationSeconds: 15, renewTime: microTime() };
  const lock = withRecord({}, JSON.stringify(record));
  await new Namespace(client, namespaceOf.lockwarden).post('configmaps', 'a-lock', lock);
  const lockwarden = await startGuardOf(guarded, namespaceOf.webhook);
  const conditional = { namespace: namespaceOf.conditional, labels: conditionalLabels };
  await callBehindConditions(client, peer, conditional);
  await untilEnforcedByHand(new Namespace(client, namespaceOf.policy));
  // The switch keeps the evidence whether it sleeps or not, and is asked before webhooks are.
  const strip = {
    plural: 'leases',
    held: { spec: recordOf('a', 3_600, 0) },
    patch: { spec: { renewTime: null } },
  } as const;
  await untilRefused(new Namespace(client, namespaceOf.lockwarden), strip, 'StrippedTiming, switch]');
  return lockwarden;
}

async function waysOf(operation: Operation, ground: Ground): Promise<ReadonlyMap<WayName, Way>> {
  const { bare, guarded, lockwarden, peer } = ground;
  const ways = new Map<WayName, Way>();
  for (const way of operation.ways) {
    const plane = way === 'nothing' ? bare : guarded;
    const Kind = way === 'conditional' ? Labelling : Namespace;
    const write = await operation.start(new Kind(plane.client, namespaceOf[way]));
    const processes = {
      'API server': plane.pid,
      ...(way === 'nothing' ? {} : { lockwarden: lockwarden.pid }),
      ...(way === 'controller-runtime' || way === 'conditional' ? { 'controller-runtime': peer.pid } : {}),
    };
    ways.set(way, { write, processes });
  }
  return ways;
}

/** What is wrong where somebody was asked who should not have been, or the other way round. */
function faultsOf(operation: Operation, writes: (way: WayName) => number, asked: Asked): readonly string[] {
  const expected: Partial<Asked> = { ...operation.asks(writes), failedOpen: 0, notPlain: 0 };
  const counted = new Map<string, number>(Object.entries(asked));
  return Object.entries(expected)
    .filter(([what, count]) => counted.get(what) !== count)
    .map(
      ([what, count]) =>
        `${operation.name}: \`${what}\` has to be ${String(count)}, and is ${String(counted.get(what))}`,
    );
}

/** What came of an operation. */
interface Outcome {
  readonly rows: readonly Row[];
  readonly asked: Asked;
  readonly faults: readonly string[];
}

async function measure(operation: Operation, ground: Ground): Promise<Outcome> {
  const ways = await waysOf(operation, ground);
  const before = await askedSoFar(ground.guarded, ground.lockwarden);
  const measured = await takeTurns(ways, {
    rounds: Math.ceil(rounds * operation.share),
    ...{ perRound: operation.perRound, warmUp: 1, settleMs: operation.settleMs },
  });
  const asked = askedBetween(before, await askedSoFar(ground.guarded, ground.lockwarden));
  const faults = faultsOf(operation, (way) => measured.get(way)?.writes ?? 0, asked);
  return { rows: [...measured].map(([way, each]) => rowOf(way, each)), asked, faults };
}

function rowOf(way: WayName, { tookMs, cpuMs }: Measured): Row {
  return { way, medianMs: median(tookMs), p99Ms: quantile(tookMs, 0.99), cpuMs, samples: tookMs.length };
}

const allOf = ({ cpuMs }: Row): number => Object.values(cpuMs).reduce((sum, each) => sum + each, 0);

/** What is said of a row beside others. */
const measures = {
  time: ({ medianMs }: Row) => medianMs,
  'CPU of the API server': ({ cpuMs }: Row) => cpuMs['API server'] ?? NaN,
  'CPU of all': allOf,
};

/** What each way adds to `beside`, by measure, in milliseconds. */
function addedIn(rows: readonly Row[]): Readonly<Record<string, Readonly<Record<string, number>>>> {
  const beside = rows.find(({ way }) => way === 'beside');
  if (beside === undefined) throw new Error('there is nothing to measure beside');
  return Object.fromEntries(
    Object.entries(measures).map(([measure, of]) => [
      measure,
      Object.fromEntries(rows.filter((row) => row !== beside).map((row) => [row.way, of(row) - of(beside)])),
    ]),
  );
}

function print({ name, target }: Operation, rows: readonly Row[], asked: Asked): void {
  const line = (text: string): unknown => process.stdout.write(`${text}\n`);
  line(name);
  for (const { way, medianMs, p99Ms, cpuMs } of rows) {
    const cpu = Object.entries(cpuMs).map(([process, ms]) => `${process} ${ms.toFixed(3)}`);
    line(
      `  ${way.padEnd(18)} median ${medianMs.toFixed(3)} ms, p99 ${p99Ms.toFixed(2)} ms, CPU ms: ${cpu.join(', ')}`,
    );
  }
  for (const [measure, added] of Object.entries(addedIn(rows))) {
    const ofPeer = added['controller-runtime'] ?? NaN;
    const others = Object.entries(added).filter(([way]) => way !== 'nothing' && way !== 'controller-runtime');
    const parts = others.map(
      ([way, ms]) => `${way} ${ms.toFixed(3)} (${((100 * ms) / ofPeer).toFixed(0)} %)`,
    );
    const aim =
      target === null || measure !== 'time' ? '' : `; target for lockwarden: ${String(100 * target)} %`;
    line(`  ${measure} added, ms: controller-runtime ${ofPeer.toFixed(3)}; ${parts.join(', ')}${aim}`);
  }
  line(
    `  asked: controller-runtime ${String(asked.peer)}, behind conditions ${String(asked.conditional)}, lockwarden ${String(asked.leases + asked.records)}; passed by match conditions ${String(asked.leasesPassed + asked.recordsPassed)}; told others ${String(asked.told)}`,
  );
}

const bare = await startPlane();
const guarded = await startPlane();
const peer = await startControllerRuntime();
let lockwarden: ServeProcess | null = null;
try {
  lockwarden = await prepare({ bare, guarded, peer });
  const results: object[] = [];
  const allFaults: string[] = [];
  for (const operation of chosen) {
    const { rows, asked, faults } = await measure(operation, { bare, guarded, lockwarden, peer });
    allFaults.push(...faults);
    print(operation, rows, asked);
    const { name, target } = operation;
    results.push({ operation: name, target, rows, addedMs: addedIn(rows), asked });
  }
  if (allFaults.length > 0) throw new Error(`something else was measured:\n${allFaults.join('\n')}`);
  await writeResult('api-server', { rounds, operations: results });
} finally {
  await lockwarden?.kill();
  await peer.stop();
  for (const plane of [bare, guarded]) await plane.stop();
}
