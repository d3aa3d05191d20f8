/** Files that hold policies, as they are named on a command line. */
import { glob, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LockwardenError, messageOf, systemCodeOf } from '../errors.ts';
import type { SourceFile } from '../lint/subject.ts';

/**
 * The files at the given paths, each once: a file is one itself, of a folder those that hold policies, `-` is standard input.
 *
 * @throws LockwardenError `UsageInvalid` for a file that cannot be read
 */
export async function policyFiles(
  names: readonly string[],
  readStandardInput: () => Promise<string>,
): Promise<readonly SourceFile[]> {
  const files = new Map<string, SourceFile>();
  for (const name of names)
    for (const file of await filesOf(name, readStandardInput)) files.set(file.name, file);
  return [...files.values()];
}

async function filesOf(
  name: string,
  readStandardInput: () => Promise<string>,
): Promise<readonly SourceFile[]> {
  if (name === '-') return [{ name: '<standard input>', text: await readStandardInput() }];
  const found = await readable(name, stat(name));
  return found.isDirectory() ? filesIn(name) : [await fileAt(name, found.size)];
}

/** The files of a folder that hold policies; not its policy tests, which `lockwarden test` reads. */
async function filesIn(folder: string): Promise<readonly SourceFile[]> {
  const exclude = (name: string): boolean => name === 'node_modules';
  const files: SourceFile[] = [];
  for await (const path of glob('**/*.{yaml,yml,json}', { cwd: folder, exclude })) {
    if (/\.locktest\.ya?ml$/.test(path)) continue;
    const file = await fileAt(join(folder, path), (await stat(join(folder, path))).size);
    if (policyVersion.test(file.text)) files.push(file);
  }
  if (files.length > 0) return files.sort((a, b) => (a.name < b.name ? -1 : 1));
  throw new LockwardenError('UsageInvalid', `\`${folder}\` holds no policies: name files, or another folder`);
}

/** What stands in every policy. Of a folder, other files are other programs' business. */
const policyVersion = /\bapiVersion["']?\s*:\s*["']?lockwarden\.dev\//;

/** LIMIT: ten times five thousand policies of the usual size. */
const bytesMax = 16 * 2 ** 20;

async function fileAt(path: string, bytes: number): Promise<SourceFile> {
  if (bytes > bytesMax)
    throw new LockwardenError('UsageInvalid', `\`${path}\` is larger than 16 MiB: split it`);
  return { name: path, text: await readable(path, readFile(path, 'utf8')) };
}

const sentences: Readonly<Partial<Record<string, string>>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'it is not ours to read',
  EISDIR: 'it is a folder',
};

async function readable<T>(path: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    const why = sentences[systemCodeOf(error) ?? ''] ?? messageOf(error);
    throw new LockwardenError('UsageInvalid', `\`${path}\` cannot be read: ${why}`, { cause: error });
  }
}
