/**
 * The format of lock policy tests, `*.locktest.yaml`: the one source of its TypeScript types, of the check when a file is read,
 * and of the JSON Schema for editors. What is left out has a default, so that a simple test is a few lines.
 */
import { lockKinds } from '../core/lock.ts';
import { z } from 'zod';
import { reasons, type Reason } from '../core/reasons.ts';
import { apiVersion, clusterLockPolicy, lockPolicy } from '../policy/api.ts';
import { editorSchemaOf } from '../policy/json-schema.ts';

export const suiteKind = 'LockTest';
/** The namespace of a lock that names none. On a cluster it is one of its own for each test, whose name begins so. */
export const defaultNamespace = 'locktest';

const reasonNames = Object.keys(reasons) as [Reason, ...Reason[]];

/** SOURCE: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ */
const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/;

const namespaceName = z.string().regex(label, { error: 'it is no name of a namespace' });
const objectName = z.string().regex(subdomain, { error: 'it is no name of an object' });

const durationError = 'give a number with a unit, such as `500ms`, `15s` or `1m`';
const duration = z.string().regex(/^\d{1,6}(\.\d{1,3})?(ms|s|m|h)$/, { error: durationError });

/** Records hold whole seconds, and no lease is shorter than one. */
const leaseDuration = z.string().regex(/^[1-9]\d{0,4}(s|m|h)$/, {
  error: 'give whole seconds, minutes or hours, such as `15s`',
});

const offset = z.string().regex(/^[+-]\d{1,6}(\.\d{1,3})?(ms|s|m|h)$/, {
  error: 'give how far the clock is ahead or behind, such as `+20s` or `-1m`',
});

const start = z
  .strictObject({
    holder: z
      .string()
      .min(1)
      .optional()
      .describe('The actor that holds the lock, which it has taken as an actor does. Nobody, if absent.'),
    leaseDuration: leaseDuration.optional().describe('For how long at a time. That of the lock, if absent.'),
    renewed: duration.optional().describe('How long before time 0 the holder took the lock. 0s, if absent.'),
    transitions: z.int().min(0).optional().describe('How often the holder has changed. 0, if absent.'),
  })
  .describe('The lock as time 0 finds it. Without it there is no lock at the beginning.');

const lock = z.strictObject({
  kind: z.enum(lockKinds).optional().describe('The kind of object that holds the lock. Lease, if absent.'),
  namespace: namespaceName
    .optional()
    .describe(
      'The namespace of the lock. One of the test’s own, if absent. On a cluster one that is named here is used as it is.',
    ),
  name: objectName.optional().describe('The name of the lock. `lock`, if absent.'),
  leaseDuration: leaseDuration
    .optional()
    .describe('For how long at a time actors take the lock, if they say nothing else. 15s, if absent.'),
  start: start.nullable().optional(),
});

const actor = z.strictObject({
  serviceAccount: objectName
    .optional()
    .describe('The ServiceAccount it writes as. `candidate`, if absent. Not together with user.'),
  namespace: namespaceName
    .optional()
    .describe('The namespace of its ServiceAccount and pod. That of the lock, if absent.'),
  pod: objectName
    .nullable()
    .optional()
    .describe(
      'The pod that its token is bound to; null: none, as for a long-lived token. The actor’s own name, if absent.',
    ),
  user: z.string().min(1).optional().describe('The user it writes as, instead of a ServiceAccount.'),
  groups: z.array(z.string().min(1)).optional().describe('The groups of that user.'),
  identity: z
    .string()
    .min(1)
    .optional()
    .describe(
      'What it writes as the holder. The name of its pod, if absent; without one the actor’s own name.',
    ),
  clock: offset
    .optional()
    .describe('How far its clock is ahead (`+20s`) or behind (`-20s`). Right, if absent.'),
  leaseDuration: leaseDuration
    .optional()
    .describe('For how long at a time it takes the lock. That of the lock, if absent.'),
  fieldManager: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe(
      'Under which name the API server notes what it writes. That of its ServiceAccount or user, if absent.',
    ),
});

const actors = (description: string): z.ZodOptional<z.ZodRecord<z.ZodString, z.ZodNullable<typeof actor>>> =>
  z.record(z.string(), actor.nullable()).optional().describe(description);

const expectationError =
  'give `allow`, `audit`, `{ deny: REASON }`, `{ warn: REASON }` or `{ audit: REASON }`';
