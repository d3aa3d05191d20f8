/**
 * What a rotation waits for when there is nothing to write, in words for `lockwarden certs status`.
 */
import { retiredMax } from './authority-state.ts';
import { bundleFor, strangers } from './bundle.ts';
import {
  renewalMs,
  retirementMs,
  unconfirmed,
  waitEndsMs,
  type Next,
  type Phase,
  type StateFacts,
} from './facts.ts';

/** What comes next for `facts` that call for no write now. */
export function describeNext(facts: StateFacts, phase: Phase): Next {
  if (phase === 'Prepared' || phase === 'Published') return describeSwitch(facts);
  if (phase === 'Switched') {
    return { what: 'confirm', atMs: null, why: waitingFor(facts) ?? 'no live replica was seen yet' };
  }
  const renewal = describeRenewal(facts);
  const narrowing = phase === 'Confirmed' ? describeNarrowing(facts) : null;
  if (narrowing === null) return renewal;
  // A wait for somebody comes first: it is what a person can do something about.
  const narrowingFirst = narrowing.atMs === null || renewal.atMs === null || narrowing.atMs <= renewal.atMs;
  return narrowingFirst ? narrowing : renewal;
}

function describeSwitch(facts: StateFacts): Next {
  const notBeforeMs = facts.state.next?.certificate.notBeforeMs ?? facts.nowMs;
  if (notBeforeMs > facts.nowMs) {
    return { what: 'switch', atMs: notBeforeMs, why: 'the next authority is not valid yet' };
  }
  const atMs = finite(waitEndsMs(facts));
  return { what: 'switch', atMs, why: 'API servers are given time to hear of the next authority' };
}

function describeNarrowing(facts: StateFacts): Next {
  const { state, bundles, nowMs, request } = facts;
  const dueMs = retirementMs(facts);
  if (state.retired.length > 0) {
    const expiryMs = Math.min(...state.retired.map(({ certificate }) => certificate.notAfterMs));
    if (dueMs <= nowMs)
      return { what: 'retire', atMs: null, why: waitingFor(facts) ?? 'no live replica was seen yet' };
    const full = request?.what === 'authority' && state.retired.length >= retiredMax;
    const why = full
      ? 'the new authority that was asked for waits until earlier ones have retired'
      : 'the old authority stays trusted for a while, should an API server not have heard of the new one';
    return { what: 'retire', atMs: Math.min(dueMs, expiryMs), why };
  }
  const count = strangers(bundleFor(state, nowMs), bundles ?? [], nowMs).length;
  const waiting = waitingFor(facts);
  if (waiting !== null) return { what: 'narrow', atMs: null, why: waiting };
  const why = `webhook entries trust ${count} more than they need to`;
  return { what: 'narrow', atMs: finite(waitEndsMs(facts)), why };
}

function describeRenewal({ state, nowMs, lifetimes }: StateFacts): Next {
  const { leaf, current } = state;
  const due: Next[] = [];
  if (leaf !== null) {
    const atMs = renewalMs(leaf.certificate, lifetimes.leafValidityMs, lifetimes);
    due.push({ what: 'renewLeaf', atMs, why: 'the leaf is renewed before it comes near its end' });
  }
  if (current !== null) {
    const atMs = renewalMs(current.certificate, lifetimes.caValidityMs, lifetimes);
    due.push({ what: 'prepare', atMs, why: 'the authority is renewed before it comes near its end' });
  }
  const [first] = due
    .filter(({ atMs }) => atMs !== null && atMs > nowMs)
    .sort((a, b) => (a.atMs ?? 0) - (b.atMs ?? 0));
  return first ?? { what: 'prepare', atMs: null, why: 'nothing can be renewed' };
}

function waitingFor(facts: StateFacts): string | null {
  const names = unconfirmed(facts);
  if (names.length === 0) return null;
  return `waits for ${names.join(', ')} to be seen serving the leaf in the Secret`;
}

function finite(ms: number): number | null {
  return Number.isFinite(ms) ? ms : null;
}
