import { describe, expect, it } from 'vitest';
import type { Plan } from '../../src/certs/plan.ts';
import { readReplicas, type ToldPlan } from '../../src/replica/presence.ts';
import { toldPlan } from '../../src/replica/told-plan.ts';

const now = Date.UTC(2026, 0, 2);
const planned = (atMs: number | null, what = 'switch', phase: Plan['phase'] = 'Published'): Plan => ({
  phase,
  actions: [],
  next: { what, atMs, why: 'API servers are given time' },
});
const told = (atMs: number | null): ToldPlan => ({ phase: 'Published', next: planned(atMs).next });

describe('a plan that was told', () => {
  it.each([
    ['the first one', null, planned(now + 1_000), true],
    ['the same instant, a few milliseconds off', told(now + 30_000), planned(now + 30_007), false],
    ['another instant', told(now + 30_000), planned(now + 45_000), true],
    ['a step that has been due for minutes', told(now - 300_000), planned(now), false],
    ['a step that was far off and is due', told(now + 60_000), planned(now), true],
    ['a wait for somebody that goes on', told(null), planned(null), false],
    ['a wait for somebody that has become one for a time', told(null), planned(now + 5_000), true],
    ['another step', told(now), planned(now, 'confirm'), true],
    ['another phase', told(now), planned(now, 'switch', 'Prepared'), true],
  ])('%s', (_what, before, plan, anew) => {
    const after = toldPlan(before, plan, now);
    expect(after).toEqual(anew ? { phase: plan.phase, next: plan.next } : before);
    expect(after === before).toBe(!anew);
  });

  it('is read back as it was told, and a mangled one is none', () => {
    const line = { saidAtMs: now, servesLeaf: 'ab', leafNotAfterMs: now, hesitates: null, version: '1' };
    const data = {
      leads: JSON.stringify({ ...line, plan: told(null), brought: 'secret/theirs' }),
      mangled: JSON.stringify({ ...line, plan: { phase: 7, next: [] } }),
      plain: JSON.stringify(line),
    };
    expect(readReplicas({ data }).map(({ plan, brought }) => ({ plan, brought }))).toEqual([
      { plan: told(null), brought: 'secret/theirs' },
      { plan: undefined, brought: undefined },
      { plan: undefined, brought: undefined },
    ]);
  });
});
