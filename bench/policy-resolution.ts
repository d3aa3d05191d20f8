/**
 * What it costs to find out what holds for one lock: `node bench/policy-resolution.ts [policies] [namespaces]`. Default: 5,000 policies
 * over 1,000 namespaces, among them a hundred of the cluster. `cold`: the first time after a change, with nothing remembered of the
 * namespace; `warm`: the namespace is known, the lock is not; `again`: what a decision costs nearly always; `all`: every policy looked at for
 * the lock, as without the store.
 */
import type { LockRef } from '../src/core/lock.ts';
import type { Policy } from '../src/policy/policy.ts';
import { resolve } from '../src/policy/resolve.ts';
import { PolicyStore } from '../src/policy/store.ts';
import { median, quantile } from './support/figures.ts';
import { writeResult } from './support/result.ts';

const [policies = 5_000, namespaces = 1_000] = process.argv.slice(2).map(Number);
const ofCluster = Math.min(100, Math.floor(policies / 50));

const ownNamespace = 'lockwarden-system';
const store = new PolicyStore(ownNamespace);
const inForce: Policy[] = [];
for (let index = 0; index < namespaces; index += 1) {
  store.putNamespace(`team-${String(index)}`, {
    tier: index % 2 === 0 ? 'gold' : 'iron',
    team: `t${String(index % 50)}`,
  });
}
for (let index = 0; index < ofCluster; index += 1) {
  const match = {
    namespaces: [`team-${String(index)}*`],
    namespaceSelector: { matchLabels: { tier: 'gold' } },
  };
  put('ClusterLockPolicy', '', `cluster-${String(index)}`, { match, tolerance: '2s' });
}
for (let index = 0; index < policies - ofCluster; index += 1) {
  const namespace = `team-${String(index % namespaces)}`;
  const conditions = [{ name: 'named', expression: 'after.holder.startsWith(requester.pod)' }];
  put('LockPolicy', namespace, `p${String(index)}`, {
    match: { names: [`lock-${String(index % 7)}*`] },
    enforcement: 'Warn',
    conditions,
  });
}

function put(kind: 'LockPolicy' | 'ClusterLockPolicy', namespace: string, name: string, spec: object): void {
  const parsed = store.put({ ref: { kind, namespace, name }, generation: 1, spec });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  inForce.push(parsed.policy);
}

function lockOf(namespace: number, lock: number): LockRef {
  return { kind: 'Lease', namespace: `team-${String(namespace)}`, name: `lock-${String(lock)}` };
}

/** Times each call by itself, in microseconds. */
function timed(count: number, call: (index: number) => unknown): readonly number[] {
  const times: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const began = process.hrtime.bigint();
    call(index);
    times.push(Number(process.hrtime.bigint() - began) / 1_000);
  }
  return times;
}

interface Row {
  readonly what: string;
  readonly medianUs: number;
  readonly p99Us: number;
  readonly calls: number;
}

function report(what: string, times: readonly number[]): Row {
  const row = { what, medianUs: median(times), p99Us: quantile(times, 0.99), calls: times.length };
  process.stdout.write(
    `${what.padEnd(8)} median ${row.medianUs.toFixed(1)} us, p99 ${row.p99Us.toFixed(1)} us, of ${String(row.calls)}\n`,
  );
  return row;
}

process.stdout.write(`${String(policies)} policies, ${String(namespaces)} namespaces\n`);
// Before measuring, as often as a replica does within its first minutes.
for (let round = 0; round < 20; round += 1) {
  store.putNamespace('team-0', { round: String(round) });
  for (let index = 0; index < namespaces; index += 1) store.effectiveFor(lockOf(index, round % 7));
}
store.putNamespace('team-0', {});
const rows = [
  report(
    'cold',
    timed(namespaces, (index) => store.effectiveFor(lockOf(index, 0))),
  ),
  report(
    'warm',
    timed(namespaces * 6, (index) =>
      store.effectiveFor(lockOf(index % namespaces, 1 + Math.floor(index / namespaces))),
    ),
  ),
  report(
    'again',
    timed(namespaces * 7, (index) => store.effectiveFor(lockOf(index % namespaces, index % 7))),
  ),
  report(
    'all',
    timed(namespaces, (index) => {
      const lock = lockOf(index, 0);
      const namespaceLabels = store.labelsOf(lock.namespace);
      return resolve({ lock, namespaceLabels, policies: inForce, ownNamespace });
    }),
  ),
];
await writeResult('policy-resolution', { policies, namespaces, rows });
