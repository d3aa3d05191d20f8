/**
 * Renders manifests with kustomize, of a pinned version, so that they come out the same whichever kubectl is there; and writes
 * the one file that stands for `kubectl apply -k manifests/base`. A test compares it with what this would write.
 */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ensureGoProgram } from '../src/sandbox/go-program.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const kustomize = {
  name: 'kustomize',
  moduleDir: join(root, 'tools/kustomize'),
  packagePath: 'sigs.k8s.io/kustomize/kustomize/v5',
};
const header =
  '# lockwarden, installed cluster-wide: docs/install.md. Made from manifests/base by `npm run render`; what is changed here is lost.\n';
/** LIMIT: the CRDs are some 50 KB; ten times that is no rendering of these manifests. */
const outputBytesMax = 2 ** 20;

/** What `kubectl apply -k FOLDER` would apply, as YAML. The first time, kustomize is built; that takes a minute. */
export async function rendered(folder: string): Promise<string> {
  const program = await ensureGoProgram(kustomize);
  const { stdout } = await promisify(execFile)(program, ['build', folder], { maxBuffer: outputBytesMax });
  return stdout;
}

/** The text of manifests/install.yaml. */
export async function renderedInstall(): Promise<string> {
  return header + (await rendered(join(root, 'manifests/base')));
}

if (import.meta.main) {
  await writeFile(join(root, 'manifests/install.yaml'), await renderedInstall());
  console.log('manifests/install.yaml');
}
