/**
 * What an attempt on the canary came to, read from the API server's answer, and what to do about it. Pure.
 *
 * SOURCE: test/conformance/canary.test.ts has the API server say most of these things; those that need a cluster's network are worded as in
 * https://github.com/kubernetes/apiserver/blob/v0.36.3/pkg/util/proxy/proxy.go (ResolveEndpoint) and in Go's package net.
 */
import type { KubeError } from '../kube/errors.ts';
import { canaryEntryName } from '../kube/webhook-configuration.ts';

/** What each cause means, and what to do about it: the sentence that goes into the log. */
export const remedies = {
  allowed:
    'the API server let the attempt pass without asking lockwarden; look at the ValidatingWebhookConfiguration `lockwarden`, and apply lockwarden’s manifests again where it is missing',
  untrusted:
    'the API server does not trust the certificate that answers; look at the caBundle of the ValidatingWebhookConfiguration `lockwarden`, and at who else may answer at its address',
  noService: 'the Service that is registered does not exist; create it, or register a URL',
  noEndpoints:
    'the Service has no endpoints; look at its selector, and at whether lockwarden’s pods are ready',
  refused:
    'the API server finds nobody listening at the registered address; look at the Service, its port and its endpoints, or at the registered URL',
  timeout:
    'the API server gets no answer in time; look for a NetworkPolicy, a firewall or a security group between the API servers and lockwarden’s port',
  callFailed: 'the API server could not call lockwarden; what it says is in `detail`',
  judgedWrongly: 'the attempt was answered otherwise than lockwarden must; what was said is in `detail`',
  unreachable:
    'the API server does not answer lockwarden, so nothing can be proven; what is wrong is in `detail`',
  notPossible:
    'lockwarden cannot make the attempt; its namespace must exist, and it needs get, create, update and delete on the Lease `lockwarden-canary` there',
} as const;

/** Why the API server is not proven to ask lockwarden. */
export type CanaryCause = keyof typeof remedies;

/** What an attempt came to; `detail` is what the API server said, in one line. */
export type CanaryOutcome =
  | { readonly kind: 'proven' }
  | { readonly kind: 'unproven'; readonly cause: CanaryCause; readonly detail: string };

/** The outcome of an attempt that the API server let pass. */
export function outcomeOfPass(warnings: readonly string[]): CanaryOutcome {
  const own = warnings.find((each) => each.startsWith('lockwarden'));
  return own === undefined
    ? unproven('allowed', 'the attempt passed without a word')
    : unproven('judgedWrongly', own);
}

/**
 * How the API server begins when it passes on the canary's refusal, or says that it could not ask, and what lockwarden's own sentence has at
 * its end. NB: the first name in quotes counts. Later ones may stand in the text of another webhook or policy, which can say anything.
 */
const entry = canaryEntryName.replaceAll('.', String.raw`\.`);
const refusedByCanary = new RegExp(`^[^"]*admission webhook "${entry}" denied the request: `, 'u');
const canaryNotCalled = new RegExp(`^[^"]*failed calling webhook "${entry}": `, 'u');
const refusedRightly = '[lockwarden U15 PrematureTakeover, ';

/** Of a failed call, in the API server's words; the first that fits. */
const calls: readonly (readonly [RegExp, CanaryCause])[] = [
  // NB: a certificate's own text may hold any name, so what is told of it is looked for first.
  [/x509: |tls: /u, 'untrusted'],
  [/service "[^"]*" not found/u, 'noService'],
  [/no endpoints available|no service port .* found|endpoints "[^"]*" not found/u, 'noEndpoints'],
  [/connection refused|no route to host|network is unreachable|no such host/u, 'refused'],
  [/context deadline exceeded|i\/o timeout|Client\.Timeout|TLS handshake timeout/u, 'timeout'],
];

/** The outcome of an attempt that failed. */
export function outcomeOfFailure(error: KubeError): CanaryOutcome {
  const { kind, message } = error;
  if (refusedByCanary.test(message)) {
    return message.includes(refusedRightly) ? { kind: 'proven' } : unproven('judgedWrongly', message);
  }
  if (canaryNotCalled.test(message)) {
    return unproven(calls.find(([form]) => form.test(message))?.[1] ?? 'callFailed', message);
  }
  return unproven(answersNothing.includes(kind) ? 'unreachable' : 'notPossible', message);
}

/** Failures that say nothing about what lockwarden may do, or about its namespace. */
const answersNothing: readonly KubeError['kind'][] = [
  'unreachable',
  'timeout',
  'throttled',
  'server-error',
  'too-large',
  'malformed',
];

function unproven(cause: CanaryCause, detail: string): CanaryOutcome {
  return { kind: 'unproven', cause, detail };
}
