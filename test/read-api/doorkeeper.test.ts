/** Who is let in: every way not to be, what the API server is asked, and what is remembered. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { base64url, generateSecret, SignJWT, UnsecuredJWT } from 'jose';
import { monotonicMs } from '../../src/core/time.ts';
import { Doorkeeper, type AuthenticationOutcome } from '../../src/read-api/doorkeeper.ts';
import { readLimits } from '../../src/read-api/limits.ts';
import { audience, issuer, signingKey, startFakeCluster, type FakeCluster } from './support/fake-cluster.ts';

const t0 = Date.parse('2026-03-01T03:12:00Z');
let passedMs: number;
let cluster: FakeCluster;
let doorkeeper: Doorkeeper;
let outcomes: AuthenticationOutcome[];
let failures: string[];

beforeEach(async () => {
  passedMs = 0;
  outcomes = [];
  failures = [];
  cluster = await startFakeCluster(() => t0 + passedMs);
  doorkeeper = new Doorkeeper({
    client: cluster.client,
    limits: readLimits,
    monotonicNow: () => monotonicMs(passedMs),
    nowMs: () => t0 + passedMs,
    onAuthenticated: (outcome) => outcomes.push(outcome),
    onFailure: (reason) => failures.push(reason),
  });
});

afterEach(() => cluster.close());

const keysAsked = ['GET /.well-known/openid-configuration', 'GET /openid/v1/jwks'];
const tokenReview = 'POST /apis/authentication.k8s.io/v1/tokenreviews';
const accessReview = 'POST /apis/authorization.k8s.io/v1/subjectaccessreviews';
const seconds = t0 / 1_000;

/** Has the keys fetched, so that what follows asks for nothing but itself. */
async function warm(): Promise<void> {
  await doorkeeper.whoIs(`Bearer ${await cluster.mint('warm:up')}`);
  cluster.asked.length = 0;
  outcomes.length = 0;
}

const list = { resource: 'rejections', verb: 'list', namespace: 'team' } as const;

