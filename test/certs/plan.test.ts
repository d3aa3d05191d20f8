import { beforeAll, describe, expect, it } from 'vitest';
import { secretData, type AuthorityState } from '../../src/certs/authority-state.ts';
import { bundleFor, splitBundle, trustsAll } from '../../src/certs/bundle.ts';
import type { AuthorityFacts, Phase } from '../../src/certs/facts.ts';
import { plan, type Action } from '../../src/certs/plan.ts';
import { readAuthority } from '../../src/certs/read-authority.ts';
import { day, factsOf, hosts, hour, kinds, lifetimes, second, stable, step, t0 } from './support/rotation.ts';

const prepareAt = t0 + (365 * day * 2) / 3;
const switchAt = prepareAt + 40 * second;

/** The states of one rotation, each what the Secret holds after one more write. */
let start: AuthorityState;
let prepared: AuthorityState;
let switched: AuthorityState;
let confirmed: AuthorityState;
let retired: AuthorityState;
/** Another authority altogether. */
let other: AuthorityState;

beforeAll(async () => {
  start = await stable();
  // So that the leaf is not what is due.
  start = await step(start, 'renewLeaf', prepareAt - day);
  prepared = await step(start, 'prepare', prepareAt);
  switched = await step(prepared, 'switch', switchAt);
  confirmed = await step(switched, 'confirm', switchAt + second);
  retired = await step(confirmed, 'retire', switchAt + 25 * hour, {
    authorities: confirmed.retired.map(({ certificate }) => certificate.fingerprint),
  });
  other = await stable(prepareAt);
});

const fingerprint = (state: AuthorityState): string => state.leaf?.certificate.fingerprint ?? '';
const serving = (...leaves: readonly (string | null)[]) =>
  leaves.map((servesLeaf, index) => ({ name: 'abc'[index] ?? '', servesLeaf }));

interface Row {
  readonly when: string;
  readonly facts: () => AuthorityFacts;
  readonly phase: Phase;
  readonly actions: readonly Action['kind'][];
  /** Part of `next.why`. */
  readonly why?: string | RegExp;
  /** `next.atMs`. */
  readonly atMs?: number | null;
}

