/** What tests on a real API server write, in the forms that clients write it. */
import { request } from 'node:https';

import type { KubeConfig } from '@kubernetes/client-node';

import type { KubeClient } from '../../../src/kube/client.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { isObject, objectAt, type JsonObject } from '../../../src/kube/json.ts';

export const leaderAnnotation = 'control-plane.alpha.kubernetes.io/leader';

export type Plural = 'leases' | 'configmaps' | 'endpoints';

const kinds = {
  leases: { kind: 'Lease', apiVersion: 'coordination.k8s.io/v1', prefix: '/apis/coordination.k8s.io/v1' },
  configmaps: { kind: 'ConfigMap', apiVersion: 'v1', prefix: '/api/v1' },
  endpoints: { kind: 'Endpoints', apiVersion: 'v1', prefix: '/api/v1' },
} as const;

/** One namespace of the cluster, and writes to it by a named field manager. */
export class Namespace {
  readonly client: KubeClient;
  readonly name: string;

  constructor(client: KubeClient, name: string) {
    this.client = client;
    this.name = name;
  }

  static async create(client: KubeClient, name: string): Promise<Namespace> {
    const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
    await client.request({ method: 'POST', path: '/api/v1/namespaces', body });
    return new Namespace(client, name);
  }

  collection(plural: Plural): string {
    return `${kinds[plural].prefix}/namespaces/${this.name}/${plural}`;
  }

  path(plural: Plural, name: string): string {
    return `${this.collection(plural)}/${name}`;
  }

  /** An object to send: `metadata` and whatever else is given. */
  object(plural: Plural, name: string, rest: JsonObject): JsonObject {
    const { kind, apiVersion } = kinds[plural];
    return { apiVersion, kind, ...rest, metadata: { ...objectAt(rest, 'metadata'), name } };
  }

  async get(plural: Plural, name: string): Promise<JsonObject> {
    return bodyOf(await this.client.request({ method: 'GET', path: this.path(plural, name) }));
  }

  async post(plural: Plural, name: string, rest: JsonObject = {}, manager = 'elector'): Promise<JsonObject> {
    const body = this.object(plural, name, rest);
    const query = { fieldManager: manager };
    return bodyOf(await this.client.request({ method: 'POST', path: this.collection(plural), query, body }));
  }

  /** GET, change, PUT: with the resource version, as careful clients do. */
  async put(
    plural: Plural,
    name: string,
    change: (object: JsonObject) => JsonObject,
    manager = 'elector',
  ): Promise<JsonObject> {
    return this.putWhole(plural, name, change(await this.get(plural, name)), manager);
  }

  async putWhole(plural: Plural, name: string, body: JsonObject, manager = 'elector'): Promise<JsonObject> {
    const query = { fieldManager: manager };
    return bodyOf(await this.client.request({ method: 'PUT', path: this.path(plural, name), query, body }));
  }

  async patch(
    plural: Plural,
    name: string,
    type: 'merge' | 'strategic' | 'apply',
    rest: JsonObject,
    manager = 'elector',
  ): Promise<JsonObject> {
    const query = { fieldManager: manager, ...(type === 'apply' ? { force: 'true' } : {}) };
    const body = type === 'apply' ? this.object(plural, name, rest) : rest;
    const contentType = {
      merge: 'application/merge-patch+json',
      strategic: 'application/strategic-merge-patch+json',
      apply: 'application/apply-patch+yaml',
    }[type];
    const path = this.path(plural, name);
    return bodyOf(await this.client.request({ method: 'PATCH', path, query, body, contentType }));
  }

  async delete(plural: Plural, name: string): Promise<void> {
    await this.client.request({ method: 'DELETE', path: this.path(plural, name) });
  }

  async deleteCollection(plural: Plural): Promise<void> {
    // The answer lists what was deleted, in full.
    const bytesMax = 1024 ** 3;
    await this.client.request({ method: 'DELETE', path: this.collection(plural), bytesMax });
  }
}

function bodyOf(response: { readonly body: unknown }): JsonObject {
  if (!isObject(response.body)) throw new Error('the answer is no object');
  return response.body;
}

/** `object` with `metadata` changed. */
export function withMetadata(object: JsonObject, change: JsonObject): JsonObject {
  return { ...object, metadata: { ...objectAt(object, 'metadata'), ...change } };
}

/** `object` with fields of `spec` changed; null removes one. */
export function withSpec(object: JsonObject, change: JsonObject): JsonObject {
  return { ...object, spec: { ...objectAt(object, 'spec'), ...change } };
}

/** `object` with its leader annotation set. */
export function withRecord(object: JsonObject, record: string): JsonObject {
  const annotations = {
    ...objectAt(objectAt(object, 'metadata'), 'annotations'),
    [leaderAnnotation]: record,
  };
  return withMetadata(object, { annotations });
}

/** A MicroTime `offsetMs` from now, with `micros` added: six digits, as the API server demands. */
export function microTime(offsetMs = 0, micros = 0): string {
  const at = new Date(Date.now() + offsetMs).toISOString();
  return at.replace('Z', `${String(micros).padStart(3, '0')}Z`);
}

/** The text of a path that does not answer in JSON, such as `/metrics`. */
export async function textOf(config: KubeConfig, path: string): Promise<string> {
  const options = {};
  await config.applyToHTTPSOptions(options);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  request(new URL(path, config.getCurrentCluster()?.server), options, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('end', () => {
      resolve(Buffer.concat(chunks).toString('utf8'));
    });
  })
    .on('error', reject)
    .end();
  return promise;
}

/** The KubeError that `work` ends with, or null when it succeeds. */
export async function failureOf(work: Promise<unknown>): Promise<KubeError | null> {
  try {
    await work;
    return null;
  } catch (error) {
    if (error instanceof KubeError) return error;
    throw error;
  }
}
