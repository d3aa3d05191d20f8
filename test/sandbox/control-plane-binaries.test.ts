import { appendFile, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ensureControlPlane } from '../../src/sandbox/control-plane-binaries.ts';
import { createRelease, createSurroundings, noRelease, serve, versionScript } from './surroundings.ts';

const wayOut = 'install Go >= 1.26, or set `KUBEBUILDER_ASSETS` to a folder with kube-apiserver and etcd';

describe('KUBEBUILDER_ASSETS', () => {
  it('wins over the cache and is verified by running what it holds', async () => {
    await using machine = await createSurroundings({ KUBEBUILDER_ASSETS: '' });
    for (const name of ['etcd', 'kube-apiserver'])
      await machine.script(`assets/${name}`, versionScript(name, '1.35.0'));
    const env = { ...machine.env, KUBEBUILDER_ASSETS: join(machine.folder, 'assets') };
    const found = await ensureControlPlane({ ...machine.options, env });
    expect(found).toEqual({
      kubeApiserver: join(machine.folder, 'assets/kube-apiserver'),
      etcd: join(machine.folder, 'assets/etcd'),
      version: '1.35.0',
      origin: 'KUBEBUILDER_ASSETS',
    });
    expect(await machine.builds()).toBe(0);
  });

  it('that lacks a binary is named, with the binary', async () => {
    await using machine = await createSurroundings();
    await machine.script('assets/etcd', versionScript('etcd'));
    const folder = join(machine.folder, 'assets');
    const env = { ...machine.env, KUBEBUILDER_ASSETS: folder };
    await expect(ensureControlPlane({ ...machine.options, env })).rejects.toMatchObject({
      code: 'ToolMissing',
      message: `\`KUBEBUILDER_ASSETS\` names \`${folder}\`, which has no executable \`kube-apiserver\`; point it to a folder with kube-apiserver and etcd, or unset it`,
    });
  });

  it('whose API server is older than matchConditions is refused', async () => {
    await using machine = await createSurroundings();
    for (const name of ['etcd', 'kube-apiserver'])
      await machine.script(`assets/${name}`, versionScript(name, '1.29.9'));
    const env = { ...machine.env, KUBEBUILDER_ASSETS: join(machine.folder, 'assets') };
    await expect(ensureControlPlane({ ...machine.options, env })).rejects.toThrow(
      '`KUBEBUILDER_ASSETS` has kube-apiserver `1.29.9`; lockwarden needs 1.30 or newer',
    );
  });

  it('whose binary does not run is refused with what it printed', async () => {
    await using machine = await createSurroundings();
    await machine.script('assets/etcd', 'echo "exec format error" >&2; exit 126');
    await machine.script('assets/kube-apiserver', versionScript('kube-apiserver'));
    const env = { ...machine.env, KUBEBUILDER_ASSETS: join(machine.folder, 'assets') };
    await expect(ensureControlPlane({ ...machine.options, env })).rejects.toThrow(
      /does not tell its version \(exec format error\)/,
    );
  });
});

