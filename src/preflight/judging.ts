/** What lockwarden would have said of a write that was seen: the decision of the webhook, and what hung on what cannot be known now. */
import { decide } from '../core/decide.ts';
import type { Decision, Effect, Violation } from '../core/decision.ts';
import type { Expiry } from '../core/expiry.ts';
import type { Facts, PodState } from '../core/facts.ts';
import type { LockWrite } from '../core/lock.ts';
import { strict, type Enforcement, type Reason } from '../core/reasons.ts';
import type { Settings } from '../core/settings.ts';

/** The judgement of one write under one set of settings. */
export interface Verdict {
  readonly outcome: Enforcement | 'Allow';
  readonly violations: readonly Violation[];
  readonly policy: string;
  readonly expiry: Expiry;
  /** It would only have been denied if this pod still ran, which lockwarden would have asked; null: whatever ran. */
  readonly onlyIfPodRan: string | null;
}

/** Judges a write. Whoever must be asked about, and cannot be any more, is taken to have run. */
export function verdictOf(write: LockWrite, facts: Facts, settings: Settings): Verdict {
  const decision = decide(write, facts, settings);
  if (decision.question === null) return verdict(decision, null);
  const running = decide(write, withPod(facts, 'exists'), settings);
  return verdict(running, running.outcome === 'Deny' ? decision.question.name : null);
}

function withPod(facts: Facts, holderPodState: PodState): Facts {
  return { ...facts, bindings: { ...facts.bindings, holderPodState } };
}

function verdict({ violations, policy, expiry }: Decision, onlyIfPodRan: string | null): Verdict {
  return { outcome: violations[0]?.enforcement ?? 'Allow', violations, policy, expiry, onlyIfPodRan };
}

/** Records whatever is found, and refuses nothing. */
export const recordsOnly = Object.fromEntries(
  (Object.keys(strict) as Reason[]).map((reason) => [reason, 'Audit']),
) as Settings['enforcement'];

/** What a replica remembers of a write that took place, be it one that it would have denied. `asked`: as in `verdictOf`. */
export function effectOf(
  write: LockWrite,
  facts: Facts,
  settings: Settings,
): { readonly effect: Effect | null; readonly asked: boolean } {
  const recording = { ...settings, enforcement: recordsOnly };
  const { effect, question } = decide(write, facts, recording);
  if (question === null) return { effect, asked: false };
  return { effect: decide(write, withPod(facts, 'exists'), recording).effect, asked: true };
}

/** Whether the profile `Strict` would deny what `verdict` lets pass. */
export function isOnlyStrictlyDenied(write: LockWrite, facts: Facts, settings: Settings): boolean {
  return decide(write, facts, { ...settings, enforcement: strict }).outcome === 'Deny';
}

/**
 * The settings as far as they can be tried without knowing who wrote: nothing that asks for the requester, who would be taken for
 * nobody, and so for the wrong one.
 */
export function withoutRequester(settings: Settings): Settings {
  return {
    ...settings,
    deletion: 'Tombstone',
    candidates: { usernames: null, holder: 'Any', holderCondition: null },
    conditions: [],
  };
}

/** Whether settings ask for more than a watch can show. */
export function asksForRequester({ candidates, conditions, deletion }: Settings): boolean {
  const { usernames, holder, holderCondition } = candidates;
  const asksWho = usernames !== null || holder !== 'Any' || holderCondition !== null;
  return asksWho || conditions.length > 0 || deletion === 'Deny';
}
