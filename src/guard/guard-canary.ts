/** The canary of a guard, with what it is told to: metrics, a detail of readiness, and the registration that may need mending. */
import type { KubeClient } from '../kube/client.ts';
import type { Logger, MonotonicClock } from '../kube/ports.ts';
import type { CanaryMetrics } from '../server/metrics.ts';
import type { Readiness } from '../server/readiness.ts';
import { Canary, type CanaryProof } from './canary.ts';
import { remedies } from './canary-outcome.ts';

/** What the canary of a guard needs. */
export interface GuardCanaryOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly clock: MonotonicClock;
  readonly logger: Logger;
  readonly metrics: CanaryMetrics;
  readonly readiness: Readiness;
  readonly mend: () => void;
  readonly onProof?: (proof: CanaryProof) => void;
}

/** The canary; `start()` it once the webhook is registered. */
export function guardCanary({ metrics, readiness, ...options }: GuardCanaryOptions): Canary {
  readiness.tell('canary', false, 'not proven yet');
  metrics.proven.set(0);
  const canary = new Canary({
    ...options,
    onAttempt: (outcome, durationMs) => {
      const proven = outcome.kind === 'proven';
      metrics.attempts.inc({ outcome: proven ? 'proven' : outcome.cause });
      metrics.proven.set(proven ? 1 : 0);
      if (proven) metrics.durationSeconds.observe(durationMs / 1000);
      readiness.tell(
        'canary',
        proven,
        proven ? 'ok' : `not proven: ${outcome.cause}: ${remedies[outcome.cause]}`,
      );
    },
  });
  metrics.follow(() => canary.lastProof?.sentAt ?? null);
  return canary;
}
