/**
 * Policies for a start: exceptions for the locks whose clients would have been denied, and the strict profile for those that write as
 * client-go does. They are proposals: each says what it was made from, and `lockwarden lint` accepts them.
 */
import { stringify } from 'yaml';
import { severity, type Reason } from '../core/reasons.ts';
import { apiVersion } from '../policy/api.ts';
import type { LockReport, ReportedOffence } from './lock-report.ts';

interface Proposal {
  /** What the name begins with. */
  readonly name: string;
  readonly local: boolean;
  readonly namespace: string;
  readonly kind: string;
  readonly why: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly locks: readonly LockReport[];
}

/** LIMIT: as many names as a policy takes. */
const namesMax = 64;
/** LIMIT: a client that is early by more than this is early, not unlucky; the policy API itself takes 10 s. */
const toleranceMaxMs = 3_000;
/** LIMIT: a quarter of a lease still protects three quarters of it. */
const toleranceShareMax = 0.25;
const toleranceStepMs = 500;

/** Exceptions for the locks whose clients would be denied, as YAML; empty where none is needed. */
export function exceptions(locks: readonly LockReport[]): string {
  return documents(locks.filter(({ guarded, denied }) => guarded && denied > 0).map(exceptionFor));
}

/** The profile Strict for the locks that it was seen to fit, as YAML; empty where there are none. */
export function strictPolicies(locks: readonly LockReport[]): string {
  return documents(locks.filter(({ guarded }) => guarded).flatMap(strictFor));
}

function documents(proposals: readonly Proposal[]): string {
  const used = new Set<string>();
  return merged(proposals)
    .map((proposal) => documentOf(proposal, nameFor(proposal, used)))
    .join('---\n');
}

function exceptionFor(lock: LockReport): Proposal {
  const denials = lock.offences.filter(({ enforcement }) => enforcement === 'Deny');
  const toleranceMs = toleranceFor(lock, denials);
  const reasons = [...new Set(denials.map(({ reason }) => reason))].sort();
  const common = { ...placeOf(lock), name: 'preflight', locks: [lock] };
  if (toleranceMs !== null) {
    const tolerance = `${String(toleranceMs / 1_000)}s`;
    const why = `They take over early by less than ${tolerance}: more tolerance, and all else as it is.`;
    return { ...common, why, settings: { tolerance } };
  }
  const why = `They would have been denied (${reasons.join(', ')}): recorded only, until their clients are mended.`;
  return { ...common, why, settings: { rules: reasons.map(audited) } };
}

function audited(reason: Reason): { readonly reason: Reason; readonly enforcement: 'Audit' } {
  return { reason, enforcement: 'Audit' };
}

/** The tolerance that would have let all denials pass, where that is all they need; null: it would be too much. */
function toleranceFor({ leaseDurationMs }: LockReport, denials: readonly ReportedOffence[]): number | null {
  let earlyMs = 0;
  for (const denial of denials) {
    if (denial.reason !== 'PrematureTakeover' || denial.earlyMs === null) return null;
    earlyMs = Math.max(earlyMs, denial.earlyMs);
  }
  const neededMs = Math.ceil(earlyMs / toleranceStepMs) * toleranceStepMs;
  const mostMs = Math.min(toleranceMaxMs, (leaseDurationMs ?? 0) * toleranceShareMax);
  return denials.length > 0 && neededMs <= mostMs ? neededMs : null;
}

/** For whom the strict profile was put to the test: a client that writes as client-go does, and has changed hands. */
function strictFor(lock: LockReport): readonly Proposal[] {
  const { kind, client, deniedByStrict, holderChanges, offences, policies } = lock;
  const suits = client?.name === 'client-go' || client?.name === 'controller-runtime';
  const isClean =
    lock.denied === 0 &&
    deniedByStrict === 0 &&
    offences.every(({ enforcement }) => severity[enforcement] === 0);
  if (kind !== 'Lease' || !suits || !isClean || holderChanges === 0 || policies.length > 0) return [];
  const why = 'They changed hands in client-go’s form throughout: the strict profile fits, if it is wanted.';
  const settings = { profile: 'Strict' };
  return [{ ...placeOf(lock), name: 'preflight-strict', why, settings, locks: [lock] }];
}

/** A policy of the cluster, but where a policy of the namespace has the last word. */
function placeOf({ namespace, kind, policies }: LockReport): Pick<Proposal, 'local' | 'namespace' | 'kind'> {
  return { local: policies.some((each) => each.startsWith('lockpolicy/')), namespace, kind };
}

/** Proposals that say the same of locks of one namespace are one. */
function merged(proposals: readonly Proposal[]): readonly Proposal[] {
  const groups = new Map<string, Proposal>();
  for (const proposal of proposals) {
    const { locks, ...same } = proposal;
    for (let part = 0; ; part += 1) {
      const key = JSON.stringify([same, part]);
      const known = groups.get(key);
      if (known !== undefined && known.locks.length >= namesMax) continue;
      groups.set(key, { ...proposal, locks: [...(known?.locks ?? []), ...locks] });
      break;
    }
  }
  return [...groups.values()];
}

function nameFor({ name, namespace }: Proposal, used: Set<string>): string {
  const base = `${name}-${namespace}`;
  for (let count = 1; ; count += 1) {
    const chosen = count === 1 ? base : `${base}-${String(count)}`;
    if (used.has(chosen)) continue;
    used.add(chosen);
    return chosen;
  }
}

function documentOf({ local, namespace, kind, why, settings, locks }: Proposal, name: string): string {
  const names = locks.map((lock) => lock.name).sort();
  const match = { kinds: [kind], ...(local ? {} : { namespaces: [namespace] }), names };
  const policy = {
    apiVersion,
    kind: local ? 'LockPolicy' : 'ClusterLockPolicy',
    metadata: { name, ...(local ? { namespace } : {}) },
    spec: { match, ...settings },
  };
  return `# ${why}\n${stringify(policy, { lineWidth: 0 })}`;
}
