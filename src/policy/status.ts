/** What is told about a policy in its status. Pure: what is known in, the status out. */
import { apiGroup, type PolicyStatus } from './api.ts';
import { describePolicy } from './policy-ref.ts';
import type { Conflict } from './effective.ts';
import type { StoredPolicy } from './store.ts';

/** What is known about a policy. */
export interface StatusFacts {
  readonly policy: StoredPolicy;
  readonly locksMatched: number;
  readonly rejections: number;
  /** Those that the policy is part of. */
  readonly conflicts: readonly Conflict[];
  /** How many of its locks are guarded by what while lockwarden is down, by a word for each. */
  readonly whileDown: Readonly<Partial<Record<string, number>>>;
}

type Conditions = NonNullable<PolicyStatus['conditions']>;
type Condition = Omit<Conditions[number], 'lastTransitionTime' | 'observedGeneration'>;

/** LIMIT: the first few conflicts tell where to look; a status is no report. */
const conflictsTold = 5;

/**
 * The status of a policy.
 *
 * @param before the status as it is; its conditions keep their times as long as they do not change
 * @param now RFC 3339, in whole seconds
 */
export function statusOf(facts: StatusFacts, before: PolicyStatus, now: string): PolicyStatus {
  const observedGeneration = facts.policy.generation;
  const conditions = [ready(facts), invalid(facts), conflicted(facts), standIn(facts)].map((condition) => {
    const known = before.conditions?.find(({ type }) => type === condition.type);
    const lastTransitionTime = known?.status === condition.status ? known.lastTransitionTime : now;
    return { ...condition, observedGeneration, lastTransitionTime };
  });
  const { locksMatched, rejections } = facts;
  return { observedGeneration, locksMatched, rejections, conditions };
}

function ready({ policy }: StatusFacts): Condition {
  const { inForce, faults } = policy;
  if (faults.length === 0)
    return { type: 'Ready', status: 'True', reason: 'InForce', message: 'the policy is in force' };
  return inForce === null
    ? {
        type: 'Ready',
        status: 'False',
        reason: 'Invalid',
        message: 'the policy has no say until it is corrected',
      }
    : {
        type: 'Ready',
        status: 'False',
        reason: 'LastGoodInForce',
        message: `generation ${String(inForce.generation)} stays in force until the policy is corrected`,
      };
}

function invalid({ policy: { faults } }: StatusFacts): Condition {
  if (faults.length === 0)
    return { type: 'Invalid', status: 'False', reason: 'Valid', message: 'nothing is wrong with it' };
  const message = faults.map(({ field, why }) => `${field}: ${why}`).join('; ');
  return { type: 'Invalid', status: 'True', reason: 'FieldInvalid', message };
}

function conflicted({ policy, conflicts }: StatusFacts): Condition {
  if (conflicts.length === 0) {
    return {
      type: 'Conflicted',
      status: 'False',
      reason: 'Undisputed',
      message: 'no equally specific policy disagrees',
    };
  }
  const self = describePolicy(policy.ref);
  const told = conflicts.slice(0, conflictsTold).map(({ field, between, winner }) => {
    const others = between.map(describePolicy).filter((each) => each !== self);
    return `${field}: ${others.join(', ')} is as specific and disagrees; what ${describePolicy(winner)} says holds`;
  });
  return { type: 'Conflicted', status: 'True', reason: 'EquallySpecific', message: told.join('; ') };
}

/** What guards the policy's locks while lockwarden is down; the reason is one word, where it is the same for all. */
function standIn({ whileDown }: StatusFacts): Condition {
  const counts = Object.entries(whileDown).sort(([a], [b]) => (a < b ? -1 : 1));
  const [first] = counts;
  const type = 'StandIn';
  if (first === undefined)
    return { type, status: 'Unknown', reason: 'NoLocks', message: 'there is no lock that the policy covers' };
  const reason = counts.length === 1 ? first[0] : 'Mixed';
  const status = 'Nothing' in whileDown ? 'False' : 'True';
  const each = counts.map(([word, locks]) => `${word} for ${String(locks)}`).join(', ');
  return { type, status, reason, message: `while lockwarden is down, its locks are guarded by: ${each}` };
}

/** Path of a policy's status. */
export function statusPath({ ref }: StoredPolicy): string {
  const api = `/apis/${apiGroup}/v1alpha1`;
  return ref.kind === 'LockPolicy'
    ? `${api}/namespaces/${ref.namespace}/lockpolicies/${ref.name}/status`
    : `${api}/clusterlockpolicies/${ref.name}/status`;
}
