/**
 * What a watch on ConfigMaps costs in memory when there are many, and large: `node bench/watch-memory.ts [count] [KiB]`.
 * Default: 5,000 of 100 KiB, of which every hundredth carries a lock's annotation. Takes an embedded control plane.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { systemClock } from '../src/clock.ts';
import { createKubeClient, type KubeClient } from '../src/kube/client.ts';
import { objectAt } from '../src/kube/json.ts';
import { loadKubeconfig } from '../src/kube/kubeconfig.ts';
import type { WatchSink } from '../src/kube/watch.ts';
import { Watch } from '../src/kube/watch.ts';
import { ensureControlPlane } from '../src/sandbox/control-plane-binaries.ts';
import { startControlPlane } from '../src/sandbox/control-plane.ts';
import { writeResult } from './support/result.ts';

const annotation = 'control-plane.alpha.kubernetes.io/leader';
const collection = '/api/v1/namespaces/default/configmaps';
const [count = 5_000, kibibytes = 100] = process.argv.slice(2).map(Number);

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function mebibytes(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}

function report(when: string): NodeJS.MemoryUsage {
  const usage = process.memoryUsage();
  const { rss, heapUsed, external } = usage;
  process.stdout.write(
    `${when}: rss ${mebibytes(rss)} MiB, heap ${mebibytes(heapUsed)} MiB, external ${mebibytes(external)} MiB\n`,
  );
  return usage;
}

async function fill(client: KubeClient): Promise<void> {
  const data = { payload: 'x'.repeat(kibibytes * 1024) };
  for (let index = 0; index < count; index += 1) {
    const annotations = index % 100 === 0 ? { [annotation]: '{"holderIdentity":"a"}' } : {};
    const body = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: `cm-${index}`, annotations },
      data,
    };
    await client.request({ method: 'POST', path: collection, body });
  }
}

const ignore = (): void => undefined;

/** What the watch took to list, and what memory it held at most and in the end, in bytes. */
interface Watched {
  readonly tookMs: number;
  readonly heapMax: number;
  readonly watching: NodeJS.MemoryUsage;
}

async function watchOnce(client: KubeClient): Promise<Watched> {
  const synced = Promise.withResolvers<undefined>();
  let heapMax = 0;
  const sink: WatchSink = {
    listed: () => {
      heapMax = Math.max(heapMax, process.memoryUsage().heapUsed);
    },
    synced: () => {
      synced.resolve(undefined);
    },
    added: ignore,
    modified: ignore,
    deleted: ignore,
    deletedUnseen: ignore,
    connected: ignore,
    disconnected: synced.reject,
  };
  const resource = {
    path: '/api/v1/configmaps',
    metadataOnly: true,
    passes: (object: unknown) => annotation in objectAt(objectAt(object, 'metadata'), 'annotations'),
  };
  const logger = { info: ignore, warn: ignore, error: ignore };
  const watch = new Watch(client, resource, sink, { clock: systemClock(), logger });
  const begunMs = performance.now();
  watch.start();
  await synced.promise;
  const tookMs = performance.now() - begunMs;
  process.stdout.write(
    `listed in ${tookMs.toFixed(0)} ms, ${watch.status().tracked} tracked, heap at most ${mebibytes(heapMax)} MiB\n`,
  );
  collect();
  const watching = report('watching');
  await watch.stop();
  return { tookMs, heapMax, watching };
}

const controlPlane = await startControlPlane({ binaries: await ensureControlPlane({}) });
try {
  const client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  process.stdout.write(`writing ${count} ConfigMaps of ${kibibytes} KiB\n`);
  await fill(client);
  collect();
  const before = report('before');
  const watched = await watchOnce(client);
  await writeResult('watch-memory', { count, kibibytes, before, ...watched });
  client.close();
} finally {
  await controlPlane.stop();
}
