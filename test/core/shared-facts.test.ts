import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Attribution, Decision } from '../../src/core/decision.ts';
import type { LockState } from '../../src/core/lock.ts';
import {
  deletedState,
  deletionOf,
  joined,
  lastAsserted,
  mostInnocent,
  noFacts,
  tenureOf,
  type Assertion,
  type Deletion,
  type LockFacts,
  type Span,
} from '../../src/core/shared-facts.ts';
import { recordOf, renewStamp } from '../../src/core/stamps.ts';
import { serverMs } from '../../src/core/time.ts';
import { Fleet } from '../support/fleet.ts';
import { pod, record, stored, t0 } from '../support/locks.ts';

const podRef = (uid: string) => ({ namespace: 'team', name: uid, uid });
const says = (
  version: number,
  holder: string,
  podUid: string | null,
  more: Partial<Assertion> = {},
): Assertion => ({
  ...{ uid: 'uid-1', version, holder, acquireTime: null, transitions: null },
  pod: podUid === null ? null : podRef(podUid),
  ...more,
});
const heldByA: LockState = { ...stored(record({ holder: 'a' }), t0, 'a'), version: 7 };
const now = { min: t0 + 1000, max: t0 + 2000 };
const deleted = (attribution: Attribution, more: Partial<Deletion> = {}): Deletion => ({
  ...deletionOf(heldByA, attribution, null, now)!,
  ...more,
});

const assertion: fc.Arbitrary<Assertion> = fc.record({
  uid: fc.constantFrom('uid-1', 'uid-2'),
  version: fc.integer({ min: 1, max: 40 }),
  holder: fc.constantFrom('a', 'b'),
  pod: fc.option(fc.constantFrom(podRef('a'), podRef('b'))),
  acquireTime: fc.constant(null),
  transitions: fc.constant(null),
});
const deletion: fc.Arbitrary<Deletion> = fc
  .record({
    version: fc.integer({ min: 1, max: 4 }),
    attribution: fc.constantFrom('holder', 'system', 'other', 'unknown'),
    holderPod: fc.option(fc.constantFrom(podRef('a'), podRef('b'))),
    spentBy: fc.integer({ min: 0, max: 3 }).map(serverMs),
  })
  .map((each) => ({ ...deleted('other'), ...each, uid: `uid-${String(each.version)}` }));
const oneFact: fc.Arbitrary<LockFacts> = fc.oneof(
  assertion.map((each) => ({ asserted: [each], deleted: null })),
  deletion.map((each) => ({ asserted: [], deleted: each })),
);
const someFacts = fc
  .array(oneFact, { maxLength: 30 })
  .map((facts) => facts.reduce((a, b) => joined(a, b), noFacts));

describe('facts of one lock', () => {
  it('come to the same in whatever order, grouping and number they arrive', () => {
    fc.assert(
      fc.property(someFacts, someFacts, someFacts, (a, b, c) => {
        expect(joined(a, b)).toEqual(joined(b, a));
        expect(joined(joined(a, b), c)).toEqual(joined(a, joined(b, c)));
        expect(joined(a, a)).toBe(a);
        expect(joined(joined(a, b), b)).toEqual(joined(a, b));
      }),
    );
  });

  it('are no more than asked for, the latest ones', () => {
    const many = {
      asserted: Array.from({ length: 20 }, (_, i) => says(i + 1, 'a', `p${String(i)}`)),
      deleted: null,
    };
    expect(joined(noFacts, many).asserted.map(({ version }) => version)).toEqual(
      Array.from({ length: 16 }, (_, i) => i + 5),
    );
    expect(joined(noFacts, many, 2).asserted.map(({ version }) => version)).toEqual([19, 20]);
    const full = joined(noFacts, many);
    expect(joined(full, { asserted: [says(1, 'b', 'z')], deleted: null })).toBe(full);
  });

  it('of two deletions keep the later one, of two attempts at one the more innocent', () => {
    const at = (each: Deletion): LockFacts => ({ asserted: [], deleted: each });
    const later = deleted('other', { version: 9, uid: 'uid-2' });
    expect(joined(at(deleted('holder')), at(later)).deleted).toBe(later);
    expect(joined(at(later), at(deleted('holder'))).deleted).toBe(later);
    expect(joined(at(deleted('other')), at(deleted('unknown'))).deleted?.attribution).toBe('unknown');
    const spent = joined(
      at(deleted('other', { spentBy: serverMs(2) })),
      at(deleted('other', { spentBy: serverMs(1) })),
    );
    expect(spent.deleted?.spentBy).toBe(2);
  });

  it.each([
    ['other', 'unknown', 'unknown'],
    ['unknown', 'system', 'system'],
    ['system', 'holder', 'holder'],
    ['other', 'other', 'other'],
  ] as const)('by %s or by %s: by %s', (a, b, most) => {
    expect(mostInnocent(a, b)).toBe(most);
    expect(mostInnocent(b, a)).toBe(most);
  });

  it('tell what a pod asserted last', () => {
    const asserted = [says(1, 'a', 'p'), says(2, 'b', 'q'), says(3, 'c', 'p'), says(4, 'd', null)];
    expect(lastAsserted(asserted, 'p')).toBe('c');
    expect(lastAsserted(asserted, 'z')).toBeNull();
    expect(lastAsserted(asserted, null)).toBeNull();
  });
});

