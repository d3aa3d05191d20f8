/** Whom the model of the API server asks: the expressions are those that lockwarden registers; test/conformance has them on a real one. */
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/locks/json.ts';
import { guardedBy } from '../../src/suite/guarded.ts';
import { holds } from '../../src/suite/model/expressions.ts';
import { webhooksAsked } from '../../src/suite/model/webhooks.ts';
import { suiteOf } from './suites.ts';

const policy = (name: string, spec: string): string =>
  `  - { apiVersion: lockwarden.dev/v1alpha1, kind: ClusterLockPolicy, metadata: { name: ${name} }, spec: ${spec} }\n`;

const { webhooks } = guardedBy(
  suiteOf(`policies:
${policy('inspecting', '{ match: { namespaces: [inspected] }, inspectRenewals: true }')}${policy('closed', '{ match: { namespaces: [closed] }, failurePolicy: Fail }')}
namespaces: [{ name: inspected }, { name: closed }]
tests: [{ name: t, steps: [{ actor: a, action: acquire, expect: allow }] }]
`),
);

const lease = (
  second: number,
  changes: JsonObject = {},
  stamps: 'tracked' | 'untracked' = 'tracked',
): JsonObject => {
  const at = `2026-01-01T00:00:0${String(second)}`;
  const fieldsV1 = { 'f:spec': { 'f:holderIdentity': {}, 'f:renewTime': {} } };
  const entry = {
    manager: 'm',
    operation: 'Update',
    apiVersion: 'coordination.k8s.io/v1',
    time: `${at}Z`,
    fieldsV1,
  };
  return {
    metadata: { name: 'x', ...(stamps === 'tracked' && { managedFields: [entry] }) },
    spec: { holderIdentity: 'a', leaseDurationSeconds: 15, renewTime: `${at}.000000Z`, ...changes },
  };
};

/** Names of the webhooks that are asked about an update. */
function asked(
  oldObject: JsonObject,
  object: JsonObject,
  { namespace = 'team', operation = 'UPDATE' }: { namespace?: string; operation?: string } = {},
): readonly unknown[] {
  const resource = { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' };
  const review = { operation, resource, namespace, name: 'x', object, oldObject };
  return webhooksAsked(webhooks, review, { 'kubernetes.io/metadata.name': namespace }).map(
    ({ name }) => name,
  );
}

const plain = 'leases.lockwarden.dev';

describe('the webhooks that the model asks', () => {
  it('are none for a plain renewal', () => {
    expect(asked(lease(1), lease(2))).toEqual([]);
  });

  it.each<[string, JsonObject, JsonObject]>([
    ['a takeover', lease(1), lease(2, { holderIdentity: 'b' })],
    ['another duration', lease(1), lease(2, { leaseDurationSeconds: 16 })],
    ['a renew time that goes back', lease(2), lease(1)],
    ['a renewal of what has no stamps', lease(1, {}, 'untracked'), lease(2, {}, 'untracked')],
  ])('are asked about %s', (_, before, after) => {
    expect(asked(before, after)).toEqual([plain]);
  });

  it('are asked about deletions and creations', () => {
    expect(asked(lease(1), lease(2), { operation: 'DELETE' })).toEqual([plain]);
    expect(asked(lease(1), lease(2), { operation: 'CREATE' })).toEqual([plain]);
  });

  it('are those that the policies of the namespace ask for', () => {
    expect(asked(lease(1), lease(2), { namespace: 'inspected' })).toEqual(['inspect.leases.lockwarden.dev']);
    expect(asked(lease(1), lease(2), { namespace: 'closed' })).toEqual([]);
    const takeover = lease(2, { holderIdentity: 'b' });
    expect(asked(lease(1), takeover, { namespace: 'closed' })).toEqual(['fail.leases.lockwarden.dev']);
  });

  it('are none in a namespace that is not guarded', () => {
    expect(asked(lease(1), lease(2, { holderIdentity: 'b' }), { namespace: 'kube-system' })).toEqual([]);
    expect(asked(lease(1), lease(2, { holderIdentity: 'b' }), { namespace: 'lockwarden-system' })).toEqual(
      [],
    );
  });

  it('are none of a ConfigMap that is no lock', () => {
    const resource = { group: '', version: 'v1', resource: 'configmaps' };
    const object = { metadata: { name: 'x', annotations: { a: 'b' } } };
    const review = { operation: 'CREATE', resource, namespace: 'team', name: 'x', object, oldObject: null };
    expect(webhooksAsked(webhooks, review, { 'kubernetes.io/metadata.name': 'team' })).toEqual([]);
  });
});

describe('an expression', () => {
  const variables = { request: {}, object: { metadata: { a: 'b' } }, oldObject: null };

  it.each([
    ["object.metadata.a.find('[a-z]') == 'b'", true],
    ["'a1b2'.findAll('[0-9]') == ['1', '2']", true],
    ["'a b c'.replace(' ', 'T') == 'aTbTc'", true],
    ["string(timestamp('2026-01-01T00:00:00Z') + duration('60s')) == '2026-01-01T00:01:00Z'", true],
    ['object.?metadata.?x == object.?metadata.?y', true],
    ['object.?metadata.?a == object.?metadata.?y', false],
    ['oldObject == null', true],
  ])('%s is %s', (expression, value) => {
    expect(holds(expression, variables)).toBe(value);
  });

  it('that is of another type is a defect', () => {
    expect(() => holds("'a'", variables)).toThrow('not of type bool');
  });
});
