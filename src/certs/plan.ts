/**
 * The rotation, decided: from what is known now to what is to be written next, and why. Pure, and without memory: the
 * next leader, who knows nothing of what this one had in mind, comes to the same plan from the same facts.
 *
 * A rotation of the authority goes: `prepare` (the next authority and its cross-signature, into the Secret), `publish`
 * (into every webhook entry, then a wait), `switch` (a leaf under the next authority), `confirm` (every live replica was
 * seen serving it), `retire` (the old authority goes, from the Secret), `narrow` (and from the entries).
 */
import { retiredMax, tokenMax, type AuthorityReading } from './authority-state.ts';
import { bundleFor, strangers, trustsAll, widened } from './bundle.ts';
import { isExpiredAt, isValidAt, type Certificate } from './certificate.ts';
import {
  isPublished,
  renewalMs,
  retirementMs,
  unconfirmed,
  waitEndsMs,
  type AuthorityFacts,
  type Next,
  type Phase,
  type RotationRequest,
  type StateFacts,
} from './facts.ts';
import type { Lifetimes } from './lifetimes.ts';
import { describeNext } from './next.ts';
import { uncoveredHosts } from './verify.ts';

/** A write of the Secret. `carryOut` turns it into the state to write. */
export type SecretAction =
  | {
      readonly writes: 'secret';
      readonly kind: 'create' | 'replaceBroken';
      readonly why: string;
      /** With a leaf in it; without one, when replicas serve a leaf of an earlier authority that must not be cut off. */
      readonly serveAtOnce: boolean;
      readonly token: string | null;
    }
  | {
      readonly writes: 'secret';
      readonly kind: 'prepare' | 'switch' | 'renewLeaf';
      readonly why: string;
      /** The request that this honours, to be remembered in the same write. */
      readonly token: string | null;
    }
  | { readonly writes: 'secret'; readonly kind: 'confirm'; readonly why: string }
  | {
      readonly writes: 'secret';
      readonly kind: 'retire';
      readonly why: string;
      /** Fingerprints of the retired authorities that go. */
      readonly authorities: readonly string[];
    };

/** A write of every webhook entry that carries another bundle than this. */
export interface BundleAction {
  readonly writes: 'bundle';
  readonly kind: 'publish' | 'narrow';
  readonly why: string;
  readonly bundle: string;
}

export type Action = SecretAction | BundleAction;

export interface Plan {
  readonly phase: Phase;
  /**
   * What to write: at most one write of the entries and then one of the Secret. Neither depends on the other: one that
   * fails does not keep the other from being tried. Then look again, and plan anew.
   */
  readonly actions: readonly Action[];
  readonly next: Next;
}

/** What to do now. */
export function plan(facts: AuthorityFacts, lifetimes: Lifetimes): Plan {
  const { authority } = facts;
  const request = pendingRequest(facts);
  if (authority.kind === 'state') return planState({ ...facts, lifetimes, request, state: authority.state });
  const action = startAnew(facts, authority, request);
  return {
    phase: authority.kind === 'missing' ? 'Missing' : 'Broken',
    actions: [action],
    next: { what: action.kind, atMs: facts.nowMs, why: action.why },
  };
}

function planState(facts: StateFacts): Plan {
  const secret = secretAction(facts);
  const bundle = bundleAction(facts, secret !== null);
  const actions = [bundle, secret].filter((each) => each !== null);
  const phase = phaseOf(facts);
  const [first] = actions;
  const next =
    first === undefined
      ? describeNext(facts, phase)
      : { what: first.kind, atMs: facts.nowMs, why: actions.map(({ why }) => why).join('; ') };
  return { phase, actions, next };
}

