/** The kinds of policies, as a cluster gets them. */
import { vi } from 'vitest';
import { parse } from 'yaml';

import type { KubeClient } from '../../../src/kube/client.ts';
import { arrayAt, objectAt, stringAt, type JsonObject } from '../../../src/kube/json.ts';
import { failureOf } from '../../kube/support/cluster.ts';
import { files, read } from '../../style/tree.ts';

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

/** Installs them, and others besides, and resolves once the API server serves them. */
export async function installCrds(client: KubeClient, others: readonly JsonObject[] = []): Promise<void> {
  const ours = files('manifests/crds/lockwarden.dev_*.yaml').map((path) => parse(read(path)) as JsonObject);
  const crds = [...ours, ...others];
  for (const body of crds) await client.request({ method: 'POST', path: definitions, body });
  await vi.waitFor(
    async () => {
      for (const crd of crds) {
        const plural = stringAt(objectAt(crd, 'metadata'), 'name').split('.')[0] ?? '';
        const spec = objectAt(crd, 'spec');
        const [version] = arrayAt(spec, 'versions');
        const path = `/apis/${stringAt(spec, 'group')}/${stringAt(version, 'name')}/${plural}`;
        const failure = await failureOf(client.request({ method: 'GET', path }));
        if (failure !== null) throw failure;
      }
    },
    { timeout: 30_000, interval: 100 },
  );
}