describe('the cache', () => {
  it('is filled once and found afterwards', async () => {
    await using machine = await createSurroundings();
    expect(await ensureControlPlane(machine.options)).toMatchObject({ origin: 'build', version: '1.36.3' });
    expect(await ensureControlPlane(machine.options)).toMatchObject({ origin: 'cache', version: '1.36.3' });
    expect(await machine.builds()).toBe(2);
  });

  it('is writable by its owner only', async () => {
    await using machine = await createSurroundings();
    await ensureControlPlane(machine.options);
    expect((await stat(machine.cache)).mode & 0o777).toBe(0o700);
  });

  it('is filled once by two runs at the same time', async () => {
    await using machine = await createSurroundings();
    const both = await Promise.all([
      ensureControlPlane(machine.options),
      ensureControlPlane(machine.options),
    ]);
    expect(both.map(({ origin }) => origin).sort()).toEqual(['build', 'cache']);
    expect(await machine.builds()).toBe(2);
  });

  it.each([
    ['without its manifest', (entry: string) => rm(join(entry, 'manifest.json'))],
    ['with half a manifest', (entry: string) => writeFile(join(entry, 'manifest.json'), '{"origin":')],
    ['without a binary', (entry: string) => rm(join(entry, 'etcd'))],
    ['with a damaged binary', (entry: string) => appendFile(join(entry, 'kube-apiserver'), '\n# damage')],
  ])('%s is half-built and built again', async (_what, damage) => {
    await using machine = await createSurroundings();
    const { etcd } = await ensureControlPlane(machine.options);
    await damage(join(etcd, '..'));
    expect(await ensureControlPlane(machine.options)).toMatchObject({ origin: 'build' });
    expect(await ensureControlPlane(machine.options)).toMatchObject({ origin: 'cache' });
    expect(await machine.builds()).toBe(4);
  });

  it('keeps nothing of a build that failed, but its log', async () => {
    await using machine = await createSurroundings({ FALSE_GO_FAILURE: 'undefined: nothing' });
    const log = join(machine.cache, 'logs/etcd.log');
    await expect(ensureControlPlane(machine.options)).rejects.toMatchObject({
      code: 'ToolFailed',
      message: `building \`go.etcd.io/etcd/server/v3\` failed (undefined: nothing; log in \`${log}\`); ${wayOut}`,
    });
    expect(await readdir(machine.cache)).toEqual(['logs']);
    expect(await readFile(log, 'utf8')).toBe('undefined: nothing\n');
  });

  it('that cannot be written is named, with the variable that moves it', async () => {
    await using machine = await createSurroundings();
    await writeFile(machine.cache, 'a file in its place');
    await expect(ensureControlPlane(machine.options)).rejects.toMatchObject({
      code: 'StorageFailed',
      message: expect.stringMatching(
        /^the cache `.*` cannot be written \(.*\); set `LOCKWARDEN_CACHE`/,
      ) as string,
    });
  });
});

describe('building', () => {
  it('without Go says what to install or set instead', async () => {
    await using machine = await createSurroundings();
    await rm(join(machine.folder, 'bin/go'));
    const env = { ...machine.env, PATH: join(machine.folder, 'bin') };
    await expect(ensureControlPlane({ ...machine.options, env })).rejects.toMatchObject({
      code: 'ToolMissing',
      message: `Go was not found (spawn go ENOENT); ${wayOut}`,
    });
  });

  it.each(['go1.25.9', 'go1.9'])('with %s says that it is too old', async (version) => {
    await using machine = await createSurroundings({ FALSE_GO_VERSION: version });
    await expect(ensureControlPlane(machine.options)).rejects.toThrow(
      `Go is too old (\`${version}\`); ${wayOut}`,
    );
    expect(await machine.builds()).toBe(0);
  });

  it('with a newer Go goes on', async () => {
    await using machine = await createSurroundings({ FALSE_GO_VERSION: 'go1.27.0' });
    expect(await ensureControlPlane(machine.options)).toMatchObject({ origin: 'build' });
  });

  it('on a full disk says how much is needed and where, before it begins', async () => {
    await using machine = await createSurroundings();
    const freeSpace = (): Promise<{ device: string; bytes: number }> =>
      Promise.resolve({ device: 'disk', bytes: 2 ** 31 });
    await expect(ensureControlPlane({ ...machine.options, freeSpace })).rejects.toMatchObject({
      code: 'StorageFailed',
      message: expect.stringMatching(
        /^\d\.\d GiB must be free on the disk of `.*` and only 2\.0 GiB are; make room, or install Go/,
      ) as string,
    });
    expect(await machine.builds()).toBe(0);
  });

  it('is announced, with the reason why nothing was downloaded', async () => {
    await using machine = await createSurroundings();
    await ensureControlPlane(machine.options);
    expect(machine.lines).toEqual([
      'downloading kube-apiserver and etcd (envtest 1.36.2)',
      expect.stringMatching(/^no download: .*; building from Go modules instead$/),
      'building etcd 3.6.16 from Go modules (once, some minutes)',
      expect.stringMatching(/^building etcd 3\.6\.16 from Go modules \(once, some minutes\): done in \d+ s$/),
      'building kube-apiserver 1.36.3 from Go modules (once, some minutes)',
      expect.stringMatching(/^building kube-apiserver .*: done in \d+ s$/),
    ]);
  });
});

