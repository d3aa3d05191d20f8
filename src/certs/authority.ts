/**
 * A certificate authority of our own, for one purpose: the API server gets its certificate as `caBundle` and trusts the
 * webhook by it.
 *
 * X.509 by @peculiar/x509 on WebCrypto. node-forge, the usual choice, has no ECDSA, and its RSA key takes 140 ms in which
 * the event loop answers nobody; a P-256 key takes none to speak of, and a handshake with it costs the least server time.
 */
// NB: @peculiar/x509 needs the metadata of decorators and fails on import without it. Keep this line first.
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** ECDSA on P-256 with SHA-256, for keys and signatures alike. */
export const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** From when to when a certificate is valid: Unix milliseconds, whole seconds in the certificate. */
export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** An authority. Whoever drops it drops its key: nothing can be signed with it again. */
export interface Authority {
  readonly certificate: X509Certificate;
  readonly signingKey: webcrypto.CryptoKey;
  readonly validity: Validity;
}

/** Creates an authority with a new key, which cannot be exported unless `extractable` says so. */
export async function createAuthority(
  validity: Validity,
  {
    name = 'lockwarden',
    extractable = false,
  }: { readonly name?: string; readonly extractable?: boolean } = {},
): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(algorithm, extractable, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(),
    name: `CN=${name}`,
    notBefore: new Date(validity.notBeforeMs),
    notAfter: new Date(validity.notAfterMs),
    keys,
    signingAlgorithm: algorithm,
    extensions: await authorityExtensions(keys.publicKey, keys.publicKey),
  });
  return { certificate, signingKey: keys.privateKey, validity };
}

/** An authority that was kept, in PEM (certificate, PKCS #8). @throws when either cannot be read */
export async function loadAuthority(certPem: string, keyPem: string): Promise<Authority> {
  const certificate = new X509Certificate(certPem);
  const signingKey = await webcrypto.subtle.importKey(
    'pkcs8',
    PemConverter.decodeFirst(keyPem),
    algorithm,
    false,
    ['sign'],
  );
  const { notBefore, notAfter } = certificate;
  return {
    certificate,
    signingKey,
    validity: { notBeforeMs: notBefore.getTime(), notAfterMs: notAfter.getTime() },
  };
}

/**
 * `by`'s word for `authority`: the same name and key, signed by `by`, valid while both are. A leaf of `authority` that
 * is served with it is verified by whoever trusts either.
 */
export async function crossSign(authority: Authority, by: Authority): Promise<X509Certificate> {
  const publicKey = await publicKeyOf(authority);
  const signerKey = await publicKeyOf(by);
  return X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: authority.certificate.subjectName,
    issuer: by.certificate.subjectName,
    notBefore: new Date(Math.max(authority.validity.notBeforeMs, by.validity.notBeforeMs)),
    notAfter: new Date(Math.min(authority.validity.notAfterMs, by.validity.notAfterMs)),
    publicKey,
    signingKey: by.signingKey,
    signingAlgorithm: algorithm,
    extensions: await authorityExtensions(publicKey, signerKey),
  });
}

/** A private key as PKCS #8, in PEM. @throws when it cannot be exported */
export async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = await webcrypto.subtle.exportKey('pkcs8', key);
  return `${PemConverter.encode(der, PemConverter.PrivateKeyTag)}\n`;
}

function publicKeyOf({ certificate }: Authority): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('spki', certificate.publicKey.rawData, algorithm, true, ['verify']);
}

async function authorityExtensions(
  subjectKey: webcrypto.CryptoKey,
  issuerKey: webcrypto.CryptoKey,
): Promise<Extension[]> {
  return [
    // NB: no path length. With 0 the next authority could not be cross-signed by this one, which is what makes a
    // rotation safe for API servers that still trust only this one.
    new BasicConstraintsExtension(true, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
    await SubjectKeyIdentifierExtension.create(subjectKey),
    await AuthorityKeyIdentifierExtension.create(issuerKey),
  ];
}

/** 128 random bits in hexadecimal. SOURCE: RFC 5280, 4.1.2.2: unique for an authority, positive, at most 20 octets. */
export function randomSerial(): string {
  return randomBytes(16).toString('hex');
}