describe('the plan of a rotation', () => {
  const rows: readonly Row[] = [
    {
      when: 'nothing is due',
      facts: () => factsOf(start, prepareAt - hour),
      phase: 'Stable',
      actions: [],
      why: 'the authority is renewed before',
    },
    {
      when: 'two thirds of the life of the authority are over',
      facts: () => factsOf(start, prepareAt),
      phase: 'Stable',
      actions: ['prepare'],
      why: 'the authority is near its end',
    },
    {
      when: 'the next authority is prepared and no entry has heard of it',
      facts: () =>
        factsOf(prepared, prepareAt, { bundles: [bundleFor(start, prepareAt), bundleFor(start, prepareAt)] }),
      phase: 'Prepared',
      actions: ['publish'],
      why: '2 of 2 webhook entries do not trust',
    },
    {
      when: 'one entry of two was written when the leader died',
      facts: () =>
        factsOf(prepared, prepareAt, {
          bundles: [bundleFor(prepared, prepareAt), bundleFor(start, prepareAt)],
        }),
      phase: 'Prepared',
      actions: ['publish'],
      why: '1 of 2 webhook entries do not trust',
    },
    {
      when: 'every entry was written, a moment ago',
      facts: () => factsOf(prepared, prepareAt + second, { bundleSinceMs: prepareAt }),
      phase: 'Published',
      actions: [],
      why: 'API servers are given time',
      atMs: prepareAt + 30 * second,
    },
    {
      when: 'every entry was written, and the leader is new and has only just looked',
      facts: () => factsOf(prepared, prepareAt + hour, { bundleSinceMs: null }),
      phase: 'Published',
      actions: [],
      atMs: null,
    },
    {
      when: 'a millisecond of the wait is left',
      facts: () => factsOf(prepared, prepareAt + 30 * second - 1, { bundleSinceMs: prepareAt }),
      phase: 'Published',
      actions: [],
    },
    {
      when: 'the wait is over',
      facts: () => factsOf(prepared, prepareAt + 30 * second, { bundleSinceMs: prepareAt }),
      phase: 'Published',
      actions: ['switch'],
      why: 'for long enough',
    },
    {
      when: 'the wait is over and one entry was reset meanwhile',
      facts: () => factsOf(prepared, switchAt, { bundles: [bundleFor(prepared, switchAt), ''] }),
      phase: 'Prepared',
      actions: ['publish'],
    },
    {
      when: 'there is no configuration',
      facts: () => factsOf(prepared, prepareAt, { bundles: null, bundleSinceMs: null }),
      phase: 'Published',
      actions: ['switch'],
      why: 'no webhook entry exists',
    },
    {
      when: 'the configuration has no entry',
      facts: () => factsOf(prepared, prepareAt, { bundles: [], bundleSinceMs: null }),
      phase: 'Published',
      actions: ['switch'],
      why: 'no webhook entry exists',
    },
    {
      when: 'the leaf was switched and replicas lag',
      facts: () =>
        factsOf(switched, switchAt, { replicas: serving(fingerprint(switched), fingerprint(start), null) }),
      phase: 'Switched',
      actions: [],
      why: 'waits for b, c to be seen',
      atMs: null,
    },
    {
      when: 'the leaf was switched and the leader has not seen a replica yet, not even itself',
      facts: () => factsOf(switched, switchAt, { replicas: [] }),
      phase: 'Switched',
      actions: [],
      why: 'no live replica was seen yet',
    },
    {
      when: 'every live replica serves the new leaf',
      facts: () => factsOf(switched, switchAt),
      phase: 'Switched',
      actions: ['confirm'],
    },
    {
      when: 'the replica that lagged is alive no more',
      facts: () => factsOf(switched, switchAt, { replicas: serving(fingerprint(switched)) }),
      phase: 'Switched',
      actions: ['confirm'],
    },
    {
      when: 'an entry was reset to the old authority after the switch',
      facts: () =>
        factsOf(switched, switchAt, { bundles: [bundleFor(start, switchAt), bundleFor(switched, switchAt)] }),
      phase: 'Unpublished',
      actions: ['publish', 'confirm'],
    },
    {
      when: 'the switch is confirmed',
      facts: () => factsOf(confirmed, switchAt + hour),
      phase: 'Confirmed',
      actions: [],
      why: 'the old authority stays trusted for a while',
      atMs: switchAt + second + day,
    },
    {
      when: 'a day has passed since',
      facts: () => factsOf(confirmed, switchAt + second + day),
      phase: 'Confirmed',
      actions: ['retire'],
    },
    {
      when: 'a day has passed since, and a replica came up that serves something else',
      facts: () =>
        factsOf(confirmed, switchAt + 2 * day, {
          replicas: serving(fingerprint(confirmed), fingerprint(start)),
        }),
      phase: 'Confirmed',
      actions: [],
      why: 'waits for b to be seen',
      atMs: null,
    },
    {
      when: 'the old authority is gone from the Secret, and the leader died before it was from the entries',
      facts: () =>
        factsOf(retired, switchAt + 2 * day, {
          bundles: [bundleFor(retired, switchAt), bundleFor(confirmed, switchAt)],
        }),
      phase: 'Confirmed',
      actions: ['narrow'],
      why: 'an authority that nobody needs',
    },
    {
      when: 'entries are to be narrowed and not every replica was seen',
      facts: () =>
        factsOf(retired, switchAt + 2 * day, {
          bundles: [bundleFor(confirmed, switchAt)],
          replicas: serving(fingerprint(retired), null),
        }),
      phase: 'Confirmed',
      actions: [],
      why: 'waits for b',
      atMs: null,
    },
    {
      when: 'all is done',
      facts: () => factsOf(retired, switchAt + 2 * day),
      phase: 'Stable',
      actions: [],
      why: 'the leaf is renewed',
    },
    {
      when: 'a stable bundle was reset to nothing',
      facts: () => factsOf(start, prepareAt - hour, { bundles: ['', ''] }),
      phase: 'Unpublished',
      actions: ['publish'],
    },
    {
      when: 'a bundle was reset and the leaf is due: neither waits for the other',
      facts: () => factsOf(start, prepareAt + 25 * day, { bundles: [''] }),
      phase: 'Unpublished',
      actions: ['publish', 'renewLeaf'],
    },
  ];

  it.each(rows)('when $when', ({ facts, phase, actions, why, atMs }) => {
    const planned = plan(facts(), lifetimes);
    expect([planned.phase, ...planned.actions.map(({ kind }) => kind)]).toEqual([phase, ...actions]);
    expect(planned.next.why).toMatch(why ?? /./);
    if (atMs !== undefined) expect(planned.next.atMs).toBe(atMs);
    if (actions.length > 0) expect(planned.next.what).toBe(actions[0]);
  });

  it('publishes what is needed, and takes nothing away while somebody may still serve by it', () => {
    // As when the Secret was restored from a backup: it was confirmed long ago, and replicas serve what came after.
    const replicas = serving(fingerprint(prepared), fingerprint(other));
    const bundles = [bundleFor(other, prepareAt), 'not a certificate', bundleFor(start, prepareAt)];
    const [publish] = plan(factsOf(prepared, prepareAt, { bundles, replicas }), lifetimes).actions;
    const written = publish?.writes === 'bundle' ? publish.bundle : '';
    expect(trustsAll(written, bundleFor(prepared, prepareAt) + bundleFor(other, prepareAt))).toBe(true);
    expect(splitBundle(written)).toHaveLength(3);
    // The order says which is in use.
    expect(written.startsWith(bundleFor(start, prepareAt))).toBe(true);
  });

  it('does not spread what somebody has put into one entry, once all serve by what is in use', () => {
    const replicas = serving(fingerprint(prepared), fingerprint(prepared));
    const bundles = [bundleFor(other, prepareAt), bundleFor(start, prepareAt)];
    const [publish] = plan(factsOf(prepared, prepareAt, { bundles, replicas }), lifetimes).actions;
    expect(publish).toMatchObject({ kind: 'publish', bundle: bundleFor(prepared, prepareAt) });
  });

  it('narrows to what is needed and nothing else', () => {
    const bundles = [bundleFor(confirmed, switchAt) + bundleFor(other, switchAt)];
    const [narrow] = plan(factsOf(retired, switchAt + 2 * day, { bundles }), lifetimes).actions;
    expect(narrow).toMatchObject({ kind: 'narrow', bundle: bundleFor(retired, switchAt) });
  });

  it('narrows nothing while no replica is known to live: one that nobody sees may serve by what would go', () => {
    const bundles = [bundleFor(confirmed, switchAt) + bundleFor(other, switchAt)];
    const planned = plan(factsOf(retired, switchAt + 2 * day, { bundles, replicas: [] }), lifetimes);
    expect(planned.actions).toEqual([]);
  });

  it('is the same for the next leader: nothing in it is remembered', () => {
    for (const { facts } of rows) expect(plan(facts(), lifetimes)).toEqual(plan(facts(), lifetimes));
  });

  it('survives the Secret: what is read back leads to the same plan', () => {
    for (const state of [start, prepared, switched, confirmed, retired]) {
      const nowMs = switchAt + 2 * day;
      const reading = readAuthority(secretData(state), nowMs);
      expect(reading).toEqual({ kind: 'state', state });
      expect(plan({ ...factsOf(state, nowMs), authority: reading }, lifetimes)).toEqual(
        plan(factsOf(state, nowMs), lifetimes),
      );
    }
  });
});

