/** What came of a step, as it can be seen on any cluster: from the answer that the writer gets. */
import { reasons, type Reason } from '../core/reasons.ts';
import type { Answer } from './cluster.ts';
import type { Expectation } from './format.ts';

/** What came of a step. `message` is lockwarden's sentence, or what else went wrong. */
export type Outcome =
  | { readonly kind: 'allow'; readonly asked: boolean | null }
  | { readonly kind: 'audit'; readonly reason: Reason }
  | { readonly kind: 'warn'; readonly reasons: readonly Reason[]; readonly message: string }
  | { readonly kind: 'deny'; readonly reason: Reason; readonly message: string }
  /** Nothing that can be expected: the action was impossible, or something else refused it. */
  | { readonly kind: 'failed'; readonly message: string };

/** The end of every sentence that lockwarden says about a write. */
const toldForm = /\[(?:lockwarden \w+ )?(\w+)(?:, [^\]]*)?\]$/;
/** What API servers, and clients, put before it. */
const prefix = /^.*denied the request: /s;

/** The outcome that an answer means. */
export function outcomeOf(answer: Answer): Outcome {
  const { status, message, warnings, audited, asked } = answer;
  if (status >= 300) {
    const reason = reasonIn(message);
    if (status === 403 && reason !== null)
      return { kind: 'deny', reason, message: message.replace(prefix, '') };
    return { kind: 'failed', message: `the API server refused it (${String(status)}): ${message}` };
  }
  const told = warnings.flatMap((warning) => {
    const reason = reasonIn(warning);
    return reason === null ? [] : [{ reason, warning }];
  });
  const [first] = told;
  if (first !== undefined) {
    return { kind: 'warn', reasons: told.map(({ reason }) => reason), message: first.warning };
  }
  return audited === null ? { kind: 'allow', asked } : { kind: 'audit', reason: audited };
}

/**
 * Whether an outcome is what was expected.
 *
 * @param seesAudit whether what is only recorded can be seen; where not, it counts as allowed
 */
export function meets(outcome: Outcome, expected: Expectation, seesAudit: boolean): boolean {
  if (expected === 'allow') return outcome.kind === 'allow';
  if (expected === 'audit') return outcome.kind === 'audit' || (!seesAudit && outcome.kind === 'allow');
  if ('deny' in expected) return outcome.kind === 'deny' && outcome.reason === expected.deny;
  if ('warn' in expected) return outcome.kind === 'warn' && outcome.reasons.includes(expected.warn);
  if (outcome.kind === 'audit') return outcome.reason === expected.audit;
  return !seesAudit && outcome.kind === 'allow';
}

/** An expectation in a few words: `deny PrematureTakeover`. */
export function describeExpectation(expected: Expectation): string {
  if (typeof expected === 'string') return expected;
  if ('deny' in expected) return `deny ${expected.deny}`;
  return 'warn' in expected ? `warn ${expected.warn}` : `audit ${expected.audit}`;
}

/** An outcome in a few words. */
export function describeOutcome(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'allow':
      return 'allow';
    case 'audit':
    case 'deny':
      return `${outcome.kind} ${outcome.reason}`;
    case 'warn':
      return `warn ${outcome.reasons.join(', ')}`;
    case 'failed':
      return 'failed';
  }
}

function reasonIn(text: string): Reason | null {
  const name = toldForm.exec(text.trim())?.[1] ?? '';
  return Object.hasOwn(reasons, name) ? (name as Reason) : null;
}
