/**
 * What an operator would write by hand against early takeovers: ValidatingAdmissionPolicies that compare the recorded times, since CEL has
 * no clock. What they miss (clients whose clocks differ, stamps, releases, deletions) is not the matter here.
 */
import type { KubeClient } from '../../src/kube/client.ts';
import { any, literal } from '../../src/kube/cel.ts';
import type { JsonObject } from '../../src/kube/json.ts';
import { leaderAnnotation, withRecord, type Namespace } from '../../test/kube/support/cluster.ts';
import { enforceIn } from './policy.ts';
import { untilRefused } from './refusal.ts';
import { recordOf } from './writes.ts';

const message = 'the lease has not run out';

interface HandWritten {
  readonly name: string;
  readonly group: string;
  readonly resource: 'leases' | 'configmaps';
  readonly matchConditions: readonly JsonObject[];
  readonly expression: string;
}

const ofLeases: HandWritten = {
  ...{ name: 'bench-leases', group: 'coordination.k8s.io', resource: 'leases', matchConditions: [] },
  expression: any(
    'object.spec.holderIdentity == oldObject.spec.holderIdentity',
    "timestamp(object.spec.renewTime) >= timestamp(oldObject.spec.renewTime) + duration(string(oldObject.spec.leaseDurationSeconds) + 's')",
  ),
};

const annotation = literal(leaderAnnotation);
/** What stands between two pieces of the record's text. */
const between = (variable: string, begin: string, end: string): string =>
  `${variable}.metadata.annotations[${annotation}].split(${literal(begin)})[1].split(${literal(end)})[0]`;
const holder = (variable: string): string => between(variable, '"holderIdentity":"', '"');
const renewTime = (variable: string): string => `timestamp(${between(variable, '"renewTime":"', '"')})`;
const carriesRecord = (variable: string): JsonObject => ({
  name: `${variable.toLowerCase()}-is-a-lock`,
  expression: `${annotation} in ${variable}.metadata.?annotations.orValue({})`,
});

const ofRecords: HandWritten = {
  ...{ name: 'bench-records', group: '', resource: 'configmaps' },
  matchConditions: ['oldObject', 'object'].map(carriesRecord),
  expression: any(
    `${holder('object')} == ${holder('oldObject')}`,
    `${renewTime('object')} >= ${renewTime('oldObject')} + duration(${between('oldObject', '"leaseDurationSeconds":', ',')} + 's')`,
  ),
};

/** Puts them in force in one namespace. */
export async function enforceByHand(client: KubeClient, namespace: string): Promise<void> {
  for (const policy of [ofLeases, ofRecords]) await enforceIn(client, namespace, policy.name, specOf(policy));
}

function specOf({ group, resource, matchConditions, expression }: HandWritten): JsonObject {
  return {
    failurePolicy: 'Fail',
    matchConstraints: {
      resourceRules: [
        { apiGroups: [group], apiVersions: ['v1'], operations: ['UPDATE'], resources: [resource] },
      ],
    },
    matchConditions: [...matchConditions],
    validations: [{ expression, message }],
  };
}

/** Resolves once they refuse that somebody takes a lock that has just been taken, a Lease or a record: by dry runs. */
export async function untilEnforcedByHand(namespace: Namespace): Promise<void> {
  const [held, taken] = [recordOf('a', 3_600, 0), recordOf('b', 3_600, 1)];
  await untilRefused(namespace, { plural: 'leases', held: { spec: held }, patch: { spec: taken } }, message);
  const record = (object: JsonObject): JsonObject => withRecord({}, JSON.stringify(object));
  const offence = { plural: 'configmaps', held: record(held), patch: record(taken) } as const;
  await untilRefused(namespace, offence, message);
}
