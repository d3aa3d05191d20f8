/** Fields that the policy API does not have, and entries that stand twice. */
import type { JsonSchema } from '../policy/json-schema.ts';
import type { PolicyRef } from '../policy/policy-ref.ts';
import { nearest } from '../yaml/nearest.ts';
import type { Path } from '../yaml/places.ts';
import { unknownFields } from '../yaml/unknown-fields.ts';
import type { Remark } from './finding.ts';
import { findField, schemaAt, schemas } from './schema.ts';

type Kind = PolicyRef['kind'];

/** Remarks about the fields of an object of that kind. */
export function* fieldRemarks(value: unknown, kind: Kind): Generator<Remark> {
  for (const { path } of unknownFields(value, schemas[kind])) yield unknownField(path, kind);
  yield* duplicates(value, schemas[kind], []);
}

/** What people call a selection of locks by their labels. */
const labelSelection = /^((lock|object|label)?selector|(match)?labels|matchexpressions)$/i;

function unknownField(path: Path, kind: Kind): Remark {
  const name = String(path.at(-1));
  const parent = path.slice(0, -1);
  const where = parent.length === 0 ? 'a policy' : `\`${textOf(parent)}\``;
  if (labelSelection.test(name) && /^spec(\.match)?$/.test(textOf(parent))) {
    return {
      rule: 'LabelSelection',
      path,
      message: `locks cannot be selected by labels: clients renew with PUT of objects of their own, which drops labels, and the lock would go unguarded`,
      suggestion: 'select locks by `names`, and namespaces by the `namespaceSelector` of a ClusterLockPolicy',
    };
  }
  return {
    rule: 'UnknownField',
    path,
    message: `${where} has no field \`${name}\`; the API server would drop it`,
    suggestion: advice(name, parent, kind),
  };
}

function advice(name: string, parent: Path, kind: Kind): string {
  const other: Kind = kind === 'LockPolicy' ? 'ClusterLockPolicy' : 'LockPolicy';
  if (schemaAt(schemas[other], [...parent, name]) !== null) return `only a ${other} has it`;
  const known = Object.keys(schemaAt(schemas[kind], parent)?.properties ?? {});
  const meant = nearest(name, known);
  if (meant !== null) return `did you mean \`${meant}\`?`;
  const elsewhere = findField(schemas[kind], name);
  if (elsewhere !== null) return `did you mean \`${elsewhere.join('.')}\`?`;
  return `it has ${known.map((each) => `\`${each}\``).join(', ')}`;
}

/** Entries of lists that the API server takes as sets, or as maps with a key. */
function* duplicates(value: unknown, schema: JsonSchema, path: Path): Generator<Remark> {
  if (Array.isArray(value)) {
    const list: readonly unknown[] = value;
    yield* duplicateEntries(list, schema, path);
    const { items } = schema;
    if (items !== undefined)
      for (const [index, item] of list.entries()) yield* duplicates(item, items, [...path, index]);
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, child] of Object.entries(value) as [string, unknown][]) {
      const property = schema.properties?.[name];
      if (property !== undefined) yield* duplicates(child, property, [...path, name]);
    }
  }
}

function* duplicateEntries(list: readonly unknown[], schema: JsonSchema, path: Path): Generator<Remark> {
  const keys = schema['x-kubernetes-list-map-keys'];
  const key = Array.isArray(keys) ? String(keys[0]) : null;
  if (key === null && schema['x-kubernetes-list-type'] !== 'set') return;
  const seen = new Set<unknown>();
  for (const [index, item] of list.entries()) {
    const id: unknown = key === null ? item : (item as Record<string, unknown> | null)?.[key];
    if (typeof id === 'string' && seen.has(id)) {
      yield {
        rule: 'DuplicateEntry',
        path: key === null ? [...path, index] : [...path, index, key],
        message: `\`${id}\` stands twice in \`${textOf(path)}\`, and the API server takes each once`,
        suggestion: 'remove one of the two',
      };
    }
    seen.add(id);
  }
}

/** `['spec', 'rules', 0]` as `spec.rules[0]`. */
export function textOf(path: Path): string {
  return path
    .map((step, index) =>
      typeof step === 'number' ? `[${String(step)}]` : `${index === 0 ? '' : '.'}${String(step)}`,
    )
    .join('');
}
