/** What is odd about a lock and its client, in sentences: what cannot work, what is not protected, whose clock is off. */
import { describeOffset } from './clock-offset.ts';
import { cadenceRemark, durationRemark, untimedRemark } from './durations.ts';
import type { LockReport } from './lock-report.ts';
import type { Tally } from './tally.ts';

/** Remarks about a lock that is guarded. */
export function remarksAbout(
  lock: Omit<LockReport, 'remarks'>,
  tally: Tally,
  toleranceMs: number,
): readonly string[] {
  return [
    readingRemark(tally),
    untimedRemark(tally.heldRecord),
    durationRemark(tally.heldRecord, toleranceMs),
    cadenceRemark(lock),
    clockRemark(lock),
    callsRemark(lock),
    rulesRemark(lock),
  ].filter((remark) => remark !== null);
}

function readingRemark({ state }: Tally): string | null {
  if (state?.reading.kind !== 'unreadable') return null;
  return `its record cannot be read (${state.reading.why}), so there is no promise to protect`;
}

function clockRemark({ clockOffsetMs, client }: Omit<LockReport, 'remarks'>): string | null {
  if (clockOffsetMs === null) return null;
  const clock = describeOffset(clockOffsetMs);
  if (clock === null) return null;
  if (client?.judgesBy !== 'the recorded time') return `${clock}: lockwarden does not go by it`;
  return clockOffsetMs.min > 0
    ? `${clock}, and its candidates compare the recorded time with theirs: they wait longer than they need to`
    : `${clock}, and its candidates compare the recorded time with theirs: they will take a live lock, and be denied; set the clock`;
}

function callsRemark({ calls }: Omit<LockReport, 'remarks'>): string | null {
  if (calls.asked === 0) return null;
  return `${String(calls.asked)} of the first ${String(calls.renewals)} renewals would be sent to lockwarden, as no plain ones`;
}

function rulesRemark({ client }: Omit<LockReport, 'remarks'>): string | null {
  if (client?.judgesBy !== 'other rules') return null;
  return `${client.name} takes live locks by rules of its own: it would be denied unless a policy exempts it, as policies/deliberate-stealers does`;
}
