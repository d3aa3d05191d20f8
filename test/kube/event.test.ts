import { describe, expect, test } from 'vitest';

import { eventName, eventOf, eventsPath, keyOf, seriesOf, type Happening } from '../../src/kube/event.ts';

const happening: Happening = {
  regarding: {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    namespace: 'team',
    name: 'lock',
    uid: 'u',
  },
  type: 'Normal',
  reason: 'LeaderElected',
  action: 'Elect',
  note: 'lockwarden-0 leads',
};
const series = {
  happening,
  name: 'lock.0123456789abcdef',
  count: 1,
  firstMs: Date.parse('2026-03-01T12:00:00.250Z'),
  lastMs: Date.parse('2026-03-01T12:00:00.250Z'),
};
const about = (name: string, namespace = ''): Happening => ({
  ...happening,
  regarding: { ...happening.regarding, namespace, name },
});

describe('an Event', () => {
  test('says what happened to which object, by whom, and when', () => {
    expect(eventOf(series, 'lockwarden-0')).toEqual({
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: 'lock.0123456789abcdef', namespace: 'team' },
      eventTime: '2026-03-01T12:00:00.250000Z',
      reportingController: 'lockwarden.dev/lockwarden',
      reportingInstance: 'lockwarden-0',
      type: 'Normal',
      reason: 'LeaderElected',
      action: 'Elect',
      regarding: happening.regarding,
      note: 'lockwarden-0 leads',
    });
  });

  test('of what has happened more than once says how often, and when last', () => {
    const often = { ...series, count: 3, lastMs: series.firstMs + 1_000 };
    const told = { series: { count: 3, lastObservedTime: '2026-03-01T12:00:01.250000Z' } };
    expect(seriesOf(often)).toEqual(told);
    expect(eventOf(often, 'x')).toMatchObject({ ...told, eventTime: '2026-03-01T12:00:00.250000Z' });
  });

  test('about an object of the whole cluster goes into the namespace `default`', () => {
    expect(eventsPath(happening)).toBe('/apis/events.k8s.io/v1/namespaces/team/events');
    expect(eventsPath(about('x'))).toBe('/apis/events.k8s.io/v1/namespaces/default/events');
    expect(eventOf({ ...series, happening: about('x') }, 'x')['metadata']).toMatchObject({
      namespace: 'default',
    });
  });

  test.for([
    ['x'.repeat(1024), 'x'.repeat(1024)],
    ['x'.repeat(1025), `${'x'.repeat(1021)}…`],
    // Two bytes each: an odd number of them fits.
    ['é'.repeat(600), `${'é'.repeat(510)}…`],
    ['🔒'.repeat(300), `${'🔒'.repeat(255)}…`],
  ] as const)('has a note of at most 1 KiB, in whole characters', ([note, kept]) => {
    const cut = eventOf({ ...series, happening: { ...happening, note } }, 'x')['note'];
    expect(cut).toBe(kept);
    expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(1024);
  });

  test('has words no longer than the API server takes', () => {
    const long = { ...happening, reason: 'R'.repeat(200), action: 'A'.repeat(200) };
    expect(eventOf({ ...series, happening: long }, 'i'.repeat(200))).toMatchObject({
      reason: 'R'.repeat(128),
      action: 'A'.repeat(128),
      reportingInstance: 'i'.repeat(128),
    });
  });

  test.for([
    ['lock', 'lock.s'],
    ['system:kube-Scheduler', 'system-kube-scheduler.s'],
    ['-a-.-b.', 'a.b.s'],
    [':::', 'lockwarden.s'],
    ['x'.repeat(253), `${'x'.repeat(236)}.s`],
  ] as const)('about %s has a name that the API server takes', ([name, expected]) => {
    expect(eventName(about(name), 's')).toBe(expected);
  });

  test('is the same only where nothing differs', () => {
    expect(keyOf(happening)).toBe(keyOf({ ...happening, regarding: { ...happening.regarding } }));
    const others: readonly Happening[] = [
      about('lock'),
      { ...happening, note: 'x' },
      { ...happening, reason: 'x' },
      { ...happening, action: 'x' },
      { ...happening, type: 'Warning' },
    ];
    expect(new Set([happening, ...others].map(keyOf)).size).toBe(6);
  });
});
