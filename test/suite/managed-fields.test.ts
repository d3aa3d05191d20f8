/** What an API server makes of stamps, as the sources of apimachinery say; test/conformance compares the model with a real one. */
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/locks/json.ts';
import { managedFieldsFor } from '../../src/suite/model/managed-fields.ts';

const t0 = Date.parse('2026-01-01T00:00:00Z');
const apiVersion = 'coordination.k8s.io/v1';

const lease = (spec: JsonObject, metadata: JsonObject = {}): JsonObject => ({
  apiVersion,
  kind: 'Lease',
  metadata: { name: 'x', namespace: 'y', ...metadata },
  spec,
});

const stored = (object: JsonObject, managedFields: readonly JsonObject[]): JsonObject => ({
  ...object,
  metadata: { ...(object['metadata'] as JsonObject), managedFields },
});

const entry = (
  manager: string,
  time: string,
  spec: readonly string[],
  more: JsonObject = {},
): JsonObject => ({
  manager,
  operation: 'Update',
  apiVersion,
  time,
  fieldsType: 'FieldsV1',
  fieldsV1: { 'f:spec': Object.fromEntries(spec.map((field) => [`f:${field}`, {}])) },
  ...more,
});

const by = (manager: string, ms = 0): { manager: string; apiVersion: string; nowMs: number } => ({
  manager,
  apiVersion,
  nowMs: t0 + ms,
});

describe('the stamps of a write', () => {
  it('name who created what, in whole seconds rounded down', () => {
    const object = lease({ holderIdentity: 'a', renewTime: '1' }, { labels: { app: 'x' } });
    expect(managedFieldsFor(null, object, by('a', 1_999))).toEqual([
      {
        manager: 'a',
        operation: 'Update',
        apiVersion,
        time: '2026-01-01T00:00:01Z',
        fieldsType: 'FieldsV1',
        fieldsV1: {
          'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } },
          'f:spec': { 'f:holderIdentity': {}, 'f:renewTime': {} },
        },
      },
    ]);
  });

  it('hand a changed field to who changed it, and leave the rest', () => {
    const live = stored(lease({ holderIdentity: 'a', renewTime: '1', leaseTransitions: 0 }), [
      entry('a', '2026-01-01T00:00:00Z', ['holderIdentity', 'leaseTransitions', 'renewTime']),
    ]);
    const next = lease({ holderIdentity: 'b', renewTime: '2', leaseTransitions: 0 });
    expect(managedFieldsFor(live, next, by('b', 5_000))).toEqual([
      entry('a', '2026-01-01T00:00:00Z', ['leaseTransitions']),
      entry('b', '2026-01-01T00:00:05Z', ['holderIdentity', 'renewTime']),
    ]);
  });

  it('keep the time of an entry that takes nothing over', () => {
    const live = stored(lease({ holderIdentity: 'a' }), [
      entry('a', '2026-01-01T00:00:00Z', ['holderIdentity']),
    ]);
    expect(managedFieldsFor(live, lease({ holderIdentity: 'a' }), by('a', 9_000))).toEqual([
      entry('a', '2026-01-01T00:00:00Z', ['holderIdentity']),
    ]);
  });

  it('take what is removed from everybody, and stamp nobody for it', () => {
    const live = stored(lease({ holderIdentity: 'a', renewTime: '1' }), [
      entry('a', '2026-01-01T00:00:00Z', ['holderIdentity']),
      entry('b', '2026-01-01T00:00:01Z', ['renewTime']),
    ]);
    expect(managedFieldsFor(live, lease({ holderIdentity: 'a' }), by('c', 9_000))).toEqual([
      entry('a', '2026-01-01T00:00:00Z', ['holderIdentity']),
    ]);
  });

  it.each([[[]], [[{}]]])('are gone for good once they are set to %j', (managedFields) => {
    const live = stored(lease({ renewTime: '1' }), [entry('a', '2026-01-01T00:00:00Z', ['renewTime'])]);
    const reset = managedFieldsFor(live, lease({ renewTime: '1' }, { managedFields }), by('a', 1_000));
    expect(reset).toEqual([]);
    expect(managedFieldsFor(lease({ renewTime: '1' }), lease({ renewTime: '2' }), by('a', 2_000))).toEqual(
      [],
    );
  });

  it('are never kept for an object that had no fields when it was created', () => {
    expect(managedFieldsFor(null, lease({}), by('a'))).toEqual([]);
    expect(managedFieldsFor(lease({}), lease({ renewTime: '1' }), by('a'))).toEqual([]);
  });

  it('are those that the writer hands in, with what the write changes taken out of them', () => {
    const live = stored(lease({ holderIdentity: 'a', renewTime: '1' }), [
      entry('a', '2026-01-01T00:00:30Z', ['holderIdentity', 'renewTime']),
    ]);
    const handed = [entry('other', '2025-01-01T00:00:00.123456Z', ['holderIdentity', 'renewTime'])];
    const next = lease({ holderIdentity: 'a', renewTime: '2' }, { managedFields: handed });
    expect(managedFieldsFor(live, next, by('thief', 40_000))).toEqual([
      entry('other', '2025-01-01T00:00:00Z', ['holderIdentity']),
      entry('thief', '2026-01-01T00:00:40Z', ['renewTime']),
    ]);
  });

  it('stay as they were when those handed in are of no known operation', () => {
    const live = stored(lease({ renewTime: '1' }), [entry('a', '2026-01-01T00:00:00Z', ['renewTime'])]);
    const handed = [entry('b', '2026-01-01T00:00:09Z', ['renewTime'], { operation: 'Steal' })];
    const next = lease({ renewTime: '1' }, { managedFields: handed });
    expect(managedFieldsFor(live, next, by('a'))).toEqual([
      entry('a', '2026-01-01T00:00:00Z', ['renewTime']),
    ]);
  });

  it('become one for the oldest updaters beyond ten', () => {
    const managers = Array.from({ length: 12 }, (_, index) => `m${String(index).padStart(2, '0')}`);
    const spec = Object.fromEntries(managers.map((manager) => [manager, '1']));
    const entries = managers.map((manager, index) =>
      entry(manager, `2026-01-01T00:00:${String(index).padStart(2, '0')}Z`, [manager]),
    );
    const applied = entry('z', '2026-01-01T00:00:00Z', ['z'], { operation: 'Apply' });
    const result = managedFieldsFor(stored(lease(spec), [...entries, applied]), lease(spec), by('m00'));
    expect(result.map(({ manager, time }) => [manager, time])).toEqual([
      ['z', '2026-01-01T00:00:00Z'],
      ['ancient-changes', '2026-01-01T00:00:02Z'],
      ...managers
        .slice(3)
        .map((manager, index) => [manager, `2026-01-01T00:00:${String(index + 3).padStart(2, '0')}Z`]),
    ]);
    expect(result[1]?.['fieldsV1']).toEqual({ 'f:spec': { 'f:m00': {}, 'f:m01': {}, 'f:m02': {} } });
  });
});
