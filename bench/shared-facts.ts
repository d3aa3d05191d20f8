/**
 * What it costs to tell another replica of many changes of holder: `node bench/shared-facts.ts [locks] [seconds]`. Default: 10,000
 * in a minute. Takes an embedded control plane, so its API server and etcd share the machine.
 */
import { createKubeClient } from '../src/kube/client.ts';
import { loadKubeconfig } from '../src/kube/kubeconfig.ts';
import { ensureControlPlane } from '../src/sandbox/control-plane-binaries.ts';
import { startControlPlane } from '../src/sandbox/control-plane.ts';
import { describeStorm, storm } from '../test/support/facts-storm.ts';
import { writeResult } from './support/result.ts';

const [locks = 10_000, seconds = 60] = process.argv.slice(2).map(Number);

const controlPlane = await startControlPlane({ binaries: await ensureControlPlane({}) });
try {
  const client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  const result = await storm(client, 'default', { locks, perSecond: locks / seconds });
  process.stdout.write(`${describeStorm(result)}\n`);
  await writeResult('shared-facts', result);
  client.close();
} finally {
  await controlPlane.stop();
}
