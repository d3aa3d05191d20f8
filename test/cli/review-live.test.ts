/** `lockwarden review --live`: replicas asked over TLS, directly and through a port-forward. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { ReviewIo } from '../../src/cli/review-io.ts';
import { reviewShow } from '../../src/cli/review-show.ts';
import { review, type ReviewOptions } from '../../src/cli/review.ts';
import { ReadApi } from '../../src/read-api/read-api.ts';
import { RecentRejections } from '../../src/review/recent.ts';
import { createMetrics } from '../../src/server/metrics.ts';
import {
  kubeconfigText,
  failure,
  startFakeApiServer,
  type FakeApiServer,
} from '../kube/support/fake-api-server.ts';
import { startFakeCluster, type FakeCluster } from '../read-api/support/fake-cluster.ts';
import { recordOf } from '../read-api/support/records.ts';
import { issueServingCertificate, type ServingCertificate } from '../support/serving-certificate.ts';

const serverName = 'lockwarden.lockwarden-system.svc';
let certificate: ServingCertificate;
let folder: string;
let caFile: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockwarden-live-'));
  caFile = join(folder, 'ca.pem');
  certificate = await issueServingCertificate({
    ...{ hosts: [serverName], nowMs: Date.now(), validityMs: 3_600_000, backdateMs: 60_000 },
  });
  await writeFile(caFile, certificate.caPem);
});

afterAll(() => rm(folder, { recursive: true }));

interface Replica {
  readonly port: number;
  readonly recent: RecentRejections;
  readonly api: ReadApi;
}

let cluster: FakeCluster;
let replicas: Replica[];
let tokenFile: string;

beforeEach(async () => {
  cluster = await startFakeCluster(() => Date.now());
  replicas = [];
  for (const replica of ['replica-0', 'replica-1']) replicas.push(await startReplica(replica));
  tokenFile = join(folder, 'token');
  await writeFile(tokenFile, `${await cluster.mint('team:reader')}\n`);
  for (const right of ['reader list rejections team', 'reader watch rejections team'])
    cluster.rights.add(right);
});

afterEach(async () => {
  await Promise.all(replicas.map(({ api }) => api.close()));
  await cluster.close();
});

async function startReplica(
  replica: string,
  { recent = new RecentRejections(), on = 0 }: { recent?: RecentRejections; on?: number } = {},
): Promise<Replica> {
  const clock = systemClock();
  const metrics = createMetrics(clock, { processMetrics: false });
  const none = () => undefined;
  const api = new ReadApi({
    ...{ client: cluster.client, recent, clock, nowMs: () => Date.now() },
    sources: { replica, locks: () => [], viewOf: () => null },
    metrics: metrics.readApi,
    edge: metrics.edge,
    log: { error: none, warn: none, info: none, debug: none },
  });
  const port = await api.listen(on, '127.0.0.1');
  api.reload(certificate);
  return { port, recent, api };
}

function surroundings(enough?: Promise<unknown>) {
  const written = { out: '', err: '' };
  const io: ReviewIo = {
    stdout: { isTTY: false, columns: 200, write: (part) => (written.out += part) },
    stderr: { write: (part) => (written.err += part) },
    stdin: () => {
      throw new Error('nothing is read');
    },
    stdinIsTerminal: true,
    env: {},
    clock: systemClock(),
    sleep: (ms, signal) => delay(Math.min(ms, 50), undefined, { signal }).catch(() => undefined),
    interrupted: () => enough ?? new Promise(() => undefined),
  };
  return { io, written };
}

const all = {
  ...{ files: [], cluster: false, previous: false, lockwardenNamespace: 'lockwarden-system' },
  ...{ output: 'json', follow: false, limit: '200', live: true, namespace: 'team' },
};

function direct(index = 0): Partial<ReviewOptions> {
  return { server: `https://127.0.0.1:${String(replicas[index]?.port)}`, serverName, caFile, tokenFile };
}

async function run(options: Partial<ReviewOptions>, enough?: Promise<unknown>) {
  const { io, written } = surroundings(enough);
  return { exitCode: await review({ ...all, ...options }, io), ...written };
}

const recent = (index: number) => replicas[index]!.recent;

describe('lockwarden review --live --server', () => {
  it('shows the records of the replica that answers, as from a log', async () => {
    recent(0).told(recordOf('team', 'review-1'));
    recent(0).told(recordOf('team', 'review-1', { count: 4 }));
    recent(0).told(recordOf('other', 'hidden'));
    const { exitCode, out, err } = await run(direct());
    expect([exitCode, err]).toEqual([0, '']);
    expect(JSON.parse(out)).toEqual({
      rejections: [recordOf('team', 'review-1', { count: 5 })],
      leftOut: 0,
    });
    const table = await run({ ...direct(), output: 'table' });
    expect(table.out).toContain(
      'lease/team/orders  a-0     b-0              b-0  PrematureTakeover  refused  5',
    );
  });

  it('chooses as it does of logs, and reads page after page', async () => {
    for (let index = 0; index < 900; index += 1)
      recent(0).told(recordOf('team', `r-${String(index)}`, { name: `lock-${String(index % 3)}` }));
    const { out } = await run({ ...direct(), lock: 'lock-1', limit: '1000' });
    expect((JSON.parse(out) as { rejections: unknown[] }).rejections).toHaveLength(300);
    expect(
      (JSON.parse((await run({ ...direct(), since: '1h' })).out) as { rejections: unknown[] }).rejections,
    ).toEqual([]);
  });

  it('tells the whole story of one', async () => {
    recent(0).told(recordOf('team', 'abcdef-1'));
    const { io, written } = surroundings();
    expect(await reviewShow({ ...all, ...direct(), uid: 'abcd', output: 'text' }, io)).toBe(0);
    expect(written.out).toContain('lease/orders in team: refused, PrematureTakeover');
  });

  it('goes on as they come, tells nothing twice, and over an end of the stream', async () => {
    recent(0).told(recordOf('team', 'first'));
    const enough = Promise.withResolvers<undefined>();
    const { io, written } = surroundings(enough.promise);
    const following = review({ ...all, ...direct(), follow: true }, io);
    const uids = () =>
      written.out
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as { reviewUid: string; count: number })
        .map(({ reviewUid, count }) => `${reviewUid} ${String(count)}`);
    await expect.poll(uids, { timeout: 5_000 }).toEqual(['first 1']);
    recent(0).told(recordOf('team', 'second'));
    recent(0).told(recordOf('team', 'first', { count: 6, lastSeen: '2026-03-01T03:13:00.000Z' }));
    await expect.poll(uids, { timeout: 5_000 }).toEqual(['first 1', 'second 1', 'first 6']);
    // The replica starts anew, and tells everything again.
    const [old, ...others] = replicas;
    await old!.api.close();
    replicas = [await startReplica('replica-0', { recent: old!.recent, on: old!.port }), ...others];
    recent(0).told(recordOf('team', 'third'));
    await expect.poll(uids, { timeout: 5_000 }).toEqual(['first 1', 'second 1', 'first 6', 'third 1']);
    enough.resolve(undefined);
    expect(await following).toBe(0);
  });

  it('counts nothing twice when a connection ends between two pages', async () => {
    for (let index = 0; index < 900; index += 1)
      recent(0).told(recordOf('team', `r-${String(index)}`, { count: 2 }));
    const list = recent(0).list.bind(recent(0));
    let pages = 0;
    recent(0).list = (filter) => {
      pages += 1;
      if (pages === 1) replicas[0]!.api.reload(certificate);
      return list(filter);
    };
    const { rejections } = JSON.parse((await run({ ...direct(), limit: '1000' })).out) as {
      rejections: { count: number }[];
    };
    expect(pages).toBe(3);
    expect(rejections).toHaveLength(900);
    expect(rejections.every(({ count }) => count === 2)).toBe(true);
  });

  it.each([
    [
      'a name that the certificate does not have',
      { serverName: 'evil.example' },
      /does not match certificate/,
    ],
    ['an authority that did not issue it', { caFile: 'other' }, /unable to verify|self-signed|issuer/],
    ['a token of nobody', { tokenFile: 'nobody' }, /refuses: give a ServiceAccount/],
    [
      'a namespace that one may not see',
      { namespace: 'other' },
      /refuses: you cannot list resource "rejections"/,
    ],
    ['all namespaces, which one may not see', { namespace: undefined }, /at the cluster scope/],
    ['a port where nothing is', { server: 'https://127.0.0.1:1' }, /ECONNREFUSED/],
    ['no token', { tokenFile: undefined }, /--live needs to say who asks/],
    ['files as well', { files: ['a.log'] }, /reads no logs/],
    ['an address that is none', { server: 'http://127.0.0.1' }, /--server does not take/],
  ])('with %s ends with a sentence', async (_what, change, message) => {
    const other = await issueServingCertificate({
      ...{ hosts: [serverName], nowMs: Date.now(), validityMs: 3_600_000, backdateMs: 60_000 },
    });
    const [otherCa, nobody] = [join(folder, 'other.pem'), join(folder, 'nobody')];
    await writeFile(otherCa, other.caPem);
    await writeFile(nobody, 'a.b.c');
    const files = {
      ...('caFile' in change && { caFile: otherCa }),
      ...('tokenFile' in change && change.tokenFile === 'nobody' && { tokenFile: nobody }),
    };
    await expect(run({ ...direct(), ...change, ...files } as Partial<ReviewOptions>)).rejects.toThrow(
      message,
    );
  });
});

/** The parts of `ws` that are used; client-node brings it, without types. */
interface WebSocketLike {
  readonly protocol: string;
  on(event: 'message', listener: (data: Buffer) => void): void;
  on(event: 'close', listener: () => void): void;
  send(data: Buffer): void;
  close(): void;
}
type WebSocketServerLike = new (options: object) => {
  on(event: 'connection', listener: (socket: WebSocketLike, request: { url: string }) => void): void;
};

