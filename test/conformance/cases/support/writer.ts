/**
 * Requests as election clients send them: as a pod, under a client's User-Agent (of which the API server makes the
 * field manager where the client names none), with the answer's warnings, which the product's own client does not read.
 */
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { request, type Agent, type RequestOptions } from 'node:https';
import { json } from 'node:stream/consumers';

import type { KubeConfig } from '@kubernetes/client-node';

import { isObject, stringAt, type JsonObject } from '../../../../src/kube/json.ts';
import type { Plural } from '../../../kube/support/cluster.ts';

/** A lock's object, by where it is. */
export interface Place {
  readonly plural: Plural;
  readonly namespace: string;
  readonly name: string;
}

/** What the API server said. */
export interface Answer {
  readonly status: number;
  readonly body: JsonObject;
  /** Texts of the `Warning` headers. */
  readonly warnings: readonly string[];
}

type Query = Readonly<Record<string, string>>;

/** How to patch. `manager`: field manager; `force`: of a server-side apply. */
export interface PatchOptions {
  readonly manager?: string;
  readonly force?: boolean;
  readonly dryRun?: boolean;
}

const apis = {
  leases: { prefix: '/apis/coordination.k8s.io/v1', apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' },
  configmaps: { prefix: '/api/v1', apiVersion: 'v1', kind: 'ConfigMap' },
  endpoints: { prefix: '/api/v1', apiVersion: 'v1', kind: 'Endpoints' },
} as const;

const patchTypes = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const;

/** Path of the collection that a lock is in. */
export function collectionOf({ plural, namespace }: Omit<Place, 'name'>): string {
  return `${apis[plural].prefix}/namespaces/${namespace}/${plural}`;
}

/** An object of the lock's kind and name. */
export function objectOf({ plural, namespace, name }: Place, metadata: JsonObject = {}): JsonObject {
  const { apiVersion, kind } = apis[plural];
  return { apiVersion, kind, metadata: { ...metadata, name, namespace } };
}

/** A user, and the client that it uses. */
export class Writer {
  readonly #config: KubeConfig;
  readonly #agent: Agent;
  readonly #headers: Readonly<Record<string, string | string[]>>;

  constructor(config: KubeConfig, agent: Agent, headers: Readonly<Record<string, string | string[]>> = {}) {
    this.#config = config;
    this.#agent = agent;
    this.#headers = headers;
  }

  /** The same user with another client, such as `kubectl/v1.36.0`. */
  using(userAgent: string): Writer {
    return new Writer(this.#config, this.#agent, { ...this.#headers, 'User-Agent': userAgent });
  }

  /** Another user, as whom this one may act. */
  actingAs(user: string, groups: readonly string[] = []): Writer {
    return new Writer(this.#config, this.#agent, {
      ...this.#headers,
      'Impersonate-User': user,
      'Impersonate-Group': [...groups],
    });
  }

  get(place: Place, query: Query = {}): Promise<Answer> {
    return this.send('GET', pathOf(place), { query });
  }

  post(place: Place, object: JsonObject): Promise<Answer> {
    return this.send('POST', collectionOf(place), { body: object });
  }

  put(place: Place, object: JsonObject): Promise<Answer> {
    return this.send('PUT', pathOf(place), { body: object });
  }

  patch(
    place: Place,
    type: keyof typeof patchTypes,
    body: JsonObject,
    { manager, force, dryRun }: PatchOptions = {},
  ): Promise<Answer> {
    const query = {
      ...(manager === undefined ? {} : { fieldManager: manager }),
      ...(force === undefined ? {} : { force: String(force) }),
      ...(dryRun === true ? { dryRun: 'All' } : {}),
    };
    return this.send('PATCH', pathOf(place), { query, body, contentType: patchTypes[type] });
  }

  /** DELETE with the options' body that a client sends, such as preconditions. */
  delete(place: Place, options?: JsonObject): Promise<Answer> {
    return this.send('DELETE', pathOf(place), { body: options });
  }

  async send(
    method: string,
    path: string,
    {
      query = {},
      body,
      contentType = 'application/json',
    }: { query?: Query; body?: JsonObject | undefined; contentType?: string } = {},
  ): Promise<Answer> {
    const options: RequestOptions = {};
    await this.#config.applyToHTTPSOptions(options);
    const url = new URL(path, this.#config.getCurrentCluster()?.server);
    url.search = new URLSearchParams(query).toString();
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      ...(options.headers as OutgoingHttpHeaders | undefined),
      ...this.#headers,
      Accept: 'application/json',
      // NB: without a length, node sends the body of a DELETE as if it were the next request.
      ...(text === undefined
        ? {}
        : { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(text) }),
    };
    return exchange(url, { ...options, method, headers, agent: this.#agent }, text);
  }
}

function pathOf(place: Place): string {
  return `${collectionOf(place)}/${place.name}`;
}

async function exchange(url: URL, options: RequestOptions, body: string | undefined): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request(url, options, resolve).on('error', reject).end(body);
  const response = await promise;
  const answer: unknown = await json(response);
  return {
    status: response.statusCode ?? 0,
    body: isObject(answer) ? answer : {},
    warnings: (response.headersDistinct['warning'] ?? []).map(textOfWarning),
  };
}

/** SOURCE: https://www.rfc-editor.org/rfc/rfc9111#field.warning; the API server sends UTF-8, node reads Latin-1. */
function textOfWarning(header: string): string {
  const quoted = /^299 \S+ "(?<text>.*)"$/s.exec(header)?.groups?.['text'] ?? header;
  return Buffer.from(quoted.replaceAll(/\\(.)/g, '$1'), 'latin1').toString('utf8');
}

/** What a refusal says. */
export function messageOf({ body }: Answer): string {
  return stringAt(body, 'message');
}
