/**
 * What must hold for every lock, every clock and every history, over random ones. fast-check prints the seed and the
 * smallest counterexample of a failure.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide } from '../../src/core/decide.ts';
import type { Facts } from '../../src/core/facts.ts';
import type { LockRecord, LockState, LockWrite, StampEntry } from '../../src/core/lock.ts';
import { builtInDefaults } from '../../src/core/settings.ts';
import { serverMs } from '../../src/core/time.ts';
import { facts, lock, observedFor, pod, record, stored, t0, update } from '../support/locks.ts';

const { toleranceMs } = builtInDefaults;

/**
 * A duration (s), the true age of the promise (ms), the holder's and the candidate's clock offsets (ms), where in its
 * second W falls, and how long the promise took to the API server and from its stamp to the replica (ms).
 */
const election = fc.record({
  durationS: fc.integer({ min: 2, max: 120 }),
  ageMs: fc.integer({ min: 0, max: 300_000 }),
  holderOffsetMs: fc.integer({ min: -7_200_000, max: 7_200_000 }),
  candidateOffsetMs: fc.integer({ min: -7_200_000, max: 7_200_000 }),
  phaseMs: fc.integer({ min: 0, max: 999 }),
  latencyMs: fc.integer({ min: 0, max: 900 }),
  arrivalMs: fc.integer({ min: 0, max: 900 }),
  observed: fc.boolean(),
  tracked: fc.boolean(),
});

type Election = typeof election extends fc.Arbitrary<infer T> ? T : never;

/** The takeover by `b` of a lock that `a` stored at `t0 + phase`, `ageMs` ago, as the API server would show it. */
function takeoverOf(e: Election, tracked = e.tracked): { write: LockWrite; known: Facts } {
  const storedAt = t0 + e.phaseMs;
  const now = storedAt + e.ageMs;
  const promise = record({
    holder: 'a',
    durationS: e.durationS,
    renewed: storedAt - e.latencyMs + e.holderOffsetMs,
  });
  const before = stored(promise, storedAt, tracked ? 'a' : null);
  const claim = record({
    holder: 'b',
    durationS: e.durationS,
    renewed: now + e.candidateOffsetMs,
    transitions: 1,
  });
  const after = stored(claim, now, tracked ? 'b' : null, before);
  return {
    write: update(before, after),
    known: facts(e.observed ? { observation: observedFor(Math.max(0, e.ageMs - e.arrivalMs)) } : {}),
  };
}

const denied = (decision: ReturnType<typeof decide>) =>
  decision.violations.filter((each) => each.enforcement === 'Deny').map((each) => each.reason);

describe('for any clocks', () => {
  it('no takeover at or after expiry is denied, when the candidate’s clock is right to within its lease', () => {
    fc.assert(
      fc.property(election, (e) => {
        const late = { ...e, ageMs: e.ageMs + e.durationS * 1000 };
        const within = { ...late, candidateOffsetMs: late.candidateOffsetMs % (e.durationS * 1000) };
        const { write, known } = takeoverOf(within);
        expect(denied(decide(write, known, builtInDefaults))).toEqual([]);
      }),
    );
  });

  it('every takeover that is certainly early is denied, whatever the offsets', () => {
    fc.assert(
      fc.property(election, (e) => {
        const early = {
          ...e,
          observed: true,
          ageMs: e.ageMs % Math.max(1, e.durationS * 1000 - toleranceMs),
        };
        const { write, known } = takeoverOf(early);
        expect(denied(decide(write, known, builtInDefaults))).toContain('PrematureTakeover');
      }),
    );
  });

  it('a replica that has just started denies by the stamps alone, two seconds before the end, holders in step', () => {
    fc.assert(
      fc.property(election, (e) => {
        const ageMs = e.ageMs % Math.max(1, e.durationS * 1000 - toleranceMs - 2000);
        const inStep = { ...e, durationS: e.durationS + 3, observed: false, ageMs, holderOffsetMs: 0 };
        const { write, known } = takeoverOf(inStep, true);
        expect(denied(decide(write, known, builtInDefaults))).toContain('PrematureTakeover');
      }),
    );
  });

  it('an untracked lock that was never observed is not denied on a guess', () => {
    fc.assert(
      fc.property(election, (e) => {
        const { write, known } = takeoverOf({ ...e, observed: false, candidateOffsetMs: 0 }, false);
        expect(denied(decide(write, known, builtInDefaults))).toEqual([]);
      }),
    );
  });

  it('no renewal by the holder is denied, early or late, in whatever time zone', () => {
    fc.assert(
      fc.property(election, (e) => {
        const { write, known } = takeoverOf(e);
        const now = t0 + e.phaseMs + e.ageMs;
        const renewal = record({
          holder: 'a',
          durationS: e.durationS,
          renewed: now + e.holderOffsetMs,
          acquired: t0,
        });
        const before = write.before;
        if (before === null) throw new Error('an update has a before');
        const after = stored(renewal, now, e.tracked ? 'a' : null, before);
        expect(decide(update(before, after, pod('a')), known, builtInDefaults).outcome).toBe('Allow');
      }),
    );
  });
});

