/**
 * Whether a leaf can be served: what an API server would find wrong with it in a handshake, found before it does.
 *
 * The rules are those of Go's verifier, which is the API server's: every certificate of the path within its dates, every
 * issuer an authority that may sign certificates and has room left in its path length, every authority in the bundle an
 * anchor whether self-signed or not, and names looked up in the alternative names only.
 */
import { isIP } from 'node:net';
import { splitBundle } from './bundle.ts';
import {
  isExpiredAt,
  isSignedBy,
  isValidAt,
  keyMatches,
  readChain,
  whyNotLoadable,
  type Certificate,
} from './certificate.ts';

/** A chain (leaf first) and the leaf's key, in PEM. */
export interface ServableLeaf {
  readonly chainPem: string;
  readonly keyPem: string;
}

/** What `whyNotServable` judges. */
export interface ServableQuestion extends ServableLeaf {
  /** What an API server trusts; null when no webhook entry exists, so that no call can come. */
  readonly bundlePem: string | null;
  /** DNS names and IP addresses that it is called by. */
  readonly hosts: readonly string[];
  /** The API server's time, in Unix milliseconds. */
  readonly nowMs: number;
}

/** LIMIT: leaf, root, and an intermediate for each of the authorities that may be retired at once. */
const pathMax = 20;
const serverAuth = '1.3.6.1.5.5.7.3.1';
const anyUsage = '2.5.29.37.0';

/** Why an API server would refuse this leaf, in a sentence, or null when it would take it. */
export function whyNotServable(question: ServableQuestion): string | null {
  const { chainPem, keyPem, bundlePem, hosts, nowMs } = question;
  const chain = readChain(chainPem);
  if (chain === null) return 'the certificate chain is missing or cannot be read';
  const [leaf] = chain;
  if (!keyMatches(leaf, keyPem)) return 'the key is not that of the certificate';
  const refusal = whyNotLoadable(chainPem, keyPem);
  if (refusal !== null) return `it cannot be served: ${refusal}`;
  if (leaf.notBeforeMs > nowMs) return `the certificate is valid only from ${instant(leaf.notBeforeMs)}`;
  if (isExpiredAt(leaf, nowMs)) return `the certificate expired at ${instant(leaf.notAfterMs)}`;
  const missing = uncoveredHosts(leaf, hosts);
  if (missing.length > 0) return `the certificate does not name ${missing.join(', ')}`;
  if (!mayServe(leaf)) return 'the certificate may not be used by servers';
  if (bundlePem === null) return null;
  if (splitBundle(bundlePem).length === 0) return 'the webhook configuration trusts no authority';
  if (anchorsOf(chainPem, bundlePem, nowMs).length > 0) return null;
  return 'no authority that the webhook configuration trusts vouches for the certificate';
}

/** Fingerprints of the authorities in `bundlePem` that vouch for the leaf of `chainPem` at `nowMs`. */
export function anchorsOf(chainPem: string, bundlePem: string, nowMs: number): readonly string[] {
  const chain = readChain(chainPem);
  if (chain === null || !isValidAt(chain[0], nowMs)) return [];
  const [leaf, ...intermediates] = chain;
  return splitBundle(bundlePem)
    .filter(
      (anchor) => anchor.fingerprint === leaf.fingerprint || leadsTo(anchor, [leaf], intermediates, nowMs),
    )
    .map(({ fingerprint }) => fingerprint);
}

/** Those of `hosts` that `leaf` does not name. */
export function uncoveredHosts(leaf: Certificate, hosts: readonly string[]): readonly string[] {
  return hosts.filter((host) => {
    const found =
      isIP(host) === 0
        ? // NB: Go does not look at the common name, so that a certificate with nothing but one is refused.
          leaf.x509.checkHost(host, { subject: 'never' })
        : leaf.x509.checkIP(host);
    return found === undefined;
  });
}

/** Whether `certificate` may sign others, with at most `below` intermediates between it and a leaf. */
export function isAuthority(certificate: Certificate, below = 0): boolean {
  if (!certificate.x509.ca) return false;
  return certificate.pathLength === null || certificate.pathLength >= below;
}

/** Whether `anchor` ends a path that begins as `path` (leaf first) and goes on through `intermediates`. */
function leadsTo(
  anchor: Certificate,
  path: readonly [Certificate, ...Certificate[]],
  intermediates: readonly Certificate[],
  nowMs: number,
): boolean {
  const last = path.at(-1) ?? path[0];
  const vouches = (issuer: Certificate): boolean =>
    isValidAt(issuer, nowMs) &&
    mayServe(issuer) &&
    isSignedBy(last, issuer) &&
    isAuthority(issuer, path.length - 1);
  if (vouches(anchor)) return true;
  if (path.length >= pathMax) return false;
  return intermediates.some(
    (each) =>
      !path.includes(each) &&
      vouches(each) &&
      leadsTo(
        anchor,
        [...path, each],
        intermediates.filter((other) => other !== each),
        nowMs,
      ),
  );
}

/** Whether the extended key usage, if there is one, lets it take part in serving. */
function mayServe(certificate: Certificate): boolean {
  // NB: null, against its type, for a certificate that has no such extension.
  const usages = certificate.x509.keyUsage as readonly string[] | null | undefined;
  return usages == null || usages.includes(serverAuth) || usages.includes(anyUsage);
}

function instant(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}
