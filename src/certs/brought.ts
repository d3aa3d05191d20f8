/**
 * Certificates that somebody else issues and renews: cert-manager in a Secret, or files that are mounted.
 *
 * Their authority may change with their leaf, in one write and without a word of warning. What makes that safe is the
 * same as for an authority of our own: the bundle is widened first, and a replica goes on with the leaf it has until
 * API servers have had time to hear of it (`chooseBrought`).
 */
import { splitBundle, widened } from './bundle.ts';
import { certificateBlocks, keyMatches, readChain } from './certificate.ts';
import type { Offer } from './choose-leaf.ts';
import { isAuthority, whyNotServable, type ServableLeaf } from './verify.ts';

/** The names of the files, and the keys in the Secret. */
export const broughtKeys = { chain: 'tls.crt', key: 'tls.key', ca: 'ca.crt' } as const;

/** The three files as text; null for one that is not there. */
export type BroughtFiles = Readonly<Record<keyof typeof broughtKeys, string | null>>;

export interface Brought {
  readonly leaf: ServableLeaf;
  /** Fingerprint of the leaf, as in `Certificate`. */
  readonly fingerprint: string;
  /** What `ca.crt` wants trusted, each certificate once. */
  readonly caPem: string;
}

export type BroughtReading =
  | { readonly kind: 'missing'; readonly why: string }
  | { readonly kind: 'broken'; readonly why: string }
  | { readonly kind: 'brought'; readonly brought: Brought };

/** LIMIT: chains and bundles take a few kilobytes, those of public authorities included. */
const textMax = 256 * 1024;

/** Reads `data` of a Secret (base64 values; null or undefined when there is none). Never throws. */
export function readBroughtSecret(data: unknown, hosts: readonly string[], nowMs: number): BroughtReading {
  if (data === null || data === undefined) return { kind: 'missing', why: 'the Secret does not exist' };
  const value = (key: string): string | null => {
    const text =
      typeof data === 'object' && Object.hasOwn(data, key) ? (data as Record<string, unknown>)[key] : null;
    // NB: an empty value is what cert-manager leaves for a part that its issuer does not know.
    if (typeof text !== 'string' || text === '' || text.length > textMax) return null;
    return Buffer.from(text, 'base64').toString('utf8');
  };
  const { chain, key, ca } = broughtKeys;
  return readBrought({ chain: value(chain), key: value(key), ca: value(ca) }, hosts, nowMs);
}

/** Reads and checks what was brought: that the parts belong together, name `hosts`, and are within their dates. */
export function readBrought(files: BroughtFiles, hosts: readonly string[], nowMs: number): BroughtReading {
  const { chain: chainPem, key: keyPem, ca } = files;
  const absent = (Object.keys(broughtKeys) as (keyof BroughtFiles)[]).filter((each) => files[each] === null);
  if (absent.length === 3) return { kind: 'missing', why: `there is none of ${listed(absent)}` };
  const broken = (why: string): BroughtReading => ({ kind: 'broken', why });
  if (ca === null && absent.length === 1) {
    return broken('`ca.crt` is missing: API servers have to be told which authority to trust');
  }
  if (chainPem === null || keyPem === null || ca === null) return broken(`${listed(absent)} missing`);
  if ([chainPem, keyPem, ca].some((each) => each.length > textMax))
    return broken('a file is longer than 256 KB');
  const chain = readChain(chainPem);
  if (chain === null) return broken('`tls.crt` is cut short or is not a certificate chain');
  if (!keyMatches(chain[0], keyPem)) return broken('`tls.key` is not the key of `tls.crt`');
  const authorities = splitBundle(ca);
  if (authorities.length === 0 || certificateBlocks(ca).some((each) => splitBundle(each).length === 0)) {
    return broken('`ca.crt` is cut short or is not a certificate');
  }
  const [{ fingerprint }] = chain;
  const stranger = authorities.some((each) => each.fingerprint !== fingerprint && !isAuthority(each));
  if (stranger) return broken('`ca.crt` holds a certificate that is not an authority');
  const caPem = authorities.map(({ pem }) => pem).join('');
  const leaf = { chainPem: chain.map(({ pem }) => pem).join(''), keyPem };
  const problem = whyNotServable({ ...leaf, bundlePem: caPem, hosts, nowMs });
  if (problem === null) return { kind: 'brought', brought: { leaf, fingerprint, caPem } };
  return broken(
    problem.startsWith('no authority') ? '`tls.crt` was not signed by what is in `ca.crt`' : problem,
  );
}

/** What `chooseBrought` is offered. */
export function offerOf(reading: BroughtReading): Offer {
  return reading.kind === 'brought' ? { leaf: reading.brought.leaf } : { whyNone: reading.why };
}

/**
 * The bundle for what was brought. Until `settled` (every live replica was seen serving this leaf, and the entries have
 * carried its authority for `publishDwellMs`), whatever else the entries trust and has not expired stays trusted, so that a
 * change of the authority overlaps; then it goes.
 */
export function broughtBundle(
  brought: Brought,
  observed: readonly string[],
  nowMs: number,
  settled: boolean,
): string {
  return settled ? brought.caPem : widened(brought.caPem, observed, nowMs);
}

function listed(keys: readonly (keyof BroughtFiles)[]): string {
  return keys.map((each) => `\`${broughtKeys[each]}\``).join(', ');
}
