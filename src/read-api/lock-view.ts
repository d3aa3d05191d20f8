/** A lock as the read API tells of it: what this replica's watch has shown, and what holds for it. Pure. */
import { expiryOf, isTimed } from '../core/expiry.ts';
import type { Observation } from '../core/facts.ts';
import type { LockRef, LockState } from '../core/lock.ts';
import { builtInDefaults } from '../core/settings.ts';
import { recordOf } from '../core/stamps.ts';
import type { Interval } from '../core/time.ts';
import { boundedAge, evidenceOf, leaseStateOf } from '../locks-report/lease-state.ts';
import type { LockRow } from '../locks-report/report.ts';
import type { Effective } from '../policy/effective.ts';
import { describePolicy } from '../policy/policy-ref.ts';
import { printable } from '../review/text.ts';

/** The fields that `lockwarden locks -o json` has, of what a replica knows without asking anybody. */
export type LockView = Pick<
  LockRow,
  | 'kind'
  | 'namespace'
  | 'name'
  | 'holder'
  | 'lease'
  | 'renewedAgoMs'
  | 'evidence'
  | 'leaseDurationMs'
  | 'transitions'
  | 'guarded'
  | 'policies'
  | 'enforcement'
>;

/** What a view is made from. */
export interface ViewedLock {
  readonly lock: LockRef;
  readonly state: LockState;
  readonly observation: Observation;
  /** Null: nothing holds for it, so it is not judged. */
  readonly effective: Effective | null;
}

/** LIMIT: identities are host names with a suffix; what is longer is not meant for reading. */
const textMax = 300;

/** The view, where `now` bounds the API server's time. */
export function lockViewOf(
  { lock, state, observation, effective }: ViewedLock,
  now: Interval | null,
): LockView {
  const record = recordOf(state);
  const settings = effective?.settings ?? null;
  const expiry = expiryOf(state, observation, now, (settings ?? builtInDefaults).toleranceMs);
  const holder = record?.holder ?? null;
  return {
    kind: lock.kind,
    namespace: lock.namespace,
    name: lock.name,
    holder: holder === null ? null : printable(holder, textMax),
    lease: isTimed(expiry) ? leaseStateOf(expiry.ageMs, expiry.leaseDurationMs) : expiry.verdict,
    renewedAgoMs: isTimed(expiry) ? boundedAge(expiry.ageMs) : null,
    evidence: evidenceOf(state, observation),
    leaseDurationMs: record?.leaseDurationMs ?? null,
    transitions: record?.transitions ?? null,
    guarded: effective !== null,
    policies: effective?.policies.map(describePolicy) ?? [],
    enforcement: settings?.enforcement.PrematureTakeover ?? null,
  };
}

/** By namespace, name and kind: no part of it holds a slash. */
export function placeOf({ namespace, name, kind }: LockRef): string {
  return `${namespace}/${name}/${kind}`;
}

/** The first `count` locks after a place, in order. One pass, and no sorting of what a cluster of 5,000 nodes has. */
export function locksAfter(locks: Iterable<LockRef>, place: string, count: number): readonly LockRef[] {
  const chosen: { readonly key: string; readonly lock: LockRef }[] = [];
  for (const lock of locks) {
    const key = placeOf(lock);
    const last = chosen.length < count ? undefined : chosen.at(-1);
    if (key <= place || (last !== undefined && key >= last.key)) continue;
    chosen.splice(indexOf(chosen, key), 0, { key, lock });
    if (chosen.length > count) chosen.pop();
  }
  return chosen.map(({ lock }) => lock);
}

function indexOf(sorted: readonly { readonly key: string }[], key: string): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle]?.key ?? '') < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
