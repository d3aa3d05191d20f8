/**
 * The ValidatingAdmissionPolicies of the dead man's switch, and their bindings, as values. Two, whatever the number of policies:
 *
 *   lockwarden-switch  refuses what is certainly early, while the guard Lease has not been renewed; and keeps the evidence by which it
 *                      judges, always, since a strip leaves no time at which it was made
 *   lockwarden-guard   keeps the guard Lease from everybody but lockwarden
 *
 * One for all locks, because each policy that the API server has to match costs a renewal a tenth of a millisecond (bench/switch.ts),
 * most of it for putting both objects before CEL.
 *
 * SOURCE: https://github.com/kubernetes/api/blob/v0.36.3/admissionregistration/v1/types.go (ValidatingAdmissionPolicy)
 */
import type { Clause } from '../core/decision.ts';
import { apiServer, collectors } from '../core/identity.ts';
import { reasons, type Reason } from '../core/reasons.ts';
import { all, any, isNamed, literal, not } from '../kube/cel.ts';
import { objectAt, type JsonObject } from '../kube/json.ts';
import {
  isAsleep,
  isByAnother,
  isEarly,
  mayFalsify,
  mayJumpAhead,
  needsJudging,
  secondsLeft,
  stampVariables,
  switchVariables,
} from './expressions.ts';
import type { SwitchScope, Terms } from './terms.ts';

/** Name of the Lease whose renewals say that lockwarden is asked. */
export const guardLeaseName = 'lockwarden-guard';

/** What the policies depend on. */
export interface SwitchOptions {
  readonly scope: SwitchScope;
  /** lockwarden's own. */
  readonly ownNamespace: string;
  /** lockwarden's user name, the only one that may write the guard Lease. */
  readonly username: string;
}

/** Names of the policies, and of their bindings. */
export const switchNames = {
  locks: 'lockwarden-switch',
  guard: 'lockwarden-guard',
} as const;

const labels = {
  'app.kubernetes.io/name': 'lockwarden',
  'app.kubernetes.io/managed-by': 'lockwarden',
  'app.kubernetes.io/component': 'switch',
};

/** Policies and bindings, policies first. Equal options give equal objects. */
export function switchObjects(options: SwitchOptions): readonly JsonObject[] {
  const { scope, ownNamespace } = options;
  if (coversNothing(scope)) return inertObjects(ownNamespace);
  const guarded = namespaces('NotIn', scope.unguarded);
  return [
    filledIn(lockFrame, lockPolicy(scope)),
    filledIn(guardFrame, guardPolicy(options)),
    filledIn(lockBinding(ownNamespace), guarded),
    filledIn(guardBinding, namespaces('In', [ownNamespace])),
  ];
}

/**
 * The same objects as they are in manifests, and whenever there is nothing to stand in for: policies that validate nothing.
 *
 * INVARIANT: each is what `switchObjects` has of that name, with fields of its `spec` left out and none that differs. So whoever applies
 * manifests again, by hand or every minute, takes nothing out of what the leader has filled in. NB: a server-side apply replaces
 * `matchConstraints` as a whole, so namespaces are chosen by the bindings.
 */
export function inertObjects(ownNamespace: string): readonly JsonObject[] {
  return [lockFrame, guardFrame, lockBinding(ownNamespace), guardBinding];
}

/** Whether objects are the inert ones: then none of them need be there. */
export function isInert(objects: readonly JsonObject[]): boolean {
  return objects.every((object) => !('validations' in objectAt(object, 'spec')));
}

/** Whether no Lease is covered by a `Deny`: then the objects are the inert ones. */
function coversNothing({ others, classes }: SwitchScope): boolean {
  return others === null && classes.length === 0;
}

const lockFrame = frame(switchNames.locks, [leases(['UPDATE'])], {
  paramKind: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' },
});
// NB: a collection that is deleted is asked about object by object, by no name.
const guardFrame = frame(switchNames.guard, [
  { ...leases(['CREATE', 'UPDATE']), resourceNames: [guardLeaseName] },
  leases(['DELETE']),
]);

