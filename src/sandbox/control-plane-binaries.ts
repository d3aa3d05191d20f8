/**
 * Where the sandbox's kube-apiserver and etcd come from: the folder the user names, the cache, the official release, or
 * a build from Go modules, in this order.
 */
import { access, constants } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { LockwardenError } from '../errors.ts';
import { buildControlPlane } from './build-control-plane.ts';
import { cacheFolder, ensureEntry } from './cache-entry.ts';
import {
  downloadEnvtest,
  officialEnvtest,
  type EnvtestSource,
  type HostPlatform,
} from './envtest-release.ts';
import { freeSpace, requireSpace, type FreeSpace } from './free-space.ts';
import { envtestVersion, etcdVersion, kubernetesVersion, oldestKubernetes, wayOut } from './pins.ts';
import { withElapsed, type Progress } from './progress.ts';
import { reasonOf } from './reason-of.ts';
import { runCommand } from './run-command.ts';

/** Where the binaries were found or how they were made this time. */
export type BinariesOrigin = 'KUBEBUILDER_ASSETS' | 'cache' | 'download' | 'build';

/** Paths of two binaries that run on this machine. `version` is that of kube-apiserver, such as `1.36.3`. */
export interface ControlPlaneBinaries {
  readonly kubeApiserver: string;
  readonly etcd: string;
  readonly version: string;
  readonly origin: BinariesOrigin;
}

/** Surroundings of the search. `env` gives `KUBEBUILDER_ASSETS`, the cache's place, `PATH` and Go's own settings. */
export interface EnsureControlPlaneOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly progress?: Progress;
  readonly progressIntervalMs?: number;
  readonly signal?: AbortSignal;
  readonly source?: EnvtestSource;
  readonly host?: HostPlatform;
  readonly freeSpace?: FreeSpace;
}

type Surroundings = Required<
  Pick<EnsureControlPlaneOptions, 'env' | 'progress' | 'source' | 'host' | 'freeSpace'>
> &
  Pick<EnsureControlPlaneOptions, 'progressIntervalMs' | 'signal'>;

const binaries = ['kube-apiserver', 'etcd'] as const;

/** LIMIT: an archive of 50 MiB and its three binaries of 240 MiB, rounded up. */
const downloadBytes = 0.5 * 2 ** 30;

/**
 * Finds kube-apiserver and etcd, or downloads or builds them, once, and runs both to verify their versions.
 *
 * @throws LockwardenError with one sentence that says what to do.
 */
export async function ensureControlPlane(
  options: EnsureControlPlaneOptions = {},
): Promise<ControlPlaneBinaries> {
  const around: Surroundings = {
    env: process.env,
    progress: () => undefined,
    source: officialEnvtest,
    host: { os: process.platform, arch: process.arch },
    freeSpace,
    ...options,
  };
  const assets = around.env['KUBEBUILDER_ASSETS'];
  if (assets !== undefined && assets !== '') return fromAssets(resolve(assets), around);
  if (around.host.os !== 'linux' && around.host.os !== 'darwin') {
    throw new LockwardenError(
      'ToolMissing',
      `the embedded control plane runs on Linux and macOS, not on \`${around.host.os}\`; name a cluster with --kubeconfig`,
    );
  }
  return fromCache(around);
}

async function fromAssets(folder: string, around: Surroundings): Promise<ControlPlaneBinaries> {
  for (const name of binaries) {
    await access(join(folder, name), constants.X_OK).catch((error: unknown) => {
      throw new LockwardenError(
        'ToolMissing',
        `\`KUBEBUILDER_ASSETS\` names \`${folder}\`, which has no executable \`${name}\`; point it to a folder with kube-apiserver and etcd, or unset it`,
        { cause: error },
      );
    });
  }
  const { 'kube-apiserver': version } = await versionsIn(folder, around).catch((error: unknown) => {
    throw new LockwardenError('ToolMissing', `\`KUBEBUILDER_ASSETS\` cannot be used: ${reasonOf(error)}`, {
      cause: error,
    });
  });
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major === oldestKubernetes.major && minor < oldestKubernetes.minor) {
    throw new LockwardenError(
      'ToolMissing',
      `\`KUBEBUILDER_ASSETS\` has kube-apiserver \`${version}\`; lockwarden needs ${oldestKubernetes.major}.${oldestKubernetes.minor} or newer`,
    );
  }
  return found(folder, version, 'KUBEBUILDER_ASSETS');
}

