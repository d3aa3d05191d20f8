/** The lines of a file that others wrote: bounded, whatever is in it. */
import type { LogLine } from '../audit-log/line.ts';

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
  let pending: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
      bytes += end - start;
      yield lineOf([...pending, chunk.subarray(start, end)], bytes, { bytesMax, complete: true });
      pending = [];
      bytes = 0;
      start = end + 1;
    }
    bytes += chunk.length - start;
    if (bytes <= bytesMax) pending.push(chunk.subarray(start));
    else pending = [];
  }
  if (bytes > 0) yield lineOf(pending, bytes, { bytesMax, complete: false });
}

function lineOf(
  parts: readonly Buffer[],
  bytes: number,
  { bytesMax, complete }: { readonly bytesMax: number; readonly complete: boolean },
): LogLine {
  if (bytes > bytesMax) return { tooLong: true };
  return { text: Buffer.concat(parts).toString('utf8'), complete };
}
