/** The framing of a watch: one JSON object a line. */
import { KubeError } from './errors.ts';

const lineFeed = 0x0a;

/**
 * Splits a byte stream into parsed JSON values, one a line. Empty lines are skipped; a last line without a line feed is
 * cut off, and dropped: whoever was sending it will be asked again from the version before it.
 *
 * @throws KubeError `too-large` for a line of more than `lineBytesMax` bytes, `malformed` for one that is not JSON
 */
export async function* jsonLines(
  chunks: AsyncIterable<Buffer>,
  lineBytesMax: number,
): AsyncGenerator<unknown, void, void> {
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
      const line = Buffer.concat([...pending, chunk.subarray(start, end)]);
      pending = [];
      pendingBytes = 0;
      start = end + 1;
      checkSize(line.length, lineBytesMax);
      if (line.length > 0) yield parseLine(line);
    }
    pending.push(chunk.subarray(start));
    pendingBytes += chunk.length - start;
    checkSize(pendingBytes, lineBytesMax);
  }
}

function checkSize(bytes: number, bytesMax: number): void {
  if (bytes > bytesMax) throw new KubeError('too-large', `a watch event is larger than ${bytesMax} bytes`);
}

function parseLine(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8'));
  } catch (error) {
    throw new KubeError('malformed', 'a watch event is not JSON', { cause: error });
  }
}
