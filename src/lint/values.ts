/** What parsePolicy refuses, in words for people. */
import type { Fault } from '../policy/policy.ts';
import type { PolicyRef } from '../policy/policy-ref.ts';
import { nearest } from '../yaml/nearest.ts';
import type { Path } from '../yaml/places.ts';
import { textOf } from './fields.ts';
import type { Remark } from './finding.ts';
import { schemaAt, schemas, valueAt } from './schema.ts';

/** The remark that a fault of parsePolicy is. `value` is the object. */
export function faultRemark({ field, why }: Fault, value: unknown, kind: PolicyRef['kind']): Remark {
  const path = pathOf(field);
  const found = valueAt(value, path);
  const schema = schemaAt(schemas[kind], path);
  const description = describedAt(path, kind);
  const remark = (message: string, suggestion = description): Remark => ({
    rule: 'InvalidValue',
    path,
    message,
    suggestion,
  });
  if (found === undefined) return remark(`\`${field}\` is missing`);
  if (schema?.enum !== undefined)
    return remark(`\`${field}\` does not take ${shown(found)}`, oneOf(found, schema.enum));
  if (typeof found === 'string' && why.includes('pattern'))
    return remark(`\`${field}\` does not take ${shown(found)}`);
  return remark(`\`${field}\`: ${why.charAt(0).toLowerCase()}${why.slice(1)}`);
}

function oneOf(found: unknown, values: readonly string[]): string {
  const begun =
    typeof found === 'string' && found !== '' ? values.filter((each) => each.startsWith(found)) : [];
  const meant = typeof found === 'string' ? nearest(found, values) : null;
  if (meant !== null) return `did you mean \`${meant}\`?`;
  return `it takes ${(begun.length > 0 ? begun : values).map((each) => `\`${each}\``).join(', ')}`;
}

/** What the API says about a field, or else about the nearest field around it. */
function describedAt(path: Path, kind: PolicyRef['kind']): string {
  for (let length = path.length; length > 0; length -= 1) {
    const { description } = schemaAt(schemas[kind], path.slice(0, length)) ?? {};
    if (description !== undefined) return `${textOf(path.slice(0, length))}: ${description}`;
  }
  return schemas[kind].description ?? '';
}

/** LIMIT: enough to recognise a value by. */
const shownLength = 64;

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return `\`${text.length > shownLength ? `${text.slice(0, shownLength)}…` : text}\``;
}

/** `spec.conditions[0].name` as `['spec', 'conditions', 0, 'name']`. */
function pathOf(field: string): Path {
  return [...field.matchAll(/([^.[\]]+)|\[(\d+)\]/g)].map(([, key, index]) =>
    index === undefined ? (key ?? '') : Number(index),
  );
}
