/** The policies of the switch, as values. */
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { arrayAt, objectAt, stringAt, type JsonObject } from '../../src/kube/json.ts';
import { PolicyStore } from '../../src/policy/store.ts';
import { inertObjects, isInert, switchNames, switchObjects } from '../../src/switch/policies.ts';
import { collectionOf, describeObject, pathOf } from '../../src/switch/places.ts';
import { switchScope, type SwitchScope } from '../../src/switch/terms.ts';
import { read } from '../style/tree.ts';

const ownNamespace = 'lockwarden-system';
const username = `system:serviceaccount:${ownNamespace}:lockwarden`;

function storeWith(...specs: readonly object[]): PolicyStore {
  const store = new PolicyStore(ownNamespace);
  for (const [index, spec] of specs.entries()) {
    const { ok } = store.put({
      ref: { kind: 'ClusterLockPolicy', namespace: '', name: String(index) },
      generation: 1,
      spec,
    });
    expect(ok).toBe(true);
  }
  for (const name of ['team', 'istio-system']) store.putNamespace(name, { tier: name });
  return store;
}

const objectsFor = (scope: SwitchScope): readonly JsonObject[] =>
  switchObjects({ scope, ownNamespace, username });
const objectsOf = (...specs: readonly object[]): readonly JsonObject[] =>
  objectsFor(switchScope(storeWith(...specs), ownNamespace));

const variety: readonly (readonly [string, readonly JsonObject[]])[] = [
  ['without policies', objectsOf()],
  ['with a policy', objectsOf({ tolerance: '5s', exempt: { groups: ['sre'] } })],
  ['with a policy for a namespace', objectsOf({ match: { namespaces: ['team'] }, tolerance: '5s' })],
  ['with nothing to stand in for', objectsOf({ enforcement: 'Audit' })],
  ['as they are installed', inertObjects(ownNamespace)],
];

const specOf = (object: JsonObject): JsonObject => objectAt(object, 'spec');
const isBinding = (object: JsonObject): boolean => stringAt(object, 'kind').endsWith('Binding');

describe.each(variety)('the objects %s', (_, objects) => {
  it('are two policies and two bindings of the same names, policies first', () => {
    const names = Object.values(switchNames);
    expect(objects.map(describeObject)).toEqual([
      ...names.map((name) => `validatingadmissionpolicy/${name}`),
      ...names.map((name) => `validatingadmissionpolicybinding/${name}`),
    ]);
    for (const object of objects) expect(pathOf(object).startsWith(`${collectionOf(object)}/`)).toBe(true);
  });

  it('are labelled as lockwarden’s', () => {
    for (const object of objects)
      expect(objectAt(object, 'metadata')).toMatchObject({
        labels: { 'app.kubernetes.io/managed-by': 'lockwarden', 'app.kubernetes.io/component': 'switch' },
      });
  });

  it('refuse nothing for want of the guard Lease: parameterNotFoundAction is Allow, always', () => {
    const refs = objects.filter(isBinding).map((object) => specOf(object)['paramRef']);
    expect(refs.filter((ref) => ref !== undefined)).toEqual([
      { name: 'lockwarden-guard', namespace: ownNamespace, parameterNotFoundAction: 'Allow' },
    ]);
    expect(JSON.stringify(objects)).not.toContain('"parameterNotFoundAction":"Deny"');
  });

  it('let a write pass where an expression fails', () => {
    for (const object of objects.filter((each) => !isBinding(each)))
      expect(specOf(object)['failurePolicy']).toBe('Ignore');
  });

  it('refuse with 403, never with what a client takes for a lost race', () => {
    for (const object of objects.filter((each) => !isBinding(each)))
      for (const validation of arrayAt(specOf(object), 'validations'))
        expect(stringAt(validation, 'reason')).toBe('Forbidden');
  });

  it('have every field that is installed, as it is installed', () => {
    for (const [index, inert] of inertObjects(ownNamespace).entries()) {
      expect({ ...objects[index], spec: null }).toEqual({ ...inert, spec: null });
      for (const [field, value] of Object.entries(specOf(inert)))
        expect(specOf(objects[index] ?? {})[field], `${describeObject(inert)}: ${field}`).toEqual(value);
    }
  });
});

