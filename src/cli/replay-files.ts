/** Audit logs to what they tell of locks, in the order of time: files whole or compressed, rotated or of several API servers. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { LockwardenError } from '../errors.ts';
import { AuditReader, nothingRead, type ReadCounts } from '../replay/audit-reader.ts';
import type { Told } from '../replay/told.ts';
import { linesByChunk } from './log-lines.ts';
import { unreadable } from './unreadable.ts';

/** LIMIT: all are open at once, and a process may have 1,024 files open; API servers keep ten logs each by default. */
const filesMax = 256;

/** The logs of one run. */
export class ReplayFiles {
  readonly counts: ReadCounts = nothingRead();
  readonly #files: readonly string[];
  readonly #stdin: () => AsyncIterable<Buffer>;
  /** Of all files together; null: standard input is among them. */
  #bytes: number | null = 0;
  #bytesRead = 0;

  /** @throws LockwardenError `UsageInvalid` for too many */
  constructor(files: readonly string[], stdin: () => AsyncIterable<Buffer>) {
    if (files.length > filesMax)
      throw usage(
        `give ${String(filesMax)} files at most; put them together in the order of time (cat, zcat)`,
      );
    if (files.filter((file) => file === '-').length > 1) throw usage('give `-` once only');
    this.#files = files;
    this.#stdin = stdin;
  }

  /** As people name them. */
  get names(): readonly string[] {
    return this.#files.map(nameOf);
  }

  /** Bytes that were read, and how many there are: compressed ones where they are compressed; null: not known. */
  get progress(): { readonly read: number; readonly all: number | null } {
    return { read: this.#bytesRead, all: this.#bytes };
  }

  /**
   * What all files tell. Each is read in its own order, and of several the one that tells of the earliest write comes next: so it is the
   * same whether a log was rotated, or several API servers wrote one each, and in which order they are named.
   *
   * @throws LockwardenError for a file that cannot be read
   */
  async *read(): AsyncGenerator<readonly Told[], void, void> {
    for (const file of this.#files) await this.#measure(file);
    const sources = this.#files.map((file) => this.#readFile(file));
    const [only] = sources;
    if (only !== undefined && sources.length === 1) yield* only;
    else yield* merged(sources);
  }

  async #measure(file: string): Promise<void> {
    if (file === '-') this.#bytes = null;
    else {
      const { size } = await stat(file).catch((error: unknown) => {
        throw unreadable(`the audit log \`${file}\``, error, sentences);
      });
      if (this.#bytes !== null) this.#bytes += size;
    }
  }

  async *#readFile(file: string): AsyncGenerator<readonly Told[], void, void> {
    const reader = new AuditReader(this.counts);
    const chunks: AsyncIterable<Buffer> =
      file === '-' ? this.#stdin() : createReadStream(file, { highWaterMark });
    try {
      for await (const lines of linesByChunk(unpacked(this.#counted(chunks)))) {
        const told = lines.flatMap((line) => reader.take(line));
        if (told.length > 0) yield told;
      }
    } catch (error) {
      throw unreadable(`the audit log \`${nameOf(file)}\``, error, sentences);
    }
  }

  async *#counted(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
    for await (const chunk of chunks) {
      this.#bytesRead += chunk.length;
      yield chunk;
    }
  }
}

/** LIMIT: some eighty events at once; 256 files take 64 MiB. */
const highWaterMark = 256 * 1024;

const gzipMagic = Buffer.from([0x1f, 0x8b]);

/** The bytes as they were before gzip, where they have been through it: an API server compresses what it rotates, if it is told to. */
async function* unpacked(chunks: AsyncGenerator<Buffer, void, void>): AsyncGenerator<Buffer, void, void> {
  const first = await chunks.next();
  if (first.done === true) return;
  const all = prepended(first.value, chunks);
  if (!first.value.subarray(0, gzipMagic.length).equals(gzipMagic)) {
    yield* all;
    return;
  }
  const gunzip = createGunzip();
  // What goes wrong in either ends the other, and is thrown to whoever reads.
  pipeline(Readable.from(all), gunzip, () => undefined);
  yield* gunzip as AsyncIterable<Buffer>;
}

async function* prepended(
  first: Buffer,
  rest: AsyncGenerator<Buffer, void, void>,
): AsyncGenerator<Buffer, void, void> {
  yield first;
  yield* rest;
}

/** A source with what it has told and was not taken yet. */
interface Opened {
  readonly source: AsyncGenerator<readonly Told[], void, void>;
  batch: readonly Told[];
  at: number;
}

async function* merged(
  sources: readonly AsyncGenerator<readonly Told[], void, void>[],
): AsyncGenerator<readonly Told[], void, void> {
  const open: Opened[] = [];
  for (const source of sources) open.push({ source, batch: await nextBatch(source), at: 0 });
  for (let next = earliestOf(open); next !== null; next = earliestOf(open)) {
    const told = next.batch[next.at];
    if (told !== undefined) yield [told];
    next.at += 1;
    if (next.at < next.batch.length) continue;
    next.batch = await nextBatch(next.source);
    next.at = 0;
  }
}

function earliestOf(open: readonly Opened[]): Opened | null {
  let earliest: Opened | null = null;
  let earliestMs = Infinity;
  for (const each of open) {
    const head = each.batch[each.at];
    if (head === undefined || head.storedAt >= earliestMs) continue;
    earliest = each;
    earliestMs = head.storedAt;
  }
  return earliest;
}

/** Empty at the end. */
async function nextBatch(source: AsyncGenerator<readonly Told[], void, void>): Promise<readonly Told[]> {
  const next = await source.next();
  return next.done === true ? [] : next.value;
}

function nameOf(file: string): string {
  return file === '-' ? 'standard input' : file;
}

function usage(message: string): LockwardenError {
  return new LockwardenError('UsageInvalid', message);
}

const sentences: Readonly<Partial<Record<string, string>>> = {
  ENOENT: 'there is no such file',
  EACCES: 'it is not ours to read; run as somebody who may, or give a copy',
  EISDIR: 'it is a folder; give files, or `-` for standard input',
  Z_BUF_ERROR: 'it is compressed and cut short; give it whole, or what `zcat` makes of it on standard input',
  Z_DATA_ERROR: 'it is compressed and damaged; give what `zcat` makes of it on standard input',
};
