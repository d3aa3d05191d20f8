/** What the rotation promises, over random schedules of everything that can happen to it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { carryOut } from '../../src/certs/carry-out.ts';
import { chainOf } from '../../src/certs/authority-state.ts';
import { bundleFor } from '../../src/certs/bundle.ts';
import type { chooseLeaf } from '../../src/certs/choose-leaf.ts';
import type { StateFacts } from '../../src/certs/facts.ts';
import { lifetimesProblem } from '../../src/certs/lifetimes.ts';
import { plan, type Plan } from '../../src/certs/plan.ts';
import { ClusterModel, quick, type Event, type Parts } from './support/cluster-model.ts';
import { second } from './support/rotation.ts';

const replica = fc.integer({ min: 0, max: 2 });
const tick = fc.record({
  kind: fc.constant('tick' as const),
  ms: fc.integer({ min: 100, max: 5000 }),
  stale: fc.boolean(),
});
const trouble = fc.oneof(
  fc.record({ kind: fc.constant('crash' as const), writes: fc.integer({ min: 0, max: 2 }) }),
  fc.record({ kind: fc.constant('restart' as const), replica, downMs: fc.integer({ min: 0, max: 20_000 }) }),
  fc.record({ kind: fc.constant('lag' as const), replica, ms: fc.integer({ min: 500, max: 15_000 }) }),
  fc.record({
    kind: fc.constant('request' as const),
    what: fc.constantFrom('leaf' as const, 'authority' as const),
  }),
);
const jump = fc.record({ kind: fc.constant('jump' as const), ms: fc.integer({ min: 5000, max: 600_000 }) });
const loss = fc.record({
  kind: fc.constant('loseSecret' as const),
  how: fc.constantFrom('deleted' as const, 'truncated' as const),
});
const restore = fc.record({
  kind: fc.constant('loseSecret' as const),
  how: fc.constant('restored' as const),
});
const reset = fc.record({
  kind: fc.constant('reset' as const),
  entry: fc.integer({ min: 0, max: 1 }),
  to: fc.constantFrom('nothing' as const, 'first' as const),
});

const schedule = (...rare: fc.Arbitrary<Event>[]): fc.Arbitrary<readonly Event[]> =>
  fc.array(
    fc.oneof(
      { weight: 10, arbitrary: tick },
      { weight: 4, arbitrary: trouble },
      ...rare.map((arbitrary) => ({ weight: 1, arbitrary })),
    ),
    { minLength: 30, maxLength: 90, size: 'max' },
  );

const calm: Event = { kind: 'tick', ms: second, stale: false };

/** Lets the schedule happen, then calm; says how many meetings were checked. */
async function run(events: readonly Event[], parts: Partial<Parts> = {}, strict = true): Promise<number> {
  const cluster = new ClusterModel(parts, strict);
  for (let index = 0; index < 3; index += 1) await cluster.happen(calm);
  for (const event of events) await cluster.happen(event);
  // LIMIT: a whole rotation, and the longest absence before it: 20 s down or deaf, 4 s of wait twice, 12 s to retire.
  for (let index = 0; index < 90; index += 1) {
    await cluster.happen(calm);
    if (index > 25 && cluster.isWell()) return cluster.meetings;
  }
  throw new Error(`not well after a while: ${JSON.stringify(cluster.lastPlan?.next)}`);
}

/** Without shrinking: a smaller schedule takes longer to find than the reason why this one fails. */
const options = { numRuns: 8, endOnFailure: true } as const;

const families = {
  'leaders crash, replicas lag and restart, people ask for rotations': schedule(),
  'time jumps, too': schedule(jump),
  'the Secret is lost, too': schedule(loss, jump),
  'entries are overwritten, too': schedule(reset, jump),
};

