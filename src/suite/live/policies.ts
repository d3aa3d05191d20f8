/** The policies of a suite on a cluster. */
import { isDeepStrictEqual } from 'node:util';
import { LockwardenError } from '../../errors.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import { arrayAt, objectAt, stringAt } from '../../kube/json.ts';
import { until } from '../../kube/until.ts';
import { apiGroup, apiVersion, clusterLockPolicy, lockPolicy } from '../../policy/api.ts';
import { describePolicy, type PolicyRef } from '../../policy/policy-ref.ts';
import type { PolicyManifest } from '../suite.ts';
import type { Created } from './created.ts';

/** LIMIT: a policy takes effect within two seconds; its status is written a little later. */
const readyMs = 20_000;

/** Says so in a sentence when the kinds of policy are not there. */
export async function requirePolicyKinds(admin: KubeClient): Promise<void> {
  try {
    await admin.request({ method: 'GET', path: `/apis/${apiVersion}` });
  } catch (error) {
    if (!(error instanceof KubeError) || error.kind !== 'not-found') throw error;
    throw new LockwardenError(
      'ScenarioFailed',
      `the cluster has no ${lockPolicy.kind} and ${clusterLockPolicy.kind}; install them: kubectl apply -k manifests/crds`,
      { cause: error },
    );
  }
}

/** Puts a policy into the cluster. One that is there already must say the same, and stays. */
export async function applyPolicy(
  admin: KubeClient,
  { ref, spec }: PolicyManifest,
  created: Created,
): Promise<void> {
  const { kind, namespace, name } = ref;
  const metadata = { name, ...(namespace !== '' && { namespace }) };
  const body = { apiVersion, kind, metadata, spec };
  const isNew = await created.makeIfAbsent(pathOf(ref), () =>
    admin.request({ method: 'POST', path: collectionOf(ref), body }),
  );
  if (isNew) return;
  const { body: existing } = await admin.request({ method: 'GET', path: pathOf(ref) });
  if (isDeepStrictEqual(objectAt(existing, 'spec'), spec)) return;
  throw new LockwardenError(
    'ScenarioFailed',
    `${describePolicy(ref)} is in the cluster already, and says something else than that of the suite; remove it, or use another cluster`,
  );
}

/** Resolves once lockwarden says that the policy is in force. */
export async function untilInForce(admin: KubeClient, ref: PolicyRef, signal: AbortSignal): Promise<void> {
  const look = async (): Promise<true | null> => {
    const { body } = await admin.request({ method: 'GET', path: pathOf(ref), signal });
    const ready = arrayAt(objectAt(body, 'status'), 'conditions').find(
      (condition) => stringAt(condition, 'type') === 'Ready',
    );
    const generation = objectAt(body, 'metadata')['generation'];
    const isCurrent = observed(ready) === generation;
    if (!isCurrent) return null;
    if (stringAt(ready, 'status') === 'True') return true;
    throw new LockwardenError(
      'ScenarioFailed',
      `lockwarden does not put ${describePolicy(ref)} in force: ${stringAt(ready, 'message')}`,
    );
  };
  await until(look, { what: `lockwarden puts ${describePolicy(ref)} in force`, timeoutMs: readyMs, signal });
}

function observed(condition: unknown): unknown {
  return typeof condition === 'object' && condition !== null && 'observedGeneration' in condition
    ? condition.observedGeneration
    : null;
}

function collectionOf({ kind, namespace }: PolicyRef): string {
  return kind === 'LockPolicy'
    ? `/apis/${apiGroup}/v1alpha1/namespaces/${namespace}/${lockPolicy.plural}`
    : `/apis/${apiGroup}/v1alpha1/${clusterLockPolicy.plural}`;
}

function pathOf(ref: PolicyRef): string {
  return `${collectionOf(ref)}/${ref.name}`;
}
