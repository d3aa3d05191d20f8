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
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
  type X509Certificate,
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

/** Creates an authority with a new key, which cannot be exported. */
export async function createAuthority(validity: Validity): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(algorithm, false, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(),
    name: 'CN=lockwarden',
    notBefore: new Date(validity.notBeforeMs),
    notAfter: new Date(validity.notAfterMs),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      // NB: no path length. With 0 the next authority could not be cross-signed by this one, which is what makes a
      // rotation safe for API servers that still trust only this one.
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate, signingKey: keys.privateKey, validity };
}

/** 128 random bits in hexadecimal. SOURCE: RFC 5280, 4.1.2.2: unique for an authority, positive, at most 20 octets. */
export function randomSerial(): string {
  return randomBytes(16).toString('hex');
}
