import { join } from 'node:path';

import { requireSpace, type FreeSpace } from './free-space.ts';
import { buildGoProgram, findGo } from './go-toolchain.ts';
import { etcdVersion, kubernetesVersion, moduleFolder, wayOut } from './pins.ts';
import { withElapsed, type Progress } from './progress.ts';

/** Surroundings of a build. `root` is the cache's folder, where the logs go. */
export interface BuildSurroundings {
  readonly root: string;
  readonly env: NodeJS.ProcessEnv;
  readonly progress: Progress;
  readonly progressIntervalMs?: number | undefined;
  readonly freeSpace: FreeSpace;
  readonly signal?: AbortSignal | undefined;
}

/**
 * LIMIT: measured on linux/amd64 with Go 1.26: compiling both adds 2.3 GiB to Go's build cache, their modules are 0.8 GiB,
 * and the binaries 0.13 GiB, of which the linker holds a copy. Each is rounded up by a quarter or more.
 */
const buildBytes = { buildCache: 3 * 2 ** 30, moduleCache: 2 ** 30, cache: 2 ** 28 };

const programs = [
  { name: 'etcd', version: etcdVersion, packagePath: 'go.etcd.io/etcd/server/v3', linkerFlags: '-s -w' },
  {
    name: 'kube-apiserver',
    version: kubernetesVersion,
    packagePath: 'k8s.io/kubernetes/cmd/kube-apiserver',
    // NB: without a stamp it calls itself v0.0.0-master, and clients that compare versions refuse it.
    linkerFlags: `-s -w -X k8s.io/component-base/version.gitVersion=v${kubernetesVersion}`,
  },
] as const;

/**
 * Builds etcd and kube-apiserver into `folder`, after it has checked that there is a Go and room for its work.
 *
 * @throws LockwardenError `ToolMissing`, `StorageFailed` or `ToolFailed`.
 */
export async function buildControlPlane(folder: string, around: BuildSurroundings): Promise<void> {
  const { root, env, progress, progressIntervalMs: intervalMs, signal } = around;
  const context = { env, advice: wayOut, signal };
  const go = await findGo(moduleFolder('kube-apiserver'), context);
  const needs = [
    { folder: root, bytes: buildBytes.cache },
    { folder: go.buildCache, bytes: buildBytes.buildCache },
    { folder: go.moduleCache, bytes: buildBytes.moduleCache },
  ];
  await requireSpace(needs, around.freeSpace);
  for (const { name, version, packagePath, linkerFlags } of programs) {
    const output = join(folder, name);
    const logFile = join(root, 'logs', `${name}.log`);
    const build = { moduleDir: moduleFolder(name), packagePath, linkerFlags, output, logFile };
    await withElapsed(
      `building ${name} ${version} from Go modules (once, some minutes)`,
      { progress, intervalMs },
      () => buildGoProgram(build, context),
    );
  }
}
