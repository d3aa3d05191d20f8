/**
 * The certificate that the webhook serves.
 */
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { LockwardenError } from '../errors.ts';
import { algorithm, exportKey, randomSerial, type Authority, type Validity } from './authority.ts';

/** A leaf and its key, in PEM. The chain starts with the leaf; the root is left out, since whoever trusts it has it. */
export interface Leaf {
  readonly certPem: string;
  readonly keyPem: string;
  readonly notAfterMs: number;
}

/**
 * Issues a leaf for `hosts` (DNS names and IP addresses), valid as long as its authority unless `validity` says less.
 *
 * @throws LockwardenError `CertificateInvalid` when there is no host
 */
export async function issueLeaf(
  authority: Authority,
  hosts: readonly string[],
  validity: Validity = authority.validity,
): Promise<Leaf> {
  if (hosts.length === 0) {
    throw new LockwardenError(
      'CertificateInvalid',
      'a certificate needs a host; name the one that API servers call',
    );
  }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const { notBeforeMs, notAfterMs } = validity;
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    // NB: names are matched against the alternative names only; a common name over 64 characters would be invalid.
    subject: 'CN=lockwarden-webhook',
    issuer: authority.certificate.subjectName,
    notBefore: new Date(notBeforeMs),
    notAfter: new Date(notAfterMs),
    publicKey: keys.publicKey,
    signingKey: authority.signingKey,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(
        hosts.map((host) => ({ type: isIP(host) === 0 ? ('dns' as const) : ('ip' as const), value: host })),
      ),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(authority.certificate),
    ],
  });
  return {
    certPem: `${certificate.toString('pem')}\n`,
    keyPem: await exportKey(keys.privateKey),
    notAfterMs,
  };
}

/** Rounds down to what a certificate can say. */
export function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}
