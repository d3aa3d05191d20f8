/**
 * How far a rotation that was asked for has come, from what a cluster says at the moment and what was seen of it before:
 * whoever looks now and then may miss a step, and never takes another's rotation for this one. Pure.
 */
import { isPublished, type RotationRequest } from '../certs/facts.ts';
import type { AuthorityState } from '../certs/authority-state.ts';
import type { Certificate } from '../certs/certificate.ts';
import { stateIn, type CertsFacts } from './facts.ts';
import { instant, listed, nameOf, short } from './words.ts';

/** A step that was done, with a clause that says what it came to. */
export interface DoneStep {
  readonly kind: 'prepared' | 'published' | 'switched' | 'renewed' | 'confirmed';
  readonly why: string;
}

/** How far it has come. */
export interface RotationProgress {
  /** In their order; each look knows all that an earlier one knew. */
  readonly done: readonly DoneStep[];
  /** What comes about next, for people: `waiting for` this. */
  readonly waitsFor: string;
  /** `replaced`: another request has taken its place before it was honoured. */
  readonly outcome: 'waiting' | 'confirmed' | 'replaced';
  /** The authority that the rotation is about, once that is known. */
  readonly target: Certificate | null;
  readonly honoured: boolean;
}

/** How it stands right after it was asked for. */
export const justAsked: RotationProgress = {
  done: [],
  waitsFor: 'the leader to take it up',
  outcome: 'waiting',
  target: null,
  honoured: false,
};

/** How far the rotation `request` has come, after `before`. */
export function progressOf(
  request: RotationRequest,
  facts: CertsFacts,
  before: RotationProgress,
): RotationProgress {
  const state = stateIn(facts);
  if (state === null) return { ...before, waitsFor: 'an authority that can be used' };
  if (!before.honoured && state.rotatedFor !== request.token) return notHonoured(request, facts, before);
  const honoured = { ...before, honoured: true };
  return request.what === 'leaf'
    ? leafProgress(facts, state, honoured)
    : authorityProgress(facts, state, honoured);
}

function notHonoured(
  request: RotationRequest,
  facts: CertsFacts,
  before: RotationProgress,
): RotationProgress {
  if (facts.asked !== null && facts.asked.token !== request.token) return { ...before, outcome: 'replaced' };
  const { leader, plan } = facts;
  const busy = (stateIn(facts)?.next ?? null) !== null && plan !== null;
  const turn = busy ? `the rotation that is under way (${plan.told.next.why})` : null;
  return {
    ...before,
    waitsFor: nobody(facts) ?? turn ?? `\`${leader?.replica ?? ''}\`, which leads, to take it up`,
  };
}

function leafProgress(facts: CertsFacts, state: AuthorityState, before: RotationProgress): RotationProgress {
  const { leaf } = state;
  if (leaf === null) return { ...before, waitsFor: nobody(facts) ?? 'a leaf to be issued' };
  const { fingerprint, notAfterMs } = leaf.certificate;
  const why = `the leaf ${short(fingerprint)} is in the Secret, valid until ${instant(notAfterMs)}`;
  const done: readonly DoneStep[] = [{ kind: 'renewed', why }];
  const waitsFor = unseen(facts, state);
  if (waitsFor !== null) return { ...before, done, waitsFor };
  return {
    ...before,
    done: [...done, confirmed('every replica serves it')],
    waitsFor: '',
    outcome: 'confirmed',
  };
}

function authorityProgress(
  facts: CertsFacts,
  state: AuthorityState,
  before: RotationProgress,
): RotationProgress {
  const target = targetOf(state, before.target);
  if (target === null) return before;
  const current = state.current?.certificate.fingerprint === target.fingerprint;
  const isRetired = retiredAlready(state, target);
  const isSwitched = current || isRetired;
  const bundles = facts.entries?.map(({ bundle }) => bundle) ?? null;
  const isTrusted = isSwitched || isPublished(bundles, target.pem);
  const isConfirmed = isRetired || (current && state.confirmedAtMs !== null);
  const name = `\`${nameOf(target)}\``;
  const done: readonly (DoneStep | null)[] = [
    { kind: 'prepared', why: `${name} is made, and is the next authority` },
    isTrusted ? { kind: 'published', why: 'every webhook entry trusts it' } : null,
    isSwitched ? { kind: 'switched', why: 'the leaf in the Secret is one of it' } : null,
    isConfirmed
      ? confirmed('every replica serves that leaf; the old authority stays trusted for a while')
      : null,
  ];
  return {
    honoured: true,
    target,
    done: done.filter((each) => each !== null),
    waitsFor: isConfirmed ? '' : (nobody(facts) ?? waitOf(facts, state, { isTrusted, isSwitched })),
    outcome: isConfirmed ? 'confirmed' : 'waiting',
  };
}

/** The next authority; once it is in use it stays what this rotation is about, whatever is prepared after it. */
function targetOf(state: AuthorityState, before: Certificate | null): Certificate | null {
  const { current, next } = state;
  const used =
    before !== null &&
    (current?.certificate.fingerprint === before.fingerprint || retiredAlready(state, before));
  return used ? before : (next?.certificate ?? current?.certificate ?? null);
}

function retiredAlready({ retired }: AuthorityState, { fingerprint }: Certificate): boolean {
  return retired.some(({ certificate }) => certificate.fingerprint === fingerprint);
}

function waitOf(
  facts: CertsFacts,
  state: AuthorityState,
  { isTrusted, isSwitched }: { readonly isTrusted: boolean; readonly isSwitched: boolean },
): string {
  if (isSwitched) return unseen(facts, state) ?? 'the leader to see that every replica serves it';
  if (!isTrusted) return 'every webhook entry to trust it';
  const next = facts.plan?.told.next;
  const until = next?.what === 'switch' && next.atMs !== null ? `, until ${instant(next.atMs)}` : '';
  return `API servers to hear of it${until}`;
}

/** The replicas that do not serve the leaf in the Secret, or that nobody says so; null: all do. */
function unseen({ alive }: CertsFacts, { leaf }: AuthorityState): string | null {
  const others = alive.filter(({ servesLeaf }) => servesLeaf !== leaf?.certificate.fingerprint);
  if (alive.length === 0) return 'a replica to say that it serves the new leaf';
  if (others.length === 0) return null;
  return `${listed(others.map(({ name }) => `\`${name}\``))} to serve the new leaf`;
}

function nobody({ leader }: CertsFacts): string | null {
  return leader?.leads === false ? 'a replica to lead: nobody leads' : null;
}

function confirmed(why: string): DoneStep {
  return { kind: 'confirmed', why };
}