/** An API server that forwards ports as a kubelet does, and answers everything else as the test says. */
async function startForwarding(portOf: (pod: string) => number) {
  const require = createRequire(createRequire(import.meta.url).resolve('@kubernetes/client-node'));
  const { WebSocketServer } = require('ws') as { WebSocketServer: WebSocketServerLike };
  const api: FakeApiServer = await startFakeApiServer();
  const server = createServer((request, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const answer = await fetch(`${api.url}${request.url ?? ''}`, {
        method: request.method ?? 'GET',
        ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
      });
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text());
    })();
  });
  const forwarded: string[] = [];
  const sockets = new Set<Socket>();
  new WebSocketServer({ server, handleProtocols: () => 'v4.channel.k8s.io' }).on(
    'connection',
    (tunnel, { url }) => {
      forwarded.push(url);
      const pod = /\/pods\/([^/]+)\/portforward/.exec(url)?.[1] ?? '';
      const socket = connect(portOf(pod), '127.0.0.1');
      sockets.add(socket);
      const framed = (channel: number, bytes: Buffer) => Buffer.concat([Buffer.from([channel]), bytes]);
      // SOURCE: the first frame of each channel is the port, in two bytes
      for (const channel of [0, 1]) tunnel.send(framed(channel, Buffer.from([0, 0])));
      tunnel.on('message', (data) => socket.write(data.subarray(1)));
      tunnel.on('close', () => socket.destroy());
      socket.on('data', (bytes: Buffer) => {
        tunnel.send(framed(0, bytes));
      });
      socket.on('error', (error) => {
        tunnel.send(framed(1, Buffer.from(error.message)));
      });
      socket.on('close', () => {
        tunnel.close();
      });
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    api,
    forwarded,
    url: `http://127.0.0.1:${String(port)}`,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      server.close();
      await api.close();
    },
  };
}

