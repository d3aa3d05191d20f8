/** The scene's lock, read and written as raw JSON. */
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { objectAt, stringAt } from '../kube/json.ts';
import { namespace } from './cast.ts';

/** What a Lease says of an election. Times are milliseconds since the Unix epoch, by the holder's clock; null where absent. */
export interface LeaseView {
  readonly holder: string;
  readonly renewedMs: number | null;
  readonly acquiredMs: number | null;
}

const collection = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;

/** Reads the Lease; null when there is none. */
export async function readLease(client: KubeClient, name: string): Promise<LeaseView | null> {
  try {
    const { body } = await client.request({ method: 'GET', path: `${collection}/${name}` });
    const spec = objectAt(body, 'spec');
    return {
      holder: stringAt(spec, 'holderIdentity'),
      renewedMs: timeAt(spec, 'renewTime'),
      acquiredMs: timeAt(spec, 'acquireTime'),
    };
  } catch (error) {
    if (error instanceof KubeError && error.kind === 'not-found') return null;
    throw error;
  }
}

/** Creates the Lease, held by `holder` from `nowMs` on. */
export async function createLease(
  client: KubeClient,
  name: string,
  promise: { readonly holder: string; readonly leaseDurationMs: number; readonly nowMs: number },
): Promise<void> {
  const { holder, leaseDurationMs, nowMs } = promise;
  const body = {
    metadata: { name },
    spec: {
      holderIdentity: holder,
      leaseDurationSeconds: Math.round(leaseDurationMs / 1_000),
      ...times(nowMs),
    },
  };
  await client.request({ method: 'POST', path: collection, body });
}

/** Writes `holder` into the Lease without a precondition, as a client with a bug does. */
export async function seizeLease(
  client: KubeClient,
  name: string,
  { holder, nowMs, dryRun = false }: { holder: string; nowMs: number; dryRun?: boolean },
): Promise<void> {
  await client.request({
    method: 'PATCH',
    path: `${collection}/${name}`,
    contentType: 'application/merge-patch+json',
    body: { spec: { holderIdentity: holder, ...times(nowMs) } },
    ...(dryRun ? { query: { dryRun: 'All' } } : {}),
  });
}

/** Deletes the Lease. */
export async function deleteLease(client: KubeClient, name: string): Promise<void> {
  await client.request({ method: 'DELETE', path: `${collection}/${name}` });
}

function times(nowMs: number): { readonly acquireTime: string; readonly renewTime: string } {
  // NB: a MicroTime has six digits, no more and no less.
  const time = new Date(nowMs).toISOString().replace('Z', '000Z');
  return { acquireTime: time, renewTime: time };
}

function timeAt(spec: unknown, key: string): number | null {
  const ms = Date.parse(stringAt(spec, key));
  return Number.isNaN(ms) ? null : ms;
}