/** What a policy is whatever the policies in force say. */
function frame(name: string, rules: readonly JsonObject[], more: JsonObject = {}): JsonObject {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name, labels },
    spec: {
      // An expression that fails lets the write pass: what stands in for a guard must not be able to stop a cluster.
      failurePolicy: 'Ignore',
      ...more,
      matchConstraints: { matchPolicy: 'Equivalent', resourceRules: [...rules] },
      // NB: the API server takes no policy that does nothing at all. This annotates nothing.
      auditAnnotations: [{ key: 'nothing', valueExpression: 'null' }],
    },
  };
}

/** What the policies in force, and who lockwarden is, add. */
function filledIn(object: JsonObject, more: JsonObject): JsonObject {
  return { ...object, spec: { ...objectAt(object, 'spec'), ...more } };
}

const guardBinding = binding(switchNames.guard);

function lockBinding(ownNamespace: string): JsonObject {
  return binding(switchNames.locks, {
    paramRef: {
      name: guardLeaseName,
      namespace: ownNamespace,
      // INVARIANT: never Deny, by which a Lease that is missing would refuse every write to every Lease.
      parameterNotFoundAction: 'Allow',
    },
  });
}

function binding(name: string, more: JsonObject = {}): JsonObject {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: { name, labels },
    spec: { policyName: name, validationActions: ['Deny'], ...more },
  };
}

function lockPolicy(scope: SwitchScope): JsonObject {
  const tolerance = 'variables.toleranceMs';
  return {
    matchConditions: [
      {
        name: 'may-be-refused',
        // NB: whom it covers comes last: that takes longest, and is not asked while the switch sleeps.
        expression: all(needsJudging, any(mayFalsify, mayJumpAhead), isCovered(scope)),
      },
    ],
    variables: [
      { name: 'toleranceMs', expression: toleranceIn(scope) },
      ...stampVariables(tolerance),
      {
        name: 'touchesEvidence',
        expression: all(
          mayFalsify,
          isCovered(scope, ({ stamps }) => stamps),
        ),
      },
      ...switchVariables,
      {
        name: 'jumpsAhead',
        expression: any(
          'variables.takes',
          all(
            'variables.shortens',
            isByAnother,
            isCovered(scope, ({ shortening }) => shortening),
          ),
        ),
      },
      { name: 'isAsleep', expression: all('variables.isJudged', isAsleep) },
      {
        name: 'isRefused',
        expression: all('variables.jumpsAhead', not('variables.isAsleep'), isEarly(tolerance)),
      },
    ],
    validations: [
      keepsEvidence('strips', 'U7', 'StrippedTiming'),
      keepsEvidence('spoilsList', 'U19', 'EvidenceTampered'),
      keepsEvidence('plants', 'U19', 'EvidenceTampered'),
      keepsEvidence('falsifies', 'U18', 'EvidenceTampered'),
      {
        expression: not('variables.isRefused'),
        reason: 'Forbidden',
        message: "lockwarden is down, and the holder's lease has not run out",
        messageExpression: `'lockwarden is down: ' + ${aboutLock} + (variables.takes ? ${literal(reasons.PrematureTakeover)} : ${literal(reasons.ForeignRelease)}) + '; held by ' + oldObject.spec.holderIdentity + '; free in at most ' + ${secondsLeft} + ' s; ' + (variables.takes ? ${tail('U15 PrematureTakeover')} : ${tail('U6 ForeignRelease')})`,
      },
    ],
  };
}

/** A validation that the parameter has no say in, by the name of the variable that says what is done to the evidence. */
function keepsEvidence(variable: string, clause: Clause, reason: Reason): JsonObject {
  return {
    expression: not(all('variables.touchesEvidence', `variables.${variable}`)),
    reason: 'Forbidden',
    message: reasons[reason],
    messageExpression: `${aboutLock} + ${literal(`${reasons[reason]}; `)} + ${tail(`${clause} ${reason}`)}`,
  };
}

function guardPolicy({ username }: SwitchOptions): JsonObject {
  const isOwn = `request.userInfo.username == ${literal(username)}`;
  const isSystem = isIn('request.userInfo.username', collectors);
  return {
    matchConditions: [{ name: 'the-guard-lease', expression: isNamed(guardLeaseName) }],
    validations: [
      {
        expression: any(isOwn, all("request.operation == 'DELETE'", isSystem)),
        reason: 'Forbidden',
        message: `${guardLeaseName} says whether lockwarden is asked, and is for lockwarden alone; to remove lockwarden, delete the binding ${switchNames.guard} first`,
      },
    ],
  };
}

