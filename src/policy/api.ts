/**
 * The policy API, `lockwarden.dev/v1alpha1`: the one source of its TypeScript types, of the check at run time, of the CRDs'
 * OpenAPI schemas (crd.ts) and of the JSON Schemas for editors. What the descriptions say is what `kubectl explain` shows.
 *
 * A field that is absent leaves the value to a less specific policy, and in the end to the built-in defaults; so only that has a
 * default which comes with its parent. Defaults and keys that begin with `x-kubernetes-` go into the CRDs as they stand, and
 * nowhere else: what reads a policy must do without.
 */
import { lockKinds } from '../core/lock.ts';
import { z } from 'zod';
import { enforcements, reasons, type Reason } from '../core/reasons.ts';

export const apiGroup = 'lockwarden.dev';
export const apiVersion = `${apiGroup}/v1alpha1`;

/** LIMIT: the API server itself takes no name longer than this. */
const nameMaxLength = 253;
/** LIMIT: lists are for people to read; what needs more wants a pattern, or a policy of its own. */
const listMaxItems = 64;
/** LIMIT: an expression that needs more is a program. It also bounds the time that one takes to run. */
export const expressionMaxLength = 1024;

const reasonNames = Object.keys(reasons) as [Reason, ...Reason[]];

const enforcement = z.enum(enforcements);

/** Lower case, digits, `-`, `.`, and `*` for any run of characters. */
const namePattern = z
  .string()
  .min(1)
  .max(nameMaxLength)
  .regex(/^[a-z0-9*]([-.a-z0-9*]*[a-z0-9*])?$/)
  .describe('A name, in which `*` stands for any run of characters, also none.');

const namePatterns = (description: string): z.ZodOptional<z.ZodArray<typeof namePattern>> =>
  z.array(namePattern).min(1).max(listMaxItems).optional().describe(description);

const duration = (description: string): z.ZodOptional<z.ZodString> =>
  z
    .string()
    .max(16)
    .regex(/^\d{1,6}(\.\d{1,3})?(ms|s|m|h)$/)
    .optional()
    .describe(`${description} A number with a unit: \`500ms\`, \`15s\`, \`1m\`.`);

const expression = (description: string): z.ZodString =>
  z.string().min(1).max(expressionMaxLength).describe(description);

/** A rule in CEL for the API server. What it refuses is refused, or made harmless, here too. */
const validation = (
  rule: string,
  message: string,
): {
  readonly 'x-kubernetes-validations': readonly { readonly rule: string; readonly message: string }[];
} => ({
  'x-kubernetes-validations': [{ rule, message }],
});

const takesValues = ({
  operator,
  values = [],
}: {
  operator: string;
  values?: string[] | undefined;
}): boolean => (operator === 'In' || operator === 'NotIn') === values.length > 0;
const takesValuesMessage = 'values go with In and NotIn, and only with those';

const labelSelector = z
  .object({
    matchLabels: z
      .record(z.string().max(317), z.string().max(63))
      .optional()
      .describe('Labels that must all be there with these values.'),
    matchExpressions: z
      .array(
        z
          .object({
            key: z.string().min(1).max(317).describe('The label’s key.'),
            operator: z
              .enum(['In', 'NotIn', 'Exists', 'DoesNotExist'])
              .describe('How the label is compared.'),
            values: z
              .array(z.string().max(63))
              .max(listMaxItems)
              .optional()
              .describe('For In and NotIn, the values.'),
          })
          .refine(takesValues, takesValuesMessage)
          .meta(
            validation(
              "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
              takesValuesMessage,
            ),
          ),
      )
      .max(listMaxItems)
      .optional()
      .describe('Requirements that must all be met.'),
  })
  .describe('A selector over the labels of namespaces.');

const kinds = z
  .array(z.enum(lockKinds))
  .min(1)
  .max(3)
  .optional()
  .meta({ 'x-kubernetes-list-type': 'set' })
  .describe('Kinds of lock. All, if absent.');

const match = {
  kinds,
  names: namePatterns('Names of locks; any of them. All locks, if absent.'),
  excludeNames: namePatterns('Names of locks that are left out again.'),
};

const localMatch = z.object(match).describe('Which locks of this namespace. All, if absent.');

