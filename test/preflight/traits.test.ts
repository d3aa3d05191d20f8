/** Cadence, clock and client of a holder, each by itself. */
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/locks/json.ts';
import type { LockRef } from '../../src/core/lock.ts';
import { recordOf } from '../../src/core/stamps.ts';
import { serverMs } from '../../src/core/time.ts';
import { readLock } from '../../src/locks/registry.ts';
import { leaderAnnotation } from '../../src/locks/annotation.ts';
import { Cadence } from '../../src/preflight/cadence.ts';
import { clientFormOf, type ClientForm } from '../../src/preflight/client-form.ts';
import { ClockOffset, offsetBy } from '../../src/preflight/clock-offset.ts';

describe('the cadence', () => {
  it('is the typical gap and the longest, from the second moment on', () => {
    const cadence = new Cadence();
    expect(cadence.summary()).toEqual({ renewals: 0, typicalMs: null, longestMs: null });
    cadence.renewed(0);
    expect(cadence.summary()).toEqual({ renewals: 1, typicalMs: null, longestMs: null });
    for (const at of [2_000, 4_000, 9_000, 11_000]) cadence.renewed(at);
    expect(cadence.summary()).toEqual({ renewals: 5, typicalMs: 2_000, longestMs: 5_000 });
  });

  it('does not count what is between two holders', () => {
    const cadence = new Cadence();
    cadence.renewed(0);
    cadence.broken();
    cadence.begun(60_000);
    cadence.renewed(62_000);
    expect(cadence.summary()).toEqual({ renewals: 2, typicalMs: 2_000, longestMs: 2_000 });
  });
});

describe('the clock offset', () => {
  const time = (raw: string, ms: number | null) => ({ raw, at: ms === null ? null : serverMs(ms) });

  it('is a second wide by one renewal, and two by a time in whole seconds', () => {
    const readAt = { min: 10_000, max: 11_000 };
    expect(offsetBy(time('x.000001Z', 13_500), readAt)).toEqual({ min: 2_500, max: 3_500 });
    expect(offsetBy(time('xZ', 13_000), readAt)).toEqual({ min: 2_000, max: 4_000 });
    expect(offsetBy(time('x', null), readAt)).toBeNull();
  });

  it('is narrowed by renewals that agree, and begins anew with another holder', () => {
    const offset = new ClockOffset();
    expect(offset.bounds()).toBeNull();
    offset.renewed('a', { min: 0, max: 1_000 });
    offset.renewed('a', { min: 600, max: 1_600 });
    expect(offset.bounds()).toEqual({ min: 600, max: 1_000 });
    offset.renewed('b', { min: -5_000, max: -4_000 });
    expect(offset.bounds()).toEqual({ min: -5_000, max: -4_000 });
  });

  it('is not moved by one slow request, and follows a clock that was set', () => {
    const offset = new ClockOffset();
    offset.renewed('a', { min: 0, max: 1_000 });
    offset.renewed('a', { min: -5_000, max: -4_000 });
    expect(offset.bounds()).toEqual({ min: -5_000, max: 1_000 });
    offset.renewed('a', { min: 0, max: 900 });
    expect(offset.bounds()).toEqual({ min: 0, max: 900 });
    offset.renewed('a', { min: 60_000, max: 61_000 });
    offset.renewed('a', { min: 60_100, max: 61_100 });
    expect(offset.bounds()).toEqual({ min: 60_100, max: 61_000 });
  });
});

describe('the client', () => {
  const lock: LockRef = { kind: 'Lease', namespace: 'team', name: 'orders' };
  const spec = {
    holderIdentity: 'a-0',
    leaseDurationSeconds: 15,
    acquireTime: '2026-01-02T03:04:05.123456Z',
    renewTime: '2026-01-02T03:04:05.123456Z',
    leaseTransitions: 3,
  };

  function formOf(
    object: JsonObject,
    more: { agents?: string[]; lock?: LockRef; ms?: boolean } = {},
  ): ClientForm | null {
    const about = more.lock ?? lock;
    const record = recordOf(readLock(about.kind, object));
    if (record === null) throw new Error('no record');
    return clientFormOf({
      lock: about,
      object,
      record,
      agents: more.agents ?? [],
      onlyMilliseconds: more.ms ?? false,
    });
  }

  it.each([
    ['fabric8-kubernetes-client/7.9.0', 'fabric8 (Java)'],
    ['Kubernetes Java Client', 'official Java client'],
    ['OpenAPI-Generator/37.0.2/python', 'official Python client'],
    ['kube-lease-manager-a-0', 'kube-lease-manager (Rust)'],
    ['controller-runtime', 'controller-runtime'],
    ['my-operator/v0.0.0 (linux/amd64) kubernetes/$Format/leader-election', 'client-go'],
  ])('that calls itself %s is %s', (agent, name) => {
    expect(formOf({ spec }, { agents: [agent] })).toMatchObject({ name, by: 'name' });
  });

  it.each<[string, JsonObject, string | undefined]>([
    ['all fields, microseconds', { spec }, 'client-go'],
    ['a strategy', { spec: { ...spec, strategy: 'OldestEmulationVersion' } }, 'coordinated leader election'],
    [
      'an API server’s label',
      { spec, metadata: { labels: { 'apiserver.kubernetes.io/identity': 'kube-apiserver' } } },
      'API server heartbeat',
    ],
    ['Camel’s label', { spec, metadata: { labels: { provider: 'camel' } } }, 'Apache Camel'],
    [
      'a holder key',
      { spec, metadata: { annotations: { 'leader.istio.io/holder-key': 'default' } } },
      'Istio',
    ],
    [
      'no transitions',
      { spec: { ...spec, leaseTransitions: null } },
      'counts no transitions (Python, JavaScript, Elixir)',
    ],
    [
      'an acquire time alone',
      { spec: { holderIdentity: 'a', acquireTime: spec.acquireTime } },
      'heartbeat in the acquire time (Pekko, Akka)',
    ],
    ['a holder alone', { spec: { holderIdentity: 'a' } }, undefined],
  ])('that writes %s is known by it', (_, object, name) => {
    expect(formOf(object)?.name).toBe(name);
    if (name !== undefined) expect(formOf(object)?.by).toBe('form');
  });

  it('that writes milliseconds alone is the Java client', () => {
    expect(formOf({ spec }, { ms: true })?.name).toBe('official Java client');
  });

  it.each([
    ['{"holderIdentity":"a","leaseDuration":"PT15S","renewTime":"2026-01-02T03:04:05Z"}', 'fabric8 (Java)'],
    [
      '{"holderIdentity":"a","leaseDurationSeconds":"15","renewTime":"2026-01-02 03:04:05"}',
      'official Python client',
    ],
    [
      '{"holderIdentity":"a","leaseDurationSeconds":15,"renewTime":"2026-01-02T03:04:05Z","acquireTime":"2026-01-02T03:04:05Z","leaderTransitions":0}',
      'client-go',
    ],
  ])('is known by the record %s', (text, name) => {
    const object = { metadata: { annotations: { [leaderAnnotation]: text } } };
    expect(formOf(object, { lock: { ...lock, kind: 'ConfigMap' } })?.name).toBe(name);
  });
});