describe('a leaf', () => {
  it('is renewed alone, without a word to API servers, when a third of its life is left', async () => {
    const fresh = await stable();
    expect(kinds(factsOf(fresh, t0 + 20 * day - 1000))).toEqual([]);
    expect(kinds(factsOf(fresh, t0 + 20 * day))).toEqual(['renewLeaf']);
    const renewed = await step(fresh, 'renewLeaf', t0 + 20 * day);
    expect(bundleFor(renewed, t0)).toBe(bundleFor(fresh, t0));
    expect(fingerprint(renewed)).not.toBe(fingerprint(fresh));
    expect(kinds(factsOf(renewed, t0 + 20 * day))).toEqual([]);
  });

  it('is renewed when it does not name a host that is called', () => {
    const facts = factsOf(start, prepareAt - hour, { hosts: [...hosts, 'other.ns.svc'] });
    expect(plan(facts, lifetimes).actions).toMatchObject([
      { kind: 'renewLeaf', why: 'the leaf does not name other.ns.svc' },
    ]);
  });

  it('is renewed in the middle of a rotation that cannot go on', () => {
    const nowMs = prepareAt + 25 * day;
    const facts = factsOf(prepared, nowMs, { bundles: [bundleFor(start, nowMs)] });
    expect(kinds(facts)).toEqual(['publish', 'renewLeaf']);
  });

  it('that ends with its authority is not renewed over and over', async () => {
    const nowMs = t0 + 364 * day;
    const last = await step(prepared, 'renewLeaf', nowMs);
    expect(last.leaf?.certificate.notAfterMs).toBe(last.current?.certificate.notAfterMs);
    const late = nowMs + 20 * hour;
    expect(kinds(factsOf(last, late, { bundles: [bundleFor(start, late)] }))).not.toContain('renewLeaf');
  });
});

