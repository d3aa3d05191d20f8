/** The read API of a guard: what it tells of, from what the guard knows. */
import type { LockMemories } from '../admission/lock-memories.ts';
import type { Clock } from '../clock.ts';
import type { ServeConfig } from '../config.ts';
import type { KubeClient } from '../kube/client.ts';
import { lockViewOf } from '../read-api/lock-view.ts';
import { ReadApi } from '../read-api/read-api.ts';
import type { Log } from '../review/logger.ts';
import type { RecentRejections } from '../review/recent.ts';
import type { Metrics } from '../server/metrics.ts';
import type { GuardPolicies } from './guard-policies.ts';

/** What it needs. */
export interface GuardReadApiOptions {
  readonly config: Pick<ServeConfig, 'readPort' | 'replicaName'>;
  readonly client: KubeClient;
  readonly recent: RecentRejections;
  readonly memories: LockMemories;
  readonly policies: GuardPolicies;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  readonly clock: Clock;
  readonly log: Log;
}

/** The API; null where none is asked for. */
export function guardReadApi(options: GuardReadApiOptions): ReadApi | null {
  const { config, client, recent, memories, policies, metrics, nowMs, clock, log } = options;
  if (config.readPort === null) return null;
  return new ReadApi({
    ...{ client, recent, clock, nowMs, log },
    sources: {
      replica: config.replicaName,
      locks: () => memories.locks(),
      viewOf: (lock) => {
        const at = clock.monotonicMs();
        const shown = memories.shown(lock, at);
        if (shown === null) return null;
        return lockViewOf(
          { lock, ...shown, effective: policies.effectiveFor(lock) },
          memories.serverTimeAt(at),
        );
      },
    },
    metrics: metrics.readApi,
    edge: metrics.edge,
  });
}
