import { describe, expect, it } from 'vitest';
import { Cleanup } from '../../src/scene/cleanup.ts';

describe('Cleanup', () => {
  it('undoes the last first, once', async () => {
    const done: string[] = [];
    const cleanup = new Cleanup();
    cleanup.add(() => done.push('first'));
    cleanup.add(() => Promise.resolve(done.push('second')));
    await cleanup.run();
    await cleanup.run();
    expect(done).toEqual(['second', 'first']);
  });

  it('goes on after a failure, and tells the first', async () => {
    const done: string[] = [];
    const cleanup = new Cleanup();
    cleanup.add(() => done.push('first'));
    cleanup.add(() => Promise.reject(new Error('second')));
    cleanup.add(() => {
      throw new Error('third');
    });
    await expect(cleanup.run()).rejects.toThrow('third');
    expect(done).toEqual(['first']);
  });
});
