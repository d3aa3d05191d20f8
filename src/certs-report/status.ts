/** The state of a cluster's certificates as `lockwarden certs status` says it, for people and programs. Pure. */
import type { AuthorityState } from '../certs/authority-state.ts';
import { splitBundle } from '../certs/bundle.ts';
import { isExpiredAt, type Certificate } from '../certs/certificate.ts';
import type { Phase } from '../certs/facts.ts';
import { living, type Replica } from '../replica/presence.ts';
import {
  neededBy,
  pendingIn,
  phaseIn,
  stateIn,
  type CertsFacts,
  type Leader,
  type TrustEntry,
} from './facts.ts';
import { findingsIn } from './findings.ts';
import { hostsOf, instant, nameOf } from './words.ts';

/** What an authority is in the rotation; `other`: nothing that is known. */
export type Role = 'current' | 'next' | 'retired' | 'other';

/** A certificate. Instants here and below as `2026-01-02T03:04:05Z`, in the API server's time. */
export interface CertificateStatus {
  readonly name: string;
  /** SHA-256, in hexadecimal. */
  readonly fingerprint: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly expired: boolean;
}

export interface AuthorityStatus extends CertificateStatus {
  readonly role: Role;
  /** Since when it is that; null: unknown. */
  readonly since: string | null;
}

export interface EntryStatus {
  readonly name: string;
  readonly trusts: readonly AuthorityStatus[];
  /** Names of authorities that it should trust and does not; null: it cannot be told. */
  readonly lacks: readonly string[] | null;
}

export interface ReplicaStatus {
  readonly name: string;
  /** SHA-256 of the leaf that it serves. */
  readonly serves: string | null;
  readonly notAfter: string | null;
  /** Whether that is the leaf in the Secret; null: it cannot be told. */
  readonly isInSecret: boolean | null;
  readonly hesitates: string | null;
  readonly saidAt: string;
  /** Whether it has told of itself lately. */
  readonly lives: boolean;
  readonly leads: boolean;
  readonly version: string;
}

export interface LeaderStatus {
  readonly identity: string | null;
  readonly replica: string | null;
  readonly renewedAt: string | null;
  readonly leads: boolean;
}

export interface RotationStatus {
  /** Null: it cannot be told. */
  readonly phase: Phase | null;
  /** The request that is still to be honoured. */
  readonly asked: 'leaf' | 'authority' | null;
  /** When every replica was seen serving under the authority in use. */
  readonly confirmedAt: string | null;
  /** What the leader means to do next; null: it has not said so, or nobody leads. */
  readonly next: {
    readonly what: string;
    /** Null: it waits for somebody instead of for a time. */
    readonly at: string | null;
    readonly why: string;
    readonly saidBy: string;
    readonly saidAt: string;
    /** Said too long ago to be relied on. */
    readonly old: boolean;
  } | null;
}

/** Where something is null it could not be read, or there is none; `findings` says which matters. */
export interface CertsStatus {
  readonly namespace: string;
  readonly at: string;
  readonly ok: boolean;
  readonly findings: readonly string[];
  /** `own`, or where the leaf comes from when somebody else brings it. */
  readonly source: string;
  readonly leader: LeaderStatus | null;
  readonly rotation: RotationStatus;
  readonly authorities: readonly AuthorityStatus[] | null;
  readonly leaf: (CertificateStatus & { readonly hosts: readonly string[] }) | null;
  readonly entries: readonly EntryStatus[] | null;
  readonly replicas: readonly ReplicaStatus[] | null;
}

