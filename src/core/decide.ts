/**
 * The decision core: one write, what is known around it, and how strictly to judge; out comes the whole answer.
 *
 * Pure and total: no clock, no I/O, no state. What must be remembered leaves as an effect, what must be asked leaves as
 * a question, and the same input always gives the same decision, so that any decision can be replayed.
 * The specification is docs/semantics.md; test/semantics has a test for each of its clauses.
 */
import { contextOf, lengthens, returnsTo, type Context } from './context.ts';
import type { Attribution, Decision, Effect, Violation } from './decision.ts';
import type { Facts, PodRef } from './facts.ts';
import type { Finding } from './finding.ts';
import { collects, isExempt, podOf } from './identity.ts';
import type { LockWrite } from './lock.ts';
import { messageFor } from './message.ts';
import { milder, severity } from './reasons.ts';
import { findings } from './rules.ts';
import type { Settings } from './settings.ts';

/** Judges a write to a lock. */
export function decide(write: LockWrite, facts: Facts, settings: Settings): Decision {
  const context = contextOf(write, facts, settings);
  const violations = findings(context)
    .map((finding) => violationOf(finding, context))
    .sort((a, b) => severity[b.enforcement] - severity[a.enforcement]);
  const outcome = violations.some((violation) => violation.enforcement === 'Deny') ? 'Deny' : 'Allow';
  return {
    outcome,
    policy: settings.policy,
    transition: context.transition,
    violations,
    expiry:
      context.buried.verdict === 'free' || context.before?.holder != null ? context.expiry : context.buried,
    effect: outcome === 'Deny' || write.dryRun ? null : effectOf(context),
    question: outcome === 'Deny' ? null : questionOf(context),
  };
}

function violationOf(finding: Finding, context: Context): Violation {
  const { write, settings } = context;
  const asked = milder(settings.enforcement[finding.reason], finding.atMost ?? 'Deny');
  const exempt = isExempt(write.requester, settings.exempt);
  const clause = exempt && finding.clause === 'U15' ? 'U14' : finding.clause;
  return {
    clause,
    reason: finding.reason,
    enforcement: exempt ? milder(asked, 'Warn') : asked,
    message: messageFor({ ...finding, clause }, context),
  };
}

function effectOf(context: Context): Effect | null {
  const { write, after, before, transition } = context;
  if (transition === 'delete') {
    if (write.before === null || before?.holder == null || write.before.terminating) return null;
    return { kind: 'deleted', state: write.before, attribution: attributionOf(context) };
  }
  if (after?.holder == null || !asserts(context)) return null;
  const renewTime = after.renewTime?.raw ?? null;
  return { kind: 'asserted', holder: after.holder, renewTime, pod: podOf(write.requester) };
}

/** A write asserts its holder when it takes the lock or renews the promise; shortening a lease is how some clients leave. */
function asserts({ transition, before, after }: Context): boolean {
  if (transition === 'create-held' || transition === 'acquire' || transition === 'takeover') return true;
  return transition === 'renew' && before?.renewTime?.raw !== after?.renewTime?.raw;
}

function attributionOf({ write, tie, settings }: Context): Attribution {
  if (collects(write.requester) || isExempt(write.requester, settings.exempt)) return 'system';
  if (tie === 'own') return 'holder';
  return tie === 'foreign' ? 'other' : 'unknown';
}

/** The one thing worth a question to the API server: whether the pod bound to the holder still runs. */
function questionOf(context: Context): PodRef | null {
  const { facts } = context;
  const { bindings } = facts;
  const { verdict } = context.expiry;
  if (isExempt(context.write.requester, context.settings.exempt)) return null;
  switch (context.transition) {
    case 'release':
    case 'shorten':
      return verdict === 'live' && context.tie === 'ask' ? bindings.holderPod : null;
    case 'renew':
      return verdict === 'live' &&
        context.tie === 'ask' &&
        (bindings.requesterSuperseded || lengthens(context))
        ? bindings.holderPod
        : null;
    case 'create-held':
    case 'acquire':
      return context.buried.verdict === 'live' && context.buriedTie === 'ask' && returnsTo(context)
        ? (facts.tombstone?.holderPod ?? null)
        : null;
    case 'delete':
      return (verdict === 'live' || verdict === 'doubt') && context.tie === 'ask' && isAttributed(context)
        ? bindings.holderPod
        : null;
    default:
      return null;
  }
}

/** Whether anything hangs on who deletes: a refusal, or what the tombstone says. */
function isAttributed({ write, settings }: Context): boolean {
  if (collects(write.requester) || write.before?.terminating === true) return false;
  return settings.deletion === 'Deny' || !write.dryRun;
}