describe('the switch', () => {
  it('is equal for equal policies', () => {
    expect(JSON.stringify(objectsOf({ tolerance: '5s' }))).toBe(
      JSON.stringify(objectsOf({ tolerance: '5s' })),
    );
    expect(objectsOf({ tolerance: '5s' })).not.toEqual(objectsOf({ tolerance: '6s' }));
  });

  it('is inert when no Lease is covered by a Deny, and only then', () => {
    expect(objectsOf({ enforcement: 'Audit' })).toEqual(inertObjects(ownNamespace));
    expect(isInert(objectsOf({ enforcement: 'Audit' }))).toBe(true);
    expect(isInert(objectsOf())).toBe(false);
  });

  it('leaves namespaces that are not guarded alone, by the bindings and by the policies', () => {
    const [takeovers, , ofTakeovers] = objectsOf();
    for (const namespace of ['kube-system', ownNamespace]) {
      expect(JSON.stringify(specOf(ofTakeovers ?? {})['matchResources'])).toContain(namespace);
      const [condition, ...others] = arrayAt(specOf(takeovers ?? {}), 'matchConditions');
      expect(others).toEqual([]);
      expect(stringAt(condition, 'expression')).toContain(`'${namespace}'`);
    }
  });

  it('asks the guard Lease about takeovers, and about nothing that is done to the evidence', () => {
    const [locks] = objectsOf();
    const spec = specOf(locks ?? {});
    const variables = new Map(
      arrayAt(spec, 'variables').map((each) => [stringAt(each, 'name'), stringAt(each, 'expression')]),
    );
    const asksGuard = (expression: string): boolean =>
      /\bparams\b/.test(expression) ||
      [...expression.matchAll(/\bvariables\.(?<name>\w+)/g)].some(({ groups }) =>
        asksGuard(variables.get(groups?.['name'] ?? '') ?? 'params'),
      );
    const asked = arrayAt(spec, 'validations').map((each) => [
      /U\d+ \w+/.exec(stringAt(each, 'messageExpression'))?.[0],
      asksGuard(stringAt(each, 'expression')),
    ]);
    expect(asked).toEqual([
      ['U7 StrippedTiming', false],
      ['U19 EvidenceTampered', false],
      ['U19 EvidenceTampered', false],
      ['U18 EvidenceTampered', false],
      ['U15 PrematureTakeover', true],
    ]);
  });

  it('stays within what CEL takes with a thousand namespaces of their own, whose terms are all different', () => {
    const terms = objectTerms();
    const scope: SwitchScope = {
      unguarded: ['kube-system'],
      others: terms,
      classes: Array.from({ length: 1_000 }, (_, index) => ({
        namespaces: [`team-${String(index)}-${'of-a-name-of-some-length'.repeat(2)}`.slice(0, 46)],
        terms: { ...terms, toleranceMs: index },
      })),
    };
    // LIMIT: etcd takes 1.5 MiB.
    expect(JSON.stringify(objectsFor(scope)).length).toBeLessThan(500_000);
    for (const object of objectsFor(scope))
      for (const field of ['matchConditions', 'variables', 'validations'])
        for (const each of arrayAt(specOf(object), field))
          expect(stringAt(each, 'expression').length, stringAt(each, 'name')).toBeLessThan(100_000);
  });
});

function objectTerms(): NonNullable<SwitchScope['others']> {
  return {
    toleranceMs: 1_000,
    names: null,
    excludeNames: [],
    exempt: { usernames: [], groups: [] },
    shortening: true,
    stamps: true,
  };
}

describe('manifests/base/switch.yaml', () => {
  it('has the inert objects, bindings first', () => {
    const installed = parseAllDocuments(read('manifests/base/switch.yaml')).map(
      (document) => document.toJS() as JsonObject,
    );
    expect(installed).toEqual(inertObjects(ownNamespace).toReversed());
    expect(installed.map(isBinding)).toEqual([true, true, false, false]);
  });
});