/** Says how things stand. */
export function statusOf(facts: CertsFacts): CertsStatus {
  const { namespace, nowMs, leader, entries, replicas, brought } = facts;
  const findings = findingsIn(facts);
  const state = stateIn(facts);
  const leaf = state?.leaf?.certificate ?? null;
  return {
    namespace,
    at: instant(nowMs),
    ok: findings.length === 0,
    findings,
    source: brought ?? 'own',
    leader: leader === null ? null : leaderOf(leader),
    rotation: rotationOf(facts),
    authorities: state && authoritiesOf(state, nowMs),
    leaf: leaf && { ...certificateOf(leaf, nowMs), hosts: hostsOf(leaf) },
    entries: entries?.map((entry) => entryOf(entry, facts)) ?? null,
    replicas: replicas?.map((replica) => replicaOf(replica, facts)) ?? null,
  };
}

function leaderOf({ identity, replica, renewedAtMs, leads }: Leader): LeaderStatus {
  return { identity, replica, renewedAt: renewedAtMs === null ? null : instant(renewedAtMs), leads };
}

function rotationOf(facts: CertsFacts): RotationStatus {
  const { plan, nowMs } = facts;
  const confirmedAtMs = stateIn(facts)?.confirmedAtMs ?? null;
  return {
    phase: phaseIn(facts),
    asked: pendingIn(facts),
    confirmedAt: confirmedAtMs === null ? null : instant(confirmedAtMs),
    next: plan && {
      what: plan.told.next.what,
      at: plan.told.next.atMs === null ? null : instant(plan.told.next.atMs),
      why: plan.told.next.why,
      saidBy: plan.by.name,
      saidAt: instant(plan.by.saidAtMs),
      old: living([plan.by], nowMs).length === 0,
    },
  };
}

function authoritiesOf(state: AuthorityState, nowMs: number): readonly AuthorityStatus[] {
  const { current, next, retired, switchedAtMs } = state;
  const told = (certificate: Certificate, role: Role, sinceMs: number | null): AuthorityStatus => ({
    role,
    ...certificateOf(certificate, nowMs),
    since: sinceMs === null ? null : instant(sinceMs),
  });
  return [
    ...(current === null ? [] : [told(current.certificate, 'current', switchedAtMs)]),
    ...(next === null ? [] : [told(next.certificate, 'next', next.preparedAtMs)]),
    ...retired.map(({ certificate, retiredAtMs }) => told(certificate, 'retired', retiredAtMs)),
  ];
}

function entryOf({ name, bundle }: TrustEntry, facts: CertsFacts): EntryStatus {
  const { nowMs } = facts;
  const state = stateIn(facts);
  const known = state === null ? [] : authoritiesOf(state, nowMs);
  const trusted = splitBundle(bundle);
  const missing = splitBundle(neededBy(facts)).filter(
    ({ fingerprint }) => !trusted.some((each) => each.fingerprint === fingerprint),
  );
  return {
    name,
    trusts: trusted.map((each) => {
      const found = known.find(({ fingerprint }) => fingerprint === each.fingerprint);
      return found ?? { role: 'other', ...certificateOf(each, nowMs), since: null };
    }),
    lacks: state === null ? null : missing.map(nameOf),
  };
}

function replicaOf(replica: Replica, facts: CertsFacts): ReplicaStatus {
  const { nowMs, leader } = facts;
  const { name, servesLeaf, leafNotAfterMs, hesitates, saidAtMs, version } = replica;
  const leaf = stateIn(facts)?.leaf ?? null;
  return {
    name,
    serves: servesLeaf,
    notAfter: leafNotAfterMs === null ? null : instant(leafNotAfterMs),
    isInSecret: leaf === null ? null : leaf.certificate.fingerprint === servesLeaf,
    hesitates,
    saidAt: instant(saidAtMs),
    lives: living([replica], nowMs).length > 0,
    leads: leader?.leads === true && leader.replica === name,
    version,
  };
}

function certificateOf(certificate: Certificate, nowMs: number): CertificateStatus {
  return {
    name: nameOf(certificate),
    fingerprint: certificate.fingerprint,
    notBefore: instant(certificate.notBeforeMs),
    notAfter: instant(certificate.notAfterMs),
    expired: isExpiredAt(certificate, nowMs),
  };
}
