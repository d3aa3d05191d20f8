/**
 * The keys by which the cluster signs tokens, from the API server itself: fetched when they are needed, kept for minutes, fetched again early
 * when a token names a key that is not among them (they were rotated), but not more often than now and then, whoever asks.
 */
import { createLocalJWKSet, type JSONWebKeySet } from 'jose';
import type { MonotonicMs } from '../core/time.ts';
import type { KubeClient } from '../kube/client.ts';
import { arrayAt, isObject, stringAt } from '../kube/json.ts';
import type { ReadLimits } from './limits.ts';
import type { IssuerKeys } from './token.ts';

/** What is needed to know the keys. */
export interface ClusterKeysOptions {
  readonly client: Pick<KubeClient, 'request'>;
  readonly limits: Pick<ReadLimits, 'keysMs' | 'keysCooldownMs' | 'reviewTimeoutMs'>;
  readonly monotonicNow: () => MonotonicMs;
}

/** LIMIT: an RSA key takes 500 bytes; a cluster has one or two, and a few more while it rotates them. */
const answerBytesMax = 64 * 1024;
const keysMax = 32;
/** LIMIT: an API server that fails is asked again soon, but not by everybody who comes. */
const failedMs = 1_000;

interface Fetched extends IssuerKeys {
  readonly askedAt: MonotonicMs;
}

/** Knows the keys. */
export class ClusterKeys {
  readonly #options: ClusterKeysOptions;
  #fetched: Fetched | null = null;
  #fetching: Promise<Fetched> | null = null;
  #failure: { readonly error: unknown; readonly at: MonotonicMs } | null = null;
  #refreshedAt: MonotonicMs | null = null;

  constructor(options: ClusterKeysOptions) {
    this.#options = options;
  }

  /** The keys. INVARIANT: none that are older than `keysMs`; where they cannot be had, nobody is let in. @throws whatever the API server's client throws */
  async current(): Promise<IssuerKeys> {
    const { limits, monotonicNow } = this.#options;
    const known = this.#fetched;
    if (known !== null && monotonicNow() - known.askedAt < limits.keysMs) return known;
    return this.#fetch();
  }

  /** Newer keys than `known`; null where they were looked for not long ago. */
  async newerThan(known: IssuerKeys): Promise<IssuerKeys | null> {
    if (this.#fetched !== null && this.#fetched !== known) return this.#fetched;
    const { limits, monotonicNow } = this.#options;
    const now = monotonicNow();
    if (this.#fetching !== null) return this.#fetching;
    if (this.#refreshedAt !== null && now - this.#refreshedAt < limits.keysCooldownMs) return null;
    this.#refreshedAt = now;
    return this.#fetch();
  }

  async #fetch(): Promise<Fetched> {
    const now = this.#options.monotonicNow();
    if (this.#failure !== null && now - this.#failure.at < failedMs) throw this.#failure.error;
    this.#fetching ??= this.#ask(now).finally(() => {
      this.#fetching = null;
    });
    return this.#fetching;
  }

  async #ask(askedAt: MonotonicMs): Promise<Fetched> {
    try {
      const [discovery, keySet] = await Promise.all([
        this.#get('/.well-known/openid-configuration'),
        // NB: not `jwks_uri`, which may lead anywhere; the API server itself has the keys, and that it is the API server is verified.
        this.#get('/openid/v1/jwks'),
      ]);
      const issuer = stringAt(discovery, 'issuer');
      if (issuer === '') throw new Error('the API server does not say who issues its tokens');
      this.#fetched = { issuer, find: createLocalJWKSet(keySetOf(keySet)), askedAt };
      this.#failure = null;
      return this.#fetched;
    } catch (error) {
      this.#failure = { error, at: this.#options.monotonicNow() };
      throw error;
    }
  }

  async #get(path: string): Promise<unknown> {
    const { client, limits } = this.#options;
    const { body } = await client.request({
      method: 'GET',
      path,
      accept: 'application/json, application/jwk-set+json',
      timeoutMs: limits.reviewTimeoutMs,
      bytesMax: answerBytesMax,
    });
    return body;
  }
}

/** INVARIANT: only public keys of the kinds that API servers sign with; a symmetric one would let its readers sign. */
function keySetOf(body: unknown): JSONWebKeySet {
  const keys = arrayAt(body, 'keys')
    .filter(isObject)
    .filter((key) => ['RSA', 'EC'].includes(stringAt(key, 'kty')));
  if (keys.length === 0 || keys.length > keysMax) {
    throw new Error(`the API server tells of ${String(keys.length)} keys that tokens are signed by`);
  }
  return { keys: keys };
}
