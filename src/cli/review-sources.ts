/** Logs to entries: files, standard input, or the replicas of a cluster; read to their end, or followed. */
import { createReadStream } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { LockwardenError } from '../errors.ts';
import type { LogLine } from '../audit-log/line.ts';
import { counted } from '../preflight/conclusion.ts';
import type { Entry, Rejection } from '../review-report/entry.ts';
import { readLine } from '../review-report/read-line.ts';
import { clusterLogs } from './review-cluster.ts';
import type { ReviewIo, ReviewSourceOptions } from './review-io.ts';
import { liveRejections } from './review-live.ts';
import { logLines } from './log-lines.ts';
import { unreadable } from './unreadable.ts';

/** What was read besides entries. */
export interface ReadCounts {
  lines: number;
  /** Lines of which a part is missing. */
  torn: number;
}

/** How to read. */
export interface ReadOptions extends ReviewSourceOptions {
  /** Goes on until `signal` aborts. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
  readonly take: (entry: Entry) => void;
}

/** LIMIT: sixteen times what a line of ours takes at most, with all the escapes that JSON may need. */
const lineBytesMax = 256 * 1024;

/**
 * Reads everything and hands over what is told of locks.
 *
 * @throws LockwardenError where there is nothing to read; KubeError where the cluster does not let it
 */
export async function readLogs(options: ReadOptions, io: ReviewIo): Promise<ReadCounts> {
  const counts: ReadCounts = { lines: 0, torn: 0 };
  const read = async (chunks: AsyncIterable<Buffer>): Promise<void> => {
    for await (const line of logLines(chunks, lineBytesMax)) count(line, counts, options.take);
  };
  if (options.live === true) {
    if (options.cluster || options.files.length > 0)
      throw usage('--live reads no logs: give neither files nor --cluster');
    const take = (rejection: Rejection): void => {
      counts.lines += 1;
      options.take(rejection);
    };
    await liveRejections({ ...options, take }, io);
    return counts;
  }
  if (options.cluster) {
    if (options.files.length > 0) throw usage('give files or --cluster, not both');
    await clusterLogs(options, io, read);
    return counts;
  }
  const files = filesOf(options, io);
  if (options.follow) await Promise.all(files.map((file) => readFile(file, options, io, read)));
  else for (const file of files) await readFile(file, options, io, read);
  return counts;
}

/** The same, of logs that nobody waits for to grow: hands over what is there. */
export function readWhole(
  options: ReviewSourceOptions,
  take: (entry: Entry) => void,
  io: ReviewIo,
): Promise<ReadCounts> {
  return readLogs({ ...options, follow: false, signal: new AbortController().signal, take }, io);
}

/** A sentence about what is missing from what was read; empty where nothing is. */
export function tornSentence({ torn, lines }: ReadCounts): string {
  if (torn === 0) return '';
  return `lockwarden: ${String(torn)} of ${counted(lines, 'line', 'lines')} cut short or incomplete: what is told there is missing\n`;
}

function filesOf({ files }: ReadOptions, { stdinIsTerminal }: ReviewIo): readonly string[] {
  if (files.filter((file) => file === '-').length > 1) throw usage('give `-` once only');
  if (files.length > 0) return files;
  if (!stdinIsTerminal) return ['-'];
  throw usage('there is no log to read: give files, `-` for standard input, or --cluster');
}

function usage(message: string): LockwardenError {
  return new LockwardenError('UsageInvalid', message);
}

function count(line: LogLine, counts: ReadCounts, take: (entry: Entry) => void): void {
  if ('text' in line && line.text.trim() === '') return;
  counts.lines += 1;
  // NB: a line that is too long for ours is another program's, or nothing that could be used.
  const read = 'text' in line ? readLine(line.text) : ({ kind: 'torn' } as const);
  if (read.kind === 'torn') counts.torn += 1;
  else if (read.kind !== 'other') take(read);
}

async function readFile(
  file: string,
  { follow, signal }: ReadOptions,
  io: ReviewIo,
  read: (chunks: AsyncIterable<Buffer>) => Promise<void>,
): Promise<void> {
  try {
    if (file === '-') await read(io.stdin());
    else await read(follow ? tail(file, io, signal) : createReadStream(file));
  } catch (error) {
    throw unreadable(`the log \`${file === '-' ? 'standard input' : file}\``, error, sentences);
  }
}

const sentences: Readonly<Partial<Record<string, string>>> = {
  ENOENT: 'there is no such file',
  EACCES: 'it is not ours to read; run as somebody who may, or give a copy',
  EISDIR: 'it is a folder; give files, or `-` for standard input',
};

/** LIMIT: what a person does not notice. */
const tailEveryMs = 250;

/** A file's bytes as it grows; also of the file that takes its place, and from the beginning again when it was emptied. */
export async function* tail(
  path: string,
  { sleep }: Pick<ReviewIo, 'sleep'>,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, void> {
  let file = await open(path);
  let position = 0;
  try {
    while (!signal.aborted) {
      for (let bytes = await next(file, position); bytes.length > 0; bytes = await next(file, position)) {
        position += bytes.length;
        yield bytes;
      }
      await sleep(tailEveryMs, signal);
      const [now, own] = await Promise.all([stat(path).catch(() => null), file.stat()]);
      if (now !== null && now.ino !== own.ino && own.size <= position) {
        await file.close();
        file = await open(path);
        position = 0;
      } else if (own.size < position) position = 0;
    }
  } finally {
    await file.close();
  }
}

const chunkBytes = 64 * 1024;

async function next(file: FileHandle, position: number): Promise<Buffer> {
  const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, position);
  return buffer.subarray(0, bytesRead);
}
