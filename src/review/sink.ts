/**
 * Where log lines go: a file descriptor that may be slow, full or closed. Lines wait in a bounded buffer; what finds no
 * room, or cannot be written, is dropped and counted. Nothing is thrown, and nobody waits.
 *
 * Writes are synchronous, and pipes are made not to block. Writes in a thread of libuv's pool would be the usual way, but
 * one that a stalled reader blocks keeps the process from ending, as does sonic-boom (pino's own destination) when it is
 * flushed for the last time on a full disk: it tries for ever.
 */
import { fstatSync, writeSync } from 'node:fs';
import { systemCodeOf } from '../errors.ts';

/** LIMIT: a rejection's line is about 1 KiB, so a reader may stall for four thousand of them. */
const waitingLengthMax = 4 * 1024 * 1024;
/** LIMIT: the size of a pipe's buffer on Linux, of which more in one write would not fit anyway. */
const batchLengthMax = 64 * 1024;
/** LIMIT: a pipe takes nothing (EAGAIN) while its reader is busy, which is a matter of milliseconds. */
const retryMs = 10;
/** LIMIT: what is left can be written within milliseconds, or its reader has gone. */
const closeTimeoutMs = 500;

/** Writes lines to a file descriptor. */
export class LineSink {
  readonly #fd: number;
  readonly #onDrop: () => void;
  readonly #write: WriteBytes;
  #waiting: string[] = [];
  #waitingLength = 0;
  #batch: Batch | null = null;
  /** A line was cut short by a failed write: the next one starts a line of its own. */
  #torn = false;
  #closed = false;
  #scheduled: NodeJS.Immediate | NodeJS.Timeout | null = null;

  /**
   * @param onDrop called for each line that is dropped
   * @param write writes bytes from an offset on and returns how many it wrote, or throws a system error
   */
  constructor(fd: number, onDrop: () => void, write: WriteBytes = writeSync) {
    this.#fd = fd;
    this.#onDrop = onDrop;
    this.#write = write;
    unblock(fd);
  }

  /** Takes a line, with its line break; it is written after this turn, together with others of this turn. */
  write(line: string): void {
    if (this.#closed || this.#waitingLength + line.length > waitingLengthMax) {
      this.#onDrop();
      return;
    }
    this.#waiting.push(line);
    this.#waitingLength += line.length;
    this.#scheduled ??= setImmediate(() => {
      this.#run();
    });
  }

  /** Takes nothing more; resolves when everything is written, or soon in any case. */
  async close(): Promise<void> {
    this.#closed = true;
    for (let waitedMs = 0; !this.#writeOut() && waitedMs < closeTimeoutMs; waitedMs += retryMs) {
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
    this.#abandon();
  }

  /** Writes what waits at once, waiting shortly for a busy reader: the last thing that a process does. */
  flush(): void {
    const sleeper = new Int32Array(new SharedArrayBuffer(4));
    for (let waitedMs = 0; !this.#writeOut() && waitedMs < closeTimeoutMs; waitedMs += retryMs) {
      Atomics.wait(sleeper, 0, 0, retryMs);
    }
    this.#abandon();
  }

  #run(): void {
    this.#scheduled = null;
    if (this.#writeOut()) return;
    this.#scheduled = setTimeout(() => {
      this.#run();
    }, retryMs).unref();
  }

  /** Writes until nothing waits (true) or the descriptor takes no more just now (false). */
  #writeOut(): boolean {
    for (this.#batch ??= this.#next(); this.#batch !== null; this.#batch = this.#next()) {
      const { bytes, lines } = this.#batch;
      try {
        while (this.#batch.written < bytes.length) {
          this.#batch.written += this.#write(this.#fd, bytes, this.#batch.written);
        }
        this.#torn = false;
      } catch (error) {
        const code = systemCodeOf(error);
        if (code === 'EAGAIN' || code === 'EBUSY') return false;
        this.#torn ||= this.#batch.written > 0;
        this.#drop(lines);
      }
    }
    return true;
  }

  #abandon(): void {
    this.#drop((this.#batch?.lines ?? 0) + this.#waiting.length);
    this.#torn ||= this.#batch !== null && this.#batch.written > 0;
    this.#batch = null;
    this.#waiting = [];
    this.#waitingLength = 0;
  }

  #drop(lines: number): void {
    for (let line = 0; line < lines; line++) this.#onDrop();
  }

  #next(): Batch | null {
    let length = 0;
    let lines = 0;
    for (const line of this.#waiting) {
      if (lines > 0 && length + line.length > batchLengthMax) break;
      length += line.length;
      lines++;
    }
    if (lines === 0) return null;
    const text = this.#waiting.splice(0, lines).join('');
    this.#waitingLength -= length;
    const bytes = Buffer.from(this.#torn ? `\n${text}` : text);
    return { bytes, lines, written: 0 };
  }
}

type WriteBytes = (fd: number, bytes: Buffer, offset: number) => number;

interface Batch {
  readonly bytes: Buffer;
  readonly lines: number;
  written: number;
}

/** Makes writes to standard output or error fail with EAGAIN instead of blocking, where it is a pipe or a socket. */
function unblock(fd: number): void {
  const stream = fd === 1 ? 'stdout' : fd === 2 ? 'stderr' : null;
  if (stream === null || !isPipe(fd)) return;
  // NB: Node makes the descriptor non-blocking when it first makes a stream of it. Nothing is written through that
  // stream here, but whoever does (a warning of Node's own) must not end the process when the reader has gone.
  process[stream].on('error', () => undefined);
}

function isPipe(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    return stat.isFIFO() || stat.isSocket();
  } catch {
    return false;
  }
}
