import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { withCacheLock } from '../../src/sandbox/cache-lock.ts';
import { createSurroundings } from './surroundings.ts';

const deadPid = async (): Promise<number> => {
  const child = spawn('true');
  await once(child, 'exit');
  return child.pid!;
};

describe('a cache lock', () => {
  it('lets the second in only after the first, and says once whom it waits for', async () => {
    await using machine = await createSurroundings();
    const path = join(machine.folder, 'entry.lock');
    const order: string[] = [];
    const first = Promise.withResolvers<undefined>();
    const begun = Promise.withResolvers<undefined>();
    const said = Promise.withResolvers<string>();
    const one = withCacheLock(path, { progress: () => undefined, pollMs: 1 }, async () => {
      begun.resolve(undefined);
      await first.promise;
      order.push('first');
    });
    await begun.promise;
    const lines: string[] = [];
    const progress = (line: string): void => {
      lines.push(line);
      said.resolve(line);
    };
    const two = withCacheLock(path, { progress, pollMs: 1 }, () => Promise.resolve(order.push('second')));
    expect(await said.promise).toBe(
      `waiting for process ${process.pid}, which is filling the cache (lock \`${path}\`)`,
    );
    first.resolve(undefined);
    await Promise.all([one, two]);
    expect(order).toEqual(['first', 'second']);
    expect(lines).toHaveLength(1);
    expect(await readdir(machine.folder)).not.toContain('entry.lock');
  });

  it('of a process that is gone is broken, by one of those who wait', async () => {
    await using machine = await createSurroundings();
    const path = join(machine.folder, 'entry.lock');
    await writeFile(path, `${await deadPid()} ${hostname()} some-id\n`);
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, ++inside);
      await new Promise(setImmediate);
      inside -= 1;
    };
    const options = { progress: (line: string) => machine.lines.push(line), pollMs: 1 };
    await Promise.all([withCacheLock(path, options, work), withCacheLock(path, options, work)]);
    expect(most).toBe(1);
    expect(machine.lines).toContainEqual(
      expect.stringMatching(/^breaking the lock `.*` that process \d+ left behind$/),
    );
    expect((await readdir(machine.folder)).filter((name) => name.startsWith('entry.lock'))).toEqual([]);
  });

  it('of another machine is broken only once nobody refreshes it', async () => {
    await using machine = await createSurroundings();
    const path = join(machine.folder, 'entry.lock');
    await writeFile(path, '1 another-machine some-id\n');
    const impatient = new AbortController();
    const options = {
      progress: () => {
        impatient.abort();
      },
      pollMs: 1,
    };
    const waiting = withCacheLock(path, { ...options, signal: impatient.signal }, () => Promise.resolve());
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    await expect(withCacheLock(path, { ...options, staleMs: 20 }, () => Promise.resolve('in'))).resolves.toBe(
      'in',
    );
  });

  it('is released when the work fails', async () => {
    await using machine = await createSurroundings();
    const path = join(machine.folder, 'entry.lock');
    const options = { progress: () => undefined, pollMs: 1 };
    await expect(withCacheLock(path, options, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await expect(withCacheLock(path, options, () => Promise.resolve('in'))).resolves.toBe('in');
  });
});
