import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { cacheFolder, ensureEntry } from './cache-entry.ts';
import { buildGoProgram, findGo, type GoContext } from './go-toolchain.ts';
import { oldestGo } from './pins.ts';
import { withElapsed, type Progress } from './progress.ts';

/** A program of a Go module that is committed next to its go.sum. */
export interface GoProgram {
  /** Name of the binary, and of its entries in the cache. */
  readonly name: string;
  /** Folder of go.mod. */
  readonly moduleDir: string;
  /** Package to build, relative to the module, such as `./elector`. */
  readonly packagePath: string;
}

/** Surroundings of a build. `env` gives `PATH`, the cache's place and Go's own settings. */
export interface GoProgramOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly progress?: Progress;
  readonly progressIntervalMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Path of the program, built once for each state of its sources and each version of Go.
 *
 * @throws LockwardenError `ToolMissing`, `ToolFailed` or `StorageFailed`.
 */
export async function ensureGoProgram(program: GoProgram, options: GoProgramOptions = {}): Promise<string> {
  const { env = process.env, progress = () => undefined, progressIntervalMs, signal } = options;
  const context: GoContext = { env, advice: `install Go >= ${oldestGo.major}.${oldestGo.minor}`, signal };
  const { name, moduleDir, packagePath } = program;
  const go = await findGo(moduleDir, context);
  const root = cacheFolder(env);
  const key = await sourcesDigest(moduleDir, [go.version, packagePath]);
  const make = async (folder: string): Promise<string> => {
    const logFile = join(root, 'logs', `${name}.log`);
    const build = { moduleDir, packagePath, output: join(folder, name), linkerFlags: '-s -w', logFile };
    await withElapsed(
      `building ${name} with ${go.version}`,
      { progress, intervalMs: progressIntervalMs },
      () => buildGoProgram(build, context),
    );
    return 'build';
  };
  const entry = await ensureEntry(
    root,
    { name: `${name}-${key}`, files: [name], make },
    { progress, signal },
  );
  return join(entry.folder, name);
}

/** LIMIT: 64 bits of digest tell the states of one folder apart. */
const keyDigits = 16;

async function sourcesDigest(moduleDir: string, salt: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const text of salt) hash.update(`${text}\0`);
  const files = await readdir(moduleDir, { recursive: true });
  for (const file of files.filter((name) => /(\.go|go\.mod|go\.sum)$/.test(name)).sort()) {
    hash
      .update(`${file}\0`)
      .update(await readFile(join(moduleDir, file)))
      .update('\0');
  }
  return hash.digest('hex').slice(0, keyDigits);
}
