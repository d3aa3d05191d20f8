import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { systemCodeOf } from '../../src/errors.ts';
import { createComponent, type ComponentOptions } from '../../src/sandbox/component.ts';
import { createSurroundings, type Surroundings } from './surroundings.ts';

/** A component that writes its process id to `pid` once it is ready. */
const options = async ({ folder, env, script }: Surroundings, body: string): Promise<ComponentOptions> => ({
  name: 'server',
  command: await script('server', body),
  args: [],
  cwd: folder,
  env,
  isReady: async () => (await pidIn(folder)) !== null,
});

const pidIn = async (folder: string): Promise<number | null> =>
  Number(await readFile(join(folder, 'pid'), 'utf8').catch(() => '')) || null;

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCodeOf(error) !== 'ESRCH';
  }
};

const serves = 'echo $$ > pid; exec sleep 1000';

describe('a component', () => {
  it('runs once it is started, and is gone once it is stopped', async () => {
    await using machine = await createSurroundings();
    const component = createComponent(await options(machine, serves));
    await component.start();
    const pid = await pidIn(machine.folder);
    expect(isAlive(pid!)).toBe(true);
    await component.start();
    expect(await pidIn(machine.folder)).toBe(pid);
    await component.stop();
    expect(isAlive(pid!)).toBe(false);
    await component.stop();
  });

  it('can be stopped while it is frozen', async () => {
    await using machine = await createSurroundings();
    const component = createComponent(await options(machine, serves));
    await component.start();
    component.pause();
    await component.stop();
    expect(isAlive((await pidIn(machine.folder))!)).toBe(false);
  });

  it('that ends before it is ready says so in its own last lines', async () => {
    await using machine = await createSurroundings();
    const component = createComponent(
      await options(machine, 'echo starting; echo "no such flag" >&2; exit 1'),
    );
    await expect(component.start()).rejects.toMatchObject({
      code: 'ToolFailed',
      message: expect.stringMatching(
        /^server ended before it was ready; its last lines:\n[^]*no such flag/,
      ) as string,
    });
  });

  it('that is not there says so', async () => {
    await using machine = await createSurroundings();
    const component = createComponent({ ...(await options(machine, '')), command: '/no/such/server' });
    await expect(component.start()).rejects.toThrow('spawn /no/such/server ENOENT');
  });

  it('that never becomes ready is ended', async () => {
    await using machine = await createSurroundings();
    const never = { isReady: () => Promise.resolve(false), readyTimeoutMs: 100 };
    const component = createComponent({ ...(await options(machine, serves)), ...never });
    await expect(component.start()).rejects.toThrow('server was not ready within 0.1 s; its last lines:');
    const pid = await pidIn(machine.folder);
    expect(pid === null || !isAlive(pid)).toBe(true);
  });

  it('does not outlive a process that was killed', async () => {
    await using machine = await createSurroundings();
    const { command } = await options(machine, serves);
    const component = fileURLToPath(new URL('../../src/sandbox/component.ts', import.meta.url));
    const program = `
      import { createComponent } from ${JSON.stringify(component)};
      const isReady = () => Promise.resolve(true);
      await createComponent({ name: 'server', command: ${JSON.stringify(command)}, args: [], cwd: '.', env: process.env, isReady }).start();
      console.log('started');
    `;
    const parent = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      cwd: machine.folder,
    });
    // Its own process may write before whoever is to end it has been started.
    await once(parent.stdout, 'data');
    const pid = await vi.waitFor(async () => {
      const found = await pidIn(machine.folder);
      expect(found).not.toBeNull();
      return found!;
    }, 10_000);
    const gone = once(parent, 'exit');
    parent.kill('SIGKILL');
    await gone;
    await vi.waitFor(() => {
      expect(isAlive(pid)).toBe(false);
    }, 10_000);
  });
});
