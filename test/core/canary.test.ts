import { expect, it } from 'vitest';
import { canaryIn, canarySettings } from '../../src/core/canary.ts';
import type { LockWrite } from '../../src/core/lock.ts';
import { builtInDefaults } from '../../src/core/settings.ts';

const attempt: LockWrite = {
  operation: 'UPDATE',
  lock: { kind: 'Lease', namespace: 'own', name: 'lockwarden-canary' },
  before: null,
  after: null,
  requester: { username: 'u', groups: [], pod: null },
  dryRun: true,
};

it.each<[string, Partial<LockWrite>]>([
  ['a write that is to be stored', { dryRun: false }],
  ['a creation', { operation: 'CREATE' }],
  ['a deletion', { operation: 'DELETE' }],
  ['another lock', { lock: { ...attempt.lock, name: 'lockwarden' } }],
  ['a lock of that name elsewhere', { lock: { ...attempt.lock, namespace: 'team' } }],
  ['an object of that name of another kind', { lock: { ...attempt.lock, kind: 'ConfigMap' } }],
])('%s is no attempt on the canary', (_, change) => {
  expect(canaryIn('own')({ ...attempt, ...change })).toBe(false);
});

it('a dry run of an update is, and is judged by the defaults under a name of its own', () => {
  expect(canaryIn('own')(attempt)).toBe(true);
  expect(canarySettings).toEqual({ ...builtInDefaults, policy: 'built-in canary' });
});
