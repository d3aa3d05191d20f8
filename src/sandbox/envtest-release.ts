/**
 * The official release of the two binaries, as controller-runtime's envtest uses it.
 *
 * SOURCE: kubernetes-sigs/controller-tools, `envtest-releases.yaml` (archive -> sha512) and the release `envtest-v*`,
 * whose archives hold `controller-tools/envtest/{etcd,kube-apiserver,kubectl}`.
 */
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { fileDigest } from './cache-entry.ts';
import { envtestVersion } from './pins.ts';
import { runCommand } from './run-command.ts';

/** Where the release is, and how patient a download is. */
export interface EnvtestSource {
  readonly indexUrl: string;
  readonly archiveFolderUrl: string;
  /** Time from a request to the head of its answer. */
  readonly connectTimeoutMs: number;
  /** Longest pause within a body. */
  readonly stallTimeoutMs: number;
}

/**
 * The official source.
 * LIMIT: a connection that has not answered in 5 s hangs in a firewall; a body that pauses for 15 s will not recover.
 */
export const officialEnvtest: EnvtestSource = {
  indexUrl: 'https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml',
  archiveFolderUrl: `https://github.com/kubernetes-sigs/controller-tools/releases/download/envtest-v${envtestVersion}`,
  connectTimeoutMs: 5_000,
  stallTimeoutMs: 15_000,
};

/** A Node platform and architecture, such as `linux` and `x64`. */
export interface HostPlatform {
  readonly os: string;
  readonly arch: string;
}

/** Go's name of each architecture for which archives are published. */
const goArch: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  ppc64: 'ppc64le',
  s390x: 's390x',
};

/** Downloads the release for `host`, verifies its published digest and unpacks the binaries into `folder`. Rejects with why it could not. */
export async function downloadEnvtest(
  folder: string,
  {
    source,
    host,
    env,
    signal,
  }: {
    source: EnvtestSource;
    host: HostPlatform;
    env: NodeJS.ProcessEnv;
    signal?: AbortSignal | undefined;
  },
): Promise<void> {
  const archive = `envtest-v${envtestVersion}-${host.os}-${goArch[host.arch] ?? host.arch}.tar.gz`;
  const published = await publishedDigest(archive, source, signal);
  const path = join(folder, archive);
  try {
    await pipeline(
      await open(`${source.archiveFolderUrl}/${archive}`, source, signal),
      createWriteStream(path),
    );
    const digest = await fileDigest(path, 'sha512');
    if (digest !== published) {
      throw new Error(`\`${archive}\` has sha512 \`${digest}\` and \`${published}\` was published`);
    }
    const unpacked = await runCommand('tar', ['-xzf', path, '-C', folder, '--strip-components=2'], {
      env,
      signal,
    });
    if (unpacked.exitCode !== 0)
      throw new Error(`\`${archive}\` cannot be unpacked: ${unpacked.lastLines.join(' ')}`);
  } finally {
    await rm(path, { force: true });
  }
}

async function publishedDigest(
  archive: string,
  source: EnvtestSource,
  signal?: AbortSignal,
): Promise<string> {
  let index = '';
  for await (const chunk of (await open(source.indexUrl, source, signal)).setEncoding('utf8'))
    index += String(chunk);
  const start = index.indexOf(`${archive}:`);
  const digest =
    start < 0 ? undefined : /^[^\n]*\n\s*hash:\s*([0-9a-f]{128})\s/.exec(index.slice(start))?.[1];
  if (digest === undefined) throw new Error(`no digest is published for \`${archive}\``);
  return digest;
}

/** Opens a body that fails when it does not begin within the connect timeout or pauses longer than the stall timeout. */
async function open(url: string, source: EnvtestSource, signal?: AbortSignal): Promise<Readable> {
  const gaveUp = new AbortController();
  const giveUpAfter = (ms: number, doing: string): NodeJS.Timeout =>
    setTimeout(() => {
      gaveUp.abort(new Error(`\`${new URL(url).host}\` did not ${doing} within ${ms / 1_000} s`));
    }, ms);
  const connecting = giveUpAfter(source.connectTimeoutMs, 'answer');
  const signals = signal === undefined ? gaveUp.signal : AbortSignal.any([gaveUp.signal, signal]);
  const response = await fetch(url, { signal: signals }).finally(() => {
    clearTimeout(connecting);
  });
  if (!response.ok || response.body === null) {
    await response.body?.cancel();
    throw new Error(`\`${url}\` answered ${response.status}`);
  }
  const stalling = giveUpAfter(source.stallTimeoutMs, 'go on');
  const watched = new Transform({
    transform(chunk, _encoding, callback) {
      stalling.refresh();
      callback(null, chunk);
    },
  });
  watched.once('close', () => {
    clearTimeout(stalling);
  });
  pipeline(Readable.fromWeb(response.body), watched).catch(() => undefined);
  return watched;
}
