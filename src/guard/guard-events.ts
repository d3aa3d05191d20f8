/** Events in the name of a guard, counted where they are lost. */
import type { Clock } from '../clock.ts';
import type { KubeClient } from '../kube/client.ts';
import { EventRecorder } from '../kube/event-recorder.ts';
import type { Log } from '../review/logger.ts';
import type { Metrics } from '../server/metrics.ts';

/** What the recorder of a guard needs. */
export interface GuardEventsOptions {
  readonly client: KubeClient;
  readonly replicaName: string;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Log;
  /** The API server's time, in Unix milliseconds; null: not known, then this machine's is taken. */
  readonly nowMs: () => number | null;
}

/** The recorder. */
export function guardEvents({
  client,
  replicaName,
  metrics,
  clock,
  log,
  nowMs,
}: GuardEventsOptions): EventRecorder {
  return new EventRecorder(client, {
    instance: replicaName,
    clock,
    nowMs: () => nowMs() ?? clock.wallMs(),
    logger: log,
    onDrop: (cause) => {
      metrics.eventsDropped.inc({ cause });
    },
  });
}
