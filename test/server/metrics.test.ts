import { describe, expect, it } from 'vitest';
import { decide } from '../../src/core/decide.ts';
import { nothingKnown } from '../../src/core/facts.ts';
import { reasons } from '../../src/core/reasons.ts';
import { builtInDefaults } from '../../src/core/settings.ts';
import { monotonicMs } from '../../src/core/time.ts';
import { createMetrics, type Metrics } from '../../src/server/metrics.ts';
import { record, stored, t0, update } from '../support/locks.ts';

const heldByA = stored(record({ holder: 'a' }), t0, 'a');
/** Taken by another, so long after the renewal. */
const takenBy = (ms: number) => stored(record({ holder: 'b', renewed: t0 + ms }), t0 + ms, 'b', heldByA);

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
      'leader_election_master_status',
      'leader_election_slowpath_total',
      'lockwarden_admission_decisions_total',
      'lockwarden_admission_duration_seconds',
      'lockwarden_admission_evidence_total',
      'lockwarden_admission_malformed_total',
      'lockwarden_admission_requests_in_flight',
      'lockwarden_admission_unjudged_total',
      'lockwarden_canary_attempts_total',
      'lockwarden_canary_duration_seconds',
      'lockwarden_canary_last_proof_age_seconds',
      'lockwarden_canary_proven',
      'lockwarden_canary_reviews_total',
      'lockwarden_certificate_expiration_timestamp_seconds',
      'lockwarden_certificate_failures_total',
      'lockwarden_certificate_next_step_timestamp_seconds',
      'lockwarden_certificate_reloads_total',
      'lockwarden_certificate_steps_total',
      'lockwarden_connections_refused_total',
      'lockwarden_decision_duration_seconds',
      'lockwarden_events_dropped_total',
      'lockwarden_flapping_locks',
      'lockwarden_guard_lease_failures_total',
      'lockwarden_guard_lease_renewals_total',
      'lockwarden_held_locks',
      'lockwarden_lock_holders',
      'lockwarden_log_lines_dropped_total',
      'lockwarden_read_api_authentications_total',
      'lockwarden_read_api_requests_total',
      'lockwarden_read_api_streams',
      'lockwarden_ready',
      'lockwarden_reviews_dropped_total',
      'lockwarden_server_clock_width_seconds',
      'lockwarden_shared_facts_dropped_total',
      'lockwarden_shared_facts_published_total',
      'lockwarden_shared_facts_received_total',
      'lockwarden_shared_facts_window_seconds',
      'lockwarden_shared_facts_write_failures_total',
      'lockwarden_shared_facts_writes_total',
      'lockwarden_shared_facts_written_bytes_total',
      'lockwarden_takeovers_allowed_total',
      'lockwarden_tls_handshake_failures_total',
      'lockwarden_tracked_locks',
      'lockwarden_watch_connected',
      'lockwarden_watch_lag_seconds',
      'lockwarden_watch_last_event_age_seconds',
      'lockwarden_watch_restarts_total',
    ]);
  });

  it('count decisions by kind, outcome, reason and enforcement', async () => {
    const metrics = create();
    const { countDecision } = metrics.decisions;
    countDecision('Lease', 'Deny', 'PrematureTakeover');
    countDecision('Lease', 'Deny', 'PrematureTakeover');
    countDecision('Lease', 'Warn', 'UncertainExpiry');
    countDecision('Lease', 'Allow', 'TransitionsOdd');
    countDecision('Other', 'Allow', 'None');
    const text = await metrics.registry.metrics();
    const counted = [...text.matchAll(/^lockwarden_admission_decisions_total\{(.*)\} ([1-9]\d*)$/gmu)];
    expect(counted.map(([, labels, value]) => `${labels ?? ''} ${value ?? ''}`).sort()).toEqual([
      'kind="Lease",outcome="Allow",reason="TransitionsOdd",enforcement="Audit" 1',
      'kind="Lease",outcome="Deny",reason="PrematureTakeover",enforcement="Deny" 2',
      'kind="Lease",outcome="Warn",reason="UncertainExpiry",enforcement="Warn" 1',
      'kind="Other",outcome="Allow",reason="None",enforcement="None" 1',
    ]);
  });

  it('have a 0 for each refusal before there is one, or Prometheus would not see it grow', async () => {
    const text = await create().registry.metrics();
    for (const kind of ['Lease', 'ConfigMap', 'Endpoints'])
      for (const reason of Object.keys(reasons))
        expect(text).toContain(`{kind="${kind}",outcome="Deny",reason="${reason}",enforcement="Deny"} 0`);
  });

  it('tell what a decision rested on, how long it took, and which takeovers were let pass', async () => {
    const metrics = create();
    const early = update(heldByA, takenBy(5_000));
    const late = update(heldByA, takenBy(60_000));
    for (const write of [early, late, { ...late, dryRun: true }]) {
      const facts = { ...nothingKnown, serverNow: null };
      metrics.decisions.judged(write, decide(write, facts, builtInDefaults), 0.04);
    }
    const text = await metrics.registry.metrics();
    expect(text).toContain('lockwarden_admission_evidence_total{source="stamped",verdict="live"} 1');
    expect(text).toContain('lockwarden_admission_evidence_total{source="stamped",verdict="expired"} 2');
    expect(text).toContain('lockwarden_takeovers_allowed_total{kind="Lease",source="stamped"} 1');
    expect(text).toContain('lockwarden_decision_duration_seconds_bucket{le="0.000025"} 0');
    expect(text).toContain('lockwarden_decision_duration_seconds_bucket{le="0.00005"} 3');
  });

  it('tell of locks what they are asked for, and nothing before there is somebody to ask', async () => {
    const metrics = create();
    expect(await metrics.registry.metrics()).not.toContain('lockwarden_held_locks{');
    metrics.locks.follow({
      held: (kind) => (kind === 'Lease' ? 3 : 0),
      holders: () => 2,
      flapping: () => 1,
    });
    const text = await metrics.registry.metrics();
    expect(text).toContain('lockwarden_held_locks{kind="Lease"} 3');
    expect(text).toContain('lockwarden_lock_holders{kind="ConfigMap"} 2');
    expect(text).toContain('lockwarden_flapping_locks{kind="Endpoints"} 1');
  });

  it('tell whether the replica is ready when they are asked', async () => {
    const metrics = create();
    let ready = false;
    expect(await metrics.registry.metrics()).toMatch(/^lockwarden_ready 0$/mu);
    metrics.followReadiness(() => ready);
    ready = true;
    expect(await metrics.registry.metrics()).toMatch(/^lockwarden_ready 1$/mu);
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

  it('tell how old the last proof is, and nothing before there is one', async () => {
    const metrics = create();
    let lastProofAt: ReturnType<typeof monotonicMs> | null = null;
    metrics.canary.follow(() => lastProofAt);
    expect(await metrics.registry.metrics()).not.toMatch(/^lockwarden_canary_last_proof_age_seconds /mu);
    lastProofAt = monotonicMs(nowMs);
    nowMs += 2_500;
    expect(await metrics.registry.metrics()).toMatch(/^lockwarden_canary_last_proof_age_seconds 2\.5$/mu);
  });

  it('of two instances do not mix', async () => {
    const [one, two] = [create(), create()];
    one.locks.tracked.set({ kind: 'Lease' }, 7);
    expect(await two.registry.metrics()).not.toContain('lockwarden_tracked_locks{');
  });

  it('include those of the process when asked for', async () => {
    const { registry } = createMetrics(clock, { processMetrics: true });
    const text = await registry.metrics();
    expect(text).toContain('nodejs_eventloop_lag_seconds');
    expect(text).toContain('process_resident_memory_bytes');
  });
});