const reason = z.enum(reasonNames);
const expectation = z
  .union(
    [
      z.enum(['allow', 'audit']),
      z.strictObject({ deny: reason.describe('Refused, for this reason.') }),
      z.strictObject({ warn: reason.describe('Allowed, with a warning for this reason among others.') }),
      z.strictObject({ audit: reason.describe('Allowed and recorded, for this reason.') }),
    ],
    { error: expectationError },
  )
  .describe(
    'What must come of it. allow: without a warning or a record. What is only recorded cannot be seen on a cluster from outside, and counts as allowed there.',
  );

export const actionNames = [
  'acquire',
  'renew',
  'takeOver',
  'release',
  'delete',
  'recreate',
  'patch',
] as const;

const step = z.strictObject({
  at: duration
    .optional()
    .describe(
      'When, counted from time 0; never before the step above. Its time, if absent; 0s for the first.',
    ),
  actor: z.string().min(1).describe('Who.'),
  action: z
    .enum(actionNames)
    .describe(
      'What, as client-go would write it. acquire: take the lock that nobody holds, or create it. renew: renew one’s own. takeOver: take it from its holder. release: write nobody as the holder. delete: delete the object. recreate: create it again after it was deleted. patch: send `patch`.',
    ),
  holder: z
    .string()
    .min(1)
    .optional()
    .describe('What to write as the holder. The actor’s identity, if absent.'),
  leaseDuration: leaseDuration.optional().describe('For how long to take or renew the lock, this once.'),
  patch: z
    .record(z.string(), z.unknown())
    .optional()
    .describe(
      'For the action patch: a JSON merge patch. `$(now)`, `$(now-1h)` or `$(now+20s)` in a text stands for the time on the actor’s clock.',
    ),
  expect: expectation,
});

const test = z.strictObject({
  name: z.string().min(1).max(256).describe('What the test shows, as a sentence. Unique in its suite.'),
  lock: lock.optional().describe('The lock, over what the suite says of it.'),
  actors: actors('Who acts, besides the actors of the suite, or instead of those of the same name.'),
  coveredBy: z
    .array(z.string())
    .optional()
    .describe(
      'The policies that must cover the lock, as `clusterlockpolicy/NAME` or `lockpolicy/NAMESPACE/NAME`. If absent, any policy of the suite must, if it has any. Empty: none may.',
    ),
  steps: z.array(step).min(1).describe('What happens, in order.'),
});

/** An object, checked as a policy when it is read: by what the API server checks, and with its own words for what is wrong. */
const inlinePolicy = z
  .record(z.string(), z.unknown())
  .meta({ anyOf: [embedded(lockPolicy), embedded(clusterLockPolicy)] });

const suite = z.strictObject({
  apiVersion: z.literal(apiVersion).describe('The version of the format.'),
  kind: z.literal(suiteKind).describe('LockTest.'),
  metadata: z
    .strictObject({ name: z.string().min(1).max(253) })
    .optional()
    .describe('What the suite is called. The name of its folder or file, if absent.'),
  policies: z
    .array(z.union([z.string().min(1), inlinePolicy]))
    .optional()
    .describe(
      'The policies under test: paths of files, relative to this one, or policies as they are. A LockPolicy without a namespace is in that of each test’s lock. None: the built-in defaults hold.',
    ),
  namespaces: z
    .array(
      z.strictObject({
        name: namespaceName.describe('The name.'),
        labels: z.record(z.string(), z.string()).optional().describe('Its labels.'),
      }),
    )
    .optional()
    .describe('Namespaces that have labels; others need not be listed.'),
  lock: lock.optional().describe('The lock of each test that says nothing else.'),
  actors: actors('Who acts. Where neither the suite nor a test lists any, a name in a step is an actor.'),
  tests: z.array(test).min(1).describe('The tests.'),
});

/** The whole file. */
export const suiteSchema = suite;

export type SuiteFile = z.infer<typeof suite>;
export type TestEntry = z.infer<typeof test>;
export type LockEntry = z.infer<typeof lock>;
export type ActorEntry = z.infer<typeof actor>;
export type StepEntry = z.infer<typeof step>;
export type Expectation = z.infer<typeof expectation>;

/** The schema of a policy as a part of another. */
function embedded(kind: typeof lockPolicy | typeof clusterLockPolicy): object {
  return Object.fromEntries(
    Object.entries(editorSchemaOf(kind)).filter(([keyword]) => keyword !== '$schema'),
  );
}