describe('who made a holder the holder', () => {
  const span = (more: Partial<Span> = {}): Span => ({
    ...{ uid: 'uid-1', holder: 'a', after: 0, upTo: 100, seenFrom: 0, acquireTime: null, transitions: null },
    ...more,
  });
  const early = says(5, 'a', 'p', { acquireTime: 'then', transitions: 1 });
  const list = { seenFrom: 50 };

  it.each<[string, readonly Assertion[], Partial<Span>, readonly number[]]>([
    ['nobody, where nothing is known', [], {}, []],
    ['who asserted it', [says(5, 'a', 'p')], {}, [5]],
    ['all who did, in order', [says(5, 'a', 'p'), says(6, 'a', 'q')], {}, [5, 6]],
    ['not who did before it began', [says(5, 'a', 'p')], { after: 5 }, []],
    ['who did as it began', [says(5, 'a', 'p')], { after: 4 }, [5]],
    ['not who did later than what is looked at', [says(5, 'a', 'p'), says(9, 'a', 'q')], { upTo: 8 }, [5]],
    ['who did just then', [says(9, 'a', 'q')], { upTo: 9 }, [9]],
    ['not of another object', [says(5, 'a', 'p', { uid: 'uid-2' })], {}, []],
    [
      'another object’s holder ends nothing',
      [says(5, 'a', 'p'), says(6, 'b', 'q', { uid: 'uid-2' })],
      {},
      [5],
    ],
    ['not before another held', [says(5, 'a', 'p'), says(6, 'b', 'q'), says(7, 'a', 'r')], {}, [7]],
    ['nobody, where another was the last', [says(5, 'a', 'p'), says(6, 'b', 'q')], {}, []],
    ['found in a list, with the same marks', [early], { ...list, acquireTime: 'then', transitions: 1 }, [5]],
    ['not with another count', [early], { ...list, acquireTime: 'then', transitions: 3 }, []],
    ['not with another acquire time', [early], { ...list, acquireTime: 'now', transitions: 1 }, []],
    ['what was seen needs no marks', [early], { seenFrom: 5, acquireTime: 'now', transitions: 3 }, [5]],
    ['what is absent contradicts nothing', [early], { ...list }, [5]],
    ['absent there neither', [says(5, 'a', 'p')], { ...list, acquireTime: 'then', transitions: 1 }, [5]],
    ['nobody, where two claim one write', [says(5, 'a', 'p'), says(5, 'a', 'q')], {}, []],
  ])('%s', (_, asserted, more, versions) => {
    expect(tenureOf(asserted, span(more)).map(({ version }) => version)).toEqual(versions);
  });
});

