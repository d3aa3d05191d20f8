import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  envtestVersion,
  etcdVersion,
  kubernetesVersion,
  moduleFolder,
  oldestGo,
} from '../../src/sandbox/pins.ts';

it.each([
  ['kube-apiserver', `k8s.io/kubernetes v${kubernetesVersion}`],
  ['etcd', `go.etcd.io/etcd/server/v3 v${etcdVersion}`],
] as const)(
  'the module that builds %s requires the pinned version and has its digest',
  async (name, required) => {
    const [mod, sum] = await Promise.all(
      ['go.mod', 'go.sum'].map((file) => readFile(join(moduleFolder(name), file), 'utf8')),
    );
    expect(mod).toContain(`\t${required} // indirect\n`);
    expect(mod).toContain(`go ${oldestGo.major}.${oldestGo.minor}.0\n`);
    expect(sum).toContain(`${required} h1:`);
  },
);

it('every staging module of Kubernetes is replaced by the release that belongs to the pinned version', async () => {
  const mod = await readFile(join(moduleFolder('kube-apiserver'), 'go.mod'), 'utf8');
  const [, , patch] = kubernetesVersion.split('.');
  const [, minor] = kubernetesVersion.split('.');
  const replaced = [...mod.matchAll(/^\t(k8s\.io\/\S+) => (\S+) v(\S+)$/gm)];
  expect(replaced.length).toBeGreaterThan(20);
  for (const [, from, to, version] of replaced) {
    expect({ to, version }).toEqual({ to: from, version: `0.${minor}.${patch}` });
  }
});

it('the downloaded release is of the same minor version', () => {
  const minorOf = (version: string): string => version.split('.').slice(0, 2).join('.');
  expect(minorOf(envtestVersion)).toBe(minorOf(kubernetesVersion));
});
