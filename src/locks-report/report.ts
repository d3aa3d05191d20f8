/** Every lock of a cluster as a row: who holds it, since when, what holds for it, and what is wrong with it. Pure. */
import { expiryOf, isTimed } from '../core/expiry.ts';
import { flappingWindowMs } from '../core/flapping.ts';
import type { LockKind } from '../core/lock.ts';
import type { Enforcement } from '../core/reasons.ts';
import { builtInDefaults } from '../core/settings.ts';
import { recordOf } from '../core/stamps.ts';
import type { Interval, MonotonicMs } from '../core/time.ts';
import { textAt } from '../locks/json.ts';
import { whyUnguarded } from '../policy/built-in.ts';
import { describePolicy } from '../policy/policy-ref.ts';
import type { PolicyStore } from '../policy/store.ts';
import { printable } from '../review/text.ts';
import { findingsAbout, offsetOf, type LeaseState, type LockFinding } from './findings.ts';
import { holderPodOf, type HolderPod } from './holder-pod.ts';
import { boundedAge, evidenceOf, leaseStateOf } from './lease-state.ts';
import type { LockBook, SeenLock } from './lock-book.ts';
import type { PodBook } from './pods.ts';

/** One lock. Durations in milliseconds; null where it is not known, or there is none. */
export interface LockRow {
  readonly kind: LockKind;
  readonly namespace: string;
  readonly name: string;
  readonly holder: string | null;
  readonly pod: HolderPod | null;
  readonly lease: LeaseState;
  /** Bounds on the time since the last renewal, by the API server's clock; `max` is null where nothing bounds it. */
  readonly renewedAgoMs: { readonly min: number; readonly max: number | null } | null;
  /** By what that is known: the write itself, the API server's stamp, or nothing. */
  readonly evidence: 'watched' | 'stamp' | null;
  readonly leaseDurationMs: number | null;
  readonly renewedEveryMs: number | null;
  /** As its clients count. */
  readonly transitions: number | null;
  /** Bounds on the holder's clock minus the API server's; from one look, by the stamp of its manager's last write. */
  readonly clockOffsetMs: Interval | null;
  readonly client: string | null;
  readonly guarded: boolean;
  /** The policies that cover it, the most specific last; none: the built-in defaults, or nothing, where `enforcement` is null. */
  readonly policies: readonly string[];
  /** What a premature takeover meets; `lockwarden explain` says what everything else does. */
  readonly enforcement: Enforcement | null;
  readonly findings: readonly LockFinding[];
}

/** What rows are made from. */
export interface RowSources {
  readonly book: LockBook;
  readonly store: PolicyStore;
  /** Null: pods could not be listed. */
  readonly pods: PodBook | null;
  readonly ownNamespace: string;
  /** Whether lockwarden is registered with the API server; null: it is not known. */
  readonly registered: boolean | null;
}

/** LIMIT: identities are host names with a suffix; what is longer is not meant for reading. */
const textMax = 300;

/** The rows of all locks that exist, by namespace, name and kind. */
export function rowsAt(at: MonotonicMs, sources: RowSources): readonly LockRow[] {
  const now = sources.book.serverTimeAt(at);
  return [...sources.book.locksAt(at)].map((seen) => rowOf(seen, now, sources)).sort(byName);
}

function rowOf(seen: SeenLock, now: Interval | null, sources: RowSources): LockRow {
  const { lock, tally, observation, judgedPod, recentChanges } = seen;
  const { store, pods, ownNamespace, registered } = sources;
  const state = tally.state;
  if (state === null) throw new Error('a lock that is gone has no row');
  const record = recordOf(state);
  const holder = record?.holder ?? null;
  const effective = store.effectiveFor(lock);
  const settings = effective?.settings ?? null;
  const { toleranceMs } = settings ?? builtInDefaults;
  const expiry = expiryOf(state, observation, now, toleranceMs);
  const ageMs = isTimed(expiry) ? expiry.ageMs : null;
  const lease = isTimed(expiry) ? leaseStateOf(expiry.ageMs, expiry.leaseDurationMs) : expiry.verdict;
  const pod = holder === null ? null : holderPodOf({ ...lock, holder, judged: judgedPod, pods });
  const cadence = tally.cadence.summary();
  const watchedOffsetMs = tally.offset.bounds();
  const unguardedWhy =
    registered === false
      ? 'lockwarden is not registered in this cluster'
      : effective === null
        ? whyUnguarded(lock, ownNamespace)
        : null;
  const findings = findingsAbout({
    state,
    record,
    lease,
    ageMs,
    existsMs: existsMs(textAt(tally.object, 'metadata', 'creationTimestamp'), now),
    pod,
    cadence,
    clockOffsetMs: watchedOffsetMs,
    recentChanges,
    recentMs: flappingWindowMs,
    settings,
    unguardedWhy,
  });
  return {
    ...lock,
    holder: holder === null ? null : printable(holder, textMax),
    pod,
    lease,
    renewedAgoMs: ageMs === null ? null : boundedAge(ageMs),
    evidence: evidenceOf(state, observation),
    leaseDurationMs: record?.leaseDurationMs ?? null,
    renewedEveryMs: cadence.typicalMs,
    transitions: record?.transitions ?? null,
    clockOffsetMs: watchedOffsetMs ?? (holder === null ? null : offsetOf(state, record)),
    client: tally.client()?.name ?? null,
    guarded: unguardedWhy === null,
    policies: effective?.policies.map(describePolicy) ?? [],
    enforcement: settings?.enforcement.PrematureTakeover ?? null,
    findings,
  };
}

/** The API server writes `creationTimestamp`, in whole seconds. */
function existsMs(created: string, now: Interval | null): Interval | null {
  const at = Date.parse(created);
  if (now === null || Number.isNaN(at)) return null;
  return { min: Math.max(0, now.min - at - 1_000), max: Math.max(0, now.max - at) };
}

function byName(a: LockRow, b: LockRow): number {
  const [first, second] = [keyOf(a), keyOf(b)];
  return first < second ? -1 : first === second ? 0 : 1;
}

/** Identifies a row. */
export function keyOf({ namespace, name, kind }: Pick<LockRow, 'namespace' | 'name' | 'kind'>): string {
  return `${namespace}/${name}/${kind}`;
}
