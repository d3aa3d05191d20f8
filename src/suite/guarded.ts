/**
 * A cluster's policies as a guard would have them in force, and the webhook configuration that it would register: what a suite's
 * tests share offline.
 */
import { desiredConfiguration } from '../kube/webhook-configuration.ts';
import { callClasses, unnamedNotLocks } from '../policy/classes.ts';
import { PolicyStore } from '../policy/store.ts';
import type { Webhook } from './model/webhooks.ts';
import type { Suite } from './suite.ts';

/** lockwarden's own namespace. */
const ownNamespace = 'lockwarden-system';

/** What is in force. */
export interface Guarded {
  readonly store: PolicyStore;
  readonly webhooks: readonly Webhook[];
}

/** Puts the policies of a suite in force. */
export function guardedBy(suite: Suite): Guarded {
  const store = new PolicyStore(ownNamespace);
  for (const { ref, spec } of suite.policies) store.put({ ref, generation: 1, spec });
  const named = suite.tests.map(({ lock }) => lock.namespace);
  for (const name of new Set([...suite.namespaces.keys(), ...named])) {
    store.putNamespace(name, { ...suite.namespaces.get(name), 'kubernetes.io/metadata.name': name });
  }
  return { store, webhooks: webhooksFor(store, ownNamespace) };
}

/** The webhooks that a guard would register for the policies of `store`. `ownNamespace` is lockwarden's. */
export function webhooksFor(store: PolicyStore, ownNamespace: string): readonly Webhook[] {
  return desiredConfiguration({
    address: { kind: 'service', namespace: ownNamespace, name: 'lockwarden', port: 443, path: '/validate' },
    caBundle: '',
    ownNamespace,
    leases: { renewals: 'skip', ...callClasses(store, ['Lease'], ownNamespace) },
    records: { renewals: 'skip', ...callClasses(store, ['ConfigMap', 'Endpoints'], ownNamespace) },
    notLocks: unnamedNotLocks(store),
  }).webhooks;
}
