import { expect, it } from 'vitest';
import { readLock } from '../../src/locks/registry.ts';
import { readVersion } from '../../src/locks/version.ts';

it.each<[unknown, number | null]>([
  ['1', 1],
  ['987654321012345', 987_654_321_012_345],
  ['9876543210123456', null],
  ['0', null],
  ['01', null],
  ['', null],
  ['abc', null],
  [7, null],
  [undefined, null],
])('the resource version %j is %j', (resourceVersion, version) => {
  expect(readVersion({ metadata: { resourceVersion } })).toBe(version);
  for (const kind of ['Lease', 'ConfigMap', 'Endpoints'] as const)
    expect(readLock(kind, { metadata: { resourceVersion } }).version).toBe(version);
});
