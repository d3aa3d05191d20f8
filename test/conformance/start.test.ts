/** `lockwarden start` as a user runs it: the scene to its end, called off half-way, and on a cluster that was named. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest';

import { createKubeClient } from '../../src/kube/client.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { cacheFolder } from '../../src/sandbox/cache-entry.ts';
import { startControlPlane } from '../../src/sandbox/control-plane.ts';
import { formatKubeconfig } from '../../src/sandbox/kubeconfig.ts';
import { runLockwarden, startServe } from './support/serve-process.ts';

const binaries = inject('binaries');
/** LIMIT: a control plane starts within seconds; a busy machine takes several times that. */
const patience = { timeout: 50_000, interval: 100 };

/** A cluster that nobody named, where kubectl would find it: it counts who knocks. */
interface Trap {
  readonly knocks: () => number;
  readonly env: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

async function setTrap(): Promise<Trap> {
  let knocks = 0;
  const server: Server = createServer((socket) => {
    knocks += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const home = await mkdtemp(join(tmpdir(), 'home-'));
  const file = join(home, '.kube', 'config');
  await mkdir(dirname(file));
  const user = { token: 'not-a-token' };
  await writeFile(
    file,
    formatKubeconfig({ name: 'theirs', server: `https://127.0.0.1:${port}`, authority: '', user }),
  );
  // The scene's own temporary folder goes here too, so that what it leaves behind can be seen.
  const scratch = join(home, 'tmp');
  await mkdir(scratch);
  return {
    knocks: () => knocks,
    env: {
      HOME: home,
      KUBECONFIG: file,
      TMPDIR: scratch,
      LOCKWARDEN_CACHE: dirname(cacheFolder(process.env)),
      KUBEBUILDER_ASSETS: dirname(binaries.kubeApiserver),
      // The toolchain has its own ideas of a home.
      GOPATH: process.env['GOPATH'] ?? join(process.env['HOME'] ?? '', 'go'),
      GOCACHE: process.env['GOCACHE'] ?? join(process.env['HOME'] ?? '', '.cache', 'go-build'),
    },
    close: async () => {
      server.close();
      await rm(home, { recursive: true, force: true });
    },
  };
}

let trap: Trap;

beforeAll(async () => {
  trap = await setTrap();
});

afterAll(() => trap.close());

describe('lockwarden start', () => {
  it('plays the whole scene on a control plane of its own, and touches no other cluster', async () => {
    const { code, stdout, stderr } = await runLockwarden(['start', '--once'], trap.env);
    expect({ code, stderr: stderr.split('\n').filter((line) => line.startsWith('lockwarden:')) }).toEqual({
      code: 0,
      stderr: [],
    });
    const acts = stdout.split('\n').filter((line) => /^\d\./.test(line));
    expect(acts.map((line) => line.slice(0, 2))).toEqual(['0.', '1.', '2.', '3.', '4.', '5.']);
    expect(stdout).toMatch(/PrematureTakeover[\s\S]*PrematureRecreation/);
    expect(stdout.match(/kubectl --kubeconfig \S+ -n demo/g)).toHaveLength(2);
    expect(trap.knocks()).toBe(0);
    expect(await readdir(trap.env['TMPDIR'] ?? '')).toEqual([]);
  });

  it('can be called off in the middle: it fails, and leaves nothing behind', async () => {
    await using scene = startServe({ command: 'start', args: ['--once'], env: trap.env });
    await vi.waitFor(() => {
      expect(scene.output).toMatch(/^1\./m);
    }, patience);
    scene.signal('SIGINT');
    expect(await scene.exit).toEqual({ code: 1, signal: null });
    expect(scene.output).toContain('called off before the scene was over');
    expect(await readdir(trap.env['TMPDIR'] ?? '')).toEqual([]);
  });

  it('guards the cluster that is named, under the address that leads to it, and lets go of it', async () => {
    const plane = await startControlPlane({ binaries });
    const client = createKubeClient(loadKubeconfig({ file: plane.kubeconfig }));
    const path = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/lockwarden';
    try {
      await using guard = startServe({
        command: 'start',
        kubeconfig: plane.kubeconfig,
        args: ['--port=0', '--health-port=0', '--bind-address=127.0.0.1'],
        env: trap.env,
      });
      await guard.untilReady();
      expect(guard.output).toMatch(/no --webhook-url was given, so https:\/\/127\.0\.0\.1:0 is registered/);
      const { body } = await client.request({ method: 'GET', path });
      expect(JSON.stringify(body)).toMatch(/"url":"https:\/\/127\.0\.0\.1:[1-9]\d+\/validate"/);
      guard.signal('SIGINT');
      expect(await guard.exit).toEqual({ code: 0, signal: null });
      await expect(client.request({ method: 'GET', path })).rejects.toMatchObject({ kind: 'not-found' });
      expect(trap.knocks()).toBe(0);
    } finally {
      client.close();
      await plane.stop();
    }
  });

  it.each([
    ['--context', ['start', '--context=theirs']],
    ['--webhook-url', ['start', '--webhook-url=https://127.0.0.1:9443']],
    ['--once', ['start', '--kubeconfig=F', '--once']],
  ])('says in a sentence that %s cannot be used like this', async (flag, args) => {
    const { code, stderr } = await runLockwarden(args, trap.env);
    expect(code).toBe(2);
    expect(stderr).toMatch(new RegExp(`^lockwarden: ${flag} cannot be used like this: .+\\n$`));
  });
});
