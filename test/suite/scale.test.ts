import { describe, expect, it } from 'vitest';
import { guardedBy } from '../../src/suite/guarded.ts';
import { durationOf, fittingScale, scaled } from '../../src/suite/scale.ts';
import type { Suite, Test } from '../../src/suite/suite.ts';
import { stepsText, suiteOf } from './suites.ts';

function firstOf({ tests }: Suite): Test {
  return tests[0]!;
}

describe('a test in part of its time', () => {
  const test = firstOf(
    suiteOf(`
actors: { a: { clock: -20s }, b: { leaseDuration: 30s } }
tests:
  - name: t
    lock: { start: { holder: a, renewed: 10s } }
    steps:
      - { at: 5s, actor: a, action: renew, leaseDuration: 2s, expect: allow }
      - { at: 20s, actor: b, action: takeOver, expect: allow }
      - { at: 20s, actor: b, action: delete, expect: allow }
`),
  );

  it('has every duration shortened, and leases in whole seconds', () => {
    const short = scaled(test, 0.25);
    expect(short.start).toMatchObject({ leaseDurationMs: 4_000, renewedMs: 2_500, by: { clockMs: -5_000 } });
    expect(short.steps.map(({ atMs, actor }) => [atMs, actor.clockMs])).toEqual([
      [1_250, -5_000],
      [5_000, 0],
      [5_000, 0],
    ]);
    expect(short.steps.map(({ action }) => action)).toMatchObject([
      { kind: 'renew', leaseDurationMs: 1_000 },
      { kind: 'takeOver', leaseDurationMs: 8_000 },
      { kind: 'delete' },
    ]);
    expect([durationOf(test), durationOf(short)]).toEqual([30_000, 7_500]);
  });

  it('is the test itself in its full time', () => {
    expect(scaled(test, 1)).toBe(test);
  });
});

describe('the scale that fits a test', () => {
  const fitting = (text: string, wanted: number): Promise<number> => {
    const suite = suiteOf(text);
    return fittingScale(firstOf(suite), guardedBy(suite), wanted);
  };

  it('is the one that is wanted where nothing hangs on it', async () => {
    const text = stepsText([['5s', 'b', 'takeOver', '{ deny: PrematureTakeover }']]);
    expect(await fitting(text, 0.5)).toBe(0.5);
  });

  it('leaves a lease long enough to be protected', async () => {
    const text = stepsText([
      ['5s', 'b', 'takeOver', '{ deny: PrematureTakeover }'],
      ['15s', 'b', 'takeOver', 'allow'],
    ]);
    const scale = await fitting(text, 0.01);
    expect(scale).toBeGreaterThan(0.1);
    expect(scale).toBeLessThan(0.5);
  });

  it('leaves room for a replica that has only whole seconds to go by', async () => {
    const policy = `policies: [{ apiVersion: lockwarden.dev/v1alpha1, kind: ClusterLockPolicy, metadata: { name: p }, spec: { tolerance: 2s } }]\n`;
    // Half of it would be refused for half a second more by the replica that let the holder in, and warned about by another.
    const text = stepsText([['11s', 'b', 'takeOver', '{ deny: PrematureTakeover }']], policy);
    expect(await fitting(text, 0.5)).toBeGreaterThan(0.7);
  });

  it('is the full time where the test is about times that do not shrink', async () => {
    const policy = `policies: [{ apiVersion: lockwarden.dev/v1alpha1, kind: ClusterLockPolicy, metadata: { name: p }, spec: { leaseDuration: { min: 15s } } }]\n`;
    expect(await fitting(stepsText([['15s', 'b', 'takeOver', 'allow']], policy), 0.2)).toBe(1);
  });
});
