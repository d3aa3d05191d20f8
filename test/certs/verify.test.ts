import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsagesExtension,
  KeyUsageFlags,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  type Extension,
} from '@peculiar/x509';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  algorithm,
  createAuthority,
  exportKey,
  randomSerial,
  type Authority,
} from '../../src/certs/authority.ts';
import { chainOf, type AuthorityState } from '../../src/certs/authority-state.ts';
import { bundleFor } from '../../src/certs/bundle.ts';
import { issueLeaf } from '../../src/certs/leaf.ts';
import { anchorsOf, whyNotServable } from '../../src/certs/verify.ts';
import { day, hosts, hour, stable, step, t0 } from './support/rotation.ts';

interface Made {
  readonly pem: string;
  readonly keyPem: string;
  readonly authority: Authority;
}

const validity = { notBeforeMs: t0 - hour, notAfterMs: t0 + day };

/** A certificate with exactly `extensions`, signed by `by`, or by itself. */
async function make(name: string, extensions: readonly Extension[], by: Authority | null): Promise<Made> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: `CN=${name}`,
    issuer: by?.certificate.subjectName ?? `CN=${name}`,
    notBefore: new Date(validity.notBeforeMs),
    notAfter: new Date(validity.notAfterMs),
    publicKey: keys.publicKey,
    signingKey: by?.signingKey ?? keys.privateKey,
    signingAlgorithm: algorithm,
    extensions: [...extensions],
  });
  return {
    pem: `${certificate.toString('pem')}\n`,
    keyPem: await exportKey(keys.privateKey),
    authority: { certificate, signingKey: keys.privateKey, validity },
  };
}

const ca = (pathLength?: number): Extension[] => [
  new BasicConstraintsExtension(true, pathLength, true),
  new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
];
const san = (dns = 'a.svc'): Extension => new SubjectAlternativeNameExtension([{ type: 'dns', value: dns }]);
const ask = (
  leaf: { chainPem: string; keyPem: string },
  bundlePem: string | null,
  nowMs = t0,
): string | null => whyNotServable({ ...leaf, bundlePem, hosts: ['a.svc'], nowMs });

/** A leaf below an intermediate below `root`. */
async function below(root: Made, middle: readonly Extension[], leaf: readonly Extension[] = [san()]) {
  const intermediate = await make('middle', middle, root.authority);
  const { pem, keyPem } = await make('leaf', leaf, intermediate.authority);
  return { chainPem: pem + intermediate.pem, keyPem, intermediate };
}

const untrusted = 'no authority that the webhook configuration trusts vouches for the certificate';

