/** The schemas of policies, and ways to find things in them. */
import { clusterLockPolicy, lockPolicy } from '../policy/api.ts';
import { objectSchemaOf, type JsonSchema } from '../policy/json-schema.ts';
import type { PolicyRef } from '../policy/policy-ref.ts';
import type { Path } from '../yaml/places.ts';

/** The schema of each kind of policy. */
export const schemas: Readonly<Record<PolicyRef['kind'], JsonSchema>> = {
  LockPolicy: objectSchemaOf(lockPolicy),
  ClusterLockPolicy: objectSchemaOf(clusterLockPolicy),
};

/** The schema at a path, or null where there is none. */
export function schemaAt(schema: JsonSchema, path: Path): JsonSchema | null {
  let current: JsonSchema | undefined = schema;
  for (const step of path)
    current = typeof step === 'number' ? current?.items : current?.properties?.[String(step)];
  return current ?? null;
}

/** The value at a path; undefined where there is none. */
export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (current, step) =>
      typeof current === 'object' && current !== null
        ? (current as Record<PropertyKey, unknown>)[step]
        : undefined,
    value,
  );
}

/** The path of the first field of this name, in the order of the schema; null where there is none. */
export function findField(
  schema: JsonSchema,
  name: string,
  path: readonly string[] = [],
): readonly string[] | null {
  const { properties = {}, items } = schema;
  if (name in properties) return [...path, name];
  for (const [key, property] of Object.entries(properties)) {
    const found = findField(property, name, [...path, key]);
    if (found !== null) return found;
  }
  return items === undefined ? null : findField(items, name, path);
}
