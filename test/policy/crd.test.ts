import { format } from 'prettier';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { clusterLockPolicy, lockPolicy } from '../../src/policy/api.ts';
import { crdOf } from '../../src/policy/crd.ts';
import { editorSchemaOf, structuralSchemaOf, type JsonSchema } from '../../src/policy/json-schema.ts';
import { parsePolicy, type PolicyObject } from '../../src/policy/policy.ts';
import { generated } from '../../tools/generate.ts';
import { files, read } from '../style/tree.ts';
import { refusals } from './refusals.ts';

const kinds = [lockPolicy, clusterLockPolicy];

/** Every schema below `schema`, with its path. */
function* walk(schema: JsonSchema, path: string): Generator<readonly [string, JsonSchema]> {
  yield [path, schema];
  for (const [name, property] of Object.entries(schema.properties ?? {}))
    yield* walk(property, `${path}.${name}`);
  if (schema.items !== undefined) yield* walk(schema.items, `${path}[]`);
  if (typeof schema.additionalProperties === 'object') yield* walk(schema.additionalProperties, `${path}{}`);
}

/** The schema at a path such as `spec.rules[].reason`. */
function at(schema: JsonSchema, path: string): JsonSchema {
  const found = [...walk(schema, '')].find(([each]) => each === `.${path}`);
  if (found === undefined) throw new Error(`there is no ${path}`);
  return found[1];
}

describe('what is generated', () => {
  it('is what the repository has', async () => {
    const texts = await generated();
    const theirs = [
      ...files('docs/*.schema.json'),
      ...files('manifests/base/switch.yaml'),
      ...files('manifests/{crds,schemas}/*'),
    ].filter((path) => !path.endsWith('/kustomization.yaml'));
    expect(theirs).toEqual([...texts.keys()].sort());
    for (const [path, text] of texts) expect(read(path), `run \`npm run generate\` for ${path}`).toBe(text);
  });

  it('is what `kubectl apply -k manifests/crds` applies', () => {
    const { resources } = parse(read('manifests/crds/kustomization.yaml')) as { readonly resources: unknown };
    const crds = files('manifests/crds/lockwarden.dev_*.yaml').map((path) => path.split('/').at(-1));
    expect(crds).toHaveLength(2);
    expect(resources).toEqual(crds);
  });

  it('is formatted like the rest', async () => {
    const options = JSON.parse(read('.prettierrc.json')) as object;
    for (const [path, text] of await generated())
      expect(await format(text, { ...options, filepath: path })).toBe(text);
  });

  it.each(kinds)('says what $kind is', async (policyKind) => {
    const text = (await generated()).get(`manifests/crds/lockwarden.dev_${policyKind.plural}.yaml`);
    expect(parse(text ?? '')).toEqual(crdOf(policyKind));
  });
});

describe.each(kinds)('the schema of $kind', (policyKind) => {
  const structural = structuralSchemaOf(policyKind);
  const schemas = [...walk(structural, '')];

  it('describes every field', () => {
    const fields = schemas.filter(([path]) => /\.\w+$/u.test(path));
    expect(fields.length).toBeGreaterThan(40);
    const bare = fields.filter(([path, { description = '' }]) => path !== '.metadata' && description === '');
    expect(bare.map(([path]) => path)).toEqual([]);
    for (const [path, { description }] of fields)
      if (path !== '.metadata') expect(description, path).toMatch(/[.)]$/u);
  });

  /** SOURCE: https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/ (JSONSchemaProps) */
  it('has nothing that a CRD may not have', () => {
    const may = new Set([
      ...['description', 'type', 'format', 'enum', 'default', 'pattern', 'required', 'properties', 'items'],
      ...['minimum', 'minLength', 'maxLength', 'minItems', 'maxItems', 'additionalProperties'],
      ...['x-kubernetes-list-type', 'x-kubernetes-list-map-keys', 'x-kubernetes-validations'],
    ]);
    for (const [path, schema] of schemas) {
      expect(
        Object.keys(schema).filter((keyword) => !may.has(keyword)),
        path,
      ).toEqual([]);
      expect(typeof schema.type, path).toBe('string');
      expect(schema.additionalProperties, path).not.toBe(false);
    }
  });

  it('has bounds on every text and every list', () => {
    const boundless = schemas.filter(([path, schema]) => {
      if (!path.startsWith('.spec')) return false;
      if (schema.type === 'array') return schema['maxItems'] === undefined;
      return schema.type === 'string' && schema.enum === undefined && schema['maxLength'] === undefined;
    });
    expect(boundless.map(([path]) => path)).toEqual([]);
  });

  it('defaults only what is the same when it is absent', () => {
    const withDefaults = schemas.filter(([, schema]) => schema['default'] !== undefined);
    const candidates = ['.spec.candidates.holder'];
    const floors = ['.spec.floor.enforcement', '.spec.floor.exemptions'];
    expect(withDefaults.map(([path]) => path)).toEqual(
      policyKind.kind === 'LockPolicy' ? candidates : [...candidates, ...floors],
    );
  });

  it('asks in CEL only about fields that are there, or whether they are', () => {
    const rules = schemas.flatMap(([path, schema]) =>
      ((schema['x-kubernetes-validations'] ?? []) as { rule: string }[]).map(
        ({ rule }) => [path, rule] as const,
      ),
    );
    expect(rules.length).toBeGreaterThan(1);
    for (const [path, rule] of rules) {
      for (const [, field = ''] of rule.matchAll(/\bself((?:\.(?!exists|all|contains)\w+)+)/gu))
        expect(
          schemas.map(([each]) => each),
          rule,
        ).toContain(`${path}${field}`);
    }
  });
});

