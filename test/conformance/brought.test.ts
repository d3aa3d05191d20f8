/** Certificates that somebody else brings: served without a restart, under elections that fail closed. */
import { mkdir, mkdtemp, rm, symlink, writeFile, rename } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';

import { afterAll, afterEach, beforeAll, expect, inject, test, vi } from 'vitest';

import { splitBundle } from '../../src/certs/bundle.ts';
import { fingerprintOf, readChain } from '../../src/certs/certificate.ts';
import { issueServingCertificate, type ServingCertificate } from '../support/serving-certificate.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { arrayAt, stringAt } from '../../src/kube/json.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { bundlesIn } from '../../src/replica/observed-bundle.ts';
import { secretsOf } from '../../src/replica/secret-store.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { failureOf, Namespace } from '../kube/support/cluster.ts';
import { ClusterAuthority, configurationPath } from './support/authority.ts';
import { installCrds } from './support/crds.ts';
import { Load } from './support/load.ts';
import { ownNamespace, ReplicaSet } from './support/replica-set.ts';
import { startServe } from './support/serve-process.ts';

const namespace = 'closed';
const secretName = 'lockwarden-tls';
/** LIMIT: what takes a second on an idle machine takes ten times that on one that runs everything else too. */
const patience = { timeout: 60_000, interval: 100 };

let controlPlane: ControlPlane;
let client: KubeClient;
let authority: ClusterAuthority;

beforeAll(async () => {
  controlPlane = await startControlPlane({ binaries: inject('binaries') });
  client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  authority = new ClusterAuthority(client);
  await installCrds(client);
  await Namespace.create(client, namespace);
  const spec = { match: { kinds: ['Lease'] }, failurePolicy: 'Fail' };
  await client.request({
    method: 'POST',
    path: `/apis/lockwarden.dev/v1alpha1/namespaces/${namespace}/lockpolicies`,
    body: { apiVersion: 'lockwarden.dev/v1alpha1', kind: 'LockPolicy', metadata: { name: 'closed' }, spec },
  });
});

afterEach(async () => {
  await failureOf(client.request({ method: 'DELETE', path: configurationPath }));
});

afterAll(async () => {
  client.close();
  await controlPlane.stop();
});

const bring = (validityMs = 3_600_000): Promise<ServingCertificate> =>
  issueServingCertificate({ hosts: ['127.0.0.1'], nowMs: Date.now(), validityMs, backdateMs: 3_600_000 });

const filesOf = ({ certPem, keyPem, caPem }: ServingCertificate): Readonly<Record<string, string>> => ({
  'tls.crt': certPem,
  'tls.key': keyPem,
  'ca.crt': caPem,
});

const leafOf = ({ certPem }: ServingCertificate): string => readChain(certPem)?.[0].fingerprint ?? '';

/** The leaf that a port serves now; empty where it serves none. */
function served(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      const certificate = socket.getPeerX509Certificate();
      resolve(certificate === undefined ? '' : fingerprintOf(certificate));
      socket.destroy();
    });
    socket.on('error', () => {
      resolve('');
    });
  });
}

test(
  'from a Secret: taken up when it comes, and replaced with its authority without a failed call',
  { timeout: 200_000 },
  async () => {
    const replicas = await ReplicaSet.create({
      kubeconfig: controlPlane.kubeconfig,
      client,
      args: [`--tls-secret=${secretName}`, '--publish-dwell=1s'],
    });
    const write = (method: 'POST' | 'PATCH', brought: ServingCertificate): Promise<unknown> =>
      client.request({
        method,
        path: `${secretsOf(ownNamespace)}${method === 'PATCH' ? `/${secretName}` : ''}`,
        contentType: method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
        body: { metadata: { name: secretName }, stringData: filesOf(brought) },
      });
    let load: Load | null = null;
    try {
      const [one, two] = await replicas.start(2);
      await vi.waitFor(async () => {
        const { status, text } = await one!.process.get('/readyz');
        expect({ status, text }).toMatchObject({
          status: 503,
          text: expect.stringContaining('[-]certificate the Secret does not exist') as string,
        });
      }, patience);
      const first = await bring();
      await write('POST', first);
      await replicas.untilReady();
      await authority.untilRegistered();
      await vi.waitFor(async () => {
        const names = arrayAt(await authority.configuration(), 'webhooks').map((each) =>
          stringAt(each, 'name'),
        );
        expect(names).toContain('fail.leases.lockwarden.dev');
      }, patience);
      load = new Load(client, namespace, { workers: 4, pauseMs: 10 });
      const second = await bring();
      await write('PATCH', second);
      for (const { process } of [one!, two!]) {
        const wanted = leafOf(second);
        await process.untilLine('serving certificate replaced', ({ fingerprint }) => fingerprint === wanted);
      }
      await vi.waitFor(async () => {
        const bundles = bundlesIn(await authority.configuration()) ?? [];
        expect(bundles.map((each) => splitBundle(each).map(({ pem }) => pem.trim()))).toEqual(
          bundles.map(() => [second.caPem.trim()]),
        );
      }, patience);
      // What does not belong together is told, and what is served is served on.
      await write('PATCH', { ...first, keyPem: second.keyPem });
      await vi.waitFor(() => {
        const said = replicas.history.flatMap(({ process }) => process.lines);
        expect(said).toContainEqual(
          expect.objectContaining({
            msg: 'certificate that was brought cannot be used',
            reason: '`tls.key` is not the key of `tls.crt`',
          }),
        );
      }, patience);
      await load.stop();
      expect(load.calls).toBeGreaterThan(50);
      expect(load.failures).toEqual([]);
      expect((await one!.process.get('/readyz')).status).toBe(200);
    } finally {
      await load?.stop();
      await replicas.close();
    }
  },
);

test(
  'from a folder, as a mounted Secret changes: by another folder behind the same link',
  { timeout: 120_000 },
  async () => {
    const root = await mkdtemp(join(tmpdir(), 'lockwarden-brought-'));
    const place = async (name: string, brought: ServingCertificate): Promise<void> => {
      await mkdir(join(root, name));
      for (const [file, text] of Object.entries(filesOf(brought)))
        await writeFile(join(root, name, file), text);
      await symlink(name, join(root, 'new'));
      await rename(join(root, 'new'), join(root, 'tls'));
    };
    const [first, second] = await Promise.all([bring(), bring()]);
    await place('one', first);
    try {
      await using lockwarden = startServe({
        kubeconfig: controlPlane.kubeconfig,
        args: [
          '--port=0',
          '--health-port=0',
          '--bind-address=127.0.0.1',
          '--webhook-url=https://127.0.0.1',
          `--tls-dir=${join(root, 'tls')}`,
          '--publish-dwell=1s',
        ],
      });
      await lockwarden.untilReady();
      const port = Number((await lockwarden.untilLine('webhook listening'))['port']);
      expect(await served(port)).toBe(leafOf(first));
      await place('two', second);
      await vi.waitFor(async () => {
        expect(await served(port)).toBe(leafOf(second));
      }, patience);
      const withoutLeaf = { ...second, certPem: '' };
      await place('three', withoutLeaf);
      await lockwarden.untilLine('certificate that was brought cannot be used');
      expect(await served(port)).toBe(leafOf(second));
      expect((await lockwarden.get('/readyz')).status).toBe(200);
    } finally {
      await rm(root, { recursive: true });
    }
  },
);
