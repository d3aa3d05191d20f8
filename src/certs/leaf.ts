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
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { LockwardenError } from '../errors.ts';
import { algorithm, createAuthority, randomSerial, type Authority } from './authority.ts';

/** A leaf and its key, in PEM. The chain starts with the leaf; the root is left out, since whoever trusts it has it. */
export interface Leaf {
  readonly certPem: string;
  readonly keyPem: string;
  readonly notAfterMs: number;
}

/** A leaf with the root to trust (`caBundle`). */
export interface ServingCertificate extends Leaf {
  readonly caPem: string;
}

/** What to issue. `hosts` are DNS names and IP addresses, at least one; times in milliseconds. */
export interface ServingCertificateRequest {
  readonly hosts: readonly string[];
  /** This machine's time, since the Unix epoch. */
  readonly nowMs: number;
  readonly validityMs: number;
  /** How far before now it is valid already, for API servers whose clocks are behind. */
  readonly backdateMs: number;
}

/** LIMIT: clocks in a cluster have been seen hours off only when broken; others in the field take 2 minutes to an hour. */
export const backdateDefaultMs = 60 * 60 * 1000;

/**
 * Issues a leaf under an authority made for it alone, whose key is forgotten at once.
 *
 * @throws LockwardenError `CertificateInvalid` when there is no host to issue it for
 */
export async function issueServingCertificate(
  request: ServingCertificateRequest,
): Promise<ServingCertificate> {
  const { nowMs, validityMs, backdateMs } = request;
  const validity = {
    notBeforeMs: wholeSeconds(nowMs - backdateMs),
    notAfterMs: wholeSeconds(nowMs + validityMs),
  };
  const authority = await createAuthority(validity);
  const leaf = await issueLeaf(authority, request.hosts);
  return { caPem: `${authority.certificate.toString('pem')}\n`, ...leaf };
}

/**
 * Issues a leaf for `hosts` (DNS names and IP addresses), valid as long as its authority.
 *
 * @throws LockwardenError `CertificateInvalid` when there is no host
 */
export async function issueLeaf(authority: Authority, hosts: readonly string[]): Promise<Leaf> {
  if (hosts.length === 0) {
    throw new LockwardenError(
      'CertificateInvalid',
      'a certificate needs a host; name the one that API servers call',
    );
  }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const { notBeforeMs, notAfterMs } = authority.validity;
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
  const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    certPem: `${certificate.toString('pem')}\n`,
    keyPem: `${PemConverter.encode(key, PemConverter.PrivateKeyTag)}\n`,
    notAfterMs,
  };
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}
