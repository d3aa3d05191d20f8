/** A plan as the leader tells it to the others: anew only where it says something new. */
import type { Plan } from '../certs/plan.ts';
import type { ToldPlan } from './presence.ts';

/** LIMIT: a heartbeat. A due time that follows from an estimate of the API server's time moves by milliseconds each second. */
const sameMs = 10_000;

/**
 * What to tell of `plan` after `before` was told. What is due now stays due since it was first told, so that whoever
 * looks sees for how long it has not been done.
 */
export function toldPlan(before: ToldPlan | null, { phase, next }: Plan, nowMs: number): ToldPlan {
  const told = { phase, next };
  if (before?.phase !== phase || before.next.what !== next.what || before.next.why !== next.why) return told;
  const [wasMs, isMs] = [before.next.atMs, next.atMs];
  if (wasMs === null || isMs === null) return wasMs === isMs ? before : told;
  const bothDue = wasMs <= nowMs && isMs <= nowMs;
  return bothDue || Math.abs(wasMs - isMs) < sameMs ? before : told;
}
