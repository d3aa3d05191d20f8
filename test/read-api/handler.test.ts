/** The read API as it is called: what is answered, to whom, and what it never says. */
import { once } from 'node:events';
import { Agent } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LockRef } from '../../src/core/lock.ts';
import { readLimits } from '../../src/read-api/limits.ts';
import { recordOf } from './support/records.ts';
import { startServing, type Reply, type Serving } from './support/serving.ts';

const rejections = '/apis/review/v1/rejections';
const locks = '/apis/review/v1/locks';
const generous = { perSecond: 1_000, burst: 1_000 };

let serving: Serving;
let token: string;

beforeEach(async () => {
  serving = await startServing({ inAll: generous, perConnection: generous });
  token = await serving.cluster.mint('team:reader');
  for (const resource of ['rejections', 'locks']) serving.cluster.rights.add(`reader list ${resource} team`);
  serving.recent.told(recordOf('team', 'ours-1'));
  serving.recent.told(recordOf('secret', 'theirs-1', { name: 'hidden', holder: 'hidden-0' }));
  serving.recent.told(recordOf('team', 'ours-2'));
});

afterEach(() => serving.close());

function uids({ body }: Reply): readonly string[] {
  return (body['items'] as { readonly reviewUid: string }[]).map(({ reviewUid }) => reviewUid);
}

function continued({ body }: Reply): string {
  return (body['metadata'] as { readonly continue: string }).continue;
}

describe('a list of rejections', () => {
  it('is in the form of Kubernetes, has the very records, and names the replica whose they are', async () => {
    const reply = await serving.get(`${rejections}?namespace=team`, token);
    expect(reply.status).toBe(200);
    expect(reply.body).toEqual({
      kind: 'RejectionList',
      apiVersion: 'review.lockwarden.dev/v1',
      metadata: { continue: '' },
      replica: 'replica-0',
      items: [recordOf('team', 'ours-2'), recordOf('team', 'ours-1')],
    });
    expect(reply.headers).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    expect(Object.keys(reply.headers).filter((each) => each.startsWith('access-control'))).toEqual([]);
    expect(serving.answers).toEqual(['rejections 200']);
  });

  it('of all namespaces needs the right to all of them', async () => {
    const refused = await serving.get(rejections, token);
    expect(refused).toMatchObject({ status: 403, body: { kind: 'Status', reason: 'Forbidden', code: 403 } });
    expect(await serving.get(`${rejections}?namespace=`, token)).toMatchObject({ status: 403 });
    serving.cluster.rights.add('reader list rejections ');
    serving.pass(readLimits.noMs);
    expect(uids(await serving.get(rejections, token))).toEqual(['ours-2', 'theirs-1', 'ours-1']);
  });

  it('comes in pages that stay as they are while there is more', async () => {
    for (let index = 0; index < 5; index += 1) serving.recent.told(recordOf('team', `more-${String(index)}`));
    const first = await serving.get(`${rejections}?namespace=team&limit=3`, token);
    expect(uids(first)).toEqual(['more-4', 'more-3', 'more-2']);
    serving.recent.told(recordOf('team', 'newest'));
    const second = await serving.get(
      `${rejections}?namespace=team&limit=3&continue=${continued(first)}`,
      token,
    );
    expect(uids(second)).toEqual(['more-1', 'more-0', 'ours-2']);
    const last = await serving.get(
      `${rejections}?namespace=team&limit=3&continue=${continued(second)}`,
      token,
    );
    expect(uids(last)).toEqual(['ours-1']);
    expect(continued(last)).toBe('');
  });

  it('has what happened since a time', async () => {
    const late = '2026-03-01T04:00:00.000Z';
    serving.recent.told(recordOf('team', 'late', { firstSeen: late, lastSeen: late }));
    const reply = await serving.get(`${rejections}?namespace=team&since=2026-03-01T03:30:00Z`, token);
    expect(uids(reply)).toEqual(['late']);
  });
});

describe('a list of locks', () => {
  const refOf = (namespace: string, name: string, kind: LockRef['kind'] = 'Lease'): LockRef => ({
    kind,
    namespace,
    name,
  });

  it('is of the namespace that was asked for, in order and in pages', async () => {
    serving.locks = [
      refOf('team', 'c'),
      refOf('secret', 'b'),
      refOf('team', 'a'),
      refOf('team-2', 'a'),
      refOf('team', 'a', 'ConfigMap'),
    ];
    const first = await serving.get(`${locks}?namespace=team&limit=2`, token);
    expect(first.body).toMatchObject({
      kind: 'LockList',
      items: [
        { kind: 'ConfigMap', namespace: 'team', name: 'a', holder: 'a-0' },
        { kind: 'Lease', namespace: 'team', name: 'a', leaseDurationMs: 15_000 },
      ],
    });
    const second = await serving.get(`${locks}?namespace=team&limit=2&continue=${continued(first)}`, token);
    expect(second.body).toMatchObject({ items: [{ name: 'c' }], metadata: { continue: '' } });
    expect((await serving.get(`${locks}?namespace=secret`, token)).status).toBe(403);
  });

  it('of a large cluster takes as long as one look at each', async () => {
    serving.locks = Array.from({ length: 100_000 }, (_, index) =>
      refOf('team', `lock-${String((index * 7_919) % 100_000)}`),
    );
    const begun = performance.now();
    const reply = await serving.get(`${locks}?namespace=team&limit=500`, token);
    expect((reply.body['items'] as unknown[]).length).toBe(500);
    expect(performance.now() - begun).toBeLessThan(2_000);
  });
});

