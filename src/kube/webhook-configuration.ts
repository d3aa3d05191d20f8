/**
 * The ValidatingWebhookConfiguration that lockwarden wants, as a value.
 */
import type { JsonObject } from './json.ts';
import { leaseConditions, recordConditions, type MatchOptions } from './match-conditions.ts';

/** Name of the ValidatingWebhookConfiguration. */
export const configurationName = 'lockwarden';

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

/** What the configuration depends on. */
export interface ConfigurationOptions extends MatchOptions {
  readonly address: WebhookAddress;
  /** The authorities that vouch for lockwarden's certificate, as PEM text. */
  readonly caBundle: string;
  /** Namespaces of which nothing is sent; lockwarden's own belongs among them. */
  readonly unguardedNamespaces: readonly string[];
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
      entry('leases.lockwarden.dev', options, {
        rules: [ruleFor('coordination.k8s.io', ['leases'])],
        matchConditions: leaseConditions(options),
      }),
      entry('records.lockwarden.dev', options, {
        rules: [ruleFor('', ['configmaps', 'endpoints'])],
        matchConditions: recordConditions(options),
      }),
    ],
  };
}

function entry(name: string, options: ConfigurationOptions, own: JsonObject): JsonObject {
  return {
    name,
    clientConfig: { ...addressOf(options.address), caBundle: toBase64(options.caBundle) },
    ...own,
    // Lockwarden down must cost nobody a lock; what protects meanwhile does not depend on it.
    failurePolicy: 'Ignore',
    matchPolicy: 'Equivalent',
    namespaceSelector: namespaceSelector(options.unguardedNamespaces),
    objectSelector: {},
    // Other writes leave a memory and a log line behind; a dry run leaves nothing.
    sideEffects: 'NoneOnDryRun',
    timeoutSeconds,
    admissionReviewVersions: ['v1'],
  };
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
function namespaceSelector(unguarded: readonly string[]): JsonObject {
  if (unguarded.length === 0) return {};
  const values = [...new Set(unguarded)].toSorted();
  return { matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values }] };
}

function toBase64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}
