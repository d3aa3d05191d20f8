/** A test’s lock on a real API server, written by real identities, in real time. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { LockRef } from '../../core/lock.ts';
import type { KubeClient, KubeRequest } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import type { JsonObject } from '../../kube/json.ts';
import { isObject } from '../../kube/json.ts';
import type { Answer, LockRequest, TestCluster } from '../cluster.ts';
import { kinds } from '../lock-object.ts';
import type { Actor } from '../suite.ts';
import type { ServerTime } from './server-time.ts';

/** What a live test needs. */
export interface LiveClusterOptions {
  readonly admin: KubeClient;
  /** The client that writes as an actor. */
  readonly clientOf: (actor: Actor) => KubeClient;
  readonly time: ServerTime;
  readonly signal: AbortSignal;
}

/** The path of the collection that a lock is in. */
function collectionOf({ kind, namespace }: LockRef): string {
  const { group, version, resource } = kinds[kind];
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  return `${root}/namespaces/${namespace}/${resource}`;
}

export class LiveCluster implements TestCluster {
  readonly #lock: LockRef;
  readonly #options: LiveClusterOptions;
  #dueMs = Infinity;
  #lateMs = 0;

  constructor(lock: LockRef, options: LiveClusterOptions) {
    this.#lock = lock;
    this.#options = options;
  }

  nowMs(): number {
    return this.#options.time.nowMs();
  }

  /** How long after its time a write was answered, at most, in milliseconds: the API server has taken it in at some moment between. */
  get lateMs(): number {
    return this.#lateMs;
  }

  async until(ms: number): Promise<void> {
    const { signal } = this.#options;
    this.#dueMs = ms;
    signal.throwIfAborted();
    const leftMs = ms - this.nowMs();
    if (leftMs > 0) await sleep(leftMs, undefined, { signal });
  }

  async read(): Promise<JsonObject | null> {
    const { admin, signal } = this.#options;
    try {
      const { body } = await admin.request({ method: 'GET', path: this.#path, signal });
      return isObject(body) ? body : null;
    } catch (error) {
      if (error instanceof KubeError && error.kind === 'not-found') return null;
      throw error;
    }
  }

  async write(actor: Actor, request: LockRequest): Promise<Answer> {
    const { clientOf, signal } = this.#options;
    const unseen = { audited: null, asked: null };
    try {
      const query = { fieldManager: actor.fieldManager };
      const sent = { ...this.#requestFor(request), query: request.verb === 'delete' ? {} : query, signal };
      const { status, warnings } = await clientOf(actor).request(sent);
      return { status, message: '', warnings, ...unseen };
    } catch (error) {
      if (!(error instanceof KubeError) || error.status === null) throw error;
      return { status: error.status, message: error.message, warnings: [], ...unseen };
    } finally {
      this.#lateMs = Math.max(this.#lateMs, this.nowMs() - this.#dueMs);
    }
  }

  get #path(): string {
    return `${collectionOf(this.#lock)}/${this.#lock.name}`;
  }

  #requestFor(request: LockRequest): KubeRequest {
    switch (request.verb) {
      case 'create':
        return { method: 'POST', path: collectionOf(this.#lock), body: request.object };
      case 'replace':
        return { method: 'PUT', path: this.#path, body: request.object };
      case 'merge':
        return {
          method: 'PATCH',
          path: this.#path,
          body: request.patch,
          contentType: 'application/merge-patch+json',
        };
      case 'delete':
        return { method: 'DELETE', path: this.#path };
    }
  }
}