describe('a default of the CRD', () => {
  const meaning = (spec: object): object => {
    const ref: PolicyObject['ref'] = { kind: 'ClusterLockPolicy', namespace: '', name: 'p' };
    const parsed = parsePolicy({ ref, generation: 1, spec });
    if (!parsed.ok) throw new Error('the policy is refused');
    return { layer: parsed.policy.layer, floor: parsed.policy.floor };
  };

  it.each(['candidates.holder', 'floor.enforcement', 'floor.exemptions'])(
    '%s is what a policy means without it',
    (path) => {
      const [parent = '', child = ''] = path.split('.');
      const { default: value } = at(structuralSchemaOf(clusterLockPolicy), `spec.${path}`);
      expect(value).toBeDefined();
      expect(meaning({ [parent]: { [child]: value } })).toEqual(meaning({ [parent]: {} }));
    },
  );
});

describe('a rule in CEL', () => {
  const all = kinds.flatMap((policyKind) =>
    [...walk(structuralSchemaOf(policyKind), '')].flatMap(([path, schema]) =>
      ((schema['x-kubernetes-validations'] ?? []) as { message: string }[]).map(
        ({ message }) => `${policyKind.kind}${path}: ${message}`,
      ),
    ),
  );

  it('is tried, each of them', () => {
    const tried = refusals.map(
      ({ kind, field, message }) => `${kind}.${field.replaceAll(/\[\d+\]/gu, '[]')}: ${message}`,
    );
    expect(new Set(tried)).toEqual(new Set(all));
  });

  it.each(refusals.filter(({ harmless }) => harmless !== true))(
    'refuses nothing else than parsePolicy: $kind, $name',
    ({ kind, spec }) => {
      const ref = { kind, namespace: kind === 'LockPolicy' ? 'team' : '', name: 'p' };
      expect(parsePolicy({ ref, generation: 1, spec }).ok).toBe(false);
    },
  );
});

describe('the schema for editors', () => {
  const accepts = (policyKind: (typeof kinds)[number], object: object): boolean => {
    const schema = JSON.parse(JSON.stringify(editorSchemaOf(policyKind))) as Parameters<
      typeof z.fromJSONSchema
    >[0];
    return z.fromJSONSchema(schema).safeParse(object).success;
  };
  const policy = (change: object = {}): object => ({
    apiVersion: 'lockwarden.dev/v1alpha1',
    kind: 'LockPolicy',
    metadata: { name: 'p', namespace: 'team', labels: { team: 'a' } },
    spec: { match: { names: ['orders-*'] }, rules: [{ reason: 'TransitionsOdd', enforcement: 'Deny' }] },
    ...change,
  });

  it('accepts a policy', () => {
    expect(accepts(lockPolicy, policy())).toBe(true);
    expect(accepts(clusterLockPolicy, policy({ kind: 'ClusterLockPolicy' }))).toBe(true);
  });

  it.each<[string, object]>([
    ['another kind', { kind: 'ClusterLockPolicy' }],
    ['another version', { apiVersion: 'lockwarden.dev/v1' }],
    ['an unknown field at the top', { specs: {} }],
    ['an unknown field of metadata', { metadata: { nam: 'p' } }],
    ['an unknown field of spec', { spec: { enforcment: 'Deny' } }],
    [
      'an unknown field within a list',
      { spec: { conditions: [{ name: 'a', expression: 'true', when: 'x' }] } },
    ],
    ['a field of the other kind', { spec: { match: { namespaces: ['team'] } } }],
    ['a value that is none of several', { spec: { enforcement: 'Block' } }],
    ['no duration', { spec: { tolerance: '1 s' } }],
    ['no spec', { spec: undefined }],
  ])('marks %s', (_, change) => {
    expect(accepts(lockPolicy, policy(change))).toBe(false);
  });
});
