import { describe, expect, it } from 'vitest';
import { monotonicMs } from '../../src/core/time.ts';
import { createMetrics, type Metrics } from '../../src/server/metrics.ts';

let nowMs = 0;
const clock = { monotonicMs: () => monotonicMs(nowMs), wallMs: () => 0 };

function create(): Metrics {
  nowMs = 1_000;
  return createMetrics(clock, { processMetrics: false });
}

describe('the metrics', () => {
  it('have stable names', async () => {
    const names = (await create().registry.getMetricsAsJSON()).map(({ name }) => name);
    expect(names.sort()).toEqual([
      'lockwarden_admission_decisions_total',
      'lockwarden_admission_duration_seconds',
      'lockwarden_admission_malformed_total',
      'lockwarden_admission_requests_in_flight',
      'lockwarden_admission_unjudged_total',
      'lockwarden_connections_refused_total',
      'lockwarden_log_lines_dropped_total',
      'lockwarden_server_clock_width_seconds',
      'lockwarden_tls_handshake_failures_total',
      'lockwarden_tracked_locks',
      'lockwarden_watch_connected',
      'lockwarden_watch_last_event_age_seconds',
      'lockwarden_watch_restarts_total',
    ]);
  });

  it('count decisions by kind, outcome and reason', async () => {
    const metrics = create();
    metrics.countDecision('Lease', 'Deny', 'PrematureTakeover');
    metrics.countDecision('Lease', 'Deny', 'PrematureTakeover');
    metrics.countDecision('Other', 'Allow', 'None');
    const text = await metrics.registry.metrics();
    expect(text).toContain(
      'lockwarden_admission_decisions_total{kind="Lease",outcome="Deny",reason="PrematureTakeover"} 2',
    );
    expect(text).toContain(
      'lockwarden_admission_decisions_total{kind="Other",outcome="Allow",reason="None"} 1',
    );
  });

  it('tell how long a watch has been silent when they are asked, not when it spoke', async () => {
    const metrics = create();
    let lastEventAt: ReturnType<typeof monotonicMs> | null = null;
    metrics.watch.follow('Lease', () => lastEventAt);
    expect(await metrics.registry.metrics()).not.toContain('age_seconds{kind="Lease"}');
    lastEventAt = monotonicMs(nowMs);
    nowMs += 2_500;
    expect(await metrics.registry.metrics()).toContain(
      'lockwarden_watch_last_event_age_seconds{kind="Lease"} 2.5',
    );
    nowMs += 1_000;
    expect(await metrics.registry.metrics()).toContain(
      'lockwarden_watch_last_event_age_seconds{kind="Lease"} 3.5',
    );
  });

  it('of two instances do not mix', async () => {
    const [one, two] = [create(), create()];
    one.trackedLocks.set({ kind: 'Lease' }, 7);
    expect(await two.registry.metrics()).not.toContain('lockwarden_tracked_locks{');
  });

  it('include those of the process when asked for', async () => {
    const { registry } = createMetrics(clock, { processMetrics: true });
    const text = await registry.metrics();
    expect(text).toContain('nodejs_eventloop_lag_seconds');
    expect(text).toContain('process_resident_memory_bytes');
  });
});
