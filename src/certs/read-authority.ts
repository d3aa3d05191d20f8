/**
 * From a Secret to the authority it holds, with the suspicion it deserves: people edit Secrets, restore them from
 * backups, copy them between clusters and cut them short. What is found wrong is told apart, because what a person
 * does next depends on it; what lockwarden does next is always the same: it starts anew.
 */
import {
  retiredMax,
  secretKeys,
  stateVersion,
  tokenMax,
  type AuthorityReading,
  type AuthorityState,
  type KeyedAuthority,
  type NextAuthority,
  type RetiredAuthority,
  type StoredLeaf,
} from './authority-state.ts';
import {
  isSignedBy,
  isSigningKey,
  keyMatches,
  readCertificate,
  readChain,
  type Certificate,
} from './certificate.ts';
import { isAuthority } from './verify.ts';

/** LIMIT: a chain with a cross-signature for each retired authority takes 8 KB. */
const valueMax = 64 * 1024;
/** LIMIT: API servers that share an etcd are within seconds of each other; an instant further ahead was not one. */
const aheadMaxMs = 5 * 60_000;
/** What a request may leave behind, and two that were due by time. */
const retiredReadMax = retiredMax + 2;

/** Why the Secret cannot be used, on its way out of the reading. */
class Broken extends Error {}

/**
 * Reads `data` of the Secret (base64 values; null or undefined when there is no Secret) at the API server's time.
 * A Secret in which none of the keys is present counts as missing: somebody created it for us to fill. Never throws.
 *
 * @param cluster the cluster that it is found in; where that is known, and the Secret names another, it is broken: it was
 *   restored or copied from there, and whoever has its keys there must not be trusted here
 */
export function readAuthority(data: unknown, nowMs: number, cluster: string | null = null): AuthorityReading {
  try {
    const values = textsOf(data);
    if (values.size === 0) return { kind: 'missing' };
    const state = stateOf(values, nowMs);
    if (state.cluster !== null && cluster !== null && state.cluster !== cluster) {
      throw new Broken(`\`${secretKeys.instants}\` says that it was made for another cluster`);
    }
    return { kind: 'state', state };
  } catch (error) {
    return { kind: 'broken', why: error instanceof Broken ? error.message : 'it cannot be read' };
  }
}

/** The keys of ours in `data`, decoded. */
function textsOf(data: unknown): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  if (data === null || data === undefined) return texts;
  if (typeof data !== 'object') throw new Broken('its data is not an object');
  for (const key of Object.values(secretKeys)) {
    if (!Object.hasOwn(data, key)) continue;
    const value = (data as Record<string, unknown>)[key];
    if (typeof value !== 'string' || !/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(value)) {
      throw new Broken(`\`${key}\` is not base64`);
    }
    if (value.length > valueMax) throw new Broken(`\`${key}\` is longer than ${valueMax} bytes`);
    texts.set(key, Buffer.from(value, 'base64').toString('utf8'));
  }
  return texts;
}

function stateOf(texts: ReadonlyMap<string, string>, nowMs: number): AuthorityState {
  const instants = instantsOf(texts, nowMs);
  const current = authorityOf(texts, secretKeys.caCertificate, secretKeys.caKey, nowMs);
  const leaf = leafOf(texts, current, nowMs);
  const next = nextOf(texts, current, instants.preparedAtMs, nowMs);
  if (current === null && next === null) throw new Broken(`\`${secretKeys.caCertificate}\` is missing`);
  const { createdAtMs, cluster, switchedAtMs, confirmedAtMs, rotatedFor } = instants;
  const retired = retiredOf(texts, instants.retiredAtMs);
  return { createdAtMs, cluster, current, next, retired, leaf, switchedAtMs, confirmedAtMs, rotatedFor };
}

/** The authority under the two keys; null when both are absent. */
function authorityOf(
  texts: ReadonlyMap<string, string>,
  certificateKey: string,
  keyKey: string,
  nowMs: number,
): KeyedAuthority | null {
  if (!texts.has(certificateKey) && !texts.has(keyKey)) return null;
  const certificate = certificateOf(texts, certificateKey, nowMs);
  if (!isAuthority(certificate)) throw new Broken(`\`${certificateKey}\` is not an authority`);
  const keyPem = keyOf(texts, keyKey, certificate, certificateKey);
  if (!isSigningKey(keyPem)) throw new Broken(`\`${keyKey}\` is not a P-256 key in PKCS #8`);
  return { certificate, keyPem };
}

function leafOf(
  texts: ReadonlyMap<string, string>,
  current: KeyedAuthority | null,
  nowMs: number,
): StoredLeaf | null {
  const { chain: chainKey, leafKey, caCertificate } = secretKeys;
  if (current === null) {
    if (texts.has(chainKey)) throw new Broken(`\`${caCertificate}\` is missing`);
    return null;
  }
  const text = textOf(texts, chainKey);
  const chain = readChain(text);
  if (chain === null) throw new Broken(`\`${chainKey}\` is cut short or is not a certificate chain`);
  const [certificate, ...crosses] = chain;
  if (crosses.length > retiredReadMax) throw new Broken(`\`${chainKey}\` holds too many certificates`);
  notFromTheFuture(certificate, chainKey, nowMs);
  const keyPem = keyOf(texts, leafKey, certificate, chainKey);
  if (!isSignedBy(certificate, current.certificate)) {
    throw new Broken(`\`${chainKey}\` was not signed by \`${caCertificate}\``);
  }
  return { certificate, crosses, keyPem };
}

