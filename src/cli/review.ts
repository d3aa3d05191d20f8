/** `lockwarden review`: the rejections that logs tell of. It writes nothing to a cluster. */
import { LockwardenError } from '../errors.ts';
import { entryKey, type Entry, type Rejection } from '../review-report/entry.ts';
import { keptMaxDefault, Newest } from '../review-report/newest.ts';
import { grouped, isWanted, type Wanted } from '../review-report/rejections.ts';
import { choiceOf } from './choice.ts';
import { lockOrName } from './lock-name.ts';
import { takesColour } from './terminal.ts';
import { processReviewIo, sinceOf, type ReviewIo, type ReviewSourceOptions } from './review-io.ts';
import { readLogs, readWhole, tornSentence } from './review-sources.ts';
import { renderRejections, renderRow, reviewFormats, rowHeader, type ReviewFormat } from './review-table.ts';

/** What `review` is told. */
export interface ReviewOptions extends ReviewSourceOptions {
  /** The locks'; by default all. */
  readonly namespace?: string;
  /** `lease/NAME`, or a name alone. */
  readonly lock?: string;
  readonly reason?: string;
  readonly holder?: string;
  readonly output: string;
  readonly follow: boolean;
  /** How many of the newest to show. */
  readonly limit: string;
}

/** Prints the rejections. Resolves to the exit code, 0 whether there were any or not. */
export async function review(options: ReviewOptions, io: ReviewIo = processReviewIo()): Promise<number> {
  const format = choiceOf('--output', options.output, reviewFormats);
  const limit = limitOf(options.limit);
  const wanted = wantedOf(options, io);
  if (options.follow) await followed(options, { wanted, format }, io);
  else await listed(options, { wanted, format, limit }, io);
  return 0;
}

interface Asked {
  readonly wanted: Wanted;
  readonly format: ReviewFormat;
}

async function listed(
  options: ReviewOptions,
  { wanted, format, limit }: Asked & { readonly limit: number },
  io: ReviewIo,
): Promise<void> {
  const newest = new Newest<Rejection>();
  const take = (entry: Entry): void => {
    if (entry.kind === 'rejection' && isWanted(entry, wanted)) newest.add(entry);
  };
  const counts = await readWhole(options, take, io);
  const all = grouped(newest.entries());
  const rejections = all.slice(-limit);
  const leftOut = all.length - rejections.length + newest.leftOut;
  io.stdout.write(
    renderRejections({ rejections, leftOut, lines: counts.lines }, format, takesColour(io.stdout, io.env)),
  );
  io.stderr.write(tornSentence(counts));
}

/** LIMIT: replicas write within milliseconds of each other; what comes within this is put in order. */
const batchMs = 500;
/** LIMIT: the lines that a reconnection brings again are the last ones. */
const knownMax = 20_000;

async function followed(options: ReviewOptions, { wanted, format }: Asked, io: ReviewIo): Promise<void> {
  const ending = new AbortController();
  const known = new Set<string>();
  let batch: Rejection[] = [];
  const colour = takesColour(io.stdout, io.env);
  const flush = (): void => {
    const rows = batch.sort((a, b) => a.lastMs - b.lastMs).map((each) => renderRow(each, format, colour));
    batch = [];
    if (rows.length > 0) io.stdout.write(rows.join(''));
  };
  const take = (entry: Entry): void => {
    if (entry.kind !== 'rejection' || !isWanted(entry, wanted) || isKnown(known, entryKey(entry))) return;
    batch.push(entry);
    if (batch.length >= keptMaxDefault) flush();
  };
  io.stdout.write(rowHeader(format, colour));
  void io.interrupted().then(() => {
    ending.abort();
  });
  const reading = readLogs({ ...options, follow: true, signal: ending.signal, take }, io);
  const flushing = flushUntil(reading, flush, (ms) => io.sleep(ms, ending.signal));
  try {
    io.stderr.write(tornSentence(await reading));
  } finally {
    ending.abort();
    await flushing;
    flush();
  }
}

async function flushUntil(
  reading: Promise<unknown>,
  flush: () => void,
  sleep: (ms: number) => Promise<unknown>,
): Promise<void> {
  const over = reading.then(
    () => isOver,
    () => isOver,
  );
  for (let woken: unknown; woken !== isOver;) {
    woken = await Promise.race([over, sleep(batchMs)]);
    flush();
    // NB: once it is interrupted nothing sleeps any more, and reading ends in its own time.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const isOver = Symbol('over');

function isKnown(known: Set<string>, key: string): boolean {
  if (known.has(key)) return true;
  known.add(key);
  if (known.size > knownMax) for (const oldest of known) return !known.delete(oldest);
  return false;
}

function wantedOf(options: ReviewOptions, { clock }: ReviewIo): Wanted {
  const since = sinceOf(options.since);
  return {
    sinceMs: since === null ? null : clock.wallMs() - since,
    namespace: options.namespace ?? null,
    lock: options.lock === undefined ? null : lockOrName(options.lock),
    reason: options.reason ?? null,
    holder: options.holder ?? null,
  };
}

/** LIMIT: what is kept of the logs; nobody reads more. */
function limitOf(text: string): number {
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= keptMaxDefault) return limit;
  throw new LockwardenError(
    'UsageInvalid',
    `--limit does not take \`${text}\`: give a number from 1 to ${String(keptMaxDefault)}`,
  );
}