function leases(operations: readonly string[]): JsonObject {
  return {
    apiGroups: ['coordination.k8s.io'],
    apiVersions: ['v1'],
    operations: [...operations],
    resources: ['leases'],
    scope: 'Namespaced',
  };
}

/** Narrows a binding down, by the name that the API server puts on each namespace, which nobody can change. */
function namespaces(operator: 'In' | 'NotIn', values: readonly string[]): JsonObject {
  const expression = { key: 'kubernetes.io/metadata.name', operator, values: [...values] };
  return {
    matchResources: {
      matchPolicy: 'Equivalent',
      namespaceSelector: { matchExpressions: [expression] },
    },
  };
}

/** How a sentence begins: with the lock. A CEL expression, as what it ends with is. */
const aboutLock = "'lease/' + request.namespace + '/' + request.name + ': '";

/** How a sentence ends: with the rule, and with who applied it. */
function tail(rule: string): string {
  return literal(`[lockwarden ${rule}, switch]`);
}

/**
 * Whether the switch stands in for the lock and its requester: whatever the bindings say, for policies and bindings are not written at
 * once. With `asks`, only where the terms ask for it.
 */
function isCovered(
  { unguarded, others, classes }: SwitchScope,
  asks: (terms: Terms) => boolean = () => true,
): string {
  // By what it says: terms that differ in nothing but their tolerance are told apart elsewhere.
  const conditions: string[] = [];
  const idOf = (terms: Terms | null): number => {
    if (terms === null || !asks(terms)) return ofNobody;
    const condition = meets(terms);
    if (!conditions.includes(condition)) conditions.push(condition);
    return conditions.indexOf(condition);
  };
  const rest = idOf(others);
  const ids = [
    ...unguarded.map((name) => [name, ofNobody] as const),
    ...classes.flatMap((each) => {
      const id = idOf(each.terms);
      return each.namespaces.map((name) => [name, id] as const);
    }),
  ];
  if (conditions.length === 0) return 'false';
  const either = any(...conditions.map((condition, id) => all(`id == ${String(id)}`, condition)));
  return `[${byNamespace(ids, rest)}].exists(id, ${either})`;
}

const ofNobody = -1;

/**
 * A number for the namespace of the request. A map, so that each name is written once: CEL takes 100,000 characters an expression, and 250
 * levels of nesting.
 */
function byNamespace(numbers: readonly (readonly [string, number])[], otherwise: number): string {
  if (numbers.length === 0) return String(otherwise);
  const entries = numbers.map(([name, number]) => `${literal(name)}: ${String(number)}`);
  return `{${entries.join(', ')}}[?request.namespace].orValue(${String(otherwise)})`;
}

function meets({ names, excludeNames, exempt }: Terms): string {
  const user = 'request.userInfo';
  return all(
    names === null ? 'true' : matchesAny('request.name', names),
    not(matchesAny('request.name', excludeNames)),
    not(isIn(`${user}.?username.orValue('')`, [apiServer, ...exempt.usernames])),
    not(
      exempt.groups.length === 0
        ? 'false'
        : `${user}.?groups.orValue([]).exists(g, ${isIn('g', exempt.groups)})`,
    ),
  );
}

function isIn(value: string, list: readonly string[]): string {
  return list.length === 0 ? 'false' : `${value} in [${list.map(literal).join(', ')}]`;
}

function matchesAny(value: string, patterns: readonly string[]): string {
  const exact = patterns.filter((pattern) => !pattern.includes('*'));
  const wild = patterns.filter((pattern) => pattern.includes('*'));
  return any(isIn(value, exact), ...wild.map((pattern) => `${value}.matches(${literal(regexpOf(pattern))})`));
}

/** Names of objects are made of letters, digits, `-`, `.` and, at most, `:`: nothing else in a pattern can match. */
function regexpOf(pattern: string): string {
  const pieces = pattern.split('*').map((piece) => piece.replaceAll(/[^a-zA-Z0-9-]/g, (each) => `[${each}]`));
  return `^${pieces.join('.*')}$`;
}

/** The tolerance for the namespace of the request, in milliseconds. */
function toleranceIn({ others, classes }: SwitchScope): string {
  const own = classes.flatMap(({ namespaces: names, terms }) =>
    names.map((name) => [name, terms.toleranceMs] as const),
  );
  return byNamespace(own, others?.toleranceMs ?? 0);
}
