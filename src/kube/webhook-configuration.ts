/**
 * The ValidatingWebhookConfiguration that lockwarden wants, as a value.
 */
import type { JsonObject } from './json.ts';
import {
  canaryConditions,
  leaseConditions,
  recordConditions,
  type MatchCondition,
  type MatchOptions,
  type NotALock,
  type Sent,
} from './match-conditions.ts';

/** Name of the ValidatingWebhookConfiguration. */
export const configurationName = 'lockwarden';
/** Path of the collection that it is in. */
export const configurationsPath = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
/** Path of the object. */
export const configurationPath = `${configurationsPath}/${configurationName}`;

/** Where the API server finds lockwarden. */
export type WebhookAddress =
  | { readonly kind: 'url'; readonly url: string }
  | {
      readonly kind: 'service';
      readonly namespace: string;
      readonly name: string;
      readonly port: number;
      readonly path: string;
    };

/** How the API server is to call for some namespaces. */
export interface CallClass {
  readonly renewals: 'skip' | 'inspect';
  readonly failurePolicy: 'Ignore' | 'Fail';
  readonly namespaces: readonly string[];
}

/** How the API server is to call for the locks of one group of kinds. */
export interface CallClasses {
  /** Namespaces of which nothing is sent; lockwarden's own belongs among them. */
  readonly unguarded: readonly string[];
  /** How namespaces in neither list are called for: always `Ignore`. */
  readonly renewals: 'skip' | 'inspect';
  /** At most one for each pair of renewals and failure policy; none is `skip` and `Ignore`. */
  readonly special: readonly CallClass[];
}

/** What the configuration depends on. */
export interface ConfigurationOptions {
  readonly address: WebhookAddress;
  /** The authorities that vouch for lockwarden's certificate, as PEM text. */
  readonly caBundle: string;
  readonly leases: CallClasses;
  /** ConfigMaps and Endpoints. */
  readonly records: CallClasses;
  /** lockwarden's own namespace, of which its canary is sent and nothing else. */
  readonly ownNamespace: string;
  readonly notLocks: readonly NotALock[];
  /** Version of lockwarden, as a label, or none. */
  readonly version?: string;
}

/** A ValidatingWebhookConfiguration with every field that the API server would fill in written out. */
export interface WebhookConfiguration {
  readonly apiVersion: 'admissionregistration.k8s.io/v1';
  readonly kind: 'ValidatingWebhookConfiguration';
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly webhooks: readonly JsonObject[];
}

/**
 * LIMIT: client-go gives a renewal five seconds. Two seconds for a webhook that does not answer leave three for a second
 * attempt; ten, the default, have cost whole control planes their leaders.
 * SOURCE: https://github.com/kubernetes/kubernetes/issues/90217
 */
const timeoutSeconds = 2;

/** The configuration for `options`. Pure; equal options give equal configurations. */
export function desiredConfiguration(options: ConfigurationOptions): WebhookConfiguration {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: {
      name: configurationName,
      labels: {
        'app.kubernetes.io/name': 'lockwarden',
        'app.kubernetes.io/managed-by': 'lockwarden',
        ...(options.version === undefined ? {} : { 'app.kubernetes.io/version': options.version }),
      },
    },
    webhooks: [
      ...entriesFor('leases', options, options.leases, {
        rule: ruleFor('coordination.k8s.io', ['leases']),
        conditions: leaseConditions,
      }),
      ...entriesFor('records', options, options.records, {
        rule: ruleFor('', ['configmaps', 'endpoints']),
        conditions: recordConditions,
      }),
      canaryEntry(options),
    ],
  };
}

/** What the entries of one group of kinds share. */
interface Group {
  readonly rule: JsonObject;
  readonly conditions: (options: MatchOptions) => readonly MatchCondition[];
}

/** One entry: which namespaces it is for, what it sends, and what its failure means. */
interface Entry {
  readonly name: string;
  readonly namespaceSelector: JsonObject;
  readonly sent: Sent;
  readonly failurePolicy: 'Ignore' | 'Fail';
}