describe('a token', () => {
  it('that the cluster has signed for lockwarden, and still knows, opens; the API server is asked by it and by the audience', async () => {
    const token = await cluster.mint('team:reader');
    const who = await doorkeeper.whoIs(`Bearer ${token}`);
    expect(who).toMatchObject({
      ok: true,
      caller: {
        user: {
          username: 'system:serviceaccount:team:reader',
          uid: 'u',
          groups: ['g'],
          extra: { 'a/b': ['c'] },
        },
        expiresMs: t0 + 3_600_000,
      },
    });
    expect(cluster.asked.toSorted()).toEqual([...keysAsked, tokenReview].toSorted());
    expect(cluster.reviews).toMatchObject([{ spec: { token, audiences: [audience] } }]);
    expect(outcomes).toEqual(['accepted']);
    expect(JSON.stringify(who)).not.toContain(token);
  });

  it.each([
    ['nothing at all', undefined],
    ['another scheme', 'Basic YTpi'],
    ['two words', 'Bearer a b'],
    ['no token', 'Bearer '],
  ])('cannot be %s', async (_what, header) => {
    await warm();
    expect(await doorkeeper.whoIs(header)).toMatchObject({ ok: false, refusal: { code: 401 } });
    expect(outcomes).toEqual(['missing']);
    expect(cluster.asked).toEqual([]);
  });

  const bad: readonly (readonly [string, AuthenticationOutcome, () => Promise<string> | string])[] = [
    ['is garbage', 'malformed', () => 'garbage'],
    ['is three parts of garbage', 'malformed', () => 'a.b.c'],
    ['is longer than any', 'malformed', () => `${'a'.repeat(9_000)}.b.c`],
    ['has a bare string for its claims', 'malformed', () => jws({ alg: 'ES256' }, '"x"')],
    ['is not signed', 'malformed', () => new UnsecuredJWT({}).setIssuer(issuer).encode()],
    ['says that it needs no signature', 'malformed', () => jws({ alg: 'none' }, JSON.stringify(claims))],
    ['is signed by a shared secret', 'malformed', hmac],
    ['is of another issuer', 'issuer', () => cluster.mint('x:y', { iss: 'https://evil.example' })],
    ['is for the API server', 'audience', () => cluster.mint('x:y', { aud: [issuer] })],
    ['is for nobody', 'audience', () => cluster.mint('x:y', { aud: [] })],
    ['has expired', 'expired', () => cluster.mint('x:y', { exp: seconds - 10 })],
    ['is of the future', 'notYetValid', () => cluster.mint('x:y', { nbf: seconds + 60 })],
    ['never ends', 'malformed', () => cluster.mint('x:y', { exp: undefined })],
    ['is of nobody', 'malformed', () => cluster.mint('x:y', { sub: undefined })],
    ['has another’s signature', 'signature', forged],
    ['was changed', 'signature', changed],
    [
      'demands what is not understood',
      'signature',
      () => jws({ alg: 'ES256', kid: 'key-1', crit: ['x'], x: 1 }, JSON.stringify(claims)),
    ],
  ];

  const claims = { iss: issuer, aud: audience, sub: 'x', exp: seconds + 600 };

  function jws(header: object, payload: string): string {
    return [JSON.stringify(header), payload, 'signature'].map((part) => base64url.encode(part)).join('.');
  }

  async function hmac(): Promise<string> {
    return new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', kid: 'key-1' })
      .sign(await generateSecret('HS256'));
  }

  async function forged(): Promise<string> {
    return cluster.mint('x:y', {}, await signingKey('key-1'));
  }

  async function changed(): Promise<string> {
    const [header = '', , signature = ''] = (await cluster.mint('x:y')).split('.');
    return [header, base64url.encode(JSON.stringify({ ...claims, sub: 'admin' })), signature].join('.');
  }

  it.each(bad)(
    'that %s is refused, with the same words as all, and the API server is not asked',
    async (_what, outcome, make) => {
      const token = await make();
      await warm();
      const who = await doorkeeper.whoIs(`Bearer ${token}`);
      expect(who).toEqual({
        ok: false,
        refusal: expect.objectContaining({ code: 401, reason: 'Unauthorized' }) as unknown,
      });
      expect(outcomes).toEqual([outcome]);
      expect(cluster.asked).toEqual([]);
    },
  );

  it('that is garbage costs the API server nothing, however many there are', async () => {
    await warm();
    const evil = await signingKey('key-1');
    const forgeries = await Promise.all(
      Array.from({ length: 300 }, (_, index) => cluster.mint(`x:${String(index)}`, {}, evil)),
    );
    const garbage = Array.from({ length: 3_000 }, (_, index) => `garbage.${String(index)}.x`);
    await Promise.all([...forgeries, ...garbage].map((token) => doorkeeper.whoIs(`Bearer ${token}`)));
    expect(outcomes).toHaveLength(3_300);
    expect(outcomes.every((each) => each === 'malformed' || each === 'signature')).toBe(true);
    expect(cluster.asked).toEqual([]);
    // Nor does it push out who is known.
    await doorkeeper.whoIs(`Bearer ${await cluster.mint('team:reader')}`);
    expect(cluster.asked).toEqual([tokenReview]);
  });

  it('that names a key nobody knows has keys looked for once in a while, and only if it is meant for lockwarden', async () => {
    await warm();
    const stranger = await signingKey('key-9');
    const flood = async (change: object): Promise<void> => {
      const tokens = await Promise.all(
        Array.from({ length: 50 }, () => cluster.mint('x:y', change, stranger)),
      );
      for (const token of tokens) await doorkeeper.whoIs(`Bearer ${token}`);
    };
    await flood({ aud: ['another'] });
    expect(cluster.asked).toEqual([]);
    await flood({});
    expect(cluster.asked.toSorted()).toEqual(keysAsked);
    passedMs += readLimits.keysCooldownMs;
    await flood({});
    expect(cluster.asked).toHaveLength(4);
  });

  it('that is signed by a new key opens as soon as it is asked with, and by an old one no longer than keys count', async () => {
    const [old, next] = [await cluster.mint('team:reader'), await signingKey('key-2')];
    await warm();
    cluster.published = [next];
    expect(await doorkeeper.whoIs(`Bearer ${await cluster.mint('team:reader', {}, next)}`)).toMatchObject({
      ok: true,
    });
    expect(await doorkeeper.whoIs(`Bearer ${old}`)).toMatchObject({ ok: false });
  });

  it('that was revoked is refused, and asked about again only after a while', async () => {
    const token = await cluster.mint('team:reader');
    await warm();
    cluster.users.delete(token);
    for (let times = 0; times < 5; times += 1)
      expect(await doorkeeper.whoIs(`Bearer ${token}`)).toMatchObject({ ok: false, refusal: { code: 401 } });
    expect(outcomes).toEqual(Array(5).fill('rejected'));
    expect(cluster.asked).toEqual([tokenReview]);
    passedMs += readLimits.noMs;
    await doorkeeper.whoIs(`Bearer ${token}`);
    expect(cluster.asked).toHaveLength(2);
  });

  it.each([[null], [[]], [['https://kubernetes.default.svc']]])(
    'that the API server says is for %j is refused',
    async (audiences) => {
      const token = await cluster.mint('team:reader');
      cluster.reviewedAudiences = audiences;
      expect(await doorkeeper.whoIs(`Bearer ${token}`)).toMatchObject({ ok: false, refusal: { code: 401 } });
    },
  );

  it.each([[{}], [{ username: '' }], [{ username: 'system:anonymous' }]])(
    'that is of the user %j is refused',
    async (user) => {
      const token = await cluster.mint('team:reader');
      cluster.users.set(token, user);
      expect(await doorkeeper.whoIs(`Bearer ${token}`)).toMatchObject({ ok: false, refusal: { code: 401 } });
    },
  );

  it('is asked about once by all who show it at once, and again when its answer is old', async () => {
    const token = await cluster.mint('team:reader');
    await warm();
    await Promise.all(Array.from({ length: 20 }, () => doorkeeper.whoIs(`Bearer ${token}`)));
    expect(cluster.asked).toEqual([tokenReview]);
    passedMs += readLimits.yesMs - 1;
    await doorkeeper.whoIs(`Bearer ${token}`);
    expect(cluster.asked).toHaveLength(1);
    passedMs += 1;
    cluster.users.delete(token);
    expect(await doorkeeper.whoIs(`Bearer ${token}`)).toMatchObject({ ok: false });
    expect(cluster.asked).toHaveLength(2);
  });

  it('that ends meanwhile is refused from then on, whatever is remembered', async () => {
    const token = await cluster.mint('team:reader', { exp: seconds + 2 });
    expect(await doorkeeper.whoIs(`Bearer ${token}`)).toMatchObject({ ok: true });
    // The tolerance for clocks, which the API server has the last word on: nothing is remembered over the end.
    passedMs += 3_000;
    cluster.users.delete(token);
    expect(await doorkeeper.whoIs(`Bearer ${token}`)).toMatchObject({ ok: false });
    passedMs += 5_000;
    await doorkeeper.whoIs(`Bearer ${token}`);
    expect(outcomes.at(-1)).toBe('expired');
  });
});