describe('lockwarden review --live', () => {
  let forwarding: Awaited<ReturnType<typeof startForwarding>>;
  let kubeconfig: string;
  let ready: string[];
  let asked: string[];

  beforeEach(async () => {
    ready = ['replica-0', 'replica-1'];
    asked = [];
    forwarding = await startForwarding((pod) => (pod === 'broken' ? 1 : replicas[Number(pod.at(-1))]!.port));
    kubeconfig = join(folder, 'kubeconfig');
    await writeFile(kubeconfig, kubeconfigText(forwarding.url));
    void (async () => {
      for (;;) {
        const request = await forwarding.api.next();
        const { pathname } = request.url;
        asked.push(`${request.method} ${pathname}`);
        if (pathname.endsWith('/pods'))
          request.reply(200, { items: [...ready.map(podOf), { metadata: { name: 'unready', uid: 'x' } }] });
        else if (pathname.endsWith('/token')) {
          expect(request.body).toMatchObject({ spec: { audiences: ['lockwarden-review'] } });
          request.reply(201, { status: { token: await cluster.mint('team:reader') } });
        } else if (pathname.endsWith('/lockwarden')) {
          const caBundle = Buffer.from(certificate.caPem).toString('base64');
          const service = { name: 'lockwarden', namespace: 'lockwarden-system' };
          request.reply(200, { webhooks: [{ clientConfig: { caBundle, service } }] });
        } else request.reply(404, failure(404, 'NotFound'));
      }
    })();
  });

  afterEach(() => forwarding.close());

  const podOf = (name: string) => ({
    metadata: { name, uid: `uid-${name}` },
    spec: { containers: [{ ports: [{ name: 'review', containerPort: 9444 }] }] },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  });

  it('asks each replica that is ready, as a ServiceAccount, and puts them together', async () => {
    recent(0).told(recordOf('team', 'from-0', { instance: 'replica-0' }));
    recent(1).told(recordOf('team', 'from-1', { instance: 'replica-1' }));
    const { out, err } = await run({ kubeconfig, serviceAccount: 'reader', output: 'json' });
    expect(err).toBe('');
    const { rejections } = JSON.parse(out) as { rejections: { reviewUid: string }[] };
    expect(rejections.map(({ reviewUid }) => reviewUid).toSorted()).toEqual(['from-0', 'from-1']);
    expect(forwarding.forwarded.toSorted()).toEqual([
      '/api/v1/namespaces/lockwarden-system/pods/replica-0/portforward?ports=9444',
      '/api/v1/namespaces/lockwarden-system/pods/replica-1/portforward?ports=9444',
    ]);
    expect(asked).toContain('POST /api/v1/namespaces/team/serviceaccounts/reader/token');
  });

  it('leaves out a replica that cannot be reached, and says so', async () => {
    ready = ['replica-0', 'broken'];
    recent(0).told(recordOf('team', 'from-0'));
    const { out, err } = await run({ kubeconfig, serviceAccount: 'team/reader' });
    expect(out).toContain('from-0');
    expect(err).toContain('lockwarden: left out: broken cannot be read from: connect ECONNREFUSED');
  });

  it('says so when no replica is there', async () => {
    ready = [];
    await expect(run({ kubeconfig, serviceAccount: 'reader' })).rejects.toThrow(
      'there is no pod of lockwarden that is ready',
    );
  });

  it('follows all of them, and those that come later', async () => {
    ready = ['replica-0'];
    const enough = Promise.withResolvers<undefined>();
    const { io, written } = surroundings(enough.promise);
    const following = review({ ...all, kubeconfig, serviceAccount: 'reader', follow: true }, io);
    recent(0).told(recordOf('team', 'from-0', { instance: 'replica-0' }));
    await expect.poll(() => written.out, { timeout: 5_000 }).toContain('from-0');
    ready = ['replica-0', 'replica-1'];
    recent(1).told(recordOf('team', 'from-1', { instance: 'replica-1' }));
    await expect.poll(() => written.out, { timeout: 5_000 }).toContain('from-1');
    enough.resolve(undefined);
    expect(await following).toBe(0);
    expect(written.out.match(/from-0/g)).toHaveLength(1);
  });
});