describe('nothing of another namespace', () => {
  it('is in any answer, whether it exists or not', async () => {
    const [there, nowhere] = [
      await serving.get(`${rejections}?namespace=secret`, token),
      await serving.get(`${rejections}?namespace=nowhere`, token),
    ];
    expect(there.text.replaceAll('secret', 'X')).toBe(nowhere.text.replaceAll('nowhere', 'X'));
    const own = await serving.get(`${rejections}?namespace=team&limit=1`, token);
    for (const { text, headers } of [there, nowhere, own]) {
      expect(text + JSON.stringify(headers)).not.toMatch(/hidden|theirs/);
    }
  });

  it('is in a continue token: it is sealed, as long whatever there is, and opens no other question', async () => {
    for (let index = 0; index < 900; index += 1)
      serving.recent.told(recordOf('secret', `t-${String(index)}`));
    serving.recent.told(recordOf('team', 'ours-3'));
    const first = await serving.get(`${rejections}?namespace=team&limit=1`, token);
    const sealed = continued(first);
    expect(Buffer.from(sealed, 'base64url').toString('latin1')).not.toMatch(/\d{3}/);
    serving.cluster.rights.add('reader list rejections other').add('reader list rejections ');
    for (const query of [
      `namespace=other&continue=${sealed}`,
      `continue=${sealed}`,
      `namespace=team&since=2026-01-01T00:00:00Z&continue=${sealed}`,
      `namespace=team&continue=${sealed.slice(0, -2)}AA`,
      `namespace=team&continue=${'A'.repeat(60)}`,
      `namespace=team&continue=x`,
    ]) {
      const reply = await serving.get(`${rejections}?${query}`, token);
      expect(reply, query).toMatchObject({ status: 410, body: { reason: 'Expired' } });
    }
    expect(await serving.get(`${locks}?namespace=team&continue=${sealed}`, token)).toMatchObject({
      status: 410,
    });
  });

  it('comes by more than one `namespace`, by its encoding, or by a second Authorization', async () => {
    const other = await serving.cluster.mint('team:nobody');
    for (const query of [
      'namespace=team&namespace=secret',
      'namespace=team%00secret',
      'namespace=team,secret',
    ])
      expect((await serving.get(`${rejections}?${query}`, token)).status, query).toBe(400);
    const headers = { authorization: [`Bearer ${token}`, `Bearer ${other}`] };
    expect((await serving.get(`${rejections}?namespace=team`, undefined, { headers })).status).toBe(401);
  });
});

describe('a request', () => {
  it('without a token is refused before anything is looked at', async () => {
    const reply = await serving.get(`${rejections}?nonsense`);
    expect(reply).toMatchObject({ status: 401, body: { kind: 'Status', reason: 'Unauthorized', code: 401 } });
    expect(reply.headers['www-authenticate']).toBe('Bearer realm="lockwarden"');
    expect(serving.cluster.asked).toEqual([]);
  });

  it.each([
    ['/apis/review/v1', 404],
    ['/apis/review/v1/rejections/x', 404],
    [`${rejections}?${'a'.repeat(3_000)}`, 414],
    [`${rejections}?nonsense=1`, 400],
  ])('for %.40s is answered %i', async (path, status) => {
    expect(await serving.get(path, token)).toMatchObject({ status, body: { kind: 'Status', code: status } });
  });

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])('by %s is none', async (method) => {
    const reply = await serving.get(rejections, token, { method });
    expect(reply.status).toBe(405);
    expect(reply.headers).toMatchObject({ allow: 'GET' });
    expect(serving.cluster.asked).toEqual([]);
  });

  it('by HEAD is none either', async () => {
    const socket = connect(serving.port, '127.0.0.1');
    socket.write(`HEAD ${rejections} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 405 /);
    socket.destroy();
  });

  it('has no body, and whoever sends one is hung up on', async () => {
    const headers = { authorization: `Bearer ${token}`, 'content-length': '5' };
    const socket = connect(serving.port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.write(
      `GET ${rejections} HTTP/1.1\r\nHost: x\r\nAuthorization: ${headers.authorization}\r\nContent-Length: 5\r\n\r\nhello`,
    );
    await once(socket, 'close');
    expect(text).toMatch(/^HTTP\/1.1 413 /);
    expect(serving.cluster.asked).toEqual([]);
  });

  it('that meets a defect is answered, logged without the token, and ends nothing', async () => {
    serving.recent.list = () => {
      throw new Error('a defect');
    };
    const reply = await serving.get(`${rejections}?namespace=team`, token);
    expect(reply).toMatchObject({ status: 500, body: { message: 'internal error' } });
    expect(serving.logged.join()).toContain('read request failed');
    expect(serving.logged.join()).not.toContain(token);
  });
});

describe('requests in quick succession', () => {
  it('are too many for one connection, and then for all', async () => {
    await serving.close();
    serving = await startServing({
      perConnection: { perSecond: 1, burst: 3 },
      inAll: { perSecond: 1, burst: 8 },
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const status = async (options: object): Promise<number> =>
      (await serving.get(rejections, undefined, options)).status;
    const own = [];
    for (let index = 0; index < 4; index += 1) own.push(await status({ agent }));
    expect(own).toEqual([401, 401, 401, 429]);
    agent.destroy();
    const others = [];
    for (let index = 0; index < 7; index += 1) others.push(await status({}));
    expect(others).toEqual([401, 401, 401, 401, 401, 429, 429]);
    serving.pass(2_000);
    expect(await status({})).toBe(401);
  });
});
