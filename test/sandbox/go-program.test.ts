import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ensureGoProgram } from '../../src/sandbox/go-program.ts';
import { createSurroundings, type Surroundings } from './surroundings.ts';

const createModule = async ({ folder }: Surroundings): Promise<string> => {
  const moduleDir = join(folder, 'module');
  await mkdir(join(moduleDir, 'elector'), { recursive: true });
  await writeFile(join(moduleDir, 'go.mod'), 'module example\n');
  await writeFile(join(moduleDir, 'elector/main.go'), 'package main\n');
  return moduleDir;
};

describe('a Go program', () => {
  it('is built once for each state of its sources', async () => {
    await using machine = await createSurroundings();
    const moduleDir = await createModule(machine);
    const program = { name: 'elector', moduleDir, packagePath: './elector' };
    const first = await ensureGoProgram(program, machine.options);
    expect(await ensureGoProgram(program, machine.options)).toBe(first);
    await writeFile(join(moduleDir, 'README'), 'not a source\n');
    expect(await ensureGoProgram(program, machine.options)).toBe(first);
    expect(await machine.builds()).toBe(1);
    await appendFile(join(moduleDir, 'elector/main.go'), 'func main() {}\n');
    expect(await ensureGoProgram(program, machine.options)).not.toBe(first);
    expect(await machine.builds()).toBe(2);
  });

  it('is built again by another Go', async () => {
    await using machine = await createSurroundings();
    const program = { name: 'elector', moduleDir: await createModule(machine), packagePath: './elector' };
    const first = await ensureGoProgram(program, machine.options);
    const env = { ...machine.env, FALSE_GO_VERSION: 'go1.27.1' };
    expect(await ensureGoProgram(program, { ...machine.options, env })).not.toBe(first);
  });

  it('without Go says what to install', async () => {
    await using machine = await createSurroundings();
    const program = { name: 'elector', moduleDir: await createModule(machine), packagePath: './elector' };
    const env = { ...machine.env, PATH: machine.folder };
    await expect(ensureGoProgram(program, { ...machine.options, env })).rejects.toMatchObject({
      code: 'ToolMissing',
      message: 'Go was not found (spawn go ENOENT); install Go >= 1.26',
    });
  });
});