function entriesFor(
  group: string,
  options: ConfigurationOptions,
  classes: CallClasses,
  { rule, conditions }: Group,
): readonly JsonObject[] {
  const set = classes.special.flatMap(({ namespaces }) => namespaces);
  const plain: Entry = {
    name: '',
    namespaceSelector: namespaceSelector('NotIn', [...classes.unguarded, ...set]),
    sent: classes.renewals === 'inspect' ? 'everything' : 'changes',
    failurePolicy: 'Ignore',
  };
  return [plain, ...classes.special.flatMap(entriesOf)].map(({ name, sent, ...own }) => ({
    name: `${name}${group}.lockwarden.dev`,
    ...sharedBy(options),
    rules: [rule],
    matchConditions: conditions({ sent, notLocks: options.notLocks }),
    ...own,
  }));
}

/** Name of the entry through which lockwarden's canary is sent. */
export const canaryEntryName = 'canary.lockwarden.dev';

/**
 * The entry for the canary: the same address and bundle as all others, so that what it proves holds for them. It fails closed, for then
 * the API server says why a call failed; nobody's write can meet it but a dry run on that one Lease.
 */
function canaryEntry(options: ConfigurationOptions): JsonObject {
  return {
    name: canaryEntryName,
    ...sharedBy(options),
    rules: [{ ...ruleFor('coordination.k8s.io', ['leases']), operations: ['UPDATE'] }],
    matchConditions: canaryConditions,
    namespaceSelector: namespaceSelector('In', [options.ownNamespace]),
    failurePolicy: 'Fail',
  };
}

/** What is the same in every entry. */
function sharedBy({ address, caBundle }: ConfigurationOptions): JsonObject {
  return {
    clientConfig: { ...addressOf(address), caBundle: toBase64(caBundle) },
    matchPolicy: 'Equivalent',
    objectSelector: {},
    // Other writes leave a memory and a log line behind; a dry run leaves nothing.
    sideEffects: 'NoneOnDryRun',
    timeoutSeconds,
    admissionReviewVersions: ['v1'],
  };
}

/**
 * The entries of a class. INVARIANT: whatever a policy asks for, an entry that fails closed is sent no plain renewal, and nothing of an
 * object whose renewals cannot be told: lockwarden's outage must cost no healthy leader its lock.
 */
function entriesOf({ renewals, failurePolicy, namespaces }: CallClass): readonly Entry[] {
  const selected = namespaceSelector('In', namespaces);
  if (failurePolicy === 'Ignore') {
    return [{ name: 'inspect.', namespaceSelector: selected, sent: 'everything', failurePolicy }];
  }
  const harmless: Entry =
    renewals === 'inspect'
      ? {
          name: 'fail-renewals.',
          namespaceSelector: selected,
          sent: 'untracked-and-renewals',
          failurePolicy: 'Ignore',
        }
      : { name: 'fail-untracked.', namespaceSelector: selected, sent: 'untracked', failurePolicy: 'Ignore' };
  const name = renewals === 'inspect' ? 'fail-inspect.' : 'fail.';
  return [{ name, namespaceSelector: selected, sent: 'tracked-changes', failurePolicy }, harmless];
}

function addressOf(address: WebhookAddress): JsonObject {
  if (address.kind === 'url') return { url: address.url };
  const { namespace, name, port, path } = address;
  return { service: { namespace, name, port, path } };
}

function ruleFor(apiGroup: string, resources: readonly string[]): JsonObject {
  return {
    apiGroups: [apiGroup],
    apiVersions: ['*'],
    operations: ['CREATE', 'UPDATE', 'DELETE'],
    resources,
    scope: 'Namespaced',
  };
}

/**
 * By the name that the API server puts on each namespace, which nobody can change, and not by a label of our own.
 * SOURCE: https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name
 */
function namespaceSelector(operator: 'In' | 'NotIn', namespaces: readonly string[]): JsonObject {
  if (namespaces.length === 0) return {};
  const values = [...new Set(namespaces)].toSorted();
  return { matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator, values }] };
}

function toBase64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}
