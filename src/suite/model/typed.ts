/**
 * What an API server makes of the JSON that it is sent: known fields of the right type, times in its own form, nothing that is empty.
 * SOURCE: https://github.com/kubernetes/api/blob/v0.36.3/coordination/v1/types.go (LeaseSpec)
 * SOURCE: https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/coordination/validation/validation.go (ValidateLeaseSpec)
 */
import type { LockKind } from '../../core/lock.ts';
import { at, isObject, textAt, type JsonObject } from '../../locks/json.ts';
import { instantOf } from '../../locks/recorded-time.ts';
import { rejected } from './rejection.ts';

/**
 * The object as it is stored.
 *
 * @throws ApiRejection where it is invalid
 */
export function typedObject(kind: LockKind, object: JsonObject): JsonObject {
  const { apiVersion, kind: ownKind, metadata } = object;
  if (ownKind !== kind) throw rejected(400, `the object is of the kind \`${textAt(object, 'kind')}\``);
  if (textAt(metadata, 'name') === '') throw rejected(422, 'metadata.name: required');
  const shared = { kind, apiVersion, metadata: typedMetadata(metadata) };
  if (kind === 'Lease') return { ...shared, spec: typedSpec(at(object, 'spec')) };
  const contents = kind === 'ConfigMap' ? ['data', 'binaryData', 'immutable'] : ['subsets'];
  const kept = contents.flatMap((field): [string, unknown][] =>
    isEmpty(object[field]) ? [] : [[field, object[field]]],
  );
  return { ...shared, ...Object.fromEntries(kept) };
}

function typedMetadata(metadata: unknown): JsonObject {
  if (!isObject(metadata)) return {};
  for (const field of ['labels', 'annotations']) {
    const values: unknown = metadata[field];
    if (
      isObject(values) &&
      Object.values(values).some((value) => value !== null && typeof value !== 'string')
    ) {
      throw rejected(400, `metadata.${field}: every value must be a string`);
    }
  }
  // NB: an empty list of managed fields is no absent one.
  return Object.fromEntries(
    Object.entries(metadata).filter(([key, value]) => key === 'managedFields' || !isEmpty(value)),
  );
}

/** How each field of a Lease is read; what is not listed is pruned. */
const specFields: Readonly<Record<string, (value: unknown, field: string) => unknown>> = {
  holderIdentity: text,
  leaseDurationSeconds: (value, field) => whole(value, field, 1),
  acquireTime: time,
  renewTime: time,
  leaseTransitions: (value, field) => whole(value, field, 0),
  strategy: text,
  preferredHolder: text,
};

function typedSpec(spec: unknown): JsonObject {
  if (spec === undefined || spec === null) return {};
  if (!isObject(spec)) throw rejected(400, 'spec: must be an object');
  const fields: [string, unknown][] = [];
  for (const [field, read] of Object.entries(specFields)) {
    const given: unknown = spec[field];
    if (given !== undefined && given !== null) fields.push([field, read(given, field)]);
  }
  return Object.fromEntries(fields);
}

function text(value: unknown, field: string): string {
  if (typeof value === 'string') return value;
  throw rejected(400, `spec.${field}: must be a string`);
}

/** LIMIT: an int32. */
const wholeMax = 2 ** 31 - 1;

function whole(value: unknown, field: string, min: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value > wholeMax) {
    throw rejected(400, `spec.${field}: must be a whole number`);
  }
  if (value < min) throw rejected(422, `spec.${field}: must be at least ${String(min)}`);
  return value;
}

/** SOURCE: https://github.com/kubernetes/apimachinery/blob/v0.36.3/pkg/apis/meta/v1/micro_time.go (RFC3339Micro: six digits) */
const microTimeForm = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{6})(Z|[+-]\d\d:\d\d)$/;
const zeroTime = '0001-01-01T00:00:00';

/** In UTC. Go’s zero time is stored as a null that is there, until the next write drops it. */
function time(value: unknown, field: string): string | null {
  const match = typeof value === 'string' ? microTimeForm.exec(value) : null;
  const [whole, seconds = '', micros = '', zone = ''] = match ?? [];
  const instant = instantOf(`${seconds}${zone}`);
  if (whole === undefined || instant === null) {
    throw rejected(400, `spec.${field}: must be a time such as 2026-01-02T03:04:05.000000Z`);
  }
  if (whole.startsWith(zeroTime)) return null;
  if (zone === 'Z') return whole;
  return `${new Date(instant).toISOString().slice(0, 19)}.${micros}Z`;
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  return isObject(value) && Object.keys(value).length === 0;
}
