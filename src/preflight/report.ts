/** What a preflight has to say, as data: lock by lock, and what to start with. Pure. */
import { builtInDefaults } from '../core/settings.ts';
import { whyUnguarded } from '../policy/built-in.ts';
import { describePolicy } from '../policy/policy-ref.ts';
import type { PolicyStore } from '../policy/store.ts';
import { printable } from '../review/text.ts';
import { conclusionOf, type Conclusion } from './conclusion.ts';
import { asksForRequester } from './judging.ts';
import type { LockReport, ReportedOffence, ReportSource } from './lock-report.ts';
import type { Offence } from './offences.ts';
import { exceptions, strictPolicies } from './suggestion.ts';
import type { Preflight } from './preflight.ts';
import { remarksAbout } from './remarks.ts';
import type { Tally } from './tally.ts';

/** The whole report. */
export interface PreflightReport {
  readonly source: ReportSource;
  readonly conclusion: Conclusion;
  /** What was not seen, and what that leaves open. */
  readonly limits: readonly string[];
  /** The policies in the cluster, which were judged by; empty: the built-in defaults alone. */
  readonly policies: readonly string[];
  readonly locks: readonly LockReport[];
  /** Exceptions for clients that would be denied, as YAML that `lockwarden lint` accepts; empty: none is needed. */
  readonly suggestedPolicies: string;
  /** The profile Strict for locks that it was seen to fit, likewise; nobody needs it. */
  readonly strictPolicies: string;
}

/** What a report is made from besides what was seen. */
export interface ReportOptions {
  readonly source: ReportSource;
  readonly store: PolicyStore;
  readonly ownNamespace: string;
  /** What the source could not show. */
  readonly limits: readonly string[];
}

/** Makes the report of what has been seen so far. */
export function reportOf(preflight: Preflight, options: ReportOptions): PreflightReport {
  const { source, store, limits } = options;
  const locks = [...preflight.tallies].map((tally) => lockReport(tally, options)).sort(gravestFirst);
  return {
    source,
    conclusion: conclusionOf(locks, source),
    limits: [...limits, ...limitsOf(preflight, options)],
    policies: [...store.policies]
      .filter(({ inForce }) => inForce !== null)
      .map(({ ref }) => describePolicy(ref)),
    locks,
    suggestedPolicies: exceptions(locks),
    strictPolicies: strictPolicies(locks),
  };
}

/** LIMIT: identities are host names with a suffix; what is longer is not meant for reading. */
const textMax = 300;

function lockReport(tally: Tally, { store, ownNamespace }: ReportOptions): LockReport {
  const { lock, record } = tally;
  const effective = store.effectiveFor(lock);
  const { renewals, typicalMs, longestMs } = tally.cadence.summary();
  const unguardedWhy = effective === null ? whyUnguarded(lock, ownNamespace) : null;
  const holder = record?.holder ?? null;
  const seen = {
    kind: lock.kind,
    namespace: lock.namespace,
    name: lock.name,
    exists: tally.object !== null,
    holder: holder === null ? null : shown(holder),
    guarded: effective !== null,
    unguardedWhy,
    policies: effective?.policies.map(describePolicy) ?? [],
    client: tally.client(),
    agents: tally.agents.map(shown),
    leaseDurationMs: tally.heldRecord?.leaseDurationMs ?? null,
    writes: tally.writes,
    renewals,
    renewedEveryMs: typicalMs,
    longestGapMs: longestMs,
    holderChanges: tally.holderChanges,
    deletions: tally.deletions,
    unseen: tally.unseen,
    unjudged: tally.unjudged,
    clockOffsetMs: tally.offset.bounds(),
    calls: { ...tally.calls },
    denied: tally.denied,
    deniedByDefaults: tally.deniedByDefaults,
    deniedByStrict: tally.deniedByStrict,
    offences: tally.offences.list().map(reported),
  };
  const toleranceMs = (effective?.settings ?? builtInDefaults).toleranceMs;
  return { ...seen, remarks: effective === null ? [] : remarksAbout(seen, tally, toleranceMs) };
}

function reported(offence: Offence): ReportedOffence {
  const instant = (ms: number): string => new Date(ms).toISOString();
  return {
    ...offence,
    by: offence.by.map(shown),
    firstAt: instant(offence.firstAt),
    lastAt: instant(offence.lastAt),
  };
}

/** What the policies ask for that this source could not tell, and what was too much. */
function limitsOf(preflight: Preflight, { source, store }: ReportOptions): readonly string[] {
  const limits: string[] = [];
  const asks = [...preflight.tallies].some(({ lock }) => {
    const settings = store.effectiveFor(lock)?.settings;
    return settings !== undefined && asksForRequester(settings);
  });
  if (source.kind === 'watch' && asks)
    limits.push(
      'policies ask who writes (`candidates`, `conditions`, `deletion: Deny`), which a watch does not show, so those fields were not tried: an audit log shows it',
    );
  if (preflight.podsUnasked > 0)
    limits.push(
      `${String(preflight.podsUnasked)} times lockwarden would have asked whether the holder’s pod still ran, which nobody can tell any more: it was taken to have run`,
    );
  if (preflight.leftOut > 0)
    limits.push(`there are more locks than are looked at in one run: look at namespaces one by one, with -n`);
  return limits;
}

function gravestFirst(a: LockReport, b: LockReport): number {
  const rank = ({ guarded, denied }: LockReport): number => (denied > 0 ? 0 : guarded ? 1 : 2);
  if (rank(a) !== rank(b)) return rank(a) - rank(b);
  return keyOf(a) < keyOf(b) ? -1 : 1;
}

function keyOf({ namespace, name, kind }: LockReport): string {
  return `${namespace}/${name}/${kind}`;
}

function shown(text: string): string {
  return printable(text, textMax);
}