function startAnew(
  { replicas, bundles, nowMs }: AuthorityFacts,
  authority: Exclude<AuthorityReading, { kind: 'state' }>,
  request: RotationRequest | null,
): SecretAction {
  const served = replicas.some(({ servesLeaf }) => servesLeaf !== null);
  // INVARIANT: replicas that still serve a leaf of the lost authority go on until API servers trust the new one.
  const serveAtOnce = !served || strangers('', bundles ?? [], nowMs).length === 0;
  const token = request?.token ?? null;
  return authority.kind === 'missing'
    ? { writes: 'secret', kind: 'create', why: 'there is no authority yet', serveAtOnce, token }
    : {
        writes: 'secret',
        kind: 'replaceBroken',
        why: `the authority cannot be used: ${authority.why}`,
        serveAtOnce,
        token,
      };
}

/** The request, unless it was honoured already or has no token that could be remembered. */
function pendingRequest({ request, authority }: AuthorityFacts): RotationRequest | null {
  if (request === null || request.token === '' || request.token.length > tokenMax) return null;
  return authority.kind === 'state' && authority.state.rotatedFor === request.token ? null : request;
}

function bundleAction(facts: StateFacts, busy: boolean): BundleAction | null {
  const { state, bundles, nowMs } = facts;
  if (bundles === null || bundles.length === 0) return null;
  const needed = bundleFor(state, nowMs);
  if (needed === '') return null;
  if (!isPublished(bundles, needed)) {
    const lacking = bundles.filter((each) => !trustsAll(each, needed)).length;
    return {
      writes: 'bundle',
      kind: 'publish',
      why: `${lacking} of ${bundles.length} webhook entries do not trust every authority in use`,
      // INVARIANT: what is trusted besides is kept for as long as a replica may still serve by it. Once all are seen to serve by
      // our own, a stranger is somebody's edit, and must not reach the entries that were not edited.
      bundle: isServedByAll(facts) ? needed : widened(needed, bundles, nowMs),
    };
  }
  const left = strangers(needed, bundles, nowMs).length;
  if (left === 0 || busy) return null;
  if (!isServedByAll(facts) || waitEndsMs(facts) > nowMs) return null;
  const why = `webhook entries trust ${left === 1 ? 'an authority that nobody needs' : `${left} authorities that nobody needs`}`;
  return { writes: 'bundle', kind: 'narrow', why, bundle: needed };
}

function isServedByAll(facts: StateFacts): boolean {
  const { state, replicas } = facts;
  return state.confirmedAtMs !== null && replicas.length > 0 && unconfirmed(facts).length === 0;
}

function secretAction(facts: StateFacts): SecretAction | null {
  return switching(facts) ?? renewing(facts) ?? preparing(facts) ?? confirming(facts) ?? retiring(facts);
}

function switching(facts: StateFacts): SecretAction | null {
  const { state, bundles, nowMs, request } = facts;
  const { next } = state;
  if (next === null || !isValidAt(next.certificate, nowMs)) return null;
  if (!isPublished(bundles, next.certificate.pem)) return null;
  // The new leaf has a new key, which is all that was asked for.
  const token = request?.what === 'leaf' ? request.token : null;
  const idle = protectsNobody(facts);
  if (idle !== null) return { writes: 'secret', kind: 'switch', why: idle, token };
  if (waitEndsMs(facts) > nowMs) return null;
  return {
    writes: 'secret',
    kind: 'switch',
    why: 'every webhook entry has trusted the next authority for long enough',
    token,
  };
}

/** Why there is nobody for whose sake to wait with the next authority, or null when there is. */
function protectsNobody({ state, bundles, replicas, nowMs }: StateFacts): string | null {
  if (bundles === null || bundles.length === 0)
    return 'no webhook entry exists, so nobody has to be told first';
  if (state.current !== null && isExpiredAt(state.current.certificate, nowMs)) {
    return 'the authority in use has expired, so no call can fail that would not have failed';
  }
  if (replicas.length > 0 && replicas.every(({ servesLeaf }) => servesLeaf === null)) {
    return 'no replica serves anything, so no call can fail that would not have failed';
  }
  return null;
}

