/**
 * What a replica serves, decided by itself: the leader's word is in the Secret, but what counts in a handshake is what
 * API servers trust, and that the replica sees with its own eyes in the webhook configuration.
 *
 * INVARIANT: no leaf is taken up that has expired or that no observed entry verifies, and one that only some of them verify
 * only where there is nothing better; none is kept to its end.
 */
import { chainOf, type AuthorityReading, type AuthorityState } from './authority-state.ts';
import type { Issuer } from './carry-out.ts';
import { isExpiredAt, isValidAt, readChain } from './certificate.ts';
import type { Lifetimes } from './lifetimes.ts';
import { anchorsOf, whyNotServable, type ServableLeaf } from './verify.ts';

/** What a replica knows. Instants in Unix milliseconds. */
export interface ChoiceFacts {
  /** The `caBundle` of each webhook entry, in PEM; null when there is no configuration, so that no call can come. */
  readonly bundles: readonly string[] | null;
  /** Since when this replica has seen exactly these bundles, on the time line of `nowMs`. */
  readonly bundleSinceMs: number | null;
  readonly hosts: readonly string[];
  /** The API server's time. */
  readonly nowMs: number;
  /** What this replica serves now. */
  readonly served: ServableLeaf | null;
  readonly lifetimes: Lifetimes;
}

export type LeafChoice =
  | LeafChoiceAtHand
  /** Issue a leaf with `mintLeaf`, and serve it; `otherwise` where that fails. */
  | {
      readonly kind: 'mint';
      readonly issuer: Issuer;
      readonly why: string;
      readonly otherwise: LeafChoiceAtHand;
    };

/** A choice for which nothing has to be issued. */
export type LeafChoiceAtHand =
  | ({ readonly kind: 'serve'; readonly leaf: ServableLeaf; readonly why: string } & Standing)
  | ({ readonly kind: 'keep'; readonly why: string } & Standing)
  /** Serve nothing: stop if something is served. */
  | { readonly kind: 'nothing'; readonly why: string };

/** What API servers make of a leaf. */
export interface Standing {
  /** Why calls by some entry are refused, or null. */
  readonly problem: string | null;
  /** Whether calls by some entry are answered: the replica is of use. */
  readonly works: boolean;
}

const inOrder: Standing = { problem: null, works: true };

/**
 * LIMIT: how long before its end a leaf is given up. A replica knows the API server's time to within a second or so, and
 * looks at its leaf once a second; another second is for a process that is busy.
 */
const endMarginMs = 3_000;

/** A leaf that is on offer, or why there is none. */
export type Offer = { readonly leaf: ServableLeaf } | { readonly whyNone: string };

/** What to serve, with an authority of our own. */
export function chooseLeaf(facts: ChoiceFacts & { readonly authority: AuthorityReading }): LeafChoice {
  const { authority } = facts;
  if (authority.kind !== 'state') {
    const whyNone =
      authority.kind === 'missing' ? 'the Secret is missing' : `the Secret cannot be used: ${authority.why}`;
    return choose(facts, { whyNone }, []);
  }
  const { leaf } = authority.state;
  const offer: Offer =
    leaf === null
      ? { whyNone: 'the authority has no leaf yet' }
      : { leaf: { chainPem: chainOf(leaf), keyPem: leaf.keyPem } };
  return choose(facts, offer, issuersOf(authority.state, facts));
}

/** What to serve, when the leaf is brought by somebody else. */
export function chooseBrought(facts: ChoiceFacts & { readonly offer: Offer }): LeafChoice {
  return choose(facts, facts.offer, []);
}

/** A leaf with what was found out about it. */
interface Judged extends Standing {
  readonly leaf: ServableLeaf;
  readonly notAfterMs: number;
}

function choose(facts: ChoiceFacts, offer: Offer, issuers: readonly Issuer[]): LeafChoice {
  const offered = 'leaf' in offer ? judge(offer.leaf, facts) : null;
  const served = facts.served === null ? null : judge(facts.served, facts);
  const same = facts.served !== null && 'leaf' in offer && isSame(offer.leaf, facts.served);
  const whyNotOffered = offered === null ? ('whyNone' in offer ? offer.whyNone : '') : offered.problem;

  if (offered !== null && isGood(offered, facts)) {
    if (same) return { kind: 'keep', why: 'it is the leaf in the Secret', ...inOrder };
    if (served !== null && isGood(served, facts) && mustWait(served.leaf, offered.leaf, facts)) {
      const why = 'the leaf in the Secret is served once API servers have had time to hear of its authority';
      return { kind: 'keep', why, ...inOrder };
    }
    return { kind: 'serve', leaf: offered.leaf, why: 'it is the leaf in the Secret', ...inOrder };
  }
  const near = 'the leaf in the Secret is near its end';
  if (served !== null && !same && isGood(served, facts)) {
    return { kind: 'keep', why: whyNotOffered ?? near, ...inOrder };
  }
  const best = [offered, served]
    .filter((each) => each !== null && each.problem === null)
    .reduce((latest, each) => Math.max(latest, each?.notAfterMs ?? 0), facts.nowMs);
  // INVARIANT: one that would be given up at once gains nothing, and would be issued for ever.
  const worthwhileMs = Math.max(best + 1000, facts.nowMs + endMarginMs + 1000);
  const issuer = issuers.find((each) => endOfMinted(each, facts) >= worthwhileMs);
  const otherwise = lastResort(facts, offered, served, whyNotOffered ?? near);
  if (issuer === undefined) return otherwise;
  return { kind: 'mint', issuer, why: `${whyNotOffered ?? near}, and no leader has renewed it`, otherwise };
}