describe('the fact of a deletion', () => {
  it('carries what is needed to judge the promise, and when that is over', () => {
    const fact = deletionOf(heldByA, 'other', podRef('a'), now);
    expect(fact).toMatchObject({ uid: 'uid-1', version: 7, holderPod: podRef('a'), spentBy: t0 + 17_000 });
    const state = deletedState(fact!);
    expect(recordOf(state)).toMatchObject({ holder: 'a', leaseDurationMs: 15_000, renewTime: { at: t0 } });
    expect(renewStamp(state.stamps)).toBe(renewStamp(heldByA.stamps));
    const untracked = deletionOf({ ...heldByA, stamps: { entries: [], count: 0 } }, 'other', null, now);
    expect(renewStamp(deletedState(untracked!).stamps)).toBeNull();
  });

  it('tells the time in whole milliseconds, late rather than early', () => {
    const between = { min: t0 + 0.1, max: t0 + 0.2 };
    expect(deletionOf(heldByA, 'other', null, between)?.spentBy).toBe(t0 + 15_001);
  });

  it.each<[string, LockState]>([
    ['nobody held it', { ...stored(record({ holder: null }), t0), version: 7 }],
    ['no time was promised', { ...stored(record({ durationS: null }), t0), version: 7 }],
    ['nothing was renewed', { ...stored(record({ renewed: null }), t0), version: 7 }],
    ['it cannot be ordered', { ...heldByA, version: null }],
    ['there is no record', { ...heldByA, reading: { kind: 'none' } }],
  ])('is none where %s', (_, state) => {
    expect(deletionOf(state, 'other', null, now)).toBeNull();
  });

  it('is none while the API server’s time is unknown', () => {
    expect(deletionOf(heldByA, 'other', null, null)).toBeNull();
  });
});

/**
 * Honest candidates: `web-0` goes by one identity for ever, in a new pod each time; `dep` has a new identity in each
 * process, of which a pod may have several. A thief may delete what it likes. Every write is judged by one replica, and by
 * one that sees them all.
 */
