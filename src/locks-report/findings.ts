/** What is wrong with a lock, or odd about it, each with a sentence that says why. */
import { flappingChanges } from '../core/flapping.ts';
import type { LockRecord, LockState } from '../core/lock.ts';
import { seconds } from '../core/message.ts';
import type { Settings } from '../core/settings.ts';
import { span } from '../core/span.ts';
import { renewStamp } from '../core/stamps.ts';
import { secondOf, type Interval } from '../core/time.ts';
import type { CadenceSummary } from '../preflight/cadence.ts';
import { describeOffset, offsetBy } from '../preflight/clock-offset.ts';
import { cadenceRemark, durationRemark, untimedRemark } from '../preflight/durations.ts';
import { printable } from '../review/text.ts';
import type { HolderPod } from './holder-pod.ts';

/** What can be found, in the order in which it is told. */
export const findingCodes = [
  'expired',
  'pod-gone',
  'flapping',
  'clock-off',
  'durations',
  'untimed',
  'unreadable',
  'unguarded',
] as const;

/** The name of a finding: stable across versions. */
export type FindingCode = (typeof findingCodes)[number];

/** One finding. The sentence is about the lock, in lower case and without a full stop. */
export interface LockFinding {
  readonly code: FindingCode;
  readonly message: string;
}

/** Whether the lease has run out. `doubt`: the evidence does not say. */
export type LeaseState = 'free' | 'untimed' | 'live' | 'expired' | 'doubt';

/** What findings are made from. */
export interface Judged {
  readonly state: LockState;
  readonly record: LockRecord | null;
  readonly lease: LeaseState;
  /** Bounds on the time since the last renewal, in milliseconds; null: no promise in time. */
  readonly ageMs: Interval | null;
  /** Bounds on the time since the object was created; null: unknown. */
  readonly existsMs: Interval | null;
  readonly pod: HolderPod | null;
  readonly cadence: CadenceSummary;
  /** By renewals that were watched; null: none were. */
  readonly clockOffsetMs: Interval | null;
  /** Changes of holder within the last `recentMs`, as they were watched. */
  readonly recentChanges: number;
  readonly recentMs: number;
  /** What holds for it; null: nothing. */
  readonly settings: Settings | null;
  /** Why it is not judged; null: it is. */
  readonly unguardedWhy: string | null;
}

/** LIMIT: client-go's candidates look every 2 s, put off by up to 120 %: 4.4 s. Until then an expired lock has not been left alone. */
const candidatesLookMs = 5_000;
/** LIMIT: upgrades come once in hours; a lock that on average changes hands every ten minutes does so for another reason. */
const changeEveryMs = 600_000;
/** LIMIT: of fewer changes an average says nothing. */
const countedChangesMin = 10;
/** LIMIT: as long as a name gets. */
const nameMax = 253;

const finders: Readonly<Record<FindingCode, (judged: Judged) => string | null>> = {
  expired,
  'pod-gone': podGone,
  flapping,
  'clock-off': clockOff,
  durations,
  untimed: ({ settings, record }) => (settings === null ? null : untimedRemark(held(record))),
  unreadable: ({ state }) =>
    state.reading.kind === 'unreadable'
      ? `its record cannot be read (${state.reading.why}), so there is no promise to protect`
      : null,
  unguarded: ({ unguardedWhy }) => (unguardedWhy === null ? null : `it is not judged: ${unguardedWhy}`),
};

/** All findings about a lock. */
export function findingsAbout(judged: Judged): readonly LockFinding[] {
  return findingCodes.flatMap((code) => {
    const message = finders[code](judged);
    return message === null ? [] : [{ code, message }];
  });
}

function held(record: LockRecord | null): LockRecord | null {
  return record?.holder == null ? null : record;
}

function expired({ lease, record, ageMs }: Judged): string | null {
  const leaseMs = record?.leaseDurationMs ?? null;
  if (lease !== 'expired' || leaseMs === null || ageMs === null) return null;
  const overMs = ageMs.min - leaseMs;
  if (overMs < candidatesLookMs) return null;
  return `its lease of ${seconds(leaseMs)} ran out ${span(overMs)} ago, and nobody has taken it`;
}

/** By its name alone a pod is told with certainty only where nobody renews. */
function podGone({ pod, lease }: Judged): string | null {
  if (pod?.state !== 'gone' || lease === 'free') return null;
  const name = printable(`${pod.namespace}/${pod.name}`, 2 * nameMax);
  if (pod.told === 'judged') return `the pod ${name} took it, and does not run any more`;
  if (lease === 'live') return null;
  return `by its identity its holder is the pod ${name}, and no such pod runs`;
}

function flapping({ recentChanges, recentMs, record, existsMs }: Judged): string | null {
  if (recentChanges >= flappingChanges)
    return `it was seen to change hands ${String(recentChanges)} times in the last ${span(recentMs)}`;
  const count = record?.transitions ?? 0;
  if (existsMs === null || count < countedChangesMin || existsMs.max / count > changeEveryMs) return null;
  const every = span(existsMs.max / count);
  return `it has changed hands ${String(count)} times in ${span(existsMs.max)}, as its clients count: every ${every} on average`;
}

function clockOff({ clockOffsetMs, state, record }: Judged): string | null {
  if (clockOffsetMs !== null) return describeOffset(clockOffsetMs);
  const once = offsetOf(state, held(record));
  const clause = once === null ? null : describeOffset(once);
  if (clause === null || once === null || once.min > 0) return clause;
  // The stamp is that of its manager's last write, which need not have been the renewal.
  return `${clause}, unless its holder has written something else since (--watch tells)`;
}

/** What the last renewal says of its holder’s clock, if nothing else was written since by the same manager; null: nothing. */
export function offsetOf(state: LockState, record: LockRecord | null): Interval | null {
  const stamp = renewStamp(state.stamps);
  if (stamp === null || record?.renewTime == null) return null;
  return offsetBy(record.renewTime, secondOf(stamp));
}

function durations({ record, settings, cadence }: Judged): string | null {
  const leaseDurationMs = held(record)?.leaseDurationMs ?? null;
  if (settings === null || leaseDurationMs === null) return null;
  const { renewals, typicalMs, longestMs } = cadence;
  const renewed = { longestGapMs: longestMs, renewedEveryMs: typicalMs, leaseDurationMs };
  return (
    outOfBounds(leaseDurationMs, settings) ??
    durationRemark(record, settings.toleranceMs) ??
    (renewals === 0 ? null : cadenceRemark(renewed))
  );
}

function outOfBounds(leaseMs: number, { leaseDurationMs: { min, max }, policy }: Settings): string | null {
  const lease = `its lease of ${seconds(leaseMs)}`;
  if (min !== null && leaseMs < min)
    return `${lease} is shorter than the ${seconds(min)} that ${policy} asks for`;
  if (max !== null && leaseMs > max)
    return `${lease} is longer than the ${seconds(max)} that ${policy} allows`;
  return null;
}
