/**
 * What a cluster says about lockwarden's certificates: a handful of GETs, and nothing that is written. What RBAC refuses
 * is left out and told, so that somebody without rights on Secrets sees all the rest.
 */
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { isObject, type JsonObject } from '../kube/json.ts';
import { configurationPath } from '../kube/webhook-configuration.ts';
import { electionName } from '../replica/leadership.ts';
import { presenceName } from '../replica/presence.ts';
import { authoritySecretName, secretsOf } from '../replica/secret-store.ts';

/** An object that was asked for. `why` is one line: who lacks which right. */
export type Answer =
  | { readonly kind: 'found'; readonly object: JsonObject }
  | { readonly kind: 'missing' }
  | { readonly kind: 'refused'; readonly why: string };

/** The answers. */
export interface ClusterAnswers {
  readonly namespace: string;
  /** The API server's time, in Unix milliseconds (whole seconds). */
  readonly nowMs: number;
  /** Whether the namespace exists, as far as can be told. */
  readonly namespaceExists: boolean;
  readonly configuration: Answer;
  readonly secret: Answer;
  readonly replicas: Answer;
  readonly lease: Answer;
}

/** Asks. @throws KubeError unless the API server answers; what it refuses is no failure */
export async function askCluster(client: KubeClient, namespace: string): Promise<ClusterAnswers> {
  const core = `/api/v1/namespaces/${namespace}`;
  const get = (path: string): Promise<Answer> => ask(client, path);
  const [nowMs, configuration, secret, replicas, lease] = await Promise.all([
    timeOf(client),
    get(configurationPath),
    get(`${secretsOf(namespace)}/${authoritySecretName}`),
    get(`${core}/configmaps/${presenceName}`),
    get(`/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${electionName}`),
  ]);
  const nothing = [secret, replicas, lease].every(({ kind }) => kind === 'missing');
  const namespaceExists = !nothing || (await get(core)).kind !== 'missing';
  return { namespace, nowMs, namespaceExists, configuration, secret, replicas, lease };
}

async function ask(client: KubeClient, path: string): Promise<Answer> {
  try {
    const { body } = await client.request({ method: 'GET', path });
    if (isObject(body)) return { kind: 'found', object: body };
    throw new KubeError('malformed', `the API server answered \`${path}\` with something that is no object`);
  } catch (error) {
    if (error instanceof KubeError && error.kind === 'not-found') return { kind: 'missing' };
    if (error instanceof KubeError && error.kind === 'forbidden')
      return { kind: 'refused', why: error.message };
    throw error;
  }
}

/** By the `Date` of an answer that every user may have. */
async function timeOf(client: KubeClient): Promise<number> {
  const { dateMs } = await client.request({ method: 'GET', path: '/version' });
  if (dateMs === null)
    throw new KubeError('malformed', 'the API server does not tell the time: its answers have no `Date`');
  return dateMs;
}
