/** Durations with which a lock cannot work, or is not protected, in sentences. */
import type { LockRecord } from '../core/lock.ts';
import { seconds } from '../core/message.ts';
import { stampResolutionMs } from '../core/time.ts';

/** A lock that is held without a promise. */
export function untimedRemark(held: LockRecord | null): string | null {
  if (held === null || (held.renewTime !== null && held.leaseDurationMs !== null)) return null;
  return `it is held without ${held.renewTime === null ? 'a renew time' : 'a duration'}: it promises nothing, takeovers of it pass with a warning`;
}

/** A lease that is too short to be protected. */
export function durationRemark(held: LockRecord | null, toleranceMs: number): string | null {
  const leaseDurationMs = held?.leaseDurationMs ?? null;
  if (held?.renewTime == null || leaseDurationMs === null) return null;
  if (leaseDurationMs <= toleranceMs)
    return `its lease of ${seconds(leaseDurationMs)} is no longer than the tolerance of ${seconds(toleranceMs)}, so it is not protected: make it longer`;
  if (leaseDurationMs <= toleranceMs + stampResolutionMs)
    return `of its lease of ${seconds(leaseDurationMs)} only ${seconds(leaseDurationMs - toleranceMs)} is protected, and nothing by a replica that has just started: make it longer`;
  return null;
}

/** A holder that renews later than its lease runs out. Milliseconds; null: not seen. */
export function cadenceRemark({
  longestGapMs,
  leaseDurationMs,
  renewedEveryMs,
}: {
  readonly longestGapMs: number | null;
  readonly leaseDurationMs: number | null;
  readonly renewedEveryMs: number | null;
}): string | null {
  if (longestGapMs === null || leaseDurationMs === null || longestGapMs < leaseDurationMs) return null;
  return (renewedEveryMs ?? 0) >= leaseDurationMs
    ? `its holder renews every ${seconds(renewedEveryMs ?? 0)}, later than its lease of ${seconds(leaseDurationMs)} runs out: anybody may take it in between`
    : `once its holder did not renew for ${seconds(longestGapMs)}, longer than its lease of ${seconds(leaseDurationMs)}: anybody might have taken it`;
}