async function fromCache(around: Surroundings): Promise<ControlPlaneBinaries> {
  const { env, host, progress, signal } = around;
  const root = cacheFolder(env);
  const name = `control-plane-v${kubernetesVersion}-etcd-v${etcdVersion}-envtest-v${envtestVersion}-${host.os}-${host.arch}`;
  const entry = await ensureEntry(
    root,
    { name, files: binaries, make: (folder) => downloadOrBuild(root, folder, around) },
    { progress, signal },
  );
  const { 'kube-apiserver': version } = await versionsIn(entry.folder, around).catch((error: unknown) => {
    throw new LockwardenError(
      'StorageFailed',
      `${reasonOf(error)}; remove \`${entry.folder}\` and start again`,
      { cause: error },
    );
  });
  return found(entry.folder, version, entry.made ? asOrigin(entry.origin) : 'cache');
}

async function downloadOrBuild(root: string, folder: string, around: Surroundings): Promise<BinariesOrigin> {
  const { env, progress, progressIntervalMs, source, host, signal } = around;
  try {
    await requireSpace([{ folder: root, bytes: downloadBytes }], around.freeSpace);
    await withElapsed(
      `downloading kube-apiserver and etcd (envtest ${envtestVersion})`,
      { progress, intervalMs: progressIntervalMs },
      () => downloadEnvtest(folder, { source, host, env, signal }),
    );
    await requireVersions(folder, { 'kube-apiserver': envtestVersion }, around);
    return 'download';
  } catch (error) {
    const isFinal = error instanceof LockwardenError && error.code === 'StorageFailed';
    if (isFinal || signal?.aborted === true) throw error;
    progress(`no download: ${reasonOf(error)}; building from Go modules instead`);
  }
  await buildControlPlane(folder, { ...around, root });
  await requireVersions(folder, { 'kube-apiserver': kubernetesVersion, etcd: etcdVersion }, around);
  return 'build';
}

async function requireVersions(
  folder: string,
  expected: Partial<Versions>,
  around: Surroundings,
): Promise<void> {
  const told = await versionsIn(folder, around);
  for (const name of binaries) {
    const version = expected[name] ?? told[name];
    if (told[name] !== version) {
      const difference = `${name} calls itself \`${told[name]}\` where \`${version}\` was expected`;
      throw new LockwardenError('ToolFailed', `${difference}; ${wayOut}`);
    }
  }
}

type Versions = Readonly<Record<(typeof binaries)[number], string>>;

const versionPatterns = {
  'kube-apiserver': /Kubernetes v(\d+\.\d+\.\d+)/,
  etcd: /etcd Version: (\d+\.\d+\.\d+)/,
};

/** Runs both binaries; rejects when one does not run or does not tell its version. */
async function versionsIn(folder: string, { env, signal }: Surroundings): Promise<Versions> {
  const tell = async (name: (typeof binaries)[number]): Promise<string> => {
    const path = join(folder, name);
    const said = await runCommand(path, ['--version'], { env, signal }).catch((error: unknown) => {
      if (signal?.aborted === true) throw error;
      return { stdout: '', lastLines: [reasonOf(error)] };
    });
    const version = versionPatterns[name].exec(said.stdout)?.[1];
    if (version !== undefined) return version;
    throw new LockwardenError(
      'ToolFailed',
      `\`${path}\` does not tell its version (${said.lastLines.join(' ')})`,
    );
  };
  return { 'kube-apiserver': await tell('kube-apiserver'), etcd: await tell('etcd') };
}

function found(folder: string, version: string, origin: BinariesOrigin): ControlPlaneBinaries {
  return { kubeApiserver: join(folder, 'kube-apiserver'), etcd: join(folder, 'etcd'), version, origin };
}

function asOrigin(origin: string): BinariesOrigin {
  return origin === 'download' ? 'download' : 'build';
}
