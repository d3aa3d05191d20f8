/** Finding the files of suites. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LockwardenError, systemCodeOf } from '../errors.ts';

const suiteFile = /\.locktest\.ya?ml$/;
/** Stands for standard input among paths. */
export const standardInput = '-';

/**
 * The suites at the given paths, in order and each once: a file is one itself, a folder is searched with all that is in it, but for
 * hidden folders and node_modules.
 *
 * @throws LockwardenError `UsageInvalid` where there is nothing at a path, or no suite in a folder
 */
export async function findSuites(paths: readonly string[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const path of paths) found.push(...(await suitesAt(path)));
  return [...new Set(found)];
}

async function suitesAt(path: string): Promise<readonly string[]> {
  if (path === standardInput) return [path];
  if (!(await isFolder(path))) return [path];
  const suites = await suitesIn(path);
  if (suites.length > 0) return suites;
  throw new LockwardenError(
    'UsageInvalid',
    `there is no suite in \`${path}\`: give the path of a folder that has \`*.locktest.yaml\` files in it`,
  );
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    const why = systemCodeOf(error) === 'ENOENT' ? 'does not exist' : 'cannot be looked at';
    throw new LockwardenError('UsageInvalid', `\`${path}\` ${why}; give the path of a suite or a folder`, {
      cause: error,
    });
  }
}

async function suitesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const found: string[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isFile() && suiteFile.test(entry.name)) found.push(path);
    const isOurs = entry.isDirectory() && entry.name !== 'node_modules' && !entry.name.startsWith('.');
    if (isOurs) found.push(...(await suitesIn(path)));
  }
  return found;
}
