/**
 * The cache: one folder an entry, complete or absent.
 *
 * An entry is filled in a folder of its own and renamed into place, with a manifest of its files' digests. An entry
 * without a manifest, or whose files differ from it, is half-built or damaged and is made again.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import {
  access,
  constants,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { LockwardenError } from '../errors.ts';
import { withCacheLock, type CacheLockOptions } from './cache-lock.ts';
import { reasonOf } from './reason-of.ts';

/** What an entry is: its name in the cache, the files it must have, and how to make them in an empty folder. */
export interface CacheEntry {
  readonly name: string;
  readonly files: readonly string[];
  /** Fills `folder`; the text it returns is kept in the manifest as the entry's origin. */
  readonly make: (folder: string) => Promise<string>;
}

/** A complete entry. `made` tells whether this call made it. */
export interface FoundEntry {
  readonly folder: string;
  readonly origin: string;
  readonly made: boolean;
}

interface Manifest {
  readonly origin: string;
  readonly sha256: Readonly<Record<string, string>>;
}

const manifestName = 'manifest.json';

/**
 * The cache's folder: `lockwarden` beneath the first of `LOCKWARDEN_CACHE`, `XDG_CACHE_HOME` and `~/.cache` that is set.
 * It lies outside the checkout, so that a fresh clone starts warm.
 */
export function cacheFolder(env: NodeJS.ProcessEnv): string {
  const named = [env['LOCKWARDEN_CACHE'], env['XDG_CACHE_HOME']].find(
    (folder) => folder !== undefined && folder !== '',
  );
  return resolve(named ?? join(homedir(), '.cache'), 'lockwarden');
}

/**
 * Finds an entry, or makes it while no other run does.
 *
 * @throws LockwardenError `StorageFailed` when the cache's folder cannot be written, and whatever `make` throws.
 */
export async function ensureEntry(
  root: string,
  entry: CacheEntry,
  lock: CacheLockOptions,
): Promise<FoundEntry> {
  const folder = join(root, entry.name);
  const found = await readEntry(folder, entry);
  if (found !== null) return { folder, origin: found.origin, made: false };
  await prepareRoot(root);
  return withCacheLock(`${folder}.lock`, lock, async () => {
    const meanwhile = await readEntry(folder, entry);
    if (meanwhile !== null) return { folder, origin: meanwhile.origin, made: false };
    return { folder, origin: await makeEntry(root, folder, entry), made: true };
  });
}

/** Digest of a file's bytes, in hexadecimal. */
export async function fileDigest(path: string, algorithm: 'sha256' | 'sha512'): Promise<string> {
  const hash = createHash(algorithm);
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function prepareRoot(root: string): Promise<void> {
  try {
    // NB: what lies here is executed, so nobody else may write it.
    await mkdir(root, { recursive: true, mode: 0o700 });
    await access(root, constants.W_OK);
  } catch (error) {
    throw new LockwardenError(
      'StorageFailed',
      `the cache \`${root}\` cannot be written (${reasonOf(error)}); set \`LOCKWARDEN_CACHE\` to a folder that can`,
      { cause: error },
    );
  }
}

async function makeEntry(root: string, folder: string, entry: CacheEntry): Promise<string> {
  const partial = `${entry.name}.partial-`;
  await removeLeftovers(root, partial);
  const workFolder = await mkdtemp(join(root, partial));
  try {
    const origin = await entry.make(workFolder);
    const sha256: Record<string, string> = {};
    for (const file of entry.files) sha256[file] = await fileDigest(join(workFolder, file), 'sha256');
    const manifest: Manifest = { origin, sha256 };
    await writeFile(join(workFolder, manifestName), `${JSON.stringify(manifest, null, 2)}\n`);
    await rm(folder, { recursive: true, force: true });
    await rename(workFolder, folder);
    return origin;
  } finally {
    await rm(workFolder, { recursive: true, force: true });
  }
}

async function removeLeftovers(root: string, prefix: string): Promise<void> {
  for (const name of await readdir(root)) {
    if (name.startsWith(prefix)) await rm(join(root, name), { recursive: true, force: true });
  }
}

async function readEntry(folder: string, entry: CacheEntry): Promise<Manifest | null> {
  const manifest = await readManifest(join(folder, manifestName));
  if (manifest === null) return null;
  for (const file of entry.files) {
    const digest = await fileDigest(join(folder, file), 'sha256').catch(() => null);
    if (digest === null || digest !== manifest.sha256[file]) return null;
  }
  return manifest;
}

async function readManifest(path: string): Promise<Manifest | null> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    return isManifest(value) ? value : null;
  } catch {
    // NB: absent, unreadable and half-written are one case: the entry is made again.
    return null;
  }
}

function isManifest(value: unknown): value is Manifest {
  if (typeof value !== 'object' || value === null || !('origin' in value) || !('sha256' in value))
    return false;
  return typeof value.origin === 'string' && typeof value.sha256 === 'object' && value.sha256 !== null;
}
