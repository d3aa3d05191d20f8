/** What guards a lock while lockwarden is down, and whether the switch is among it. */
import { describe, expect, it } from 'vitest';
import type { LockKind } from '../../src/core/lock.ts';
import { PolicyStore } from '../../src/policy/store.ts';
import { protectionOf, type Protection } from '../../src/switch/protection.ts';
import { switchScope } from '../../src/switch/terms.ts';

const ownNamespace = 'lockwarden-system';

/** With a policy of the namespace `team`. */
function protection(
  spec: unknown,
  lock: { readonly kind?: LockKind; readonly namespace?: string; readonly name?: string } = {},
  isThere = true,
): Protection {
  const store = new PolicyStore(ownNamespace);
  if (spec !== null)
    store.put({ ref: { kind: 'LockPolicy', namespace: 'team', name: 'p' }, generation: 1, spec });
  const about = { kind: 'Lease', namespace: 'team', name: 'orders', ...lock } as const;
  return protectionOf(about, store.effectiveFor(about), isThere ? switchScope(store, ownNamespace) : null);
}

describe('while lockwarden is down, a lock is guarded by', () => {
  it.each([
    ['the switch, by default', null, {}, 'Switch'],
    ['nothing, if it is none of a Lease', null, { kind: 'ConfigMap' }, 'Nothing'],
    ['nothing, if it is not judged at all', null, { namespace: 'kube-system' }, 'Nothing'],
    ['nothing, if a policy only records', { enforcement: 'Audit' }, {}, 'Nothing'],
    ['its failing closed, if a policy says so', { failurePolicy: 'Fail' }, {}, 'Closed'],
    ['that, if it is none of a Lease either', { failurePolicy: 'Fail' }, { kind: 'ConfigMap' }, 'Closed'],
    [
      'the switch, if the policy names others',
      { match: { names: ['a*'] }, enforcement: 'Warn' },
      {},
      'Switch',
    ],
    ['nothing, if it names this one', { match: { names: ['o*'] }, enforcement: 'Warn' }, {}, 'Nothing'],
    [
      'nothing, where clients take by priority',
      null,
      { namespace: 'istio-system', name: 'istio-leader' },
      'Nothing',
    ],
  ] as const)('%s', (_what, spec, lock, expected) => {
    expect(protection(spec, lock)).toBe(expected);
  });

  it('nothing where the switch is not in the cluster', () => {
    expect(protection(null, {}, false)).toBe('Nothing');
    expect(protection({ failurePolicy: 'Fail' }, {}, false)).toBe('Closed');
  });
});
