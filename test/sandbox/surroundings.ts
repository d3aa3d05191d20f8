import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EnvtestSource } from '../../src/sandbox/envtest-release.ts';
import { loopback } from '../../src/sandbox/free-port.ts';
import type { FreeSpace } from '../../src/sandbox/free-space.ts';
import { runCommand } from '../../src/sandbox/run-command.ts';

/** A machine of a test's own: a home for the cache, a `PATH` with a false `go`, and no network. */
export interface Surroundings {
  readonly folder: string;
  readonly cache: string;
  readonly env: NodeJS.ProcessEnv;
  readonly lines: string[];
  readonly options: {
    readonly env: NodeJS.ProcessEnv;
    readonly progress: (line: string) => void;
    readonly source: EnvtestSource;
    readonly host: { readonly os: string; readonly arch: string };
    readonly freeSpace: FreeSpace;
  };
  /** How often the false `go` was asked to build. */
  readonly builds: () => Promise<number>;
  /** Puts an executable shell script beneath the folder. */
  readonly script: (path: string, body: string) => Promise<string>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** An unreachable release: nothing listens on the discard port. */
export const noRelease: EnvtestSource = {
  indexUrl: `http://${loopback}:9/index`,
  archiveFolderUrl: `http://${loopback}:9`,
  connectTimeoutMs: 1_000,
  stallTimeoutMs: 1_000,
};

/** Room for everything. */
export const roomy: FreeSpace = () => Promise.resolve({ device: 'disk', bytes: 2 ** 40 });

/** The body of a script that tells the version a binary of this name would. */
export function versionScript(name: string, kubernetes = '1.36.3'): string {
  return name === 'etcd' ? 'echo "etcd Version: 3.6.16"' : `echo "Kubernetes v${kubernetes}"`;
}

// NB: the output of `go build` is a script again; where the arguments name it, the false compiler writes it.
const falseGo = `
if [ "$1" = env ]; then printf '%s\\n' "\${FALSE_GO_VERSION:-go1.26.8}" "$HOME/gocache" "$HOME/gomod"; exit 0; fi
echo build >> "$HOME/builds"
if [ -n "$FALSE_GO_FAILURE" ]; then echo "$FALSE_GO_FAILURE" >&2; exit 1; fi
while [ "$1" != -o ]; do shift; done
case "$2" in */etcd) echo '#!/bin/sh
echo "etcd Version: 3.6.16"' > "$2";; *) echo '#!/bin/sh
echo "Kubernetes v1.36.3"' > "$2";; esac
chmod +x "$2"
`;

/** Makes such a machine. Dispose of it with `await using`. */
export async function createSurroundings(extraEnv: NodeJS.ProcessEnv = {}): Promise<Surroundings> {
  const folder = await mkdtemp(join(tmpdir(), 'lockwarden-test-'));
  const script = async (path: string, body: string): Promise<string> => {
    const file = join(folder, path);
    await mkdir(join(file, '..'), { recursive: true });
    await writeFile(file, `#!/bin/sh\n${body}\n`);
    await chmod(file, 0o755);
    return file;
  };
  await script('bin/go', falseGo);
  const env = { PATH: `${folder}/bin:/usr/bin:/bin`, HOME: folder, LOCKWARDEN_CACHE: folder, ...extraEnv };
  const lines: string[] = [];
  return {
    folder,
    cache: join(folder, 'lockwarden'),
    env,
    lines,
    options: {
      env,
      progress: (line) => lines.push(line),
      source: noRelease,
      host: { os: 'linux', arch: 'x64' },
      freeSpace: roomy,
    },
    builds: async () =>
      (await readFile(join(folder, 'builds'), 'utf8').catch(() => '')).split('\n').length - 1,
    script,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** An envtest release on loopback, whose binaries tell `version`, with the digest that its index publishes for it. */
export async function createRelease(
  { folder, env, script }: Surroundings,
  { version, digest }: { version: string; digest?: string },
): Promise<HttpFixture & { readonly source: EnvtestSource }> {
  for (const name of ['etcd', 'kube-apiserver']) {
    await script(`release/controller-tools/envtest/${name}`, versionScript(name, version));
  }
  const path = join(folder, 'release.tar.gz');
  await runCommand('tar', ['-czf', path, '-C', join(folder, 'release'), 'controller-tools'], { env });
  const archive = await readFile(path);
  const published = digest ?? createHash('sha512').update(archive).digest('hex');
  const name = 'envtest-v1.36.2-linux-amd64.tar.gz';
  const index = `releases:\n  v1.36.2:\n    ${name}:\n      hash: ${published}\n      selfLink: x\n`;
  const fixture = await serve((request, response) => {
    if (request.url === '/index') response.end(index);
    else if (request.url === `/${name}`) response.end(archive);
    else response.writeHead(404).end();
  });
  const source = { ...noRelease, indexUrl: `${fixture.url}/index`, archiveFolderUrl: fixture.url };
  return { ...fixture, source };
}

/** A plain HTTP server on loopback. */
export interface HttpFixture {
  readonly url: string;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Serves until it is disposed of, with connections that are still open then cut. */
export async function serve(listener: RequestListener): Promise<HttpFixture> {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, loopback, resolve));
  const address = server.address();
  const port = typeof address === 'object' ? address!.port : 0;
  return {
    url: `http://${loopback}:${port}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => {
          resolve();
        });
      }),
  };
}