const clusterMatch = z
  .object({
    ...match,
    namespaces: namePatterns(
      'Names of namespaces; any of them. All, if absent; but kube-system, kube-public and what lockwarden leaves alone by itself only where their full name is given.',
    ),
    excludeNamespaces: namePatterns('Names of namespaces that are left out again.'),
    namespaceSelector: labelSelector.optional().describe('Namespaces by their labels, among those named.'),
  })
  .describe('Which locks of the cluster. All, if absent.');

const ruleEnforcements = z
  .array(
    z.object({
      reason: z.enum(reasonNames).describe('The rule, by the reason that its denials carry.'),
      enforcement: enforcement.describe('What a violation of this rule causes.'),
    }),
  )
  .min(1)
  .max(listMaxItems)
  .optional()
  .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['reason'] });

const leaseDuration = z
  .object({
    min: duration('The shortest lease that may be taken.'),
    max: duration('The longest lease that may be taken.'),
  })
  .meta(
    validation(
      '!has(self.min) || !has(self.max) || duration(self.min) <= duration(self.max)',
      'min must not be longer than max',
    ),
  )
  .describe('Bounds on the lease duration of whoever takes a lock (LeaseDurationOutOfBounds).');

const candidates = z
  .object({
    serviceAccounts: z
      .array(
        z
          .string()
          .max(2 * nameMaxLength)
          .regex(/^([a-z0-9]([-a-z0-9]*[a-z0-9])?\/)?[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/),
      )
      .min(1)
      .max(listMaxItems)
      .optional()
      .describe(
        'ServiceAccounts that may take the lock, `name` for one of the lock’s namespace or `namespace/name` (CandidateNotAllowed).',
      ),
    holder: z
      .enum(['Any', 'PodName', 'PodNamePrefix'])
      .optional()
      .meta({ default: 'Any' })
      .describe(
        'How the holder must agree with the pod of the token that takes the lock: not at all, be its name, or begin with it (HolderMismatch).',
      ),
    holderExpression: expression(
      'A CEL expression that must be true of whoever takes the lock (HolderMismatch). The variables are those of conditions.',
    ).optional(),
  })
  .describe('Who may take the lock. Renewals by who holds it already are not asked.');

const condition = z.object({
  name: z
    .string()
    .max(63)
    .regex(/^[A-Za-z]([-_A-Za-z0-9]*[A-Za-z0-9])?$/)
    .describe('A name for messages.'),
  expression: expression(
    'A CEL expression that must be true. Variables: `operation`, `transition`, `lock` (kind, namespace, name), `before` and `after` (held, holder, leaseDurationSeconds, transitions), `lease` (state, elapsedSeconds, remainingSeconds), `requester` (username, groups, serviceAccount, pod). The function `like(text, pattern)` compares with `*` for any run of characters.',
  ),
  message: z.string().max(256).optional().describe('What the denial says. The expression, if absent.'),
});

const settings = {
  enforcement: enforcement
    .optional()
    .describe(
      'What violations cause: Deny refuses them, Warn lets them pass with a warning to the client, Audit only records them. A ceiling: rules that only warn by their profile go on warning under Deny. Deny, if nothing says otherwise.',
    ),
  profile: z
    .enum(['Compatible', 'Strict'])
    .optional()
    .describe(
      'Compatible suits clients of every language. Strict also refuses what client-go never writes: odd transition counts, acquire times that change on a renewal, renew times that go backwards or are far from the API server’s time.',
    ),
  rules: ruleEnforcements.describe('Enforcement of single rules, over enforcement and profile.'),
  tolerance: duration(
    'How much before its end a lease may be taken. 1s, if nothing says otherwise; at most 10s.',
  ).meta(validation("duration(self) <= duration('10s')", 'at most 10s')),
  leaseDuration: leaseDuration.optional(),
  candidates: candidates.optional(),
  deletion: z
    .enum(['Tombstone', 'Deny'])
    .optional()
    .describe(
      'What deleting a live lock does: it passes, and the name stays guarded until the lease would have run out, or it is refused.',
    ),
  exempt: z
    .object({
      users: z.array(z.string().min(1).max(256)).max(listMaxItems).optional().describe('User names.'),
      groups: z.array(z.string().min(1).max(256)).max(listMaxItems).optional().describe('Groups.'),
    })
    .optional()
    .describe('Who may break the rules with a warning: break-glass.'),
  conditions: z
    .array(condition)
    .max(16)
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] })
    .describe(
      'What must also be true of a write that changes a promise (ConditionNotMet). Those of all policies of a lock add up.',
    ),
  inspectRenewals: z
    .boolean()
    .optional()
    .describe(
      'Have plain renewals reviewed too, which costs each of them a call. false, if nothing says otherwise.',
    ),
  failurePolicy: z
    .enum(['Ignore', 'Fail'])
    .optional()
    .describe(
      'What the API server does with writes to these locks, renewals excepted, while lockwarden does not answer. Ignore, if nothing says otherwise.',
    ),
  message: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe('What each denial says besides, such as whom to ask.'),
};

