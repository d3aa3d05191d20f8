/** Policies in files, checked as the API server and lockwarden check them, and for unknown fields besides. */
import { apiVersion, clusterLockPolicy, lockPolicy } from '../policy/api.ts';
import { objectSchemaOf } from '../policy/json-schema.ts';
import { parsePolicy } from '../policy/policy.ts';
import type { PolicyRef } from '../policy/policy-ref.ts';
import { defaultNamespace } from './format.ts';
import { suggestion } from '../yaml/nearest.ts';
import { readYaml, type Fault, type Path } from '../yaml/places.ts';
import type { PathFault } from './faults.ts';
import type { PolicyManifest } from './suite.ts';
import { unknownFields } from '../yaml/unknown-fields.ts';

/** What was read, and what is wrong with it. */
export interface ReadManifests<Wrong> {
  readonly policies: readonly PolicyManifest[];
  readonly faults: readonly Wrong[];
}

const schemas = {
  LockPolicy: objectSchemaOf(lockPolicy),
  ClusterLockPolicy: objectSchemaOf(clusterLockPolicy),
};

/** Reads the policies of a file. */
export function readPolicyFile(text: string): ReadManifests<Fault> {
  const yaml = readYaml(text);
  if ('faults' in yaml) return { policies: [], faults: yaml.faults };
  const policies: PolicyManifest[] = [];
  const faults: Fault[] = [];
  for (const { value, placeOf } of yaml.documents) {
    const read = readPolicy(value);
    policies.push(...read.policies);
    faults.push(...read.faults.map(({ path, message }) => ({ ...placeOf(path), message })));
  }
  if (yaml.documents.length === 0) faults.push({ line: 1, column: 1, message: 'there is no policy in it' });
  return { policies, faults };
}

/** Reads one policy. */
export function readPolicy(value: unknown): ReadManifests<PathFault> {
  const wrong = (path: Path, message: string): ReadManifests<PathFault> => ({
    policies: [],
    faults: [{ path, message }],
  });
  const { apiVersion: version, kind, metadata, spec } = recordOf(value);
  if (kind !== 'LockPolicy' && kind !== 'ClusterLockPolicy') {
    const meant = suggestion(textOf(kind), Object.keys(schemas));
    return wrong(['kind'], `\`${textOf(kind)}\` is no kind of policy${meant}`);
  }
  if (version !== apiVersion) return wrong(['apiVersion'], `the apiVersion is not \`${apiVersion}\``);
  const { name, namespace } = recordOf(metadata);
  if (typeof name !== 'string' || name === '') return wrong(['metadata'], '`metadata.name` is missing');
  const named = typeof namespace === 'string' && namespace !== '';
  if (kind === 'ClusterLockPolicy' && named) {
    return wrong(['metadata', 'namespace'], 'a ClusterLockPolicy is in no namespace');
  }
  const ref: PolicyRef = {
    kind,
    name,
    namespace: kind === 'LockPolicy' ? (named ? namespace : defaultNamespace) : '',
  };
  const faults = [...unknownFields(value, schemas[kind]), ...specFaults(ref, spec)];
  return { policies: faults.length === 0 ? [{ ref, named, spec: spec ?? {} }] : [], faults };
}

function specFaults(ref: PolicyRef, spec: unknown): readonly PathFault[] {
  const parsed = parsePolicy({ ref, generation: 1, spec });
  if (parsed.ok) return [];
  return parsed.faults.map(({ field, why }) => ({ path: pathOf(field), message: `${field}: ${why}` }));
}

/** `spec.conditions[0].name` as `['spec', 'conditions', 0, 'name']`. */
function pathOf(field: string): Path {
  return [...field.matchAll(/([^.[\]]+)|\[(\d+)\]/g)].map(([, key, index]) =>
    index === undefined ? (key ?? '') : Number(index),
  );
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
