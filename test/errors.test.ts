import { describe, expect, it } from 'vitest';
import { LockwardenError, exitCodeOf, systemCodeOf } from '../src/errors.ts';

describe('an error', () => {
  it('keeps its code, its sentence and its cause', () => {
    const cause = new Error('below');
    const error = new LockwardenError('ListenFailed', 'cannot listen', { cause });
    expect(error).toMatchObject({
      name: 'LockwardenError',
      code: 'ListenFailed',
      message: 'cannot listen',
      cause,
    });
  });

  it('ends the command with 2 when it was called wrongly and with 1 otherwise', () => {
    expect(exitCodeOf(new LockwardenError('UsageInvalid', 'm'))).toBe(2);
    expect(exitCodeOf(new LockwardenError('KubeconfigMissing', 'm'))).toBe(2);
    expect(exitCodeOf(new LockwardenError('ClusterUnreachable', 'm'))).toBe(1);
    expect(exitCodeOf(new TypeError('a defect'))).toBe(1);
    expect(exitCodeOf('thrown text')).toBe(1);
  });

  it('of the system names its code', () => {
    expect(systemCodeOf(Object.assign(new Error('m'), { code: 'ENOENT' }))).toBe('ENOENT');
    expect(systemCodeOf(Object.assign(new Error('m'), { code: 7 }))).toBeNull();
    expect(systemCodeOf(null)).toBeNull();
  });
});