const floor = z
  .object({
    enforcement: enforcement
      .optional()
      .meta({ default: 'Audit' })
      .describe('No policy of a namespace goes below this.'),
    rules: ruleEnforcements.describe('The same for single rules.'),
    toleranceMax: duration('The longest tolerance that a policy of a namespace may set.'),
    exemptions: z
      .enum(['Allowed', 'Forbidden'])
      .optional()
      .meta({ default: 'Forbidden' })
      .describe('Whether policies of a namespace may exempt anybody. Forbidden, if absent.'),
  })
  .describe('What policies of a namespace cannot go below.');

const localSpec = z
  .object({ match: localMatch.optional(), ...settings })
  .describe('How which locks of the namespace are guarded.');

const clusterSpec = z
  .object({ match: clusterMatch.optional(), ...settings, floor: floor.optional() })
  .meta({
    'x-kubernetes-validations': [
      {
        rule: "!has(self.candidates) || !has(self.candidates.serviceAccounts) || self.candidates.serviceAccounts.all(account, account.contains('/'))",
        message: 'candidates.serviceAccounts of a ClusterLockPolicy need `namespace/name`',
      },
      {
        rule: "!has(self.failurePolicy) || self.failurePolicy != 'Fail' || !has(self.match) || !has(self.match.namespaces) || !self.match.namespaces.exists(name, name in ['kube-system', 'kube-public', 'kube-node-lease'])",
        message:
          'the control plane is never made to wait for lockwarden: failurePolicy Fail cannot be had for kube-system, kube-public or kube-node-lease',
      },
    ],
  })
  .describe('How which locks of the cluster are guarded.');

const status = z
  .object({
    observedGeneration: z.int().min(0).optional().describe('The generation that the rest is about.'),
    locksMatched: z
      .int()
      .min(0)
      .optional()
      .describe('How many locks there are that the policy has a say in.'),
    rejections: z
      .int()
      .min(0)
      .optional()
      .describe(
        'How many writes have been refused under it, counted from when the counting replica started.',
      ),
    conditions: z
      .array(
        z.object({
          type: z.string().max(316).describe('Ready, Conflicted, Invalid or StandIn.'),
          status: z.enum(['True', 'False', 'Unknown']).describe('Whether it holds.'),
          observedGeneration: z.int().min(0).optional().describe('The generation it was seen at.'),
          lastTransitionTime: z.string().meta({ format: 'date-time' }).describe('Since when.'),
          reason: z.string().min(1).max(1024).describe('Why, in one word.'),
          message: z.string().max(32_768).describe('Why, in a sentence.'),
        }),
      )
      .max(16)
      .optional()
      .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
      .describe('What there is to say about the policy.'),
  })
  .describe('What lockwarden makes of the policy.');

/** What a kind of policy is called, and its schemas. */
export interface PolicyKind<Spec extends z.ZodType> {
  readonly kind: 'LockPolicy' | 'ClusterLockPolicy';
  readonly plural: string;
  readonly shortName: string;
  readonly scope: 'Namespaced' | 'Cluster';
  readonly description: string;
  readonly spec: Spec;
  readonly status: typeof status;
}

export const lockPolicy: PolicyKind<typeof localSpec> = {
  kind: 'LockPolicy',
  plural: 'lockpolicies',
  shortName: 'lockpol',
  scope: 'Namespaced',
  description: 'LockPolicy says how the election locks of its namespace are guarded.',
  spec: localSpec,
  status,
};

export const clusterLockPolicy: PolicyKind<typeof clusterSpec> = {
  kind: 'ClusterLockPolicy',
  plural: 'clusterlockpolicies',
  shortName: 'clockpol',
  scope: 'Cluster',
  description:
    'ClusterLockPolicy says how election locks of the whole cluster are guarded, and what the policies of namespaces cannot go below.',
  spec: clusterSpec,
  status,
};

export type LockPolicySpec = z.infer<typeof localSpec>;
export type ClusterLockPolicySpec = z.infer<typeof clusterSpec>;
export type PolicyStatus = z.infer<typeof status>;