describe('where the API server cannot be asked', () => {
  it.each([
    ['its keys', '/openid/v1/jwks'],
    ['who issues', '/.well-known/openid-configuration'],
    ['whose token it is', '/apis/authentication.k8s.io/v1/tokenreviews'],
  ])('for %s, nobody is let in', async (_what, path) => {
    cluster.broken.add(path);
    const who = await doorkeeper.whoIs(`Bearer ${await cluster.mint('team:reader')}`);
    expect(who).toMatchObject({ ok: false, refusal: { code: 503, retryAfterSeconds: 1 } });
    expect(outcomes).toEqual(['unavailable']);
    expect(failures).toHaveLength(1);
  });

  it('nobody is let in by keys that are old, nor may see anything', async () => {
    const token = await cluster.mint('team:reader');
    const who = await doorkeeper.whoIs(`Bearer ${token}`);
    if (!who.ok) throw new Error('not let in');
    for (const path of ['/openid/v1/jwks', '/apis/authorization.k8s.io/v1/subjectaccessreviews'])
      cluster.broken.add(path);
    expect(await doorkeeper.mayThey(who.caller, list)).toMatchObject({ ok: false, refusal: { code: 503 } });
    passedMs += readLimits.keysMs;
    expect(await doorkeeper.whoIs(`Bearer ${token}`)).toMatchObject({ ok: false, refusal: { code: 503 } });
  });

  it('its failure is not asked after by everybody', async () => {
    cluster.broken.add('/openid/v1/jwks');
    const token = await cluster.mint('team:reader');
    for (let times = 0; times < 20; times += 1) await doorkeeper.whoIs(`Bearer ${token}`);
    expect(cluster.asked.length).toBeLessThanOrEqual(2);
    cluster.broken.clear();
    passedMs += 1_000;
    expect(await doorkeeper.whoIs(`Bearer ${token}`)).toMatchObject({ ok: true });
  });

  it('keys of no use, and answers of any size, let nobody in', async () => {
    cluster.published = [];
    expect(await doorkeeper.whoIs(`Bearer ${await cluster.mint('team:reader')}`)).toMatchObject({
      refusal: { code: 503 },
    });
    passedMs += 2_000;
    const key = await signingKey('big');
    cluster.published = [{ ...key, publicJwk: { ...key.publicJwk, x: 'x'.repeat(100_000) } }];
    expect(await doorkeeper.whoIs(`Bearer ${await cluster.mint('team:reader')}`)).toMatchObject({
      refusal: { code: 503 },
    });
  });

  it('more questions than may be under way are not put', async () => {
    await warm();
    const held = Promise.withResolvers<undefined>();
    cluster.holding = held.promise;
    const tokens = await Promise.all(Array.from({ length: 20 }, () => cluster.mint('team:reader')));
    const asking = tokens.map((token) => doorkeeper.whoIs(`Bearer ${token}`));
    await expect.poll(() => cluster.asked.length).toBe(readLimits.reviewsInFlightMax);
    held.resolve(undefined);
    const refused = (await Promise.all(asking)).filter(({ ok }) => !ok);
    expect(refused).toHaveLength(20 - readLimits.reviewsInFlightMax);
    expect(refused[0]).toMatchObject({ refusal: { code: 503 } });
    expect(outcomes.filter((each) => each === 'overload')).toHaveLength(refused.length);
  });
});

