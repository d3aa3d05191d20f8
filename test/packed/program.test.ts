/** The program of the image, started as the image starts it, but for the container. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

import { createKubeClient } from '../../src/kube/client.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { startControlPlane } from '../../src/sandbox/control-plane.ts';
import { endWithParent } from '../../src/sandbox/parent-watch.ts';
import { entrypointOf, ownDockerfile } from '../../tools/image/dockerfile.ts';
import { buildProgram } from '../../tools/image/program.ts';
import { createOwnNamespace } from '../conformance/support/replica-set.ts';
import { onAnyPort } from '../conformance/support/serve-process.ts';
import { read, root } from '../style/tree.ts';
import { run, type Ended } from './support.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockwarden-program-'));
  await buildProgram(folder);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** What is behind `node` in the image's entry point, for the folder where the program is here. */
function words(): string[] {
  return entrypointOf(ownDockerfile())
    .slice(1)
    .map((word) => word.replace(/^\/app\b/, folder));
}

function lockwarden(...args: string[]): Promise<Ended> {
  return run(process.execPath, [...words(), ...args], folder);
}

async function json(name: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(folder, name), 'utf8')) as Record<string, unknown>;
}

describe('the program of the image', () => {
  it('knows its version', async () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    expect(await lockwarden('--version')).toMatchObject({ code: 0, stdout: `${version}\n` });
  });

  it('reads policies, and finds no mistake in those that are shipped', async () => {
    expect(await lockwarden('lint', join(root, 'policies'))).toMatchObject({ code: 0, stderr: '' });
    expect(await lockwarden('lint', join(root, 'nothing'))).toMatchObject({ code: 2 });
  });

  it('tries policies offline', async () => {
    const { code, stdout } = await lockwarden('test', join(root, 'policies'));
    expect(stdout).toMatch(/^[1-9]\d* passed in/m);
    expect(code).toBe(0);
  });

  it('says in one sentence that the embedded control plane is not part of it', async () => {
    const { code, stderr } = await lockwarden('start');
    expect(stderr).toMatch(/^lockwarden: the embedded control plane is not part of an image: [^\n]+\n$/);
    expect(code).toBe(1);
  });

  it('is a few megabytes, and can be read by everybody', async () => {
    const paths = globSync('**/*', { cwd: folder });
    const stats = await Promise.all(paths.map((path) => stat(join(folder, path))));
    // LIMIT: 7 MiB as measured, 2 of them maps to the sources; the generated models of client-node alone would be 5.
    expect(stats.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(10 * 1024 * 1024);
    for (const each of stats) expect(each.mode & 0o777).toBe(each.isDirectory() ? 0o755 : 0o644);
  });

  it('holds no undici, which nobody calls', () => {
    const maps = globSync('bin/*.map', { cwd: folder });
    expect(maps.length).toBeGreaterThan(5);
    return Promise.all(
      maps.map(async (map) => {
        const { sources } = (await json(map)) as { sources: string[] };
        expect(sources.filter((source) => source.includes('node_modules/undici/'))).toEqual([]);
      }),
    );
  });

  it('names what it is made of, with the licences', async () => {
    const { components, metadata } = (await json('sbom.cdx.json')) as {
      components: { name: string }[];
      metadata: { component: { name: string } };
    };
    const names = components.map(({ name }) => name);
    expect(metadata.component.name).toBe('lockwarden');
    const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<
      string,
      Record<string, string>
    >;
    expect(names).toEqual(expect.arrayContaining(Object.keys(dependencies!)));
    for (const name of Object.keys(devDependencies!)) {
      // NB: client-node depends on types of its own accord.
      if (!name.startsWith('@types/')) expect(names).not.toContain(name);
    }
    expect(names.filter((name) => /^node-|^@lockwarden/.test(name))).toEqual([]);
    const licences = await readFile(join(folder, 'THIRD_PARTY_LICENSES'), 'utf8');
    for (const name of ['@kubernetes/client-node', 'express', 'pino', 'zod']) {
      expect(licences).toMatch(new RegExp(`^${name} \\d\\S+ \\(.+\\)$`, 'm'));
    }
    expect(licences).toContain('Permission is hereby granted');
  });

  it('guards a cluster until SIGTERM, and ends with 0', async () => {
    const plane = await startControlPlane({ binaries: inject('binaries') });
    try {
      const client = createKubeClient(loadKubeconfig({ file: plane.kubeconfig }));
      await createOwnNamespace(client);
      client.close();
      const args = [...words(), 'serve', `--kubeconfig=${plane.kubeconfig}`, ...onAnyPort];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      if (child.pid !== undefined) endWithParent(child.pid);
      const ended = once(child, 'exit');
      const messages: string[] = [];
      for await (const line of createInterface({ input: child.stdout })) {
        const { msg } = JSON.parse(line) as { msg: string };
        messages.push(msg);
        if (msg === 'canary proven') child.kill('SIGTERM');
      }
      expect(messages).toContain('canary proven');
      expect(messages.at(-1)).toBe('stopped');
      expect(await ended).toEqual([0, null]);
    } finally {
      await plane.stop();
    }
  });
});
