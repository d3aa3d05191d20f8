/** The kind CLI: the one on the path, else the version that tools/kind/module pins, built from its Go module. */
import { join } from 'node:path';
import { ensureGoProgram } from '../../src/sandbox/go-program.ts';
import type { Progress } from '../../src/sandbox/progress.ts';
import { root, run } from './engine.ts';

const pinned = {
  name: 'kind',
  moduleDir: join(root, 'tools/kind/module'),
  packagePath: 'sigs.k8s.io/kind',
};

/** Its path. @throws LockwardenError `ToolMissing`, `ToolFailed` */
export async function findKind(
  env: NodeJS.ProcessEnv,
  progress: Progress = () => undefined,
): Promise<string> {
  try {
    await run('kind', ['version'], env);
    return 'kind';
  } catch {
    return ensureGoProgram(pinned, { env, progress });
  }
}
