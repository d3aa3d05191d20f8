/**
 * The authority as it is kept: one Secret that holds every key and certificate of a rotation, so that each step of it is
 * one compare-and-swap and a leader that dies between two steps leaves nothing half done.
 */
import type { Certificate } from './certificate.ts';

/** An authority that can sign. */
export interface KeyedAuthority {
  readonly certificate: Certificate;
  /** PKCS #8, in PEM. */
  readonly keyPem: string;
}

/** The authority that is to take over. */
export interface NextAuthority extends KeyedAuthority {
  /** The same key, signed by the authority in use; null when there was none that could vouch for it. */
  readonly cross: Certificate | null;
  readonly preparedAtMs: number;
}

/** An authority that signs no more (its key is gone) and is still trusted for a while. */
export interface RetiredAuthority {
  readonly certificate: Certificate;
  readonly retiredAtMs: number;
}

/** The leaf that replicas serve: its certificate, what vouches for its authority (cross-signatures), its key. */
export interface StoredLeaf {
  readonly certificate: Certificate;
  readonly crosses: readonly Certificate[];
  readonly keyPem: string;
}

/**
 * What the Secret says. Instants are the API server's, in Unix milliseconds.
 *
 * INVARIANT: `current` and `leaf` are either both there or both null; where they are null there is a `next`.
 */
export interface AuthorityState {
  readonly createdAtMs: number;
  /** The cluster that it was made for; null when that was not known. */
  readonly cluster: string | null;
  readonly current: KeyedAuthority | null;
  readonly next: NextAuthority | null;
  /** Latest first. */
  readonly retired: readonly RetiredAuthority[];
  readonly leaf: StoredLeaf | null;
  /** When `current` took over, or null when none has yet. */
  readonly switchedAtMs: number | null;
  /** When every live replica was seen serving under `current`, or null when that was not yet so. */
  readonly confirmedAtMs: number | null;
  /** The token of the last request that was honoured. */
  readonly rotatedFor: string | null;
}

/** What a Secret turned out to hold. An authority that has expired and is otherwise sound is a `state`. */
export type AuthorityReading =
  | { readonly kind: 'missing' }
  | { readonly kind: 'broken'; readonly why: string }
  | { readonly kind: 'state'; readonly state: AuthorityState };

/**
 * The type of the Secret.
 * NB: not `kubernetes.io/tls`. The type of a Secret can never be changed, and that one demands a leaf from the start; so
 * a Secret that somebody else created with another type could not be brought into form without being deleted.
 */
export const secretType = 'Opaque';

/** The keys in the Secret, named as people know them. */
export const secretKeys = {
  caCertificate: 'ca.crt',
  caKey: 'ca.key',
  chain: 'tls.crt',
  leafKey: 'tls.key',
  nextCertificate: 'next-ca.crt',
  nextKey: 'next-ca.key',
  nextCross: 'next-ca-cross.crt',
  retired: 'retired-ca.crt',
  instants: 'state.json',
} as const;

/** LIMIT: a request waits when there are more; what is due by time finds the oldest expired long before. */
export const retiredMax = 8;
/** LIMIT: as long as a Kubernetes name, so that an annotation, a uid or an instant can be a token. */
export const tokenMax = 253;
/** The version of `state.json`. */
export const stateVersion = 1;

/** The chain to serve: the leaf and what vouches for its authority. */
export function chainOf({ certificate, crosses }: StoredLeaf): string {
  return [certificate, ...crosses].map(({ pem }) => pem).join('');
}

/** `data` of the Secret that holds `state`: base64 values. Keys of ours that are not in it have to go. */
export function secretData(state: AuthorityState): Record<string, string> {
  const { current, next, retired, leaf } = state;
  const texts: Record<string, string> = {
    [secretKeys.instants]: `${JSON.stringify(instantsOf(state), null, 2)}\n`,
  };
  if (current !== null && leaf !== null) {
    texts[secretKeys.caCertificate] = current.certificate.pem;
    texts[secretKeys.caKey] = current.keyPem;
    texts[secretKeys.chain] = chainOf(leaf);
    texts[secretKeys.leafKey] = leaf.keyPem;
  }
  if (next !== null) {
    texts[secretKeys.nextCertificate] = next.certificate.pem;
    texts[secretKeys.nextKey] = next.keyPem;
    if (next.cross !== null) texts[secretKeys.nextCross] = next.cross.pem;
  }
  if (retired.length > 0) {
    texts[secretKeys.retired] = retired.map(({ certificate }) => certificate.pem).join('');
  }
  return Object.fromEntries(
    Object.entries(texts).map(([key, text]) => [key, Buffer.from(text, 'utf8').toString('base64')]),
  );
}

/** What `state.json` says: instants that no certificate tells, in a form that people can read. */
export interface Instants {
  readonly version: number;
  readonly cluster: string | null;
  readonly created: string;
  readonly prepared: string | null;
  readonly switched: string | null;
  readonly confirmed: string | null;
  /** One for each certificate in `retired-ca.crt`. */
  readonly retired: readonly string[];
  readonly rotatedFor: string | null;
}

function instantsOf(state: AuthorityState): Instants {
  const text = (ms: number | null | undefined): string | null =>
    ms == null ? null : new Date(ms).toISOString();
  return {
    version: stateVersion,
    cluster: state.cluster,
    created: new Date(state.createdAtMs).toISOString(),
    prepared: text(state.next?.preparedAtMs),
    switched: text(state.switchedAtMs),
    confirmed: text(state.confirmedAtMs),
    retired: state.retired.map(({ retiredAtMs }) => new Date(retiredAtMs).toISOString()),
    rotatedFor: state.rotatedFor,
  };
}