describe('downloading', () => {
  it('takes the official release when its digest is the published one', async () => {
    await using machine = await createSurroundings();
    await using release = await createRelease(machine, { version: '1.36.2' });
    const found = await ensureControlPlane({ ...machine.options, source: release.source });
    expect(found).toMatchObject({ origin: 'download', version: '1.36.2' });
    expect(await machine.builds()).toBe(0);
    expect(await ensureControlPlane(machine.options)).toMatchObject({ origin: 'cache', version: '1.36.2' });
  });

  it('never runs an archive whose digest is another, and builds instead', async () => {
    await using machine = await createSurroundings();
    await using release = await createRelease(machine, { version: '1.36.2', digest: '0'.repeat(128) });
    const found = await ensureControlPlane({ ...machine.options, source: release.source });
    expect(found).toMatchObject({ origin: 'build', version: '1.36.3' });
    expect(machine.lines).toContainEqual(
      expect.stringMatching(/^no download: .* has sha512 .* was published; building/),
    );
  });

  it('refuses binaries that tell another version than the release, and builds instead', async () => {
    await using machine = await createSurroundings();
    await using release = await createRelease(machine, { version: '1.35.0' });
    const found = await ensureControlPlane({ ...machine.options, source: release.source });
    expect(found).toMatchObject({ origin: 'build' });
    expect(machine.lines).toContainEqual(
      expect.stringContaining('calls itself `1.35.0` where `1.36.2` was expected'),
    );
  });

  it.each([
    ['does not answer', () => undefined, /`127\.0\.0\.1:\d+` did not answer within 0\.05 s/],
    [
      'pauses within a body',
      (response: { write: (text: string) => void }) => {
        response.write('releases:');
      },
      /`127\.0\.0\.1:\d+` did not go on within 0\.05 s/,
    ],
  ])('gives up a server that %s, and builds instead', async (_what, answer, reason) => {
    await using machine = await createSurroundings();
    await using silent = await serve((_request, response) => {
      answer(response);
    });
    const source = { ...noRelease, indexUrl: silent.url, connectTimeoutMs: 50, stallTimeoutMs: 50 };
    const found = await ensureControlPlane({ ...machine.options, source });
    expect(found).toMatchObject({ origin: 'build' });
    expect(machine.lines).toContainEqual(expect.stringMatching(reason));
  });

  it('is not tried for a platform without a published archive', async () => {
    await using machine = await createSurroundings();
    await using release = await createRelease(machine, { version: '1.36.2' });
    const host = { os: 'linux', arch: 'riscv64' };
    const found = await ensureControlPlane({ ...machine.options, source: release.source, host });
    expect(found).toMatchObject({ origin: 'build' });
    expect(machine.lines).toContainEqual(
      expect.stringContaining('no digest is published for `envtest-v1.36.2-linux-riscv64.tar.gz`'),
    );
  });
});

it('a platform that neither is published for nor can run it is told so', async () => {
  await using machine = await createSurroundings();
  const host = { os: 'win32', arch: 'x64' };
  await expect(ensureControlPlane({ ...machine.options, host })).rejects.toThrow(
    'the embedded control plane runs on Linux and macOS, not on `win32`; name a cluster with --kubeconfig',
  );
});

it('an aborted search ends, and does not fall back to a build', async () => {
  await using machine = await createSurroundings();
  await using silent = await serve(() => undefined);
  const source = { ...noRelease, indexUrl: silent.url, connectTimeoutMs: 10_000 };
  const aborting = new AbortController();
  const search = ensureControlPlane({ ...machine.options, source, signal: aborting.signal });
  aborting.abort();
  await expect(search).rejects.toMatchObject({ name: 'AbortError' });
  expect(await machine.builds()).toBe(0);
});
