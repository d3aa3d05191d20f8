/** Lease durations that no client can use, and tolerances that leave leases unprotected. */
import { builtInDefaults } from '../core/settings.ts';
import type { Remark } from './finding.ts';
import type { Subject } from './subject.ts';

/**
 * Records hold whole seconds, at least one.
 * SOURCE: https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/coordination/validation/validation.go (ValidateLeaseSpec)
 */
const leaseStepMs = 1_000;

/**
 * LIMIT: client-go wants LeaseDuration > RenewDeadline > 1.2 * RetryPeriod. A lease of one second leaves no whole second for
 * either, and is no longer than the tolerance that candidates are given by default.
 * SOURCE: https://github.com/kubernetes/client-go/blob/master/tools/leaderelection/leaderelection.go (NewLeaderElector)
 */
const shortestUsefulMs = 2_000;

/** Remarks about durations. */
export function* durationRemarks({ policy: { layer } }: Subject): Generator<Remark> {
  const { min = null, max = null } = layer.leaseDurationMs ?? {};
  if (max !== null) yield* boundRemarks(min, max);
  const { toleranceMs } = layer;
  if (toleranceMs === undefined || toleranceMs === 0) return;
  const path = ['spec', 'tolerance'];
  if (max !== null && toleranceMs >= max) {
    yield {
      rule: 'NeverProtected',
      path,
      message: `no lease that the bounds allow is longer than the tolerance of ${seconds(toleranceMs)}, so none is protected`,
      suggestion: `set a tolerance well below ${seconds(max)}`,
    };
  } else if (min !== null && toleranceMs >= min) {
    yield {
      rule: 'LongTolerance',
      path,
      message: `leases of up to ${seconds(toleranceMs)} are not protected, and the bounds allow them from ${seconds(min)}`,
      suggestion: `set a tolerance well below ${seconds(min)}, or a longer \`leaseDuration.min\``,
    };
  }
}

function* boundRemarks(min: number | null, max: number): Generator<Remark> {
  const longest = Math.floor(max / leaseStepMs) * leaseStepMs;
  const path = ['spec', 'leaseDuration', 'max'];
  if (longest < Math.max(min ?? 0, leaseStepMs)) {
    const bounds =
      min === null ? `of at most ${seconds(max)}` : `between ${seconds(min)} and ${seconds(max)}`;
    yield {
      rule: 'NoLeasePossible',
      path,
      message: `leases last whole seconds, and there is none ${bounds}: nobody could take the lock`,
      suggestion: 'give bounds of whole seconds, such as `15s`',
    };
  } else if (longest < shortestUsefulMs) {
    yield {
      rule: 'ShortLease',
      path,
      message: `only leases of ${seconds(longest)} are allowed, in which client-go can hardly renew, and which the default tolerance of ${seconds(builtInDefaults.toleranceMs)} leaves unprotected`,
      suggestion: `allow at least ${seconds(shortestUsefulMs)}; client-go’s default is 15 s`,
    };
  }
}

function seconds(ms: number): string {
  return `${String(ms / 1_000)} s`;
}
