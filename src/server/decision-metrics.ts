/**
 * What a replica tells of its decisions. INVARIANT: every label takes its values from a closed list of this program, never
 * from a write, so that nobody who writes locks can make the number of series grow.
 */
import { Counter, Histogram, type Registry } from 'prom-client';
import type { Decision } from '../core/decision.ts';
import { isTimed } from '../core/expiry.ts';
import { lockKinds, type LockKind, type LockWrite } from '../core/lock.ts';
import { reasons, type Enforcement, type Reason } from '../core/reasons.ts';

/** What is counted of decisions. */
export interface DecisionMetrics {
  /** Counts one decision: `reason` is the first violation's, `None` where there is none. */
  readonly countDecision: (
    kind: LockKind | 'Other',
    outcome: 'Allow' | 'Warn' | 'Deny',
    reason: Reason | 'None',
  ) => void;
  /** Counts what one decision rested on, and how long it took, in milliseconds. */
  readonly judged: (write: LockWrite, decision: Decision, tookMs: number) => void;
}

/**
 * LIMIT: a decision takes some ten microseconds, and the one question that may be asked is given 300 ms; what takes longer is
 * this process being kept from running.
 */
const decisionBuckets = [
  0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
  0.35, 1,
];

/** Creates the metrics on `registry`. */
export function createDecisionMetrics(registry: Registry): DecisionMetrics {
  const decisions = decisionCounter(registry);
  const { evidence, takeovers, durationSeconds } = judgementMetrics(registry);
  return {
    countDecision: (kind, outcome, reason) => {
      decisions.inc({ kind, outcome, reason, enforcement: enforcementOf(outcome, reason) });
    },
    judged: (write, decision, tookMs) => {
      const { expiry, outcome, transition } = decision;
      const source = isTimed(expiry) ? expiry.source : 'none';
      durationSeconds.observe(tookMs / 1000);
      evidence.inc({ source, verdict: expiry.verdict });
      if (transition === 'takeover' && outcome === 'Allow' && !write.dryRun)
        takeovers.inc({ kind: write.lock.kind, source });
    },
  };
}

/** What the first violation causes. NB: violations come with the severest first, so the outcome says it. */
function enforcementOf(outcome: 'Allow' | 'Warn' | 'Deny', reason: Reason | 'None'): Enforcement | 'None' {
  if (outcome !== 'Allow') return outcome;
  return reason === 'None' ? 'None' : 'Audit';
}

type DecisionLabel = 'kind' | 'outcome' | 'reason' | 'enforcement';

function decisionCounter(registry: Registry): Counter<DecisionLabel> {
  const decisions = new Counter({
    name: 'lockwarden_admission_decisions_total',
    help: 'Decisions about lock writes, by kind of lock, outcome (Allow, Warn, Deny), reason (the rule) and its enforcement.',
    labelNames: ['kind', 'outcome', 'reason', 'enforcement'] as const,
    registers: [registry],
  });
  // A refusal that is the first of its series would be no increase to Prometheus, which has to see the 0 before.
  for (const kind of lockKinds)
    for (const reason of Object.keys(reasons))
      decisions.inc({ kind, outcome: 'Deny', reason, enforcement: 'Deny' }, 0);
  return decisions;
}

interface JudgementMetrics {
  readonly evidence: Counter<'source' | 'verdict'>;
  readonly takeovers: Counter<'kind' | 'source'>;
  readonly durationSeconds: Histogram;
}

function judgementMetrics(registry: Registry): JudgementMetrics {
  const registers = [registry];
  return {
    evidence: new Counter({
      name: 'lockwarden_admission_evidence_total',
      help: 'Decisions by what bounded the age of the promise (observed, stamped, recorded, none) and by the verdict on it.',
      labelNames: ['source', 'verdict'] as const,
      registers,
    }),
    takeovers: new Counter({
      name: 'lockwarden_takeovers_allowed_total',
      help: 'Takeovers that were let pass, dry runs left out, by kind of lock and by what showed how old the promise was.',
      labelNames: ['kind', 'source'] as const,
      registers,
    }),
    durationSeconds: new Histogram({
      name: 'lockwarden_decision_duration_seconds',
      help: 'Time that a decision took, with the question about a pod where one was asked.',
      buckets: decisionBuckets,
      registers,
    }),
  };
}
