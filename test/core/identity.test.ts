import { describe, expect, it } from 'vitest';
import type { Bindings, PodState } from '../../src/core/facts.ts';
import { nothingKnown } from '../../src/core/facts.ts';
import { podOf, tieTo } from '../../src/core/identity.ts';
import type { Requester } from '../../src/core/lock.ts';
import { pod, user } from '../support/locks.ts';

const holderPod = { namespace: 'team', name: 'a', uid: 'a' };

/** What is known of who goes by what, with `holderPod` bound to the holder. */
const boundWhile = (holderPodState: PodState, requesterAsserted: string | null = null): Bindings => ({
  ...nothingKnown.bindings,
  holderPod,
  holderPodState,
  requesterAsserted,
});
const asserted = (requesterAsserted: string): Bindings => ({ ...nothingKnown.bindings, requesterAsserted });

describe('a requester and the holder `a`', () => {
  it.each<[string, Requester, Bindings, ReturnType<typeof tieTo>]>([
    ['its own pod', pod('a'), boundWhile('unasked'), 'own'],
    ['its own pod, which went by another identity before', pod('a'), boundWhile('unasked', 'b'), 'own'],
    ['its own pod, though a question about it was not answered', pod('a'), boundWhile('unknown'), 'own'],
    ['a pod that goes by another identity', pod('b'), asserted('b'), 'foreign'],
    ['a pod that goes by another, the holder’s being gone', pod('b'), boundWhile('gone', 'b'), 'foreign'],
    ['another pod, while the holder’s runs', pod('b'), boundWhile('exists'), 'foreign'],
    ['a person, while the holder’s pod runs', user(), boundWhile('exists'), 'foreign'],
    ['another pod, before anybody asked', pod('b'), boundWhile('unasked'), 'ask'],
    ['another pod, the holder’s being gone', pod('b'), boundWhile('gone'), 'unknown'],
    ['another pod, the question not being answered', pod('b'), boundWhile('unknown'), 'unknown'],
    ['a pod that went by the holder’s identity', pod('b'), asserted('a'), 'unknown'],
    ['a pod of which nothing is known', pod('b'), nothingKnown.bindings, 'unknown'],
    // An assertion is a pod's: it says nothing about a person whose token names none.
    ['a person of whom nothing is known', user(), asserted('b'), 'unknown'],
  ])('%s', (_, requester, bindings, tie) => {
    expect(tieTo('a', requester, bindings)).toBe(tie);
  });

  it('nobody is tied to nobody', () => {
    expect(tieTo(null, pod('a'), boundWhile('exists', 'a'))).toBe('unknown');
  });
});

describe('the pod of a requester', () => {
  const named = (username: string): Requester => ({ ...pod('a'), username });

  it('lives in the namespace of the ServiceAccount that its token is for', () => {
    expect(podOf(named('system:serviceaccount:team:candidate'))).toEqual(holderPod);
  });

  it.each([
    'jane',
    'oidc:system:serviceaccount:team:candidate',
    'system:serviceaccount:team:candidate:admin',
  ])('is none for %s: whoever may set extra fields must not name pods', (username) => {
    expect(podOf(named(username))).toBeNull();
  });

  it('is none where the token is bound to none', () => {
    expect(podOf({ ...named('system:serviceaccount:team:candidate'), pod: null })).toBeNull();
  });
});
