/** The lines of a file that others wrote: bounded, whatever is in it. */
import type { ByteLine, LogLine } from '../audit-log/line.ts';

const lineFeed = 0x0a;

/**
 * LIMIT: an event holds an object as it was sent and as it was stored, each 10 MiB at the very worst; what an API server writes is
 * far less, and its own bound (`--audit-log-truncate-max-event-size`) is 10 MiB where it is set.
 */
export const logLineBytesMax = 20 * 2 ** 20;

/** Splits bytes into lines. Of a line of more than `bytesMax` bytes nothing is kept but that it was there. */
export async function* logLines(
  chunks: AsyncIterable<Buffer>,
  bytesMax = logLineBytesMax,
): AsyncGenerator<LogLine, void, void> {
  for await (const lines of linesByChunk(chunks, bytesMax))
    for (const line of lines)
      yield 'tooLong' in line ? line : { text: line.bytes.toString('utf8'), complete: line.complete };
}

/**
 * The same without decoding, and all lines that end in one chunk at once: to hand over each by itself would be much of the work where
 * most are not looked at.
 */
export async function* linesByChunk(
  chunks: AsyncIterable<Buffer>,
  bytesMax = logLineBytesMax,
): AsyncGenerator<readonly ByteLine[], void, void> {
  let pending: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    const lines: ByteLine[] = [];
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
      bytes += end - start;
      lines.push(lineOf([...pending, chunk.subarray(start, end)], bytes, { bytesMax, complete: true }));
      pending = [];
      bytes = 0;
      start = end + 1;
    }
    if (lines.length > 0) yield lines;
    bytes += chunk.length - start;
    if (bytes <= bytesMax) pending.push(chunk.subarray(start));
    else pending = [];
  }
  if (bytes > 0) yield [lineOf(pending, bytes, { bytesMax, complete: false })];
}

function lineOf(
  parts: readonly Buffer[],
  bytes: number,
  { bytesMax, complete }: { readonly bytesMax: number; readonly complete: boolean },
): ByteLine {
  if (bytes > bytesMax) return { tooLong: true };
  const [only = Buffer.alloc(0), ...others] = parts;
  return { bytes: others.length === 0 ? only : Buffer.concat(parts), complete };
}
