/** Fields that a JSON Schema does not know, with the known one that may have been meant. */
import type { JsonSchema } from '../policy/json-schema.ts';
import { suggestion } from './nearest.ts';
import type { Path } from './places.ts';

/** A field that is not known: its path, and a clause in lower case. */
export interface UnknownField {
  readonly path: Path;
  readonly message: string;
}

/** The fields of `value` that `schema` does not know. What has another type than the schema says is for others to tell. */
export function unknownFields(value: unknown, schema: JsonSchema, path: Path = []): readonly UnknownField[] {
  if (Array.isArray(value)) {
    const { items } = schema;
    const list: readonly unknown[] = value;
    return items === undefined
      ? []
      : list.flatMap((item, index) => unknownFields(item, items, [...path, index]));
  }
  if (typeof value !== 'object' || value === null) return [];
  const known = propertiesOf(schema);
  const { additionalProperties } = schema;
  return Object.entries(value).flatMap(([key, child]: [string, unknown]) => {
    const at = [...path, key];
    const property = known?.[key];
    if (property !== undefined) return unknownFields(child, property, at);
    if (typeof additionalProperties === 'object') return unknownFields(child, additionalProperties, at);
    if (known === undefined || additionalProperties === true) return [];
    const free = Object.keys(known).filter((name) => !Object.hasOwn(value, name));
    return [{ path: at, message: `the field \`${key}\` is not known${suggestion(key, free)}` }];
  });
}

/** The properties of an object, be it one of several forms; undefined where the schema does not list any. */
function propertiesOf(schema: JsonSchema): Readonly<Record<string, JsonSchema>> | undefined {
  if (schema.properties !== undefined) return schema.properties;
  const forms = formsOf(schema)
    .map(propertiesOf)
    .filter((each) => each !== undefined);
  return forms.length === 0 ? undefined : Object.fromEntries(forms.flatMap((form) => Object.entries(form)));
}

function formsOf({ anyOf }: JsonSchema): readonly JsonSchema[] {
  return Array.isArray(anyOf) ? (anyOf as readonly JsonSchema[]) : [];
}
