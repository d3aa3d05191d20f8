/** The read API to test against, on plain HTTP: TLS is no part of what it answers. */
import { once } from 'node:events';
import {
  createServer,
  request,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
} from 'node:http';
import { Agent } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monotonicMs } from '../../../src/core/time.ts';
import type { LockRef } from '../../../src/core/lock.ts';
import { Doorkeeper } from '../../../src/read-api/doorkeeper.ts';
import { createReadHandler } from '../../../src/read-api/handler.ts';
import { readLimits, type ReadLimits } from '../../../src/read-api/limits.ts';
import type { LockView } from '../../../src/read-api/lock-view.ts';
import { Streams } from '../../../src/read-api/streams.ts';
import { RecentRejections } from '../../../src/review/recent.ts';
import { startFakeCluster, type FakeCluster } from './fake-cluster.ts';

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Following {
  readonly response: IncomingMessage;
  /** Lines so far. */
  readonly lines: Record<string, unknown>[];
  readonly ended: Promise<unknown>;
}

export interface Serving {
  readonly cluster: FakeCluster;
  readonly recent: RecentRejections;
  readonly server: Server;
  readonly port: number;
  readonly answers: string[];
  readonly logged: string[];
  readonly streams: Streams;
  streamCount: number;
  locks: readonly LockRef[];
  pass(ms: number): void;
  get(path: string, token?: string, options?: object): Promise<Reply>;
  follow(path: string, token: string): Promise<Following>;
  close(): Promise<void>;
}

const t0 = Date.parse('2026-03-01T03:12:00Z');

export function viewOf({ kind, namespace, name }: LockRef): LockView {
  return {
    ...{ kind, namespace, name, holder: 'a-0', lease: 'live', evidence: 'watched', leaseDurationMs: 15_000 },
    ...{ transitions: 1, guarded: true, policies: [], enforcement: 'Deny' },
    renewedAgoMs: { min: 1, max: 2 },
  };
}

export async function startServing(limits: Partial<ReadLimits> = {}): Promise<Serving> {
  let passedMs = 0;
  const cluster = await startFakeCluster(() => t0 + passedMs);
  const recent = new RecentRejections();
  const all = { ...readLimits, ...limits };
  const monotonicNow = () => monotonicMs(passedMs);
  const nowMs = () => t0 + passedMs;
  const [answers, logged]: [string[], string[]] = [[], []];
  const note = (fields: object, message = '') => void logged.push(`${message} ${JSON.stringify(fields)}`);
  const log = { error: note, warn: note, info: note, debug: note } as never;
  const streams = new Streams({
    ...{ replica: 'replica-0', limits: all, recent, monotonicNow, nowMs },
    onCount: (count) => {
      serving.streamCount = count;
    },
  });
  const doorkeeper = new Doorkeeper({
    ...{ client: cluster.client, limits: all, monotonicNow, nowMs },
    onAuthenticated: () => undefined,
    onFailure: () => undefined,
  });
  const handler = createReadHandler({
    ...{ doorkeeper, streams, limits: all, monotonicNow, log },
    sources: { replica: 'replica-0', rejections: recent, locks: () => serving.locks, viewOf },
    onAnswer: (resource, code) => void answers.push(`${resource} ${String(code)}`),
  });
  const server = createServer(handler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true });
  const open = (path: string, token: string | undefined, options: object): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const outgoing = request({ host: '127.0.0.1', port, path, agent: false, headers, ...options }, resolve);
      outgoing.on('error', reject).end();
    });
  const serving: Serving = {
    ...{ cluster, recent, server, port, answers, logged, streams, streamCount: 0, locks: [] },
    pass: (ms) => {
      passedMs += ms;
    },
    get: async (path, token, options = {}) => {
      const response = await open(path, token, options);
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      const text = Buffer.concat(chunks).toString();
      const body = JSON.parse(text) as Reply['body'];
      return { status: response.statusCode ?? 0, headers: response.headers, text, body };
    },
    follow: async (path, token) => {
      const response = await open(path, token, {});
      const lines: Record<string, unknown>[] = [];
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        const parts = text.split('\n');
        text = parts.pop() ?? '';
        lines.push(...parts.map((each) => JSON.parse(each) as Record<string, unknown>));
      });
      response.on('error', () => undefined);
      return { response, lines, ended: once(response, 'close') };
    },
    close: async () => {
      agent.destroy();
      streams.close();
      server.closeAllConnections();
      server.close();
      await cluster.close();
    },
  };
  return serving;
}
