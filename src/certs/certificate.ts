/**
 * Certificates as the rotation sees them: what they say, which is which, and who signed whom.
 *
 * Parsing and verifying are remembered: replicas ask the same questions about the same few certificates every second.
 * The answers depend on nothing but the certificates, so whoever asks sees a pure function.
 */
// NB: before anything of @peculiar/x509; see authority.ts.
import 'reflect-metadata';
import { createPrivateKey, hash, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { BasicConstraintsExtension, X509Certificate as ParsedCertificate } from '@peculiar/x509';

/** A certificate that could be read. Times in Unix milliseconds. */
export interface Certificate {
  /** One block, with a line feed at its end: the same text for the same certificate, whoever wrote it. */
  readonly pem: string;
  /** SHA-256 of its DER, as 64 lower-case hexadecimal digits. */
  readonly fingerprint: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** How many intermediates may come below it, or null when that is not limited. */
  readonly pathLength: number | null;
  readonly x509: X509Certificate;
}

/** LIMIT: a certificate with an RSA key of 8192 bits takes 3 KB; more is not one. */
const pemMax = 16 * 1024;
/** LIMIT: a few authorities and leaves are alive at any time; 512 of either memory stay below a few megabytes. */
const rememberedMax = 512;
const blockPattern = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----/g;

const parsed = new Map<string, Certificate | null>();
const signatures = new Map<string, boolean>();
const keys = new Map<string, boolean>();
const refusals = new Map<string, string | null>();

/** The one certificate in `pem`, or null when there is none, more than one, or one that cannot be read. */
export function readCertificate(pem: string): Certificate | null {
  const blocks = certificateBlocks(pem);
  return blocks.length === 1 && blocks[0] !== undefined ? parse(blocks[0]) : null;
}

/** The text of each certificate in `pem`, read or not. */
export function certificateBlocks(pem: string): readonly string[] {
  return pem.match(blockPattern) ?? [];
}

/** The certificates in `pem` in their order, or null when there is none or one of them cannot be read. */
export function readChain(pem: string): readonly [Certificate, ...Certificate[]] | null {
  const [first, ...rest] = certificateBlocks(pem).map(parse);
  if (first == null || rest.includes(null)) return null;
  return [first, ...rest.filter((each) => each !== null)];
}

/** Whether `issuer` signed `certificate`: by names, key identifiers, the right to sign certificates, and the signature. */
export function isSignedBy(certificate: Certificate, issuer: Certificate): boolean {
  return remember(signatures, `${certificate.fingerprint}:${issuer.fingerprint}`, () => {
    try {
      return certificate.x509.checkIssued(issuer.x509) && certificate.x509.verify(issuer.x509.publicKey);
    } catch {
      // A key of a kind that OpenSSL does not know: nobody else's handshake would succeed either.
      return false;
    }
  });
}

/** Whether `keyPem` is the private key of `certificate`; false for one that cannot be read. */
export function keyMatches(certificate: Certificate, keyPem: string): boolean {
  // The digest, so that no key is kept here.
  return remember(keys, `${certificate.fingerprint}:${hash('sha256', keyPem)}`, () => {
    try {
      return certificate.x509.checkPrivateKey(createPrivateKey(keyPem));
    } catch {
      return false;
    }
  });
}

/**
 * Why OpenSSL would not serve a chain with its key (one that is too short, say), or null. What a handshake is told comes from there,
 * so nothing else knows.
 */
export function whyNotLoadable(chainPem: string, keyPem: string): string | null {
  return remember(refusals, hash('sha256', `${chainPem}\0${keyPem}`), () => {
    try {
      createSecureContext({ cert: chainPem, key: keyPem });
      return null;
    } catch (error) {
      return error instanceof Error ? error.message : 'it cannot be used';
    }
  });
}

/**
 * Whether certificates can be issued with `keyPem`: an elliptic-curve key on P-256 in PKCS #8, which is what `loadAuthority`
 * takes. OpenSSL, and so a handshake, takes others too.
 */
export function isSigningKey(keyPem: string): boolean {
  if (!keyPem.includes('-----BEGIN PRIVATE KEY-----')) return false;
  try {
    return createPrivateKey(keyPem).asymmetricKeyDetails?.namedCurve === 'prime256v1';
  } catch {
    return false;
  }
}

/** Whether it is within its dates at `nowMs`: not before its first instant, and before its last. */
export function isValidAt(certificate: Certificate, nowMs: number): boolean {
  return certificate.notBeforeMs <= nowMs && !isExpiredAt(certificate, nowMs);
}

/** Whether its time is over at `nowMs`. */
export function isExpiredAt(certificate: Certificate, nowMs: number): boolean {
  return certificate.notAfterMs <= nowMs;
}

/** The fingerprint of a certificate as in `Certificate`, for what was seen in a handshake. */
export function fingerprintOf(x509: X509Certificate): string {
  return x509.fingerprint256.replaceAll(':', '').toLowerCase();
}

function parse(block: string): Certificate | null {
  if (block.length > pemMax) return null;
  return remember(parsed, block, () => {
    try {
      const x509 = new X509Certificate(block);
      const [notBeforeMs, notAfterMs] = [Date.parse(x509.validFrom), Date.parse(x509.validTo)];
      if (Number.isNaN(notBeforeMs) || Number.isNaN(notAfterMs)) return null;
      const pathLength = pathLengthOf(x509);
      return {
        pem: x509.toString(),
        fingerprint: fingerprintOf(x509),
        notBeforeMs,
        notAfterMs,
        pathLength,
        x509,
      };
    } catch {
      return null;
    }
  });
}

function pathLengthOf(x509: X509Certificate): number | null {
  // NB: node:crypto does not tell.
  return new ParsedCertificate(x509.raw).getExtension(BasicConstraintsExtension)?.pathLength ?? null;
}

function remember<T>(memory: Map<string, T>, key: string, make: () => T): T {
  const known = memory.get(key);
  if (known !== undefined) return known;
  const made = make();
  if (memory.size >= rememberedMax) memory.clear();
  memory.set(key, made);
  return made;
}
