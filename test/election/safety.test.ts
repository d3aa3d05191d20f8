/** What must hold in every election: who acts, acts alone. fast-check prints the seed and the smallest counterexample of a failure. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { timingDefault } from '../../src/election/timing.ts';
import { Simulation, type Defect, type Disturbance, type Scenario } from './support/simulation.ts';

type Kind = Disturbance['kind'];

const timing = fc.constantFrom(
  timingDefault,
  { leaseDurationMs: 4_000, renewDeadlineMs: 2_500, retryPeriodMs: 500 },
  // Kyverno's proportions, which leave no room for a slow answer.
  { leaseDurationMs: 6_000, renewDeadlineMs: 5_000, retryPeriodMs: 1_000 },
);

/** LIMIT: two clocks that drift apart by 4 % are within the margin of a twentieth. */
const ratesPermille = fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 4, maxLength: 4 });

function scenario(
  kinds: readonly Kind[],
  signedMs = fc.integer({ min: -60_000, max: 60_000 }),
): fc.Arbitrary<Scenario> {
  return fc.record({
    timing,
    candidates: fc.integer({ min: 2, max: 4 }),
    ratesPermille,
    disturbances: fc.array(
      fc.record({
        atMs: fc.integer({ min: 0, max: 60_000 }),
        candidate: fc.nat(3),
        kind: fc.constantFrom(...kinds),
        ms: fc.integer({ min: 10, max: 25_000 }),
        signedMs,
      }),
      { maxLength: 12 },
    ),
    seed: fc.nat(),
  });
}

const anything = scenario(['hang', 'set', 'cut', 'deaf', 'slow', 'stop', 'kill']);

/** A leader whose answers are slow, and which then hears nothing more, while others are waiting. */
const strained = fc.record({
  timing: fc.constant({ leaseDurationMs: 6_000, renewDeadlineMs: 5_000, retryPeriodMs: 1_000 }),
  candidates: fc.constant(4),
  ratesPermille,
  disturbances: fc
    .record({
      cutMs: fc.integer({ min: 5_000, max: 15_000 }),
      slowMs: fc.integer({ min: 5_000, max: 15_000 }),
    })
    .map(({ cutMs, slowMs }) =>
      [0, 1, 2, 3].flatMap((candidate): readonly Disturbance[] => [
        { atMs: 2_000, candidate, kind: 'slow', ms: slowMs, signedMs: 0 },
        { atMs: 2_000 + cutMs + candidate * 9_000, candidate, kind: 'cut', ms: 9_000, signedMs: 0 },
      ]),
    ),
  seed: fc.nat(),
});

describe('whatever goes wrong', () => {
  it('never do two act at once, no fence comes twice, and in the end one leads', () => {
    let terms = 0;
    fc.assert(
      fc.property(anything, (each) => {
        const outcome = new Simulation(each).run();
        terms += outcome.terms;
        expect(outcome.violations).toEqual([]);
        expect(outcome.leaders).toHaveLength(1);
      }),
      { numRuns: 600 },
    );
    expect(terms).toBeGreaterThan(600);
  });

  it('not even where a clock that is set back makes a holder write again what it wrote before another one hung', () => {
    const disturbances: readonly Disturbance[] = [
      { atMs: 21_353, candidate: 1, kind: 'stop', ms: 10, signedMs: 0 },
      { atMs: 1_953, candidate: 2, kind: 'cut', ms: 1_580, signedMs: 0 },
      { atMs: 20_961, candidate: 2, kind: 'cut', ms: 14_233, signedMs: 0 },
      { atMs: 28_605, candidate: 3, kind: 'set', ms: 10, signedMs: -12_203 },
      { atMs: 28_740, candidate: 0, kind: 'hang', ms: 12_039, signedMs: 0 },
    ];
    const timing = { leaseDurationMs: 6_000, renewDeadlineMs: 5_000, retryPeriodMs: 1_000 };
    const found = {
      timing,
      candidates: 4,
      ratesPermille: [6, 12, -13, 2],
      disturbances,
      seed: 1_246_800_539,
    };
    expect(new Simulation(found).run().violations).toEqual([]);
  });

  it('nor where a machine sleeps and its monotonic clock does not count that, if its wall clock does', () => {
    const sleepy = scenario(['sleep', 'cut', 'slow'], fc.constant(0));
    fc.assert(
      fc.property(sleepy, (each) => {
        expect(new Simulation(each).run().violations).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });

  it('nor does a term begin that ran out while the answer waited for a machine that slept', () => {
    const found = {
      timing: { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 },
      candidates: 3,
      ratesPermille: [0, 0, 0, 0],
      disturbances: [
        { atMs: 8_897, candidate: 1, kind: 'slow', ms: 14_091, signedMs: 0 },
        { atMs: 25_011, candidate: 1, kind: 'sleep', ms: 17_875, signedMs: 0 },
        { atMs: 10_984, candidate: 1, kind: 'sleep', ms: 4_888, signedMs: 0 },
        { atMs: 10_984, candidate: 0, kind: 'sleep', ms: 12_928, signedMs: 0 },
        { atMs: 250, candidate: 2, kind: 'cut', ms: 13_715, signedMs: 0 },
      ] as const,
      seed: 742_979_061,
    };
    expect(new Simulation(found).run().violations).toEqual([]);
  });
});

describe('a leader whose answers are slow', () => {
  it('is gone before another acts', () => {
    fc.assert(
      fc.property(strained, (each) => {
        expect(new Simulation(each).run().violations).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });
});

describe('the simulation would notice an elector that', () => {
  it.each<[string, Defect, fc.Arbitrary<Scenario>]>([
    ['counts its deadlines from the answer', 'counts-from-the-answer', strained],
    ['judges others by the wall clock', 'trusts-the-wall-clock', anything],
    ['writes without a precondition', 'overwrites', anything],
  ])('%s', (_, defect, scenarios) => {
    const result = fc.check(
      fc.property(scenarios, (each) => new Simulation({ ...each, defect }).run().violations.length === 0),
      { numRuns: 5_000, endOnFailure: true },
    );
    expect(result.failed).toBe(true);
  });
});
