/**
 * Which cluster this is: the uid of its namespace `kube-system`, which is as old as the cluster, and which no backup brings
 * into another one.
 */
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import { arrayAt, objectAt, stringAt } from './json.ts';

/**
 * The uid; null where the namespace is not there yet, or may not be seen.
 *
 * @throws KubeError
 */
export async function clusterIdentity(client: KubeClient, signal: AbortSignal): Promise<string | null> {
  try {
    const { body } = await client.request({
      method: 'GET',
      path: '/api/v1/namespaces',
      // NB: as a list, which needs no right but those that watching namespaces needs anyway.
      query: { fieldSelector: 'metadata.name=kube-system' },
      signal,
    });
    const [namespace] = arrayAt(body, 'items');
    return stringAt(objectAt(namespace, 'metadata'), 'uid') || null;
  } catch (error) {
    if (error instanceof KubeError && error.kind === 'forbidden') return null;
    throw error;
  }
}