const recordedTime = fc.option(fc.record({ raw: fc.string(), at: fc.option(fc.integer().map(serverMs)) }));
const anyRecord: fc.Arbitrary<LockRecord> = fc.record({
  holder: fc.option(fc.constantFrom('a', 'b', 'c')),
  leaseDurationMs: fc.option(fc.integer({ min: 1, max: 100_000 })),
  renewTime: recordedTime,
  acquireTime: recordedTime,
  transitions: fc.option(fc.integer()),
});
const anyEntry: fc.Arbitrary<StampEntry> = fc.record({
  key: fc.string({ maxLength: 3 }),
  manager: fc.constantFrom('x', 'y', 'ancient-changes', 'before-first-apply'),
  at: fc.option(fc.integer().map(serverMs)),
  ownsRenewTime: fc.boolean(),
  ownsHolder: fc.boolean(),
});
const anyState: fc.Arbitrary<LockState> = fc.record({
  uid: fc.string(),
  version: fc.option(fc.nat()),
  reading: fc.oneof(
    anyRecord.map((each) => ({ kind: 'record' as const, record: each })),
    fc.constant({ kind: 'none' as const }),
    fc.constant({ kind: 'unreadable' as const, why: 'odd' }),
  ),
  stamps: fc.array(anyEntry, { maxLength: 4 }).map((entries) => ({ entries, count: entries.length })),
  terminating: fc.boolean(),
});
const anyWrite: fc.Arbitrary<LockWrite> = fc.record({
  operation: fc.constantFrom('CREATE', 'UPDATE', 'DELETE'),
  lock: fc.constant(lock),
  before: fc.option(anyState),
  after: fc.option(anyState),
  requester: fc.constantFrom(pod('a'), pod('b')),
  dryRun: fc.boolean(),
});
const interval = fc
  .tuple(fc.integer(), fc.integer())
  .map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) }));
const observation = fc.option(
  fc.record({ ageMs: interval, stampedAt: fc.option(fc.integer().map(serverMs)) }),
);
const podRef = fc.option(
  fc.record({ namespace: fc.constant('team'), name: fc.constant('a'), uid: fc.constantFrom('a', 'b') }),
);
const anyFacts: fc.Arbitrary<Facts> = fc.record({
  serverNow: fc.option(interval),
  observation,
  tombstone: fc.option(
    fc.record({
      state: anyState,
      observation,
      attribution: fc.constantFrom('other', 'unknown'),
      holderPod: podRef,
    }),
  ),
  bindings: fc.record({
    holderPod: podRef,
    holderPodState: fc.constantFrom('exists', 'gone', 'unknown', 'unasked'),
    requesterAsserted: fc.option(fc.constantFrom('a', 'b')),
    requesterSuperseded: fc.boolean(),
  }),
  storedRenewTimes: fc.array(fc.string(), { maxLength: 3 }),
});

describe('for anything at all', () => {
  it('a decision comes out, the same for the same input, denied exactly when a violation denies', () => {
    fc.assert(
      fc.property(anyWrite, anyFacts, (write, known) => {
        const decision = decide(write, known, builtInDefaults);
        expect(decide(structuredClone(write), structuredClone(known), builtInDefaults)).toEqual(decision);
        expect(decision.outcome === 'Deny').toBe(denied(decision).length > 0);
        if (decision.outcome === 'Deny' || write.dryRun) expect(decision.effect).toBeNull();
        if (decision.outcome === 'Deny') expect(decision.question).toBeNull();
        for (const violation of decision.violations)
          expect(violation.message.length).toBeLessThanOrEqual(1024);
      }),
      { numRuns: 2000 },
    );
  });

  it('an answered question is not asked again', () => {
    fc.assert(
      fc.property(
        anyWrite,
        anyFacts,
        fc.constantFrom('exists', 'gone', 'unknown'),
        (write, known, holderPodState) => {
          const answered = { ...known, bindings: { ...known.bindings, holderPodState } } as Facts;
          expect(decide(write, answered, builtInDefaults).question).toBeNull();
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('an exempt requester is never denied', () => {
    const exempting = { ...builtInDefaults, exempt: { usernames: [pod('a').username], groups: [] } };
    fc.assert(
      fc.property(anyWrite, anyFacts, (write, known) => {
        expect(decide(write, known, exempting).outcome).toBe('Allow');
      }),
    );
  });
});
