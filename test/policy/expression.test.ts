import { describe, expect, it } from 'vitest';
import type { DecisionView } from '../../src/core/view.ts';
import { compile } from '../../src/policy/expression.ts';

const view: DecisionView = {
  operation: 'UPDATE',
  transition: 'takeover',
  lock: { kind: 'Lease', namespace: 'team', name: 'orders' },
  before: { held: true, holder: 'orders-0', leaseDurationSeconds: 15, transitions: 3 },
  after: { held: true, holder: 'orders-1', leaseDurationSeconds: 15, transitions: 4 },
  lease: { state: 'expired', elapsedSeconds: 16.5, remainingSeconds: 0 },
  requester: { username: 'u', groups: ['a', 'b'], serviceAccount: 'team/orders', pod: 'orders-1' },
};

function evaluate(expression: string): boolean | null | string {
  const compiled = compile(expression);
  return compiled.ok ? compiled.holds(view) : compiled.why;
}

describe('an expression', () => {
  it.each([
    ['transition == "takeover" && lock.kind == "Lease"', true],
    ['lease.elapsedSeconds > 16.0 && lease.elapsedSeconds < 17', true],
    ['after.transitions == before.transitions + 1', true],
    ['after.leaseDurationSeconds <= before.leaseDurationSeconds', true],
    ['requester.groups.exists(g, g == "c")', false],
    ['"b" in requester.groups', true],
    ['after.holder.startsWith(requester.pod)', true],
    ['like(after.holder, "orders-*")', true],
    ['like(after.holder, "billing-*")', false],
  ])('%s is %s', (expression, expected) => {
    expect(evaluate(expression)).toBe(expected);
  });

  it.each([
    ['requester.role == "x"', 'No such key: role'],
    ['holder == "x"', 'Unknown variable: holder'],
    ['lease.elapsedSeconds', 'it is of type double, not bool'],
    ['lock.name + 1 == "x"', 'no such overload: string + int'],
    ['transition ==', 'Unexpected'],
    ['lock.name.matches("^(a+)+$")', '`matches` is not offered'],
    [`${'('.repeat(200)}true${')'.repeat(200)}`, 'maxDepth'],
    [Array.from({ length: 200 }, () => 'true').join(' && '), 'max'],
    [
      'requester.groups.all(a, requester.groups.all(b, requester.groups.all(c, a == b || b == c)))',
      'loops are nested deeper than 2',
    ],
  ])('%s is refused when it is read', (expression, why) => {
    expect(evaluate(expression)).toContain(why);
  });

  it('that fails when it runs says so', () => {
    expect(evaluate('1 / size(requester.groups.filter(g, g == "c")) == 1')).toBeNull();
  });

  it('ends soon whatever is in it', () => {
    const list = Array.from({ length: 60 }, (_, index) => `"${String(index)}"`).join(',');
    const compiled = compile(`[${list}].all(a, requester.groups.all(b, a != b))`);
    expect(compiled.ok && compiled.holds(view)).toBe(true);
  });
});
