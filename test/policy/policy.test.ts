import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parsePolicy } from '../../src/policy/policy.ts';
import type { PolicyRef } from '../../src/policy/policy-ref.ts';

const ofTeam: PolicyRef = { kind: 'LockPolicy', namespace: 'team', name: 'p' };
const ofCluster: PolicyRef = { kind: 'ClusterLockPolicy', namespace: '', name: 'p' };

function faults(spec: unknown, ref = ofTeam): readonly string[] {
  const parsed = parsePolicy({ ref, generation: 3, spec });
  return parsed.ok ? [] : parsed.faults.map(({ field, why }) => `${field}: ${why}`);
}

describe('parsePolicy', () => {
  it.each([undefined, null, {}])('takes an empty spec (%s)', (spec) => {
    expect(faults(spec)).toEqual([]);
  });

  it.each<[string, unknown, string]>([
    ['no object', 'x', 'spec: '],
    ['an unknown enforcement', { enforcement: 'Block' }, 'spec.enforcement: '],
    [
      'an unknown reason',
      { rules: [{ reason: 'Premature', enforcement: 'Deny' }] },
      'spec.rules[0].reason: ',
    ],
    ['no duration', { tolerance: '1 s' }, 'spec.tolerance: '],
    ['a tolerance as long as a lease', { tolerance: '11s' }, 'spec.tolerance: at most 10s'],
    [
      'bounds the wrong way round',
      { leaseDuration: { min: '10s', max: '5s' } },
      'spec.leaseDuration: min must not be longer than max',
    ],
    ['a pattern that is none', { match: { names: ['A'] } }, 'spec.match.names[0]: '],
    [
      'an expression of another type',
      { conditions: [{ name: 'x', expression: '1' }] },
      'spec.conditions[0].expression: it is of type int',
    ],
    [
      'a holder expression that is none',
      { candidates: { holderExpression: 'nope' } },
      'spec.candidates.holderExpression: Unknown variable',
    ],
    ['a list without end', { match: { names: Array.from({ length: 65 }, () => 'a') } }, 'spec.match.names: '],
    [
      'an expression without end',
      { conditions: [{ name: 'x', expression: `true || ${'x'.repeat(2_000)}` }] },
      'spec.conditions[0].expression: ',
    ],
  ])('names the field of %s', (_, spec, start) => {
    const [first = ''] = faults(spec);
    expect(first.startsWith(start), first).toBe(true);
  });

  it('wants the namespace of a ServiceAccount in a ClusterLockPolicy', () => {
    const spec = { candidates: { serviceAccounts: ['orders'] } };
    expect(faults(spec)).toEqual([]);
    expect(faults(spec, ofCluster)).toEqual([
      'spec.candidates.serviceAccounts[0]: a ClusterLockPolicy needs `namespace/name`',
    ]);
  });

  it('tells at most ten of many faults', () => {
    expect(
      faults({ rules: Array.from({ length: 40 }, () => ({ reason: 'x', enforcement: 'y' })) }),
    ).toHaveLength(10);
  });

  it('keeps what identifies the policy, faulty or not', () => {
    expect(parsePolicy({ ref: ofTeam, generation: 3, spec: 'x' })).toMatchObject({
      ok: false,
      ref: ofTeam,
      generation: 3,
    });
    expect(parsePolicy({ ref: ofTeam, generation: 3, spec: {} })).toMatchObject({
      ok: true,
      policy: { ref: ofTeam, generation: 3 },
    });
  });

  it('is total', () => {
    fc.assert(
      fc.property(fc.anything(), (spec) => {
        expect(typeof parsePolicy({ ref: ofTeam, generation: 1, spec }).ok).toBe('boolean');
      }),
    );
  });

  it('takes a megabyte of policy without stopping', () => {
    expect(faults({ message: 'x'.repeat(2 ** 20) })).toHaveLength(1);
    expect(
      faults({
        conditions: Array.from({ length: 20_000 }, (_, index) => ({
          name: `c${String(index)}`,
          expression: 'true',
        })),
      }),
    ).toHaveLength(1);
  });
});