describe('a rotation', () => {
  it('is simulated with lifetimes that can work', () => {
    expect(lifetimesProblem(quick)).toBeNull();
  });

  it.each(Object.entries(families))(
    'never fails a call, serves nothing expired and comes to rest when %s',
    { timeout: 120_000 },
    async (_, events) => {
      let meetings = 0;
      await fc.assert(
        fc.asyncProperty(events, async (happened) => {
          meetings += await run(happened);
        }),
        options,
      );
      expect(meetings).toBeGreaterThan(5000);
    },
  );

  it(
    'serves nothing expired and comes to rest when an old Secret is restored and entries overwritten at once',
    { timeout: 120_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(schedule(restore, loss, reset, jump), async (happened) => {
          await run(happened, {}, false);
        }),
        options,
      );
    },
  );
});

/** What a plan would be like that took a short cut in the actions it gives. */
function shortCut(
  change: (planned: Plan, facts: StateFacts['state'] | null) => Plan['actions'],
): typeof plan {
  return (facts, lifetimes) => {
    const planned = plan(facts, lifetimes);
    const state = facts.authority.kind === 'state' ? facts.authority.state : null;
    return { ...planned, actions: change(planned, state) };
  };
}

/** A replica that serves what is in the Secret and looks at nothing else. */
const credulous: typeof chooseLeaf = (facts) => {
  const leaf = facts.authority.kind === 'state' ? facts.authority.state.leaf : null;
  if (leaf === null) return { kind: 'keep', why: 'there is none', problem: null, works: true };
  return {
    kind: 'serve',
    leaf: { chainPem: chainOf(leaf), keyPem: leaf.keyPem },
    why: 'it is in the Secret',
    problem: null,
    works: true,
  };
};

const doSwitch = { writes: 'secret', kind: 'switch', why: 'a short cut', token: null } as const;

describe('the simulation', () => {
  const mutants: Record<
    string,
    { readonly parts: Partial<Parts>; readonly events: fc.Arbitrary<readonly Event[]> }
  > = {
    'switches without publishing, and signs nothing across': {
      parts: {
        plan: shortCut((planned, state) => (state?.next == null ? planned.actions : [doSwitch])),
        carryOut: async (action, state, terms) => {
          const after = await carryOut(action, state, terms);
          return after.next === null ? after : { ...after, next: { ...after.next, cross: null } };
        },
        chooseLeaf: credulous,
      },
      events: schedule(),
    },
    'never publishes': {
      parts: {
        plan: shortCut((planned, state) =>
          state?.next == null ? planned.actions.filter(({ kind }) => kind !== 'publish') : [doSwitch],
        ),
      },
      events: schedule(),
    },
    'retires before replicas are confirmed': {
      parts: {
        plan: shortCut((planned, state) => {
          if (state === null || state.retired.length === 0) return planned.actions;
          const authorities = state.retired.map(({ certificate }) => certificate.fingerprint);
          return [
            { writes: 'secret', kind: 'retire', why: 'a short cut', authorities },
            {
              writes: 'bundle',
              kind: 'narrow',
              why: 'a short cut',
              bundle: bundleFor({ ...state, retired: [] }, state.switchedAtMs ?? 0),
            },
          ];
        }),
      },
      events: schedule(),
    },
    'publishes only what the Secret says': {
      parts: {
        plan: (facts, lifetimes) => {
          const planned = plan(facts, lifetimes);
          const { authority, nowMs } = facts;
          if (authority.kind !== 'state') return planned;
          const bundle = bundleFor(authority.state, nowMs);
          const actions = planned.actions.map((each) =>
            each.kind === 'publish' ? { ...each, bundle } : each,
          );
          return { ...planned, actions };
        },
      },
      events: schedule(loss),
    },
    'has replicas that look at nothing but the Secret': {
      parts: { chooseLeaf: credulous },
      events: schedule(jump),
    },
  };

  it.each(Object.entries(mutants))(
    'notices a rotation that %s',
    { timeout: 120_000 },
    async (_, { parts, events }) => {
      const checked = await fc.check(
        fc.asyncProperty(events, async (happened) => {
          await run(happened, parts);
        }),
        { ...options, numRuns: 60 },
      );
      expect(checked.failed).toBe(true);
    },
  );
});