describe('a request', () => {
  const nowMs = prepareAt - hour;
  const request = (what: 'leaf' | 'authority', token = 'r1') => ({ what, token });

  it('for a leaf is honoured once, at once', async () => {
    const [planned] = plan(factsOf(start, nowMs, { request: request('leaf') }), lifetimes).actions;
    expect(planned).toMatchObject({ kind: 'renewLeaf', token: 'r1' });
    const done = await step(start, 'renewLeaf', nowMs, { token: 'r1' });
    expect(done.rotatedFor).toBe('r1');
    expect(kinds(factsOf(done, nowMs, { request: request('leaf') }))).toEqual([]);
    expect(kinds(factsOf(done, nowMs, { request: request('leaf', 'r2') }))).toEqual(['renewLeaf']);
  });

  it('for an authority is remembered by the write that begins it, so that a crash does not begin it twice', async () => {
    const [planned] = plan(factsOf(start, nowMs, { request: request('authority') }), lifetimes).actions;
    expect(planned).toMatchObject({ kind: 'prepare', token: 'r1', why: 'a new authority was asked for' });
    let state = await step(start, 'prepare', nowMs, { token: 'r1' });
    expect(kinds(factsOf(state, nowMs, { request: request('authority') }))).toEqual(['switch']);
    state = await step(state, 'switch', nowMs);
    state = await step(state, 'confirm', nowMs);
    expect(kinds(factsOf(state, nowMs, { request: request('authority') }))).toEqual([]);
  });

  it('for an authority that comes during a rotation is honoured by another one after it', async () => {
    const during = factsOf(prepared, prepareAt, { request: request('authority'), bundleSinceMs: prepareAt });
    expect(kinds(during)).toEqual([]);
    expect(kinds({ ...during, nowMs: switchAt })).toEqual(['switch']);
    const state = await step(prepared, 'switch', switchAt);
    expect(state.rotatedFor).toBeNull();
    expect(kinds(factsOf(state, switchAt, { request: request('authority') }))).toEqual(['prepare']);
  });

  it('for a leaf that comes when the switch is due is honoured by it', () => {
    const [planned] = plan(factsOf(prepared, switchAt, { request: request('leaf') }), lifetimes).actions;
    expect(planned).toMatchObject({ kind: 'switch', token: 'r1' });
  });

  it('that nobody could remember is none', () => {
    for (const token of ['', 'x'.repeat(254)]) {
      expect(kinds(factsOf(start, nowMs, { request: request('authority', token) }))).toEqual([]);
    }
  });

  it('waits when too many old authorities are still trusted, and says so', async () => {
    let state = start;
    for (let index = 0; index < 8; index += 1) {
      state = await step(state, 'prepare', nowMs);
      state = await step(state, 'switch', nowMs);
    }
    state = await step(state, 'confirm', nowMs);
    const planned = plan(factsOf(state, nowMs, { request: request('authority') }), lifetimes);
    expect(planned.actions).toEqual([]);
    expect(planned.next).toEqual({
      what: 'retire',
      atMs: nowMs + day,
      why: 'the new authority that was asked for waits until earlier ones have retired',
    });
    // And it can still be read: the bounds of reading are not tighter than those of writing.
    expect(readAuthority(secretData(state), nowMs)).toEqual({ kind: 'state', state });
  });
});

