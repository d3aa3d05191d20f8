/** Whether what refuses is in force, by dry runs. */
import type { KubeRequest } from '../../src/kube/client.ts';
import type { JsonObject } from '../../src/kube/json.ts';
import { until } from '../../src/kube/until.ts';
import { failureOf, type Namespace, type Plural } from '../../test/kube/support/cluster.ts';

/** A lock called `held`, and a write to it that is against the rules. */
export interface Offence {
  readonly plural: Plural;
  readonly held: JsonObject;
  /** A merge patch. */
  readonly patch: JsonObject;
}

/** Creates the lock, and resolves once the write is refused with a message that has `saying` in it. */
export async function untilRefused(
  namespace: Namespace,
  { plural, held, patch }: Offence,
  saying: string,
): Promise<void> {
  const name = 'held';
  await namespace.post(plural, name, held);
  const request: KubeRequest = {
    method: 'PATCH',
    path: namespace.path(plural, name),
    query: { dryRun: 'All' },
    contentType: 'application/merge-patch+json',
    body: patch,
  };
  let answer = '';
  const isRefused = async (): Promise<true | null> => {
    answer = (await failureOf(namespace.client.request(request)))?.message ?? 'allowed';
    return answer.includes(saying) ? true : null;
  };
  const what = `a write to one of the ${plural} is refused with \`${saying}\``;
  const { signal } = new AbortController();
  await until(isRefused, { what, timeoutMs: 30_000, signal }).catch((cause: unknown) => {
    throw new Error(`${what}: ${answer}`, { cause });
  });
}
