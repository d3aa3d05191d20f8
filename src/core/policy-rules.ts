/**
 * The rules that only a policy asks for: who may take a lock, for how long at a time, and what must be true besides. By default
 * they find nothing. docs/semantics.md has them as P1 to P4.
 */
import type { Context } from './context.ts';
import type { Rule } from './finding.ts';
import { quote, seconds } from './message.ts';
import type { Condition } from './settings.ts';
import { viewOf } from './view.ts';

/** P1: the duration of a lease that is taken or lengthened. */
export const outOfBounds: Rule = ({ after, settings }) => {
  const { min, max } = settings.leaseDurationMs;
  const durationMs = after?.leaseDurationMs ?? null;
  if (durationMs === null) return null;
  const finding = (detail: string): ReturnType<Rule> => ({
    clause: 'P1',
    reason: 'LeaseDurationOutOfBounds',
    detail,
  });
  if (min !== null && durationMs < min) return finding(`${seconds(durationMs)} is less than ${seconds(min)}`);
  if (max !== null && durationMs > max) return finding(`${seconds(durationMs)} is more than ${seconds(max)}`);
  return null;
};

/** P2: the ServiceAccount of whoever takes the lock. */
export const forbiddenCandidate: Rule = ({ write, settings }) => {
  const { usernames } = settings.candidates;
  if (usernames === null || usernames.includes(write.requester.username)) return null;
  return { clause: 'P2', reason: 'CandidateNotAllowed', detail: `it is ${quote(write.requester.username)}` };
};

/** P3: the holder, beside the pod of whoever takes the lock. */
export const holderMismatch: Rule = (context) => {
  const { write, after, settings } = context;
  const { holder: rule, holderCondition } = settings.candidates;
  const holder = after?.holder ?? '';
  const pod = write.requester.pod?.name ?? null;
  if (rule !== 'Any' && (pod === null || !agrees(rule, holder, pod))) {
    const detail =
      pod === null ? 'the token is bound to no pod' : `the pod is ${quote(pod)}, the holder ${quote(holder)}`;
    return { clause: 'P3', reason: 'HolderMismatch', detail };
  }
  return holderCondition === null
    ? null
    : unmet(holderCondition, context, { clause: 'P3', reason: 'HolderMismatch' });
};

/** P4: the first condition that is not met. */
export const conditionsNotMet: Rule = (context) => {
  for (const condition of context.settings.conditions) {
    const finding = unmet(condition, context, { clause: 'P4', reason: 'ConditionNotMet' });
    if (finding !== null) return finding;
  }
  return null;
};

function unmet(
  condition: Condition,
  context: Context,
  as:
    | { readonly clause: 'P3'; readonly reason: 'HolderMismatch' }
    | { readonly clause: 'P4'; readonly reason: 'ConditionNotMet' },
): ReturnType<Rule> {
  const holds = condition.holds(viewOf(context));
  if (holds === true) return null;
  if (holds === false) return { ...as, detail: condition.message };
  return {
    clause: as.clause,
    reason: 'CouldNotJudge',
    detail: `the expression of ${quote(condition.name)} failed`,
  };
}

/** A prefix must end where the name does, or at a separator: `web-1` is no prefix of `web-10_uuid`. */
function agrees(rule: 'PodName' | 'PodNamePrefix', holder: string, pod: string): boolean {
  if (holder === pod) return true;
  return rule === 'PodNamePrefix' && holder.startsWith(pod) && !/^[a-z0-9]/.test(holder.slice(pod.length));
}
