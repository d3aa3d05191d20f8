/** client-go's electors as pods run them. */
import { inject } from 'vitest';

import { Elector, type ElectorOptions } from '../../../src/scene/elector.ts';
import type { TestNamespace } from '../../support/identities.ts';

/** Starts a candidate for the Lease `name` that speaks for a pod of its identity, of the ServiceAccount `candidate`; a pod of that name is replaced. */
export async function startElector(
  namespace: TestNamespace,
  name: string,
  identity: string,
  options: Partial<ElectorOptions> = {},
): Promise<Elector> {
  const { kubeconfig } = await namespace.pod(identity, 'candidate');
  const binary = inject('elector');
  return new Elector({ binary, kubeconfig, namespace: namespace.name, name, identity, ...options });
}
