/** Programs that are npm packages with a lock file of their own, apart from what the checkout itself depends on. */
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { cacheFolder, ensureEntry } from '../../src/sandbox/cache-entry.ts';
import { withElapsed, type Progress } from '../../src/sandbox/progress.ts';
import { runCommand } from '../../src/sandbox/run-command.ts';

/** What npm writes once it has installed everything. */
const installed = 'node_modules/.package-lock.json';

/**
 * A folder with the package in `folder` and all that it depends on: installed once for each state of its files, without scripts, and
 * without what it has to develop with.
 */
export async function ensureNpmProgram(name: string, folder: string, progress: Progress): Promise<string> {
  const entries = await readdir(folder, { withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort();
  const root = cacheFolder(process.env);
  const make = async (to: string): Promise<string> => {
    for (const file of files) await copyFile(join(folder, file), join(to, file));
    await withElapsed(`installing ${name}`, { progress }, () =>
      install(to, join(root, 'logs', `${name}.log`)),
    );
    return 'npm ci';
  };
  const key = await digestOf(folder, files);
  const entry = { name: `${name}-${key}`, files: [...files, installed], make };
  return (await ensureEntry(root, entry, { progress })).folder;
}

async function install(folder: string, logFile: string): Promise<void> {
  await mkdir(join(logFile, '..'), { recursive: true });
  const args = ['ci', '--omit=dev', '--omit=peer', '--ignore-scripts'];
  const { exitCode, lastLines } = await runCommand('npm', args, { env: process.env, cwd: folder, logFile });
  if (exitCode !== 0)
    throw new Error(`npm ci failed (${lastLines.at(-1) ?? 'it says nothing'}; log in ${logFile})`);
}

/** LIMIT: 64 bits of digest tell the states of one folder apart. */
async function digestOf(folder: string, files: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file}\0`).update(await readFile(join(folder, file)));
  return hash.digest('hex').slice(0, 16);
}
