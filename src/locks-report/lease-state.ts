/** How a lock stands by the evidence: without tolerance, since this is how things are, and not whether somebody may take it. Pure. */
import type { Observation } from '../core/facts.ts';
import type { LockState } from '../core/lock.ts';
import { recordOf, renewStamp } from '../core/stamps.ts';
import type { Interval } from '../core/time.ts';

/** Whether a lease has run out. `doubt`: the evidence does not say. */
export function leaseStateOf(ageMs: Interval, leaseMs: number): 'live' | 'expired' | 'doubt' {
  if (ageMs.max < leaseMs) return 'live';
  return ageMs.min >= leaseMs ? 'expired' : 'doubt';
}

/** By what the age of its renewal is known: the write itself, the API server's stamp, or nothing. */
export function evidenceOf(state: LockState, observation: Observation | null): 'watched' | 'stamp' | null {
  if (recordOf(state)?.renewTime == null) return null;
  if (observation !== null && observation.ageMs.max !== Infinity) return 'watched';
  if (observation !== null && observation.stampedAt !== null) return 'watched';
  return renewStamp(state.stamps) === null ? null : 'stamp';
}

/** An age as JSON can say it. */
export function boundedAge({ min, max }: Interval): { readonly min: number; readonly max: number | null } {
  return { min: Math.round(min), max: max === Infinity ? null : Math.round(max) };
}