/** There is nothing good: what still works, then what works for some entries, then what may still work for somebody, then nothing. */
function lastResort(
  facts: ChoiceFacts,
  offered: Judged | null,
  served: Judged | null,
  why: string,
): LeafChoiceAtHand {
  if (offered !== null && worth(offered) > 0) {
    const gained = worth(offered) - worth(served);
    if (gained > 0 || (gained === 0 && served !== null && served.notAfterMs < offered.notAfterMs)) {
      const { leaf, problem, works } = offered;
      return { kind: 'serve', leaf, why, problem, works };
    }
  }
  if (served !== null && !endsSoon(served, facts)) {
    // Where no entry verifies it, API servers that have not yet heard of the present bundle may; to stop would help nobody.
    const { problem, works } = served;
    return { kind: 'keep', why, problem, works };
  }
  return { kind: 'nothing', why: served?.problem ?? why };
}

/** 2: every entry verifies it; 1: some do; 0: none, or it is about to end. */
function worth(judged: Judged | null): number {
  if (judged?.works !== true) return 0;
  return judged.problem === null ? 2 : 1;
}

function judge(leaf: ServableLeaf, { bundles, hosts, nowMs }: ChoiceFacts): Judged {
  const question = { ...leaf, hosts, nowMs };
  const observed: readonly (string | null)[] =
    bundles === null || bundles.length === 0 ? [null] : [...new Set(bundles)];
  const problems = observed.map((bundlePem) => whyNotServable({ ...question, bundlePem }));
  const notAfterMs = readChain(leaf.chainPem)?.[0].notAfterMs ?? Number.NEGATIVE_INFINITY;
  const ending = endsSoon({ notAfterMs }, { nowMs }) ? 'the certificate expires within seconds' : null;
  const problem = problems.find((each) => each !== null) ?? ending;
  return { leaf, notAfterMs, problem, works: ending === null && problems.includes(null) };
}

/** It has expired, or may have by the time that somebody looks again. */
function endsSoon(
  { notAfterMs }: Pick<Judged, 'notAfterMs'>,
  { nowMs }: Pick<ChoiceFacts, 'nowMs'>,
): boolean {
  return notAfterMs - nowMs <= endMarginMs;
}

/** It can be served, and will be for a while. */
function isGood({ problem, notAfterMs }: Judged, { nowMs, lifetimes }: ChoiceFacts): boolean {
  return problem === null && notAfterMs - nowMs > lifetimes.breakGlassMs;
}

/**
 * Whether an API server that takes `served` might not take `offered` yet. One that both lead to an authority in common
 * takes both; otherwise API servers are given the time to hear of the bundle that this replica sees already.
 */
function mustWait(served: ServableLeaf, offered: ServableLeaf, facts: ChoiceFacts): boolean {
  const { bundles, nowMs } = facts;
  if (bundles === null || bundles.length === 0 || isSettled(facts)) return false;
  return bundles.some((bundle) => {
    const anchors = new Set(anchorsOf(offered.chainPem, bundle, nowMs));
    return anchorsOf(served.chainPem, bundle, nowMs).some((each) => !anchors.has(each));
  });
}

/** Whether the bundles were seen for so long that every API server must have heard of them. */
function isSettled({ bundles, bundleSinceMs, nowMs, lifetimes }: ChoiceFacts): boolean {
  if (bundles === null || bundles.length === 0) return true;
  return bundleSinceMs !== null && nowMs - bundleSinceMs >= lifetimes.publishDwellMs;
}

/** The authorities in the Secret that a leaf could be issued under now, the best first. */
function issuersOf(state: AuthorityState, facts: ChoiceFacts): readonly Issuer[] {
  const { current, next, leaf } = state;
  const { nowMs, bundles } = facts;
  const crosses = (leaf?.crosses ?? []).filter((each) => !isExpiredAt(each, nowMs));
  const issuers: Issuer[] = [];
  if (current !== null) issuers.push({ authority: current, crosses });
  if (next !== null && isSettled(facts)) {
    issuers.push({ authority: next, crosses: [...(next.cross === null ? [] : [next.cross]), ...crosses] });
  }
  return issuers.filter(
    ({ authority: { certificate }, crosses: vouching }) =>
      isValidAt(certificate, nowMs) &&
      (bundles ?? []).every(
        (bundle) =>
          anchorsOf([certificate, ...vouching].map(({ pem }) => pem).join(''), bundle, nowMs).length > 0,
      ),
  );
}

function endOfMinted({ authority }: Issuer, { nowMs, lifetimes }: ChoiceFacts): number {
  return Math.min(nowMs + lifetimes.leafValidityMs, authority.certificate.notAfterMs);
}

function isSame(one: ServableLeaf, other: ServableLeaf): boolean {
  return one.chainPem === other.chainPem && one.keyPem === other.keyPem;
}
