import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { findEngine } from '../../tools/kind/engine.ts';

let folder: string;
let said: string[];
/** Labs that were not up before. */
let broughtUp: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockwarden-test-'));
  said = [];
  broughtUp = [];
});

afterEach(() => rm(folder, { recursive: true }));

async function program(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, `#!/bin/bash\n${text}\n`);
  await chmod(path, 0o755);
  return path;
}

const find = (env: NodeJS.ProcessEnv): ReturnType<typeof findEngine> =>
  findEngine({
    env: { PATH: `${folder}:/usr/bin:/bin`, ...env },
    progress: (line) => said.push(line),
    onLab: (lab) => {
      broughtUp.push(lab);
      return Promise.resolve();
    },
  });

/** A docker that answers only where it is told of the lab's engine, once that is up, and then has one image. */
const labsDocker =
  'test "$DOCKER_HOST" = unix:///lab.sock -a -f "$(dirname "$0")/up" || exit 1; test "$1" = info || echo kindlab/node:v1.2.3';

test('an engine that answers is used as it is, with the images that a person names', async () => {
  await program('docker', 'exit 0');
  const engine = await find({ BASE: 'mine', LOCKWARDEN_KIND_LAB: '/nowhere' });
  expect(engine).toMatchObject({ base: 'mine', nodeImage: null });
  expect(broughtUp).toEqual([]);
  expect(said).toEqual([]);
});

test('without one, a lab is brought up, and tells how it is reached and which images it has', async () => {
  await program('docker', labsDocker);
  const lab = await program(
    'lab',
    'case $1 in up) touch "$(dirname "$0")/up";; env) echo "export DOCKER_HOST=unix:///lab.sock";; esac',
  );
  const engine = await find({ LOCKWARDEN_KIND_LAB: lab });
  expect(engine).toMatchObject({ base: 'localhost/node:24', nodeImage: 'kindlab/node:v1.2.3' });
  expect(engine.env['DOCKER_HOST']).toBe('unix:///lab.sock');
  expect(said[0]).toContain('bringing up a Docker engine');
  expect(broughtUp).toEqual([lab]);
  // Whoever has told the shell of it, as its documents say, has the same, and it is not ours to take down.
  const again = await find({ LOCKWARDEN_KIND_LAB: lab, DOCKER_HOST: 'unix:///lab.sock' });
  expect(again).toMatchObject({ base: 'localhost/node:24' });
  expect(broughtUp).toEqual([lab]);
});

test('a lab that does not come up is told with what it said last', async () => {
  await program('docker', 'exit 1');
  const lab = await program('lab', 'echo no room left >&2; exit 3');
  await expect(find({ LOCKWARDEN_KIND_LAB: lab })).rejects.toMatchObject({
    code: 'ToolFailed',
    message: expect.stringContaining('no room left') as string,
  });
});

test('with neither, a sentence says what to do', async () => {
  await program('docker', 'exit 1');
  await expect(find({ LOCKWARDEN_KIND_LAB: '' })).rejects.toMatchObject({
    code: 'ToolMissing',
    message: expect.stringContaining('start one') as string,
  });
});
