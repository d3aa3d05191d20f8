/**
 * The policy API as JSON Schema, in three forms: as it is, as a CRD may hold it, and as editors use it to complete and to
 * mark what is unknown.
 */
import { z } from 'zod';
import { apiVersion, type PolicyKind } from './api.ts';

/** A JSON Schema, as far as the policy API makes use of it. */
export interface JsonSchema {
  readonly description?: string;
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly const?: string;
  readonly pattern?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly [keyword: string]: unknown;
}

type AnyKind = PolicyKind<z.ZodType>;

/** The schema of a part of the API, with everything that its source says. */
function jsonSchemaOf(part: z.ZodType): JsonSchema {
  const schema = z.toJSONSchema(part, { io: 'input', target: 'draft-7', reused: 'inline' });
  // NB: the library declares all that JSON Schema allows; what the policy API makes of it is less.
  return without(schema as JsonSchema, ['$schema']);
}

/** The whole object, with what is common to all objects of Kubernetes. */
export function objectSchemaOf({ kind, description, spec, status }: AnyKind): JsonSchema {
  return {
    description,
    type: 'object',
    required: ['apiVersion', 'kind', 'metadata', 'spec'],
    properties: {
      apiVersion: { description: 'The version of the policy API.', type: 'string', const: apiVersion },
      kind: { description: 'The kind of policy.', type: 'string', const: kind },
      metadata: metadataSchema,
      spec: jsonSchemaOf(spec),
      status: jsonSchemaOf(status),
    },
  };
}

/** SOURCE: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/ */
const metadataSchema: JsonSchema = {
  description: 'What every object of Kubernetes has.',
  type: 'object',
  properties: {
    name: { description: 'The name, unique among policies of this kind and namespace.', type: 'string' },
    namespace: { description: 'The namespace, of a kind that is namespaced.', type: 'string' },
    labels: { description: 'Labels.', type: 'object', additionalProperties: { type: 'string' } },
    annotations: { description: 'Annotations.', type: 'object', additionalProperties: { type: 'string' } },
    ...Object.fromEntries(
      ['generateName', 'uid', 'resourceVersion', 'creationTimestamp', 'deletionTimestamp', 'selfLink'].map(
        (name) => [name, { description: 'Of the API server.', type: 'string' }],
      ),
    ),
    generation: { description: 'Of the API server.', type: 'integer' },
    deletionGracePeriodSeconds: { description: 'Of the API server.', type: 'integer' },
    finalizers: { description: 'Who must agree to a deletion.', type: 'array', items: { type: 'string' } },
    ownerReferences: { description: 'Owners.', type: 'array', items: { type: 'object' } },
    managedFields: { description: 'Of the API server.', type: 'array', items: { type: 'object' } },
  },
};

/**
 * The schema for a CRD, which must be structural: no `$schema`, no rules about keys, nothing that forbids unknown fields
 * (the API server prunes them), and integers with a format.
 * SOURCE: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
 */
export function structuralSchemaOf({ description, spec, status }: AnyKind): JsonSchema {
  const structural = (part: z.ZodType): JsonSchema =>
    rewrite(jsonSchemaOf(part), (schema) => {
      const stripped = without(schema, ['propertyNames']);
      return schema.type === 'integer' ? { ...without(stripped, ['maximum']), format: 'int64' } : stripped;
    });
  return {
    description,
    type: 'object',
    required: ['spec'],
    properties: {
      apiVersion: { description: `\`${apiVersion}\`.`, type: 'string' },
      kind: { description: 'The kind of policy.', type: 'string' },
      metadata: { type: 'object' },
      spec: structural(spec),
      status: structural(status),
    },
  };
}

/** The schema for editors: what is unknown is wrong, and what only the API server understands is left out. */
export function editorSchemaOf(policyKind: AnyKind): JsonSchema {
  const closed = rewrite(objectSchemaOf(policyKind), (schema) => {
    const ours = Object.keys(schema).filter((keyword) => keyword.startsWith('x-kubernetes-'));
    const rest = without(schema, ours);
    return schema.properties === undefined ? rest : { ...rest, additionalProperties: false };
  });
  return { $schema: 'http://json-schema.org/draft-07/schema#', title: policyKind.kind, ...closed };
}

/** Rebuilds a schema from the leaves up. */
function rewrite(schema: JsonSchema, change: (schema: JsonSchema) => JsonSchema): JsonSchema {
  const { properties, items, additionalProperties } = schema;
  return change({
    ...schema,
    ...(properties !== undefined && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, property]) => [name, rewrite(property, change)]),
      ),
    }),
    ...(items !== undefined && { items: rewrite(items, change) }),
    ...(typeof additionalProperties === 'object' && {
      additionalProperties: rewrite(additionalProperties, change),
    }),
  });
}

function without(schema: JsonSchema, keywords: readonly string[]): JsonSchema {
  return Object.fromEntries(Object.entries(schema).filter(([keyword]) => !keywords.includes(keyword)));
}
