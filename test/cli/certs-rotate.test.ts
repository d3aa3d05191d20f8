import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { certsRotate } from '../../src/cli/certs-rotate.ts';
import {
  failure,
  kubeconfigText,
  startFakeApiServer,
  type Asked,
  type FakeApiServer,
} from '../kube/support/fake-api-server.ts';
import { ManualTime } from '../kube/support/manual-time.ts';

let server: FakeApiServer;
let folder: string;
let said: string;
let time: ManualTime;
/** How the API server answers what is asked once the rotation was asked for. */
let afterwards: (asked: Asked) => void;

beforeEach(async () => {
  server = await startFakeApiServer();
  folder = await mkdtemp(join(tmpdir(), 'lockwarden-test-'));
  said = '';
  time = new ManualTime();
  void answer();
});

afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

async function answer(): Promise<never> {
  let isAsked = false;
  for (;;) {
    const asked = await server.next();
    if (isAsked && asked.url.pathname !== '/version') afterwards(asked);
    else asked.reply(200, { metadata: { resourceVersion: '1' }, data: {} });
    isAsked ||= asked.method === 'PATCH';
  }
}

async function rotate(): Promise<number> {
  const kubeconfig = join(folder, 'kubeconfig');
  await writeFile(kubeconfig, kubeconfigText(server.url));
  const stdout = {
    isTTY: false,
    write: (text: string) => {
      said += text;
      return true;
    },
  };
  return certsRotate(
    { kubeconfig, namespace: 'lockwarden-system', what: 'leaf', wait: true, timeout: '1m' },
    {
      stdout,
      clock: time,
      sleep: (ms) => {
        time.advance(ms);
        return Promise.resolve();
      },
      token: () => 'token',
    },
  );
}

test('who waits for a rotation learns at once that a right was taken away meanwhile', async () => {
  afterwards = (asked) => {
    asked.reply(403, failure(403, 'Forbidden', 'secrets "lockwarden-certs" is forbidden'));
  };
  await expect(rotate()).rejects.toMatchObject({
    code: 'PermissionMissing',
    message: expect.stringMatching(/^--wait needs more rights: /) as string,
  });
  expect(said).toContain('asked for a new leaf');
});

test('who waits for a rotation goes on while the API server is away, and is told so at the end', async () => {
  afterwards = (asked) => {
    asked.destroy();
  };
  await expect(rotate()).rejects.toMatchObject({
    code: 'RotationFailed',
    message: expect.stringMatching(/not confirmed within 1m: it waits for the API server \(/) as string,
  });
  expect(said.match(/waiting for the API server/g)?.length).toBeGreaterThan(0);
});
