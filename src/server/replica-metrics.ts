/** What a replica tells of elections and certificates, named as client-go and cert-manager name theirs. */
import { Counter, Gauge, type Registry } from 'prom-client';

/** Metrics of one replica. */
export interface ReplicaMetrics {
  /** 1 while this process leads. */
  readonly leader: Gauge<'name'>;
  readonly slowpath: Counter<'name'>;
  /** Until when what is served, and the authority behind it, are valid: seconds since the Unix epoch. */
  readonly expiry: Gauge<'certificate'>;
  /** When the next step of a rotation is due: seconds since the Unix epoch; 0 while it waits for something else, or another leads. */
  readonly nextStep: Gauge;
  readonly steps: Counter<'step'>;
  readonly reloads: Counter;
  readonly failures: Counter;
}

/** Creates the metrics on `registry`. */
export function createReplicaMetrics(registry: Registry): ReplicaMetrics {
  const registers = [registry];
  return {
    // SOURCE: https://github.com/kubernetes/component-base/blob/v0.36.3/metrics/prometheus/clientgo/leaderelection/metrics.go
    leader: new Gauge({
      name: 'leader_election_master_status',
      help: 'Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master.',
      labelNames: ['name'] as const,
      registers,
    }),
    slowpath: new Counter({
      name: 'leader_election_slowpath_total',
      help: 'Renewals of the lease that had to read it first.',
      labelNames: ['name'] as const,
      registers,
    }),
    expiry: new Gauge({
      name: 'lockwarden_certificate_expiration_timestamp_seconds',
      help: 'When the serving certificate (leaf) and the authority behind it (authority) expire, in seconds since the epoch.',
      labelNames: ['certificate'] as const,
      registers,
    }),
    nextStep: new Gauge({
      name: 'lockwarden_certificate_next_step_timestamp_seconds',
      help: 'When the leader takes the next step of a rotation, in seconds since the epoch; 0: it waits for something else than time, or another leads.',
      registers,
    }),
    steps: new Counter({
      name: 'lockwarden_certificate_steps_total',
      help: 'Steps of rotations that this replica took as the leader.',
      labelNames: ['step'] as const,
      registers,
    }),
    reloads: new Counter({
      name: 'lockwarden_certificate_reloads_total',
      help: 'Serving certificates that this replica began to serve.',
      registers,
    }),
    failures: new Counter({
      name: 'lockwarden_certificate_failures_total',
      help: 'Steps of a leader and reloads of a certificate that failed; each is tried again.',
      registers,
    }),
  };
}
