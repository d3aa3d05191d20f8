import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { KubeError } from '../../src/kube/errors.ts';
import { jsonLines } from '../../src/kube/json-lines.ts';

async function* chunksOf(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let start = 0;
  for (const size of [...sizes, bytes.length]) {
    await Promise.resolve();
    yield bytes.subarray(start, start + size);
    start += size;
  }
}

async function read(text: string, sizes: readonly number[] = [], lineBytesMax = 1000): Promise<unknown[]> {
  const values: unknown[] = [];
  for await (const value of jsonLines(chunksOf(Buffer.from(text), sizes), lineBytesMax)) values.push(value);
  return values;
}

describe('lines of JSON', () => {
  test('wherever the stream is cut into chunks, even within a character, the values are the same', async () => {
    const values = fc.array(fc.jsonValue(), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(values, fc.array(fc.nat(7)), async (expected, sizes) => {
        const text = expected.map((value) => `${JSON.stringify(value)}\n`).join('');
        const plain: unknown = JSON.parse(JSON.stringify(expected));
        expect(await read(text, sizes, 100_000)).toEqual(plain);
      }),
    );
  });

  test('empty lines and a last line without its end are dropped', async () => {
    expect(await read('1\n\n2\n3')).toEqual([1, 2]);
  });

  test('a line as long as the bound passes, one byte more does not', async () => {
    expect(await read('"xxxx"\n', [], 6)).toEqual(['xxxx']);
    await expect(read('"xxxxx"\n', [], 6)).rejects.toMatchObject({ kind: 'too-large' });
  });

  test('a line without an end is given up as soon as it exceeds the bound', async () => {
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) {
        await Promise.resolve();
        yield Buffer.alloc(100, 'x');
      }
    }
    const reading = jsonLines(endless(), 1000).next();
    await expect(reading).rejects.toMatchObject({ kind: 'too-large' });
  });

  test('what is not JSON is an error, after the values before it', async () => {
    const values: unknown[] = [];
    const reading = async (): Promise<void> => {
      for await (const value of jsonLines(chunksOf(Buffer.from('1\n{\n'), []), 10)) values.push(value);
    };
    await expect(reading()).rejects.toThrow(new KubeError('malformed', 'a watch event is not JSON'));
    expect(values).toEqual([1]);
  });
});