describe('a leaf that can be served', () => {
  let before: AuthorityState;
  let state: AuthorityState;
  let leaf: { chainPem: string; keyPem: string };
  beforeAll(async () => {
    before = await stable();
    state = await step(await step(before, 'prepare', t0), 'switch', t0);
    leaf = { chainPem: chainOf(state.leaf!), keyPem: state.leaf!.keyPem };
  });
  const why = (changed: Partial<Parameters<typeof whyNotServable>[0]> = {}): string | null =>
    whyNotServable({ ...leaf, bundlePem: bundleFor(state, t0), hosts, nowMs: t0, ...changed });

  it('is verified by the old authority alone, by the new one alone, and by both', () => {
    const [old, now] = [bundleFor(before, t0), state.current!.certificate.pem];
    for (const bundlePem of [old, now, old + now, now + old]) expect(why({ bundlePem })).toBeNull();
    expect(anchorsOf(leaf.chainPem, old + now, t0)).toHaveLength(2);
  });

  it('is not, for as many reasons as there are', async () => {
    const other = await stable();
    const { notAfterMs, notBeforeMs } = state.leaf!.certificate;
    expect(why({ chainPem: '' })).toBe('the certificate chain is missing or cannot be read');
    expect(why({ keyPem: other.leaf!.keyPem })).toBe('the key is not that of the certificate');
    expect(why({ keyPem: 'x' })).toBe('the key is not that of the certificate');
    expect(why({ nowMs: notBeforeMs })).toBeNull();
    expect(why({ nowMs: notBeforeMs - 1 })).toBe('the certificate is valid only from 2026-01-02T02:04:05Z');
    expect(why({ nowMs: notAfterMs - 1 })).toBeNull();
    expect(why({ nowMs: notAfterMs })).toBe('the certificate expired at 2026-02-01T03:04:05Z');
    expect(why({ hosts: [...hosts, 'b.svc', '10.0.0.1'] })).toBe(
      'the certificate does not name b.svc, 10.0.0.1',
    );
    expect(why({ bundlePem: '' })).toBe('the webhook configuration trusts no authority');
    expect(why({ bundlePem: bundleFor(other, t0) })).toBe(untrusted);
    expect(why({ bundlePem: null })).toBeNull();
  });

  it('is not one that no handshake could use, such as one with a key that is too short', async () => {
    const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 1024 };
    const keys = await webcrypto.subtle.generateKey(
      { ...rsa, publicExponent: new Uint8Array([1, 0, 1]) },
      true,
      ['sign', 'verify'],
    );
    const { notBeforeMs, notAfterMs } = validity;
    const certificate = await X509CertificateGenerator.createSelfSigned({
      serialNumber: randomSerial(),
      name: 'CN=a.svc',
      notBefore: new Date(notBeforeMs),
      notAfter: new Date(notAfterMs),
      keys,
      signingAlgorithm: rsa,
      extensions: [san()],
    });
    const chainPem = certificate.toString('pem');
    expect(ask({ chainPem, keyPem: await exportKey(keys.privateKey) }, chainPem)).toMatch(
      /^it cannot be served: .*key too small/,
    );
  });

  it('is verified by whoever trusts only the leaf itself, as with a certificate that signed itself', async () => {
    const alone = await make('a.svc', [san()], null);
    expect(ask({ chainPem: alone.pem, keyPem: alone.keyPem }, alone.pem)).toBeNull();
  });

  it('is verified through an intermediate, and by whoever trusts just that one', async () => {
    const root = await make('root', ca(), null);
    const { intermediate, ...chain } = await below(root, ca(0));
    expect(ask(chain, root.pem)).toBeNull();
    expect(ask(chain, intermediate.pem)).toBeNull();
    expect(
      ask({ ...chain, chainPem: chain.chainPem.slice(0, chain.chainPem.indexOf('-----END') + 26) }, root.pem),
    ).toBe(untrusted);
  });

  it('is not verified where a path is too long, an issuer no authority, or its signature forged', async () => {
    const tight = await make('root', ca(0), null);
    expect(ask(await below(tight, ca()), tight.pem)).toBe(untrusted);
    const room = await make('root', ca(1), null);
    expect(ask(await below(room, ca()), room.pem)).toBeNull();
    expect(ask(await below(room, [san()]), room.pem)).toBe(untrusted);
    const mute = [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    ];
    expect(ask(await below(room, mute), room.pem)).toBe(untrusted);
    const impostor = await make('root', ca(1), null);
    expect(ask(await below(impostor, ca()), room.pem)).toBe(untrusted);
  });

  it('is not verified by an authority that has expired', async () => {
    const old = await createAuthority({ notBeforeMs: t0 - day, notAfterMs: t0 });
    const { certPem, keyPem } = await issueLeaf(old, ['a.svc'], validity);
    const root = old.certificate.toString('pem');
    expect(ask({ chainPem: certPem, keyPem }, root, t0 - 1000)).toBeNull();
    expect(ask({ chainPem: certPem, keyPem }, root, t0)).toBe(untrusted);
  });

  it('is for servers, and named in its alternative names', async () => {
    const root = await make('root', ca(), null);
    const client = [san(), new ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.2'])];
    expect(ask(await below(root, ca(), client), root.pem)).toBe('the certificate may not be used by servers');
    const any = [san(), new ExtendedKeyUsageExtension(['2.5.29.37.0'])];
    expect(ask(await below(root, ca(), any), root.pem)).toBeNull();
    const named = await make('a.svc', [], root.authority);
    expect(ask({ chainPem: named.pem, keyPem: named.keyPem }, root.pem)).toBe(
      'the certificate does not name a.svc',
    );
  });
});

describe('a handshake during a rotation', () => {
  /** Connects with what `trusted` trusts; resolves with null, or with the code of the refusal. */
  async function handshake(served: AuthorityState, trusted: string): Promise<string | null> {
    const server = createServer({ cert: chainOf(served.leaf!), key: served.leaf!.keyPem });
    server.on('tlsClientError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const socket = connect({ host: '127.0.0.1', port, ca: trusted });
    try {
      await once(socket, 'secureConnect');
      return null;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? 'unknown';
    } finally {
      socket.destroy();
      server.close();
    }
  }

  it('succeeds for whoever trusts only the old authority and for whoever trusts only the new', async () => {
    const nowMs = Date.now();
    const before = await stable(nowMs);
    const after = await step(await step(before, 'prepare', nowMs), 'switch', nowMs);
    const old = bundleFor(before, nowMs);
    const now = after.current!.certificate.pem;
    expect(await handshake(before, old)).toBeNull();
    expect(await handshake(after, old)).toBeNull();
    expect(await handshake(after, now)).toBeNull();
    expect(await handshake(after, old + now)).toBeNull();
    // What the cross-signature is good for.
    const bare = { ...after, leaf: { ...after.leaf!, crosses: [] } };
    expect(await handshake(bare, old)).not.toBeNull();
    expect(await handshake(before, now)).not.toBeNull();
  });

  it('succeeds across two rotations at once, for whoever has heard of neither', async () => {
    const nowMs = Date.now();
    const first = await stable(nowMs);
    let last = first;
    for (let index = 0; index < 2; index += 1) {
      last = await step(await step(last, 'prepare', nowMs), 'switch', nowMs);
    }
    expect(last.leaf!.crosses).toHaveLength(2);
    expect(await handshake(last, bundleFor(first, nowMs))).toBeNull();
    expect(anchorsOf(chainOf(last.leaf!), bundleFor(last, nowMs), nowMs)).toHaveLength(3);
  });
});
