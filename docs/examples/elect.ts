/**
 * A program of which several replicas run and one at a time works: it counts up in a ConfigMap.
 *
 *     node elect.ts                                                         # where lockwarden is installed
 *     node --conditions=lockwarden-source docs/examples/elect.ts            # in a checkout, without a build
 *
 * The cluster is that of the kubeconfig; NAMESPACE is where the Lease and the ConfigMap are. SIGTERM ends it in order.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiException, CoreV1Api, KubeConfig, V1ConfigMap, V1ObjectMeta } from '@kubernetes/client-node';
import { Elector, leaseLock, NotLeading, type Term } from 'lockwarden/election';

const namespace = process.env['NAMESPACE'] ?? 'default';
const name = 'elect-example';
const config = new KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(CoreV1Api);

/** Goes on until the term is over. Whatever else goes wrong ends the election, and the next replica takes over. */
async function work(term: Term): Promise<void> {
  console.log(`leading, fence ${String(term.fence)}`);
  while (!term.signal.aborted) {
    try {
      await countUp(term);
    } catch (error) {
      if (!(error instanceof NotLeading)) throw error;
      console.log(error.message);
    }
    await sleep(1_000, undefined, { signal: term.signal }).catch(() => undefined);
  }
}

/** One protected write: look, check, write what is still as it was looked at. */
async function countUp(term: Term): Promise<void> {
  const found = await read();
  const map = found ?? new V1ConfigMap();
  if (Number(map.data?.['fence'] ?? 0) > term.fence) return;
  map.data = { count: String(Number(map.data?.['count'] ?? 0) + 1), fence: String(term.fence) };
  term.guard();
  // Whoever stalls between the guard and the write may come late. What was read carries its resource version, so the API
  // server refuses a late one; the fence is for stores that know no such thing.
  if (found === null) {
    map.metadata = new V1ObjectMeta();
    map.metadata.name = name;
    await core.createNamespacedConfigMap({ namespace, body: map });
  } else {
    await core.replaceNamespacedConfigMap({ namespace, name, body: map });
  }
}

async function read(): Promise<V1ConfigMap | null> {
  try {
    return await core.readNamespacedConfigMap({ namespace, name });
  } catch (error) {
    if (error instanceof ApiException && error.code === 404) return null;
    throw error;
  }
}

const elector = new Elector({
  lock: leaseLock({ api: config, namespace, name, identity: `${hostname()}_${randomUUID()}` }),
  onStartedLeading: work,
  onStoppedLeading: () => {
    console.log('not leading any more');
  },
  onNewLeader: (leader) => {
    console.log(`the leader is ${leader ?? 'nobody'}`);
  },
});

const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    stop.abort();
  });
}
const end = await elector.run(stop.signal);
// Whoever has lost the lease starts anew, with a new identity: let what runs the process restart it.
process.exitCode = end === 'stopped' ? 0 : 1;
