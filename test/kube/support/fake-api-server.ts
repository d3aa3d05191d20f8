/** An API server that answers what the test tells it to, one request at a time. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { KubeConfig } from '@kubernetes/client-node';

import { createKubeClient, type KubeClient } from '../../../src/kube/client.ts';

/** A request that waits for its answer. */
export interface Asked {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
  /** Of the caller's end of the connection. */
  readonly port: number | undefined;
  /** Answers with JSON, or with text as it is. */
  reply(status: number, body: unknown, headers?: Readonly<Record<string, string>>): void;
  /** Begins a stream of text. */
  stream(): { send(text: string): void; event(type: string, object: unknown): void; end(): void };
  /** Breaks the connection, before or within the answer. */
  destroy(): void;
}

export interface FakeApiServer {
  readonly url: string;
  readonly client: KubeClient;
  /** The next request, as soon as there is one. */
  next(): Promise<Asked>;
  /** Requests that nobody has taken yet. */
  readonly waiting: number;
  close(): Promise<void>;
}

export async function startFakeApiServer(): Promise<FakeApiServer> {
  const queue: Asked[] = [];
  const takers: ((asked: Asked) => void)[] = [];
  const server = createServer((request, response) => {
    void asked(request, response).then((each) => {
      const taker = takers.shift();
      if (taker === undefined) queue.push(each);
      else taker(each);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const client = createKubeClient(configFor(url));
  return {
    url,
    client,
    next: () => {
      const each = queue.shift();
      if (each !== undefined) return Promise.resolve(each);
      return new Promise((resolve) => takers.push(resolve));
    },
    get waiting() {
      return queue.length;
    },
    close: () =>
      new Promise((resolve) => {
        client.close();
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

/** A kubeconfig file for `server`, as text; `namespace` is that of its context. */
export function kubeconfigText(server: string, namespace?: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'fake',
    clusters: [{ name: 'fake', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'fake', user: {} }],
    contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'fake', namespace } }],
  });
}

export function configFor(server: string, user: Readonly<Record<string, unknown>> = {}): KubeConfig {
  const config = new KubeConfig();
  config.loadFromClusterAndUser({ name: 'fake', server, skipTLSVerify: true }, { name: 'tester', ...user });
  return config;
}

/** A Status of failure, as the API server words it. */
export function failure(code: number, reason: string, message = ''): object {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message };
}

async function asked(request: IncomingMessage, response: ServerResponse): Promise<Asked> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  return {
    method: request.method ?? '',
    url: new URL(request.url ?? '', 'http://fake'),
    headers: request.headers,
    body: text === '' ? undefined : JSON.parse(text),
    port: request.socket.remotePort,
    reply: (status, body, headers = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    },
    stream: () => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
      return {
        send: (sent) => response.write(sent),
        event: (type, object) => response.write(`${JSON.stringify({ type, object })}\n`),
        end: () => response.end(),
      };
    },
    destroy: () => request.socket.destroy(),
  };
}
