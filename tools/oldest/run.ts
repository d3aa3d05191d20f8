/**
 * `npm run test:oldest`: the integration tests on the oldest Kubernetes that lockwarden supports, whose kube-apiserver is built
 * from Go modules, once. Arguments go to vitest: `npm run test:oldest -- test/conformance/serve.test.ts`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../../src/errors.ts';
import { cacheFolder, ensureEntry } from '../../src/sandbox/cache-entry.ts';
import { ensureControlPlane } from '../../src/sandbox/control-plane-binaries.ts';
import { buildGoProgram } from '../../src/sandbox/go-toolchain.ts';
import { oldestGo, oldestKubernetes } from '../../src/sandbox/pins.ts';
import { showProgress, withElapsed, type Progress } from '../../src/sandbox/progress.ts';

const moduleDir = fileURLToPath(new URL('kube-apiserver', import.meta.url));
/** As in kube-apiserver/go.mod: the last release of the oldest minor version. */
const version = `${oldestKubernetes.major}.${oldestKubernetes.minor}.14`;

/** A folder with kube-apiserver of that version, and the etcd that is there anyway. */
async function assets(progress: Progress): Promise<string> {
  const env = { ...process.env, KUBEBUILDER_ASSETS: undefined };
  const { etcd } = await ensureControlPlane({ env, progress });
  const root = cacheFolder(env);
  const name = `control-plane-v${version}`;
  const make = async (folder: string): Promise<string> => {
    const build = {
      moduleDir,
      packagePath: 'k8s.io/kubernetes/cmd/kube-apiserver',
      // NB: without a stamp it calls itself v0.0.0-master, and clients that compare versions refuse it.
      linkerFlags: `-s -w -X k8s.io/component-base/version.gitVersion=v${version}`,
      output: join(folder, 'kube-apiserver'),
      logFile: join(root, 'logs', `kube-apiserver-${version}.log`),
    };
    const advice = `install Go >= ${oldestGo.major}.${oldestGo.minor}`;
    await withElapsed(
      `building kube-apiserver ${version} from Go modules (once, some minutes)`,
      { progress },
      () => buildGoProgram(build, { env, advice }),
    );
    await copyFile(etcd, join(folder, 'etcd'));
    return 'build';
  };
  const entry = { name, files: ['kube-apiserver', 'etcd'], make };
  return (await ensureEntry(root, entry, { progress })).folder;
}

async function run(folder: string, args: readonly string[]): Promise<number> {
  const projects = ['--project', 'integration', '--project', 'alone'];
  const child = spawn('vitest', ['run', ...projects, ...args], {
    stdio: 'inherit',
    env: { ...process.env, KUBEBUILDER_ASSETS: folder },
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}

const shown = showProgress(process.stdout);
try {
  const folder = await assets(shown.progress);
  shown.done();
  process.exitCode = await run(folder, process.argv.slice(2));
} catch (error) {
  shown.done();
  process.stderr.write(`test:oldest: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
