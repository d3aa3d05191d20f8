import { createServer, type AddressInfo, type Server } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { localAddress } from '../../src/kube/local-address.ts';

let server: Server;

beforeEach(async () => {
  server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterEach(() => {
  server.close();
});

function clusterAt(url: string, proxyUrl?: string): KubeConfig {
  const config = new KubeConfig();
  config.loadFromOptions({
    clusters: [{ name: 'c', server: url, proxyUrl }],
    users: [{ name: 'u' }],
    contexts: [{ name: 'x', cluster: 'c', user: 'u' }],
    currentContext: 'x',
  });
  return config;
}

function url(): string {
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('localAddress', () => {
  it('is this end of a connection to the API server', async () => {
    expect(await localAddress(clusterAt(url()))).toBe('127.0.0.1');
  });

  it('is not known behind a proxy', async () => {
    await expect(localAddress(clusterAt(url(), 'http://proxy:3128'))).rejects.toMatchObject({
      code: 'UsageInvalid',
      message: expect.stringContaining('give --webhook-url') as unknown,
    });
  });

  it('tells that nobody listens', async () => {
    const nobody = url();
    await new Promise((resolve) => server.close(resolve));
    await expect(localAddress(clusterAt(nobody))).rejects.toMatchObject({ kind: 'unreachable' });
  });
});
