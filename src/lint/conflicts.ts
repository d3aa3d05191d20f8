/** Policies that are equally specific and disagree. */
import { describePolicy } from '../policy/policy-ref.ts';
import type { Conflict } from '../policy/effective.ts';
import { resolve } from '../policy/resolve.ts';
import type { Path } from '../yaml/places.ts';
import type { Remark } from './finding.ts';
import type { Subject, Surroundings } from './subject.ts';
import { sharedLocks, type Witness } from './witnesses.ts';

/** A remark about one of the policies. */
export interface Conflicting {
  readonly subject: Subject;
  readonly remark: Remark;
}

/** Disagreements among policies that may be equally specific: those of one namespace, or those of the cluster. */
export function* conflictRemarks(subjects: readonly Subject[], around: Surroundings): Generator<Conflicting> {
  for (const [index, a] of subjects.entries()) {
    for (const b of subjects.slice(index + 1)) yield* between(a, b, around);
  }
}

function* between(a: Subject, b: Subject, around: Surroundings): Generator<Conflicting> {
  const told = new Set<string>();
  for (const witness of sharedLocks(a, b, around)) {
    const policies = [a.policy, b.policy];
    const effective = resolve({ ...witness, policies, ownNamespace: around.ownNamespace });
    for (const conflict of effective?.conflicts ?? []) {
      if (told.has(conflict.field)) continue;
      told.add(conflict.field);
      const [winner, loser] = conflict.winner === a.policy.ref ? [a, b] : [b, a];
      yield { subject: loser, remark: remarkOn(loser, winner, conflict, witness) };
    }
  }
}

function remarkOn(loser: Subject, winner: Subject, { field }: Conflict, { lock }: Witness): Remark {
  const { file, placeOf } = winner.manifest;
  const place = `${file}:${String(placeOf(pathOf(field, winner)).line)}`;
  return {
    rule: 'ConflictingPolicies',
    path: pathOf(field, loser),
    message: `it disagrees about \`${field}\` with ${describePolicy(winner.policy.ref)} (${place}), which is equally specific and wins, for locks such as ${lock.kind.toLowerCase()}/${lock.name} in ${lock.namespace}`,
    suggestion: 'let one of the two match more narrowly, or say it in one only',
  };
}

/** Where a field stands: `rules[REASON]` is the entry with that reason. */
function pathOf(field: Conflict['field'], { spec }: Subject): Path {
  const [, reason] = /^rules\[(\w+)\]$/.exec(field) ?? [];
  if (reason === undefined) return ['spec', field];
  return ['spec', 'rules', (spec.rules ?? []).findIndex((rule) => rule.reason === reason)];
}
