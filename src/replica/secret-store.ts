/**
 * Where the authority is kept: one Secret, every write a compare-and-swap, with the fence of whoever wrote last.
 *
 * The election makes two writers unlikely; what makes them harmless is this: a write says which version it replaces, and
 * a leader of the past, whose fence is lower than the one that stands there, writes nothing at all.
 */
import { secretKeys, secretType } from '../certs/authority-state.ts';
import { timeoutMsDefault, type KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { isObject, objectAt, stringAt, type JsonObject } from '../kube/json.ts';

/** Name of the Secret in lockwarden's namespace. */
export const authoritySecretName = 'lockwarden-certs';
/** Annotation with the fence: `leaseTransitions` of the election's Lease in the writer's term. */
export const fenceAnnotation = 'lockwarden.dev/fence';
/** Annotation by which somebody asks for a rotation: `leaf:TOKEN` or `authority:TOKEN`, another token for each request. */
export const rotateAnnotation = 'lockwarden.dev/rotate';

/** The Secret's object as it was read; null: there is none. */
export type StoredSecret = JsonObject | null;

/** The store as the leader's duties see it. Both reject with a KubeError: `conflict` when somebody else has written meanwhile. */
export interface AuthorityStore {
  /** The state of now, never an older one. */
  read(): Promise<StoredSecret>;
  /** Replaces `before` and resolves to what is stored then. */
  write(
    data: Readonly<Record<string, string>>,
    before: StoredSecret,
    leave: WriteLeave,
  ): Promise<StoredSecret>;
}

/** What a leader may do. */
export interface WriteLeave {
  /** Of its term; grows from term to term. */
  readonly fence: number;
  /** For how long it may go on, in milliseconds: leadership is certain for no longer. */
  readonly timeoutMs: number;
}

/** The fence that stands in a Secret; -1 where there is none. */
export function fenceIn(secret: StoredSecret): number {
  const text = stringAt(objectAt(objectAt(secret, 'metadata'), 'annotations'), fenceAnnotation);
  return /^\d{1,15}$/.test(text) ? Number(text) : -1;
}

/** A rotation that somebody has asked for, or null. */
export function rotationAsked(
  secret: StoredSecret,
): { readonly what: 'leaf' | 'authority'; readonly token: string } | null {
  const text = stringAt(objectAt(objectAt(secret, 'metadata'), 'annotations'), rotateAnnotation);
  const [, what, token] = /^(leaf|authority):([-\w.:]{1,100})$/.exec(text) ?? [];
  if (token === undefined) return null;
  return { what: what === 'leaf' ? 'leaf' : 'authority', token };
}

/** Path of the Secrets of a namespace. */
export function secretsOf(namespace: string): string {
  return `/api/v1/namespaces/${namespace}/secrets`;
}

/** The store in the cluster. */
export class SecretStore implements AuthorityStore {
  readonly #client: KubeClient;
  readonly #namespace: string;

  constructor(client: KubeClient, namespace: string) {
    this.#client = client;
    this.#namespace = namespace;
  }

  async read(): Promise<StoredSecret> {
    try {
      const { body } = await this.#client.request({ method: 'GET', path: this.#path });
      return isObject(body) ? body : null;
    } catch (error) {
      if (error instanceof KubeError && error.kind === 'not-found') return null;
      throw error;
    }
  }

  async write(
    data: Readonly<Record<string, string>>,
    before: StoredSecret,
    { fence, timeoutMs: leftMs }: WriteLeave,
  ): Promise<StoredSecret> {
    const metadata = objectAt(before, 'metadata');
    const ours: readonly string[] = Object.values(secretKeys);
    const others = Object.entries(objectAt(before, 'data')).filter(([key]) => !ours.includes(key));
    const object = {
      apiVersion: 'v1',
      kind: 'Secret',
      type: secretType,
      ...before,
      data: { ...Object.fromEntries(others), ...data },
      metadata: {
        name: authoritySecretName,
        ...metadata,
        labels: {
          ...objectAt(metadata, 'labels'),
          'app.kubernetes.io/managed-by': 'lockwarden',
          'lockwarden.dev/component': 'authority',
        },
        annotations: { ...objectAt(metadata, 'annotations'), [fenceAnnotation]: String(fence) },
      },
    };
    const write = { body: object, query: fieldManager, timeoutMs: Math.min(leftMs, timeoutMsDefault) };
    const { body } = await this.#client.request(
      before === null
        ? { method: 'POST', path: secretsOf(this.#namespace), ...write }
        : { method: 'PUT', path: this.#path, ...write },
    );
    return isObject(body) ? body : null;
  }

  get #path(): string {
    return `${secretsOf(this.#namespace)}/${authoritySecretName}`;
  }
}

const fieldManager = { fieldManager: 'lockwarden' };

/** The store of a process that is alone: in its memory, gone with it. */
export class MemoryStore implements AuthorityStore {
  #secret: StoredSecret = null;
  readonly #onChange: (secret: StoredSecret) => void;

  constructor(onChange: (secret: StoredSecret) => void) {
    this.#onChange = onChange;
  }

  read(): Promise<StoredSecret> {
    return Promise.resolve(this.#secret);
  }

  write(data: Readonly<Record<string, string>>): Promise<StoredSecret> {
    this.#secret = { data };
    this.#onChange(this.#secret);
    return Promise.resolve(this.#secret);
  }
}