function nextOf(
  texts: ReadonlyMap<string, string>,
  current: KeyedAuthority | null,
  preparedAtMs: number | null,
  nowMs: number,
): NextAuthority | null {
  const { nextCertificate, nextKey, nextCross, caCertificate, instants } = secretKeys;
  const next = authorityOf(texts, nextCertificate, nextKey, nowMs);
  if (next === null) return null;
  if (preparedAtMs === null)
    throw new Broken(`\`${instants}\` does not say when \`${nextCertificate}\` was made`);
  if (!texts.has(nextCross)) return { ...next, cross: null, preparedAtMs };
  const cross = certificateOf(texts, nextCross, nowMs);
  if (!keyMatches(cross, next.keyPem))
    throw new Broken(`\`${nextCross}\` is not about \`${nextCertificate}\``);
  if (current === null || !isSignedBy(cross, current.certificate)) {
    throw new Broken(`\`${nextCross}\` was not signed by \`${caCertificate}\``);
  }
  return { ...next, cross, preparedAtMs };
}

function retiredOf(
  texts: ReadonlyMap<string, string>,
  instants: readonly number[],
): readonly RetiredAuthority[] {
  const text = texts.get(secretKeys.retired);
  if (text === undefined) return [];
  const certificates = readChain(text);
  if (certificates === null)
    throw new Broken(`\`${secretKeys.retired}\` is cut short or holds no certificates`);
  if (certificates.length > retiredReadMax)
    throw new Broken(`\`${secretKeys.retired}\` holds too many certificates`);
  return certificates.map((certificate, index) => {
    const retiredAtMs = instants[index];
    if (retiredAtMs === undefined) {
      throw new Broken(
        `\`${secretKeys.instants}\` does not say when each of \`${secretKeys.retired}\` retired`,
      );
    }
    return { certificate, retiredAtMs };
  });
}

function certificateOf(texts: ReadonlyMap<string, string>, key: string, nowMs: number): Certificate {
  const certificate = readCertificate(textOf(texts, key));
  if (certificate === null) throw new Broken(`\`${key}\` is cut short or is not one certificate`);
  notFromTheFuture(certificate, key, nowMs);
  return certificate;
}

function keyOf(
  texts: ReadonlyMap<string, string>,
  key: string,
  certificate: Certificate,
  certificateKey: string,
): string {
  const keyPem = textOf(texts, key);
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+-----END [A-Z ]*PRIVATE KEY-----/.test(keyPem)) {
    throw new Broken(`\`${key}\` is cut short or is not a private key`);
  }
  if (!keyMatches(certificate, keyPem))
    throw new Broken(`\`${key}\` is not the key of \`${certificateKey}\``);
  return keyPem;
}

function textOf(texts: ReadonlyMap<string, string>, key: string): string {
  const text = texts.get(key);
  if (text === undefined) throw new Broken(`\`${key}\` is missing`);
  return text;
}

function notFromTheFuture(certificate: Certificate, key: string, nowMs: number): void {
  if (certificate.notBeforeMs > nowMs + aheadMaxMs) {
    throw new Broken(
      `\`${key}\` is valid only from ${new Date(certificate.notBeforeMs).toISOString()}, which is in the future`,
    );
  }
}

interface ReadInstants {
  readonly createdAtMs: number;
  readonly cluster: string | null;
  readonly preparedAtMs: number | null;
  readonly switchedAtMs: number | null;
  readonly confirmedAtMs: number | null;
  readonly retiredAtMs: readonly number[];
  readonly rotatedFor: string | null;
}

function instantsOf(texts: ReadonlyMap<string, string>, nowMs: number): ReadInstants {
  const json = objectOf(textOf(texts, secretKeys.instants));
  if (json['version'] !== stateVersion) {
    throw new Broken(`\`${secretKeys.instants}\` is of another version than ${stateVersion}`);
  }
  const instant = (field: string, value: unknown): number => {
    const ms = typeof value === 'string' && value.length <= 32 ? Date.parse(value) : Number.NaN;
    if (Number.isNaN(ms)) throw new Broken(`\`${secretKeys.instants}\` has no instant in \`${field}\``);
    if (ms > nowMs + aheadMaxMs) {
      throw new Broken(
        `\`${secretKeys.instants}\` says \`${field}\` of ${new Date(ms).toISOString()}, which is in the future`,
      );
    }
    return ms;
  };
  const optional = (field: string): number | null =>
    json[field] == null ? null : instant(field, json[field]);
  const { retired = [], rotatedFor = null, cluster = null } = json as Record<string, unknown>;
  if (!Array.isArray(retired) || retired.length > retiredReadMax) {
    throw new Broken(`\`${secretKeys.instants}\` has no list of instants in \`retired\``);
  }
  if (rotatedFor !== null && (typeof rotatedFor !== 'string' || rotatedFor.length > tokenMax)) {
    throw new Broken(`\`${secretKeys.instants}\` has no token in \`rotatedFor\``);
  }
  if (cluster !== null && (typeof cluster !== 'string' || cluster.length > tokenMax)) {
    throw new Broken(`\`${secretKeys.instants}\` has no name in \`cluster\``);
  }
  return {
    createdAtMs: instant('created', json['created']),
    cluster,
    preparedAtMs: optional('prepared'),
    switchedAtMs: optional('switched'),
    confirmedAtMs: optional('confirmed'),
    retiredAtMs: retired.map((each: unknown) => instant('retired', each)),
    rotatedFor,
  };
}

function objectOf(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Broken(`\`${secretKeys.instants}\` is cut short or is not JSON`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Broken(`\`${secretKeys.instants}\` is not a JSON object`);
  }
  return value as Record<string, unknown>;
}
