/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- client-node declares its models as classes and takes plain objects */
/** A refused takeover on a real API server, found again in the log of the replica that refused it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';

import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { rejectionMessage } from '../../src/review/record.ts';
import { startControlPlane, type ControlPlane } from '../../src/sandbox/control-plane.ts';
import { createTestNamespace, type TestNamespace } from '../support/identities.ts';
import { createCandidate } from './support/candidate.ts';
import { runLockwarden, startServe, untilCalled, type ServeProcess } from './support/serve-process.ts';

let controlPlane: ControlPlane;
let client: KubeClient;
let namespace: TestNamespace;
let lockwarden: ServeProcess;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockwarden-review-'));
  controlPlane = await startControlPlane({ binaries: inject('binaries') });
  client = createKubeClient(loadKubeconfig({ file: controlPlane.kubeconfig }));
  namespace = await createTestNamespace(controlPlane.kubeconfig, 'review');
  await namespace.admin.core.createNamespace({ body: { metadata: { name: 'lockwarden-system' } } });
  await namespace.serviceAccount('candidate');
  lockwarden = startServe({ kubeconfig: controlPlane.kubeconfig });
  await untilCalled(client);
});

afterAll(async () => {
  await lockwarden.kill();
  client.close();
  await controlPlane.stop();
  await rm(folder, { recursive: true });
});

test('a rogue’s takeover stands in the log of the replica: in the table, as a story, and in the timeline', async () => {
  const alice = await createCandidate(namespace, 'candidate', 'alice');
  const rogue = await createCandidate(namespace, 'candidate', 'rogue');
  expect(await alice.create('orders', 15)).toBeNull();
  expect(await rogue.take('orders')).toMatchObject({ status: 403 });
  const { reviewUid } = await lockwarden.untilLine(rejectionMessage, ({ name }) => name === 'orders');
  const log = join(folder, 'replica.log');
  await writeFile(log, lockwarden.output);

  const listed = await runLockwarden(['review', log, '--since', '10m', '-n', namespace.name, '-o', 'json']);
  expect(listed).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(listed.stdout)).toMatchObject({
    rejections: [
      {
        ...{
          lockKind: 'Lease',
          namespace: namespace.name,
          name: 'orders',
          holder: 'alice',
          wouldBeHolder: 'rogue',
        },
        ...{
          pod: 'rogue',
          reason: 'PrematureTakeover',
          rule: 'U15',
          enforcement: 'Deny',
          count: 1,
          reviewUid,
        },
      },
    ],
    leftOut: 0,
  });

  const story = await runLockwarden(['review', 'show', String(reviewUid).slice(0, 13), log]);
  expect(story).toMatchObject({ code: 0, stderr: '' });
  expect(story.stdout).toContain('refused, PrematureTakeover');
  expect(story.stdout).toContain('The write came from the pod `rogue`');
  expect(story.stdout).toContain('lockwarden itself had seen the last renewal'.replace(/^l/, 'L'));
  expect(story.stdout).toContain(`lockwarden explain lease/orders -n ${namespace.name}`);

  const page = await runLockwarden([
    'review',
    'timeline',
    'lease/orders',
    log,
    '-n',
    namespace.name,
    '-o',
    'html',
  ]);
  expect(page).toMatchObject({ code: 0, stderr: '' });
  expect(page.stdout).toContain('alice');
  expect(page.stdout).toContain('<polygon class="Deny"');
  for (const each of [alice, rogue]) each.close();
});

test('a uid that the log does not tell of ends with 1, and a log that is not there too', async () => {
  const log = join(folder, 'empty.log');
  await writeFile(log, 'nothing\n');
  expect(await runLockwarden(['review', 'show', 'ffffffff', log])).toMatchObject({ code: 1, stdout: '' });
  expect(await runLockwarden(['review', join(folder, 'none.log')])).toMatchObject({ code: 1, stdout: '' });
  expect(await runLockwarden(['review', log, '--limit', 'many'])).toMatchObject({ code: 2, stdout: '' });
});
