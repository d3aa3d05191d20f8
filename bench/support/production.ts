/** How lockwarden runs in a cluster, as far as it makes a difference to time and memory. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { parse } from 'yaml';

import { root } from '../../tools/image/bundle.ts';
import { entrypointOf, environmentOf, ownDockerfile } from '../../tools/image/dockerfile.ts';

interface Deployment {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly {
          readonly resources: { readonly limits: { readonly memory: string } };
        }[];
      };
    };
  };
}

/** The memory limit of `manifests/base`, in MiB: a container that takes more is killed. */
export function memoryLimitMiB(): number {
  const text = readFileSync(join(root, 'manifests/base/deployment.yaml'), 'utf8');
  const { spec } = parse(text) as Deployment;
  const memory = spec.template.spec.containers[0]?.resources.limits.memory;
  const mebibytes = /^(?<number>\d+)Mi$/u.exec(memory ?? '')?.groups?.['number'];
  if (mebibytes === undefined) throw new Error(`the memory limit is ${String(memory)}, and not so many Mi`);
  return Number(mebibytes);
}

/**
 * Node's flags: the image's, and the heap that Node allows itself in a container of that limit, which is half of it.
 * SOURCE: https://github.com/v8/v8/blob/13.6-lkgr/src/heap/heap.cc (HeapSizeFromPhysicalMemory: a quarter, times two on 64 bits)
 */
export function productionFlags(): readonly string[] {
  const flags = entrypointOf(ownDockerfile()).filter((word) => word.startsWith('--'));
  return [...flags, `--max-old-space-size=${String(memoryLimitMiB() / 2)}`];
}

/** The image's variables. */
export function productionVariables(): Readonly<Record<string, string>> {
  return environmentOf(ownDockerfile());
}
