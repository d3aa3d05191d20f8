/** Kinds of others that components of the manifests use, from their makers' Go modules: the same files that they release. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { parse } from 'yaml';

import type { JsonObject } from '../../../src/kube/json.ts';

interface Source {
  /** Module and version. */
  readonly module: string;
  /** As go.sum would have it. */
  readonly sum: string;
  readonly files: readonly string[];
}

const sources: readonly Source[] = [
  {
    module: 'github.com/cert-manager/cert-manager@v1.18.2',
    sum: 'h1:H2P75ycGcTMauV3gvpkDqLdS3RSXonWF2S49QGA1PZE=',
    files: ['deploy/crds/crd-certificates.yaml', 'deploy/crds/crd-issuers.yaml'],
  },
  {
    module: 'github.com/prometheus-operator/prometheus-operator@v0.85.0',
    sum: 'h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=',
    files: ['example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml'],
  },
];

/** Downloads them, once a machine. */
export async function foreignCrds(): Promise<readonly JsonObject[]> {
  return (await Promise.all(sources.map(crdsOf))).flat();
}

async function crdsOf({ module, sum, files }: Source): Promise<readonly JsonObject[]> {
  const { stdout } = await promisify(execFile)('go', ['mod', 'download', '-json', module]);
  const { Dir: folder, Sum: found } = JSON.parse(stdout) as { readonly Dir: string; readonly Sum: string };
  if (found !== sum) throw new Error(`${module} is not what it was: ${found}`);
  return Promise.all(
    files.map(async (file) => {
      const crd = parse(await readFile(join(folder, file), 'utf8')) as JsonObject;
      const { name } = crd['metadata'] as { readonly name: string };
      // cert-manager's labels are templates for Helm.
      return { ...crd, metadata: { name } };
    }),
  );
}