describe('an authority that is lost', () => {
  const nowMs = prepareAt;

  it('is created with a leaf when nobody is served', () => {
    for (const changed of [
      { bundles: null },
      { replicas: serving(null, null, null) },
      { bundles: ['', 'junk'] },
    ]) {
      const planned = plan({ ...factsOf(other, nowMs, changed), authority: { kind: 'missing' } }, lifetimes);
      expect(planned).toMatchObject({ phase: 'Missing', actions: [{ kind: 'create', serveAtOnce: true }] });
    }
  });

  it('is made anew without a leaf while replicas serve the old one: API servers are told first', async () => {
    const facts = {
      ...factsOf(start, nowMs),
      authority: { kind: 'broken', why: '`ca.key` is missing' } as const,
    };
    expect(plan(facts, lifetimes)).toMatchObject({
      phase: 'Broken',
      actions: [
        {
          kind: 'replaceBroken',
          serveAtOnce: false,
          why: 'the authority cannot be used: `ca.key` is missing',
        },
      ],
    });
    const anew = await step(null, 'replaceBroken', nowMs, { serveAtOnce: false });
    expect([anew.current, anew.leaf]).toEqual([null, null]);
    const { replicas } = facts;
    const before = { replicas, bundles: facts.bundles };
    const [publish] = plan(factsOf(anew, nowMs, before), lifetimes).actions;
    const bundle = publish?.writes === 'bundle' ? publish.bundle : '';
    expect(trustsAll(bundle, bundleFor(start, nowMs) + bundleFor(anew, nowMs))).toBe(true);
    const told = { replicas, bundles: [bundle], bundleSinceMs: nowMs };
    expect(kinds(factsOf(anew, nowMs + second, told))).toEqual([]);
    expect(kinds(factsOf(anew, nowMs + 30 * second, told))).toEqual(['switch']);
    const moved = await step(anew, 'switch', nowMs + 30 * second);
    // The old authority is not ours to retire any more; it goes from the entries once nobody serves under it.
    expect(kinds(factsOf(moved, nowMs + hour, { ...told, replicas }))).toEqual([]);
    const seen = await step(moved, 'confirm', nowMs + hour);
    expect(kinds(factsOf(seen, nowMs + hour, { bundles: [bundle] }))).toEqual(['narrow']);
  });

  it('honours a request by the way', () => {
    const request = { what: 'authority', token: 'r' } as const;
    const facts = { ...factsOf(start, nowMs, { request }), authority: { kind: 'missing' } as const };
    expect(plan(facts, lifetimes).actions).toMatchObject([{ token: 'r' }]);
  });
});

describe('a long outage', () => {
  it('is recovered from without a wait: leaf expired, authority not', async () => {
    const nowMs = t0 + 100 * day;
    const state = await stable();
    expect(plan(factsOf(state, nowMs), lifetimes).actions).toMatchObject([
      { kind: 'renewLeaf', why: 'the leaf has expired' },
    ]);
  });

  it('is recovered from without a wait: everything expired', async () => {
    const nowMs = t0 + 800 * day;
    let state = await stable();
    const bundles = [bundleFor(state, t0)];
    const replicas = serving(fingerprint(state), null, null);
    const gone = { bundles, replicas, bundleSinceMs: null };
    expect(plan(factsOf(state, nowMs, gone), lifetimes).actions).toMatchObject([
      { kind: 'prepare', why: 'the authority has expired' },
    ]);
    state = await step(state, 'prepare', nowMs);
    expect(state.next?.cross).toBeNull();
    expect(kinds(factsOf(state, nowMs, gone))).toEqual(['publish']);
    const told = { ...gone, bundles: [bundleFor(state, nowMs)] };
    expect(kinds(factsOf(state, nowMs, told))).toEqual(['switch']);
    expect(plan(factsOf(state, nowMs, told), lifetimes).next.why).toMatch(
      /^the authority in use has expired/,
    );
    state = await step(state, 'switch', nowMs);
    expect([state.retired, state.leaf?.crosses]).toEqual([[], []]);
    expect(kinds(factsOf(state, nowMs))).toEqual(['confirm']);
  });

  it('is recovered from when the next authority grew old unused', () => {
    const nowMs = t0 + 2000 * day;
    expect(plan(factsOf(prepared, nowMs), lifetimes).actions).toMatchObject([
      { kind: 'prepare', why: 'the next authority grew old before it was used' },
    ]);
  });

  it('lets an old authority go when it has expired, though nobody could be confirmed', () => {
    const nowMs = t0 + 366 * day;
    const facts = factsOf(switched, nowMs, { replicas: serving(null) });
    expect(plan(facts, lifetimes).actions).toMatchObject([{ kind: 'renewLeaf' }]);
    const soon = { ...facts, authority: { kind: 'state', state: { ...switched, leaf: null } } as const };
    expect(plan(soon, lifetimes).actions).toMatchObject([
      { kind: 'retire', why: 'an old authority has expired' },
    ]);
  });
});
