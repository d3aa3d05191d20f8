/** What policies of namespaces say in vain, because a floor of the cluster is higher. */
import type { Reason } from '../core/reasons.ts';
import type { Effective, Field } from '../policy/effective.ts';
import { resolve } from '../policy/resolve.ts';
import type { Path } from '../yaml/places.ts';
import type { Remark } from './finding.ts';
import type { Subject, Surroundings } from './subject.ts';
import { sharedLocks } from './witnesses.ts';

/** Remarks about a LockPolicy, under the policies of the cluster. */
export function* floorRemarks(
  local: Subject,
  clusterWide: readonly Subject[],
  around: Surroundings,
): Generator<Remark> {
  const told = new Set<string>();
  for (const cluster of clusterWide) {
    if (cluster.policy.floor === null) continue;
    for (const { lock, namespaceLabels } of sharedLocks(local, cluster, around)) {
      const policies = [cluster.policy, local.policy];
      const effective = resolve({ lock, namespaceLabels, policies, ownNamespace: around.ownNamespace });
      if (effective?.policies.length !== 2) continue;
      for (const remark of overruled(local, effective)) {
        if (told.has(remark.message)) continue;
        told.add(remark.message);
        yield remark;
      }
    }
  }
}

function* overruled(local: Subject, { settings, sources }: Effective): Generator<Remark> {
  const { enforcement, rules = [], tolerance, exempt } = local.spec;
  const byFloor = (field: Field): string | null => {
    const source = sources.get(field) ?? '';
    return source.startsWith('floor of ') ? `the ${source}` : null;
  };
  for (const [index, rule] of rules.entries()) {
    const by = byFloor(`rules[${rule.reason}]`);
    const becomes = settings.enforcement[rule.reason];
    if (by === null || becomes === rule.enforcement) continue;
    yield below(
      ['spec', 'rules', index],
      `\`${rule.enforcement}\` for ${rule.reason} does not hold: ${by} makes it \`${becomes}\``,
    );
  }
  if (enforcement !== undefined) yield* overruledCeiling(enforcement, local, settings.enforcement, byFloor);
  const toleranceFloor = byFloor('tolerance');
  if (tolerance !== undefined && toleranceFloor !== null) {
    yield below(
      ['spec', 'tolerance'],
      `\`${tolerance}\` does not hold: ${toleranceFloor} makes it \`${String(settings.toleranceMs / 1_000)}s\``,
    );
  }
  const exemptFloor = byFloor('exempt');
  if (exempt !== undefined && exemptFloor !== null) {
    yield below(['spec', 'exempt'], `nobody is exempt by it: ${exemptFloor} does not allow exemptions`);
  }
}

/** `enforcement` holds for all rules but those that the policy names; where a floor is higher, not for those either. */
function* overruledCeiling(
  enforcement: string,
  { spec: { rules = [] } }: Subject,
  effective: Readonly<Record<Reason, string>>,
  byFloor: (field: Field) => string | null,
): Generator<Remark> {
  const named = new Set<string>(rules.map(({ reason }) => reason));
  const raised = new Map<string, string[]>();
  for (const reason of Object.keys(effective) as Reason[]) {
    const by = byFloor(`rules[${reason}]`);
    if (by === null || named.has(reason)) continue;
    raised.set(by, [...(raised.get(by) ?? []), reason]);
  }
  for (const [by, reasons] of raised) {
    const [first = '', ...others] = reasons;
    const which = others.length === 0 ? first : `${first} and ${String(others.length)} more`;
    yield below(['spec', 'enforcement'], `\`${enforcement}\` does not hold for ${which}: ${by} is higher`);
  }
}

function below(path: Path, message: string): Remark {
  return { rule: 'BelowFloor', path, message, suggestion: 'remove it, or ask for a lower floor' };
}