const step = fc.record({
  who: fc.constantFrom('web', 'dep'),
  what: fc.constantFrom('take', 'renew', 'release', 'pod', 'process', 'delete', 'steal', 'wait'),
  at: fc.constantFrom('A', 'B', 'nobody'),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
const last = fc.record({
  who: fc.constantFrom('web', 'dep', 'thief'),
  what: fc.constantFrom('take', 'renew', 'lengthen', 'release', 'shorten', 'delete'),
});

class History {
  readonly fleet = new Fleet('A', 'B');
  readonly #processes = { web: 0, dep: 0 };
  readonly #pods = { web: 0, dep: 0 };

  constructor() {
    this.fleet.join('all', false);
    this.fleet.livingPods.add('web-pod-0').add('dep-pod-0').add('thief');
  }

  async play({ who, what, at }: Step): Promise<void> {
    const { fleet } = this;
    fleet.advance(1000);
    const mine = this.#holder() === this.identity(who);
    if (what === 'wait') fleet.advance(16_000);
    if (what === 'process' || what === 'pod') this.#processes[who] += 1;
    if (what === 'pod') {
      fleet.livingPods.delete(`${who}-pod-${String(this.#pods[who])}`);
      this.#pods[who] += 1;
      fleet.livingPods.add(`${who}-pod-${String(this.#pods[who])}`);
    }
    if (what === 'take' && !mine) await this.#write(at, who, this.#taking(who));
    if (what === 'renew' && mine) await this.#write(at, who, this.#renewal());
    if (what === 'release' && mine)
      await this.#write(at, who, { ...this.#renewal(), holder: null, durationS: 1 });
    if (fleet.state !== null && ((what === 'delete' && mine) || what === 'steal'))
      await this.#delete(at, what === 'steal' ? pod('thief') : this.requester(who));
  }

  /** How `name` judges somebody's write, which then gets lost. */
  async end(
    name: string,
    { who, what }: typeof last extends fc.Arbitrary<infer T> ? T : never,
  ): Promise<Decision | null> {
    const requester = who === 'thief' ? pod('thief') : this.requester(who);
    if (what === 'take') return this.fleet.attempt(name, requester, this.#taking(who));
    if (this.#holder() === null) return null;
    if (what === 'delete') return this.fleet.attemptDelete(name, requester);
    const changes = {
      renew: {},
      lengthen: { durationS: 30 },
      release: { holder: null, durationS: 1 },
      shorten: { durationS: 2 },
    };
    return this.fleet.attempt(name, requester, { ...this.#renewal(), ...changes[what] });
  }

  identity(who: 'web' | 'dep' | 'thief'): string {
    return who === 'dep' ? `dep-${String(this.#processes.dep)}` : who;
  }

  requester(who: 'web' | 'dep') {
    return pod(`${who}-0`, `${who}-pod-${String(this.#pods[who])}`);
  }

  async #write(
    at: Step['at'],
    who: 'web' | 'dep',
    options: Parameters<typeof record>[0] & object,
  ): Promise<void> {
    const decision = await this.fleet.attempt('all', this.requester(who), options);
    if (decision.outcome === 'Deny') return;
    if (at === 'nobody') this.fleet.unseen(who, options);
    else await this.fleet.write(at, this.requester(who), options);
  }

  async #delete(at: Step['at'], requester: ReturnType<typeof pod>): Promise<void> {
    await this.fleet.attemptDelete('all', requester);
    if (at === 'nobody') this.fleet.vanish();
    else await this.fleet.delete(at, requester);
  }

  #taking(who: 'web' | 'dep' | 'thief') {
    const before = this.fleet.state === null ? null : recordOf(this.fleet.state);
    return { holder: this.identity(who), transitions: before === null ? 0 : (before.transitions ?? 0) + 1 };
  }

  #renewal() {
    const { holder = null, acquireTime, transitions = 0 } = recordOf(this.fleet.state!) ?? {};
    return { holder, acquired: acquireTime?.at ?? null, transitions };
  }

  #holder(): string | null {
    return this.fleet.state === null ? null : (recordOf(this.fleet.state)?.holder ?? null);
  }
}

describe('replicas that tell one another', () => {
  const told = fc.array(fc.nat(100), { maxLength: 40 });
  const some = (picks: readonly number[], facts: readonly LockFacts[]): readonly LockFacts[] =>
    facts.length === 0 ? [] : picks.map((each) => facts[each % facts.length]!);

  it('never refuse what one that saw everything allows, whatever they heard, late, twice or never', async () => {
    let denied = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 3, maxLength: 14 }),
        fc.array(last, { minLength: 3, maxLength: 3 }),
        fc.nat(14),
        told,
        told,
        async (steps, ends, starts, heardByB, heardByC) => {
          const history = new History();
          const { fleet } = history;
          for (const [i, each] of steps.entries()) {
            if (i === starts) fleet.join('C');
            await history.play(each);
            if (i % 3 === 0) fleet.hear('A', (facts) => some(heardByB, facts));
          }
          if (starts >= steps.length) fleet.join('C');
          // With a deletion a replica forgets what it saw itself; what was told of it still counts.
          fleet.hear('all');
          fleet.hear('B', (facts) => some(heardByB, facts));
          // It has seen everything, but forgets what it need not keep.
          fleet.hear('all');
          // Whoever starts reads what is stored, which is all deletions but those just now.
          fleet.hear('C', (facts) => [
            ...some(heardByC, facts),
            ...facts.filter((each) => each.deleted !== null),
          ]);
          for (const end of ends) {
            const all = await history.end('all', end);
            for (const name of ['A', 'B', 'C']) {
              const decision = await history.end(name, end);
              if (decision?.outcome === 'Deny') denied += 1;
              if (all?.outcome === 'Allow')
                expect(decision?.violations.filter((v) => v.enforcement === 'Deny')).toEqual([]);
            }
          }
        },
      ),
      { numRuns: 1500 },
    );
    expect(denied).toBeGreaterThan(300);
  });

  it('come to know the same, in whatever order they hear it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 3, maxLength: 14 }),
        fc.array(last, { minLength: 3, maxLength: 3 }),
        fc.nat(1000),
        async (steps, ends, seed) => {
          const history = new History();
          for (const each of steps) await history.play(each);
          const { fleet } = history;
          fleet.join('C');
          fleet.join('D');
          fleet.hear('C');
          const shuffled = (facts: readonly LockFacts[]): readonly LockFacts[] =>
            [...facts, ...facts]
              .map((each, i) => ({ each, key: (i * 7919 + seed) % 101 }))
              .sort((a, b) => a.key - b.key)
              .map(({ each }) => each);
          fleet.hear('D', shuffled);
          for (const end of ends) {
            const [one, other] = [await history.end('C', end), await history.end('D', end)];
            expect(other?.violations).toEqual(one?.violations);
            expect(other?.question).toEqual(one?.question);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
