import { describe, expect, it } from 'vitest';

import { persistently } from '../../src/kube/persistently.ts';

const raced = new Error('somebody has written');
const other = new Error('the server is gone');
const isRaced = (error: unknown): boolean => error === raced;

/** Fails with each error in turn, and then succeeds. */
function after(...errors: readonly Error[]): () => Promise<string> {
  const left = [...errors];
  return () => {
    const error = left.shift();
    return error === undefined ? Promise.resolve('done') : Promise.reject(error);
  };
}

describe('persistently', () => {
  it('does it again where somebody else has come in between', async () => {
    await expect(persistently(after(raced, raced), isRaced)).resolves.toBe('done');
  });

  it('gives up after five in a row, or after as many as it is told', async () => {
    await expect(persistently(after(...Array<Error>(5).fill(raced)), isRaced)).resolves.toBe('done');
    await expect(persistently(after(...Array<Error>(6).fill(raced)), isRaced)).rejects.toBe(raced);
    await expect(persistently(after(raced, raced), isRaced, 1)).rejects.toBe(raced);
  });

  it('throws whatever else goes wrong', async () => {
    await expect(persistently(after(raced, other), isRaced)).rejects.toBe(other);
  });
});
