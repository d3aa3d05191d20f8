import { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { chainOf, type AuthorityState } from '../../src/certs/authority-state.ts';
import { bundleFor } from '../../src/certs/bundle.ts';
import { mintLeaf } from '../../src/certs/carry-out.ts';
import { chooseBrought, chooseLeaf, type ChoiceFacts, type LeafChoice } from '../../src/certs/choose-leaf.ts';
import { whyNotServable, type ServableLeaf } from '../../src/certs/verify.ts';
import { day, hosts, hour, lifetimes, second, stable, step, t0 } from './support/rotation.ts';

let first: AuthorityState;
let prepared: AuthorityState;
let switched: AuthorityState;
/** Another authority, unknown to the first. */
let other: AuthorityState;

beforeAll(async () => {
  first = await stable();
  prepared = await step(first, 'prepare', t0);
  switched = await step(prepared, 'switch', t0 + 30 * second);
  other = await stable();
});

const leafOf = (state: AuthorityState): ServableLeaf => ({
  chainPem: chainOf(state.leaf!),
  keyPem: state.leaf!.keyPem,
});
const bundle = (...states: readonly AuthorityState[]): string =>
  states.map((each) => bundleFor(each, t0)).join('');

/** The choice of a replica that has seen the bundle of `state` for an hour and serves nothing, unless changed. */
function choose(state: AuthorityState | null, changed: Partial<ChoiceFacts> = {}): LeafChoice {
  const nowMs = changed.nowMs ?? t0 + hour;
  return chooseLeaf({
    authority: state === null ? { kind: 'missing' } : { kind: 'state', state },
    bundles: state === null ? [bundle(first)] : [bundle(state)],
    bundleSinceMs: nowMs - hour,
    hosts,
    nowMs,
    served: null,
    lifetimes,
    ...changed,
  });
}

describe('a replica', () => {
  it('serves the leaf in the Secret, and goes on with it', () => {
    const choice = choose(first);
    expect(choice).toMatchObject({ kind: 'serve', leaf: leafOf(first) });
    expect(choose(first, { served: leafOf(first) })).toMatchObject({ kind: 'keep', problem: null });
  });

  it('serves it before there is a configuration: no call can come', () => {
    for (const bundles of [null, []])
      expect(choose(first, { bundles, bundleSinceMs: null }).kind).toBe('serve');
  });

  it('takes up a renewed leaf, and a switched one that is cross-signed, at once, whatever the bundle', async () => {
    const renewed = await step(first, 'renewLeaf', t0 + hour);
    const at = { served: leafOf(first), bundleSinceMs: t0 + hour };
    expect(choose(renewed, at)).toMatchObject({ kind: 'serve', leaf: leafOf(renewed) });
    for (const bundles of [[bundle(first)], [bundle(switched)], [bundle(first), bundle(switched)]]) {
      expect(choose(switched, { ...at, bundles })).toMatchObject({ kind: 'serve', leaf: leafOf(switched) });
    }
  });

  it('does not take up a leaf that one of the entries does not verify', () => {
    const choice = choose(other, { served: leafOf(first), bundles: [bundle(first, other), bundle(first)] });
    expect(choice).toEqual({
      kind: 'keep',
      why: 'no authority that the webhook configuration trusts vouches for the certificate',
      problem: null,
      works: true,
    });
    expect(choose(other, { bundles: [bundle(first)] }).kind).toBe('nothing');
  });

  it('is of use to the entries that verify its leaf, when somebody has overwritten another', () => {
    const bundles = [bundle(first), bundle(other)];
    const refused = 'no authority that the webhook configuration trusts vouches for the certificate';
    const standing = { problem: refused, works: true };
    expect(choose(first, { served: leafOf(first), bundles })).toMatchObject({ kind: 'keep', ...standing });
    expect(choose(first, { bundles })).toMatchObject({ kind: 'serve', leaf: leafOf(first), ...standing });
    const cut = { served: leafOf(first), bundles: ['', bundle(first)] };
    expect(choose(first, cut)).toMatchObject({ kind: 'keep', works: true });
  });

  it('leaves a leaf that nobody verifies for one that somebody does', async () => {
    const served = leafOf(await stable());
    const bundles = [bundle(first), bundle(other)];
    expect(choose(first, { served, bundles })).toMatchObject({ kind: 'serve', leaf: leafOf(first) });
    expect(choose(null, { served, bundles })).toMatchObject({ kind: 'keep', works: false });
  });

  it('gives API servers time to hear of an authority that nobody vouches for', () => {
    const nowMs = t0 + hour;
    const changed = { served: leafOf(first), bundles: [bundle(first, other)], nowMs };
    expect(choose(other, { ...changed, bundleSinceMs: null }).kind).toBe('keep');
    expect(choose(other, { ...changed, bundleSinceMs: nowMs - 30 * second + 1 }).kind).toBe('keep');
    expect(choose(other, { ...changed, bundleSinceMs: nowMs - 30 * second }).kind).toBe('serve');
  });

  it('does not wait when what it serves is refused anyway', () => {
    const changed = { served: leafOf(first), bundles: [bundle(other)], bundleSinceMs: t0 + hour };
    expect(choose(other, changed)).toMatchObject({ kind: 'serve', leaf: leafOf(other) });
  });

  it('keeps what it has, and says that it is refused, when the entries were overwritten', () => {
    for (const bundles of [[''], [bundle(other)]]) {
      expect(choose(first, { served: leafOf(first), bundles })).toMatchObject({
        kind: 'keep',
        problem: expect.stringMatching(/^(the webhook configuration trusts no|no) authority/) as string,
      });
    }
  });

  it('goes on with what it serves when the Secret is lost, almost to its end and never beyond', () => {
    const { notAfterMs } = first.leaf!.certificate;
    const at = (nowMs: number): LeafChoice => choose(null, { served: leafOf(first), nowMs });
    expect(at(t0 + day)).toEqual({
      kind: 'keep',
      why: 'the Secret is missing',
      problem: null,
      works: true,
    });
    expect(at(notAfterMs - 3_001)).toMatchObject({ kind: 'keep', problem: null });
    expect(at(notAfterMs)).toEqual({
      kind: 'nothing',
      why: 'the certificate expired at 2026-02-01T03:04:05Z',
    });
    const authority = { kind: 'broken', why: '`ca.key` is missing' } as const;
    expect(chooseLeaf({ ...factsWithout(), authority })).toEqual({
      kind: 'nothing',
      why: 'the Secret cannot be used: `ca.key` is missing',
    });
  });

  it('waits for a leaf while the authority has none', async () => {
    const anew = await step(null, 'create', t0, { serveAtOnce: false });
    const changed = { bundles: [bundle(first, anew)], bundleSinceMs: t0 + hour };
    expect(choose(anew, { ...changed, served: leafOf(first) })).toMatchObject({
      kind: 'keep',
      problem: null,
    });
    expect(choose(anew, changed)).toEqual({ kind: 'nothing', why: 'the authority has no leaf yet' });
  });
});

function factsWithout(): ChoiceFacts {
  return { bundles: null, bundleSinceMs: null, hosts, nowMs: t0, served: null, lifetimes };
}

describe('breaking the glass', () => {
  const nearMs = t0 + 29 * day;

  it('is not for a leaf that has more than a day left', () => {
    expect(choose(first, { served: leafOf(first), nowMs: nearMs - 1000 }).kind).toBe('keep');
  });

  it('makes a replica mint its own leaf, which is served until the leader has a better one', async () => {
    const choice = choose(first, { served: leafOf(first), nowMs: nearMs });
    expect(choice).toMatchObject({
      kind: 'mint',
      why: 'the leaf in the Secret is near its end, and no leader has renewed it',
      otherwise: { kind: 'keep', problem: null },
    });
    if (choice.kind !== 'mint') return;
    const minted = await mintLeaf(choice.issuer, { nowMs: nearMs, hosts, lifetimes });
    const question = { ...minted, bundlePem: bundle(first), hosts, nowMs: nearMs + 28 * day };
    expect(whyNotServable(question)).toBeNull();
    expect(choose(first, { served: minted, nowMs: nearMs + day }).kind).toBe('keep');
    // The leaf in the Secret has expired meanwhile, which changes nothing.
    expect(choose(first, { served: minted, nowMs: nearMs + 2 * day })).toMatchObject({
      kind: 'keep',
      problem: null,
    });
    expect(choose(first, { served: minted, nowMs: nearMs + 29 * day }).kind).toBe('mint');
    const renewed = await step(first, 'renewLeaf', nearMs + day);
    expect(choose(renewed, { served: minted, nowMs: nearMs + day })).toMatchObject({ leaf: leafOf(renewed) });
  });

  it('helps a replica that starts after an outage', () => {
    expect(choose(first, { nowMs: t0 + 100 * day })).toMatchObject({
      kind: 'mint',
      issuer: { authority: first.current },
    });
  });

  it('keeps the cross-signature, so that it helps API servers that have heard of nothing', async () => {
    const nowMs = t0 + 40 * day;
    const choice = choose(switched, { nowMs, bundles: [bundle(first)] });
    if (choice.kind !== 'mint') throw new Error(choice.kind);
    const minted = await mintLeaf(choice.issuer, { nowMs, hosts, lifetimes });
    expect(whyNotServable({ ...minted, bundlePem: bundle(first), hosts, nowMs })).toBeNull();
  });

  it('uses the next authority only when the present one is of no use and API servers have had time', () => {
    const nowMs = t0 + 100 * day;
    const next = prepared.next!.certificate.pem;
    const bundles = [next];
    expect(choose(prepared, { nowMs })).toMatchObject({ issuer: { authority: prepared.current } });
    expect(choose(prepared, { nowMs, bundles })).toMatchObject({ kind: 'mint' });
    const chosen = choose(prepared, { nowMs, bundles });
    expect(chosen.kind === 'mint' ? chosen.issuer.authority.certificate : null).toBe(
      prepared.next!.certificate,
    );
    expect(choose(prepared, { nowMs, bundles, bundleSinceMs: nowMs }).kind).toBe('nothing');
  });

  it('gains nothing under an authority that ends as soon, and is not tried over and over', async () => {
    const nowMs = t0 + 364 * day + 12 * hour;
    const choice = choose(first, { nowMs });
    if (choice.kind !== 'mint') throw new Error(choice.kind);
    const minted = await mintLeaf(choice.issuer, { nowMs, hosts, lifetimes });
    expect(Date.parse(new X509Certificate(minted.chainPem).validTo)).toBe(
      first.current!.certificate.notAfterMs,
    );
    expect(choose(first, { nowMs: nowMs + second, served: minted })).toMatchObject({
      kind: 'keep',
      problem: null,
    });
  });

  it('is impossible with authorities that the entries do not trust, or that have expired', () => {
    expect(choose(first, { nowMs: t0 + 100 * day, bundles: [bundle(other)] }).kind).toBe('nothing');
    expect(choose(first, { nowMs: t0 + 366 * day }).kind).toBe('nothing');
  });

  it('leaves the leaf in the Secret as the last resort', () => {
    const bare = { ...first, current: { ...first.current!, certificate: other.current!.certificate } };
    const nowMs = nearMs + hour;
    expect(choose(bare, { nowMs, bundles: [bundle(first)] })).toMatchObject({
      kind: 'serve',
      leaf: leafOf(first),
    });
    expect(choose(bare, { nowMs, bundles: [bundle(first)], served: leafOf(first) })).toMatchObject({
      kind: 'keep',
    });
  });
});

describe('a leaf that others brought', () => {
  const nowMs = t0 + hour;
  const facts = (changed: Partial<ChoiceFacts>): ChoiceFacts => ({ ...factsWithout(), nowMs, ...changed });

  it('waits for API servers when its authority changed with it', () => {
    const offer = { leaf: leafOf(other) };
    const bundles = [bundle(first, other)];
    const served = leafOf(first);
    expect(chooseBrought({ ...facts({ served, bundles: [bundle(first)] }), offer }).kind).toBe('keep');
    expect(chooseBrought({ ...facts({ served, bundles, bundleSinceMs: nowMs }), offer }).kind).toBe('keep');
    const settled = { served, bundles, bundleSinceMs: nowMs - 30 * second };
    expect(chooseBrought({ ...facts(settled), offer }).kind).toBe('serve');
  });

  it('is never minted in its place', () => {
    const served = leafOf(first);
    const late = facts({ served, bundles: [bundle(first)], nowMs: t0 + 29 * day });
    expect(chooseBrought({ ...late, offer: { leaf: served } })).toMatchObject({
      kind: 'keep',
      problem: null,
    });
    expect(chooseBrought({ ...facts({}), offer: { whyNone: 'the Secret does not exist' } })).toEqual({
      kind: 'nothing',
      why: 'the Secret does not exist',
    });
  });
});
