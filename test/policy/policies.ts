/** Policies for tests. */
import type { ClusterLockPolicySpec, LockPolicySpec } from '../../src/policy/api.ts';
import { parsePolicy, type Policy } from '../../src/policy/policy.ts';

/** A policy of a namespace. */
export function local(namespace: string, name: string, spec: LockPolicySpec): Policy {
  return accepted({ kind: 'LockPolicy', namespace, name }, spec);
}

/** A policy of the cluster. */
export function cluster(name: string, spec: ClusterLockPolicySpec): Policy {
  return accepted({ kind: 'ClusterLockPolicy', namespace: '', name }, spec);
}

function accepted(ref: Policy['ref'], spec: unknown): Policy {
  const parsed = parsePolicy({ ref, generation: 1, spec });
  if (!parsed.ok) throw new Error(parsed.faults.map(({ field, why }) => `${field}: ${why}`).join('; '));
  return parsed.policy;
}
