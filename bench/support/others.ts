/** What the writes of others took, beside whatever went on. Milliseconds. */
import { median, quantile } from './figures.ts';

export interface Others {
  readonly takeoverP50Ms: number;
  readonly takeoverP99Ms: number;
  readonly renewalP50Ms: number;
  readonly renewalP99Ms: number;
}

/** Of all writes of several phases together. */
export function othersOf(
  phases: readonly { readonly takeovers: readonly number[]; readonly renewals: readonly number[] }[],
): Others {
  const takeovers = phases.flatMap((phase) => phase.takeovers);
  const renewals = phases.flatMap((phase) => phase.renewals);
  return {
    ...{ takeoverP50Ms: median(takeovers), takeoverP99Ms: quantile(takeovers, 0.99) },
    ...{ renewalP50Ms: median(renewals), renewalP99Ms: quantile(renewals, 0.99) },
  };
}

/** For people, with how many times the quiet each p99 is. */
export function describeOthers(others: Others, quiet: Others): string {
  const of = (what: 'takeover' | 'renewal'): string => {
    const [p50, p99] = [others[`${what}P50Ms`], others[`${what}P99Ms`]];
    const ratio = p99 / quiet[`${what}P99Ms`];
    return `${what}s p50 ${p50.toFixed(2)}, p99 ${p99.toFixed(2)} ms (${ratio.toFixed(2)})`;
  };
  return `${of('takeover')}; ${of('renewal')}`;
}
