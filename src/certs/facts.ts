/**
 * What a plan is made from, and the few things that follow from it directly.
 */
import type { AuthorityReading, AuthorityState } from './authority-state.ts';
import { trustsAll } from './bundle.ts';
import type { Certificate } from './certificate.ts';
import type { Lifetimes } from './lifetimes.ts';

/** A replica that is alive, as the leader sees it. */
export interface ReplicaFacts {
  readonly name: string;
  /** Fingerprint (as in `Certificate`) of the leaf that it serves; null when it serves none or was not seen yet. */
  readonly servesLeaf: string | null;
}

/** Somebody wants a rotation. A token is honoured once; 253 characters at most, not empty. */
export interface RotationRequest {
  readonly token: string;
  readonly what: 'leaf' | 'authority';
}

/** All that a plan depends on. Instants in Unix milliseconds. */
export interface AuthorityFacts {
  /** The API server's time: certificates are judged by it. */
  readonly nowMs: number;
  readonly authority: AuthorityReading;
  /** The `caBundle` of each webhook entry, in PEM; null when there is no configuration. */
  readonly bundles: readonly string[] | null;
  /**
   * Since when exactly these bundles were seen, on the time line of `nowMs`; null when they were not.
   * NB: take it from a monotonic age (`nowMs - age`), or a clock that is set back makes the wait longer.
   */
  readonly bundleSinceMs: number | null;
  /** The replicas that are alive, the leader among them. */
  readonly replicas: readonly ReplicaFacts[];
  /** What the leaf has to name: DNS names and IP addresses. */
  readonly hosts: readonly string[];
  readonly request: RotationRequest | null;
}

/** The facts about a state that could be read, with a request only while it is to be honoured. */
export interface StateFacts extends AuthorityFacts {
  readonly state: AuthorityState;
  readonly lifetimes: Lifetimes;
}

/**
 * Where the rotation stands. `Unpublished`: some entry does not trust the authority in use. `Prepared`: some entry does
 * not trust the next. `Published`: all do, and API servers are given time. `Switched`: not every replica was seen with the
 * new leaf. `Confirmed`: all were, and the old authority is still trusted.
 */
export type Phase =
  'Missing' | 'Broken' | 'Unpublished' | 'Prepared' | 'Published' | 'Switched' | 'Confirmed' | 'Stable';

/** What comes next, for people. */
export interface Next {
  /** The kind of the action. */
  readonly what: string;
  /** When it is due, in Unix milliseconds; null when it waits for somebody instead of for a time. */
  readonly atMs: number | null;
  readonly why: string;
}

/** Whether every entry trusts all that is in `needed`. Where there is no entry nobody has to be told. */
export function isPublished(bundles: readonly string[] | null, needed: string): boolean {
  return (bundles ?? []).every((each) => trustsAll(each, needed));
}

/** When the entries will have carried their bundles for long enough; never, while that is unknown. */
export function waitEndsMs({ bundles, bundleSinceMs, lifetimes }: StateFacts): number {
  if (bundles === null || bundles.length === 0) return Number.NEGATIVE_INFINITY;
  return bundleSinceMs === null ? Number.POSITIVE_INFINITY : bundleSinceMs + lifetimes.publishDwellMs;
}

/** When `certificate`, one of those made to live for `validityMs`, is to be renewed. */
export function renewalMs(
  certificate: Certificate,
  validityMs: number,
  { renewFraction }: Lifetimes,
): number {
  const { notBeforeMs, notAfterMs } = certificate;
  // Its life counts from its issue, which is later than the date from which it is valid, and at most as set today.
  return notAfterMs - Math.min(validityMs, notAfterMs - notBeforeMs) * renewFraction;
}

/** The names of live replicas that were not seen serving the leaf in the Secret. */
export function unconfirmed({ state, replicas }: StateFacts): readonly string[] {
  return replicas
    .filter(({ servesLeaf }) => servesLeaf !== state.leaf?.certificate.fingerprint)
    .map(({ name }) => name);
}

/** When retired authorities may go; never, while the switch is not confirmed. */
export function retirementMs({ state, lifetimes }: StateFacts): number {
  return state.confirmedAtMs === null
    ? Number.POSITIVE_INFINITY
    : state.confirmedAtMs + lifetimes.retireAfterMs;
}
