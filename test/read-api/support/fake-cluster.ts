/** A cluster that issues tokens, knows users and rights, and writes down each question it is asked. */
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import type { KubeClient } from '../../../src/kube/client.ts';
import { objectAt, stringAt } from '../../../src/kube/json.ts';
import { failure, startFakeApiServer, type Asked } from '../../kube/support/fake-api-server.ts';

export const issuer = 'https://kubernetes.default.svc';
export const audience = 'lockwarden-review';

/** A key with its name. */
export interface SigningKey {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
}

export async function signingKey(kid: string, alg = 'ES256'): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg);
  return { kid, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

export interface FakeCluster {
  readonly client: KubeClient;
  /** `METHOD path`, in order. */
  readonly asked: string[];
  /** The bodies of reviews, in order. */
  readonly reviews: unknown[];
  /** What it publishes; may be changed. */
  published: readonly SigningKey[];
  /** Users by token; a token that is not there is nobody's. */
  readonly users: Map<string, object>;
  /** `USER VERB RESOURCE NAMESPACE` that is allowed; an empty namespace is all. */
  readonly rights: Set<string>;
  /** Paths that are answered with 500. */
  readonly broken: Set<string>;
  /** What a TokenReview says the token is for. */
  reviewedAudiences: readonly string[] | null;
  /** While it is set, reviews are answered when it resolves. */
  holding: Promise<unknown> | null;
  /** A token of `user`, which the cluster knows from now on. */
  mint(user: string, claims?: object, key?: SigningKey, header?: object): Promise<string>;
  close(): Promise<void>;
}

export async function startFakeCluster(nowMs: () => number): Promise<FakeCluster> {
  const server = await startFakeApiServer();
  const key = await signingKey('key-1');
  const ending = new AbortController();
  const cluster: FakeCluster = {
    client: server.client,
    asked: [],
    reviews: [],
    published: [key],
    users: new Map(),
    rights: new Set(),
    broken: new Set(),
    reviewedAudiences: [audience],
    holding: null,
    mint: async (user, claims = {}, signer = key, header = {}) => {
      const seconds = Math.floor(nowMs() / 1_000);
      const token = await new SignJWT({
        iss: issuer,
        aud: [audience],
        sub: `system:serviceaccount:${user}`,
        iat: seconds,
        nbf: seconds,
        exp: seconds + 3_600,
        // Two tokens of one second would be one and the same.
        jti: String(Math.random()),
        ...claims,
      })
        .setProtectedHeader({ alg: 'ES256', kid: signer.kid, ...header })
        .sign(signer.privateKey);
      const username = `system:serviceaccount:${user}`;
      cluster.users.set(token, { username, uid: 'u', groups: ['g'], extra: { 'a/b': ['c'] } });
      return token;
    },
    close: async () => {
      ending.abort();
      await server.close();
    },
  };
  void (async () => {
    for (;;) {
      const asked = await server.next();
      if (ending.signal.aborted) return;
      void answer(cluster, asked);
    }
  })();
  return cluster;
}

async function answer(cluster: FakeCluster, asked: Asked): Promise<void> {
  const { pathname } = asked.url;
  cluster.asked.push(`${asked.method} ${pathname}`);
  if (asked.method === 'POST') cluster.reviews.push(asked.body);
  if (cluster.holding !== null) await cluster.holding;
  if (cluster.broken.has(pathname)) {
    asked.reply(500, failure(500, 'InternalError'));
    return;
  }
  const spec = objectAt(asked.body, 'spec');
  switch (pathname) {
    case '/.well-known/openid-configuration':
      asked.reply(200, { issuer, jwks_uri: 'https://elsewhere.example/jwks' });
      return;
    case '/openid/v1/jwks':
      asked.reply(200, { keys: cluster.published.map(({ publicJwk }) => publicJwk) });
      return;
    case '/apis/authentication.k8s.io/v1/tokenreviews': {
      const user = cluster.users.get(stringAt(spec, 'token'));
      const audiences = cluster.reviewedAudiences;
      const known = { authenticated: true, user, ...(audiences !== null && { audiences }) };
      asked.reply(201, { status: user === undefined ? { error: 'revoked' } : known });
      return;
    }
    case '/apis/authorization.k8s.io/v1/subjectaccessreviews': {
      const { verb, resource, namespace, group } = objectAt(spec, 'resourceAttributes');
      const right = [stringAt(spec, 'user').split(':').at(-1), verb, resource, namespace].join(' ');
      const allowed = group === 'review.lockwarden.dev' && cluster.rights.has(right);
      asked.reply(201, { status: { allowed } });
      return;
    }
    default:
      asked.reply(404, failure(404, 'NotFound'));
  }
}
