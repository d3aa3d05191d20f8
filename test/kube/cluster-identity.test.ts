import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clusterIdentity } from '../../src/kube/cluster-identity.ts';
import { failure, startFakeApiServer, type FakeApiServer } from './support/fake-api-server.ts';

let server: FakeApiServer;

beforeEach(async () => {
  server = await startFakeApiServer();
});
afterEach(() => server.close());

describe('which cluster this is', () => {
  it.each([
    ['the uid of kube-system', 200, { items: [{ metadata: { uid: 'abc' } }] }, 'abc'],
    ['unknown while there is none', 200, { items: [] }, null],
    ['unknown where that may not be seen', 403, failure(403, 'Forbidden'), null],
  ] as const)('is %s', async (_, status, body, identity) => {
    const found = clusterIdentity(server.client, new AbortController().signal);
    const asked = await server.next();
    expect(`${asked.url.pathname}${decodeURIComponent(asked.url.search)}`).toBe(
      '/api/v1/namespaces?fieldSelector=metadata.name=kube-system',
    );
    asked.reply(status, body);
    expect(await found).toBe(identity);
  });

  it('is asked again by the caller when the API server fails', async () => {
    const found = clusterIdentity(server.client, new AbortController().signal);
    (await server.next()).reply(500, failure(500, 'InternalError'));
    await expect(found).rejects.toMatchObject({ kind: 'server-error' });
  });
});