describe('a right', () => {
  async function caller() {
    const who = await doorkeeper.whoIs(`Bearer ${await cluster.mint('team:reader')}`);
    if (!who.ok) throw new Error('not let in');
    cluster.asked.length = 0;
    cluster.reviews.length = 0;
    return who.caller;
  }

  it('is asked for as a verb on a virtual resource of one namespace, for the whole user', async () => {
    cluster.rights.add('reader list rejections team');
    expect(await doorkeeper.mayThey(await caller(), list)).toEqual({ ok: true });
    expect(cluster.reviews).toEqual([
      {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: {
          ...{ user: 'system:serviceaccount:team:reader', uid: 'u', groups: ['g'], extra: { 'a/b': ['c'] } },
          resourceAttributes: {
            ...{ group: 'review.lockwarden.dev', version: 'v1', resource: 'rejections', verb: 'list' },
            namespace: 'team',
          },
        },
      },
    ]);
  });

  it('in one namespace is none in another, nor in all, nor to another verb or resource', async () => {
    cluster.rights.add('reader list rejections team');
    const who = await caller();
    const others = [
      { ...list, namespace: 'other' },
      { ...list, namespace: null },
      { ...list, verb: 'watch' as const },
      { ...list, resource: 'locks' as const },
    ];
    for (const access of others)
      expect(await doorkeeper.mayThey(who, access)).toMatchObject({ ok: false, refusal: { code: 403 } });
    expect(await doorkeeper.mayThey(who, list)).toEqual({ ok: true });
  });

  it('of one user is not another’s', async () => {
    cluster.rights.add('reader list rejections team');
    expect(await doorkeeper.mayThey(await caller(), list)).toEqual({ ok: true });
    const other = await doorkeeper.whoIs(`Bearer ${await cluster.mint('team:other')}`);
    if (!other.ok) throw new Error('not let in');
    expect(await doorkeeper.mayThey(other.caller, list)).toMatchObject({ ok: false });
  });

  it('is remembered for a while, and a refusal for less', async () => {
    const who = await caller();
    await doorkeeper.mayThey(who, list);
    cluster.rights.add('reader list rejections team');
    expect(await doorkeeper.mayThey(who, list)).toMatchObject({ ok: false });
    passedMs += readLimits.noMs;
    expect(await doorkeeper.mayThey(who, list)).toEqual({ ok: true });
    cluster.rights.clear();
    passedMs += readLimits.yesMs - 1;
    expect(await doorkeeper.mayThey(who, list)).toEqual({ ok: true });
    passedMs += 1;
    expect(await doorkeeper.mayThey(who, list)).toMatchObject({ ok: false });
    expect(cluster.asked).toEqual([accessReview, accessReview, accessReview]);
  });

  it('counts no longer than a minute, from the answers to its last use', () => {
    const { yesMs, reauthoriseMs, reviewTimeoutMs } = readLimits;
    expect(yesMs + reauthoriseMs + 1_000 + 2 * reviewTimeoutMs).toBeLessThanOrEqual(60_000);
  });

  it('takes bounded room', async () => {
    const who = await caller();
    const { rememberedMax } = readLimits;
    for (let index = 0; index <= rememberedMax; index += 1)
      await doorkeeper.mayThey(who, { ...list, namespace: `n${String(index)}` });
    cluster.asked.length = 0;
    await doorkeeper.mayThey(who, { ...list, namespace: `n${String(rememberedMax)}` });
    expect(cluster.asked).toEqual([]);
    await doorkeeper.mayThey(who, { ...list, namespace: 'n0' });
    expect(cluster.asked).toEqual([accessReview]);
  });
});