function renewing(facts: StateFacts): SecretAction | null {
  const { state, hosts, nowMs, lifetimes, request } = facts;
  const { current, leaf } = state;
  if (current === null || leaf === null || !isValidAt(current.certificate, nowMs)) return null;
  const token = request?.what === 'leaf' ? request.token : null;
  const renew = (why: string): SecretAction => ({ writes: 'secret', kind: 'renewLeaf', why, token });
  if (token !== null) return renew('a new leaf was asked for');
  const missing = uncoveredHosts(leaf.certificate, hosts);
  if (missing.length > 0) return renew(`the leaf does not name ${missing.join(', ')}`);
  const dueMs = renewalMs(leaf.certificate, lifetimes.leafValidityMs, lifetimes);
  // INVARIANT: a leaf that ends with its authority gains nothing by renewal, and would be renewed for ever.
  const untilMs = Math.min(nowMs + lifetimes.leafValidityMs, current.certificate.notAfterMs);
  if (nowMs < dueMs || untilMs < leaf.certificate.notAfterMs + 1000) return null;
  return renew(isExpiredAt(leaf.certificate, nowMs) ? 'the leaf has expired' : 'the leaf is near its end');
}

function preparing(facts: StateFacts): SecretAction | null {
  const { state, nowMs, lifetimes, request } = facts;
  const { current, next, retired } = state;
  const due = (certificate: Certificate): boolean =>
    nowMs >= renewalMs(certificate, lifetimes.caValidityMs, lifetimes);
  const token = request?.what === 'authority' ? request.token : null;
  const prepare = (why: string): SecretAction => ({ writes: 'secret', kind: 'prepare', why, token });
  if (next !== null) {
    return due(next.certificate) ? prepare('the next authority grew old before it was used') : null;
  }
  if (current === null) return prepare('there is no authority in use');
  if (isExpiredAt(current.certificate, nowMs)) return prepare('the authority has expired');
  if (due(current.certificate)) return prepare('the authority is near its end');
  if (token === null || retired.length >= retiredMax) return null;
  return prepare('a new authority was asked for');
}

function confirming(facts: StateFacts): SecretAction | null {
  const { state, replicas } = facts;
  if (state.leaf === null || state.confirmedAtMs !== null) return null;
  // INVARIANT: nobody seen is not everybody seen.
  if (replicas.length === 0 || unconfirmed(facts).length > 0) return null;
  return {
    writes: 'secret',
    kind: 'confirm',
    why: 'every live replica serves a leaf of the authority in use',
  };
}

function retiring(facts: StateFacts): SecretAction | null {
  const { state, nowMs } = facts;
  const expired = state.retired.filter(({ certificate }) => isExpiredAt(certificate, nowMs));
  const over = nowMs >= retirementMs(facts) && facts.replicas.length > 0 && unconfirmed(facts).length === 0;
  const going = over ? state.retired : expired;
  if (going.length === 0) return null;
  return {
    writes: 'secret',
    kind: 'retire',
    why: over
      ? 'every replica has served under the new authority for long enough'
      : 'an old authority has expired',
    authorities: going.map(({ certificate }) => certificate.fingerprint),
  };
}

/** Where the rotation stands: what nobody's lifetimes have a say in. */
export function phaseOf({ state, bundles, nowMs }: Pick<StateFacts, 'state' | 'bundles' | 'nowMs'>): Phase {
  const { next, retired } = state;
  if (next !== null) return isPublished(bundles, next.certificate.pem) ? 'Published' : 'Prepared';
  const needed = bundleFor(state, nowMs);
  if (!isPublished(bundles, needed)) return 'Unpublished';
  if (state.confirmedAtMs === null) return 'Switched';
  return retired.length > 0 || strangers(needed, bundles ?? [], nowMs).length > 0 ? 'Confirmed' : 'Stable';
}
