/**
 * One builder at a time in a cache that several runs share.
 *
 * The lock is a file that its owner keeps fresh. It is broken when its process is gone, or when it has not changed for a
 * while under the eyes of one who waits; that covers owners in other containers and process ids that were given away
 * again, and compares no clocks. INVARIANT: nothing depends on the lock for correctness. Entries are built aside and renamed into place, so a lock broken wrongly costs a second build, never a
 * broken cache.
 */
import { randomUUID } from 'node:crypto';
import { readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

import { systemCodeOf } from '../errors.ts';
import type { Progress } from './progress.ts';

/** How the lock waits. The defaults suit builds of minutes. */
export interface CacheLockOptions {
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
  readonly pollMs?: number;
  readonly staleMs?: number;
}

/** LIMIT: the owner refreshes ten times within this; a machine that swaps may miss several. */
const defaultStaleMs = 60_000;

/** LIMIT: short beside a build, long beside a look at a file. */
const defaultPollMs = 500;

/** Runs `work` while holding the lock file `path`; says once that it waits, and for whom. */
export async function withCacheLock<T>(
  path: string,
  options: CacheLockOptions,
  work: () => Promise<T>,
): Promise<T> {
  const { progress, signal, pollMs = defaultPollMs, staleMs = defaultStaleMs } = options;
  let told = false;
  let seen = '';
  let unchangedMs = 0;
  while (!(await tryAcquire(path))) {
    const owner = await readOwner(path);
    if (owner === null) continue;
    unchangedMs = owner.state === seen ? unchangedMs + pollMs : 0;
    seen = owner.state;
    if (!isAlive(owner) || unchangedMs > staleMs) {
      progress(`breaking the lock \`${path}\` that process ${owner.pid} left behind`);
      await breakLock(path, owner);
      continue;
    }
    if (!told) progress(`waiting for process ${owner.pid}, which is filling the cache (lock \`${path}\`)`);
    told = true;
    await sleep(pollMs, undefined, { signal });
  }
  let refreshes = 0;
  const refresh = setInterval(() => {
    refreshes += 1;
    // NB: any time will do that differs from the last. A failed refresh makes the lock look stale, which is harmless.
    utimes(path, refreshes, refreshes).catch(() => undefined);
  }, staleMs / 10);
  refresh.unref();
  try {
    return await work();
  } finally {
    clearInterval(refresh);
    await releaseLock(path);
  }
}

interface Owner {
  readonly pid: number;
  readonly host: string;
  readonly text: string;
  /** Changes with every refresh. */
  readonly state: string;
}

const ownText = `${process.pid} ${hostname()} ${randomUUID()}\n`;

async function tryAcquire(path: string): Promise<boolean> {
  try {
    await writeFile(path, ownText, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

async function readOwner(path: string): Promise<Owner | null> {
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
    const [pid, host] = text.split(' ');
    return { pid: Number(pid), host: host ?? '', text, state: `${text}${mtimeMs}` };
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

function isAlive(owner: Owner): boolean {
  // NB: a file just created may still be empty; another host's processes cannot be asked. Both wait for age.
  if (owner.host !== hostname() || !Number.isInteger(owner.pid) || owner.pid <= 0) return true;
  try {
    process.kill(owner.pid, 0);
    return true;
  } catch (error) {
    return systemCodeOf(error) !== 'ESRCH';
  }
}

/** Moves the lock aside before it removes it, so that of two waiters only one breaks it, and only the one they saw. */
async function breakLock(path: string, owner: Owner): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return;
    throw error;
  }
  const taken = await readFile(aside, 'utf8');
  if (taken !== owner.text) await writeFile(path, taken, { flag: 'wx' }).catch(() => undefined);
  await rm(aside, { force: true });
}

async function releaseLock(path: string): Promise<void> {
  const owner = await readOwner(path);
  if (owner?.text === ownText) await rm(path, { force: true });
}
