/**
 * Reads a request body within bounds of size, time and memory. Plain buffers: a parser that starts before the last byte
 * has come would only spread the work.
 */
import type { IncomingMessage } from 'node:http';
import type { ByteBudget } from './budget.ts';
import { requestBytesMin, type RequestLimits } from './limits.ts';

/**
 * A body, or why there is none: it is larger than allowed, did not arrive in time, found no room beside others, or its
 * sender went away. `read` is what had arrived by then (at least its beginning). `heldBytes` are the budget's, to be given back.
 */
export interface BodyReading {
  readonly outcome: 'complete' | 'tooLarge' | 'tooSlow' | 'noRoom' | 'gone';
  readonly read: Buffer;
  readonly heldBytes: number;
}

/** Reads the body of `request`. Never rejects. Whoever calls gives `heldBytes` back to `budget` when done with the body. */
export function readBody(
  request: IncomingMessage,
  limits: RequestLimits,
  budget: ByteBudget,
): Promise<BodyReading> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    let heldBytes = 0;
    let isSettled = false;

    const hold = (bytes: number): boolean => {
      if (bytes <= heldBytes) return true;
      if (!budget.take(bytes - heldBytes)) return false;
      heldBytes = bytes;
      return true;
    };
    const settle = (outcome: BodyReading['outcome']): void => {
      isSettled = true;
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onGone);
      const [first = Buffer.alloc(0)] = chunks;
      resolve({ outcome, read: chunks.length === 1 ? first : Buffer.concat(chunks), heldBytes });
    };
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk);
      length += chunk.length;
      if (length > limits.bodyBytesMax || declared > limits.bodyBytesMax) settle('tooLarge');
      else if (!hold(length)) settle('noRoom');
    };
    const onEnd = (): void => {
      settle('complete');
    };
    const onGone = (): void => {
      settle('gone');
    };

    const declared = Number(request.headers['content-length'] ?? 0);
    let timer: NodeJS.Timeout | undefined;
    // NB: nearly every body arrives with its headers, and has by the next tick: then there is nothing to wait for.
    process.nextTick(() => {
      if (isSettled || request.complete) return;
      timer = setTimeout(() => {
        settle('tooSlow');
      }, limits.bodyTimeoutMs);
    });
    // NB: an oversized body is not refused before its first bytes are in, since they hold the uid to answer with.
    if (!hold(Math.max(requestBytesMin, Math.min(declared, limits.bodyBytesMax)))) settle('noRoom');
    // NB: `error` needs a listener for as long as the socket lives: a reset after the answer must not end the process. It holds nothing,
    // or the body would be held for as long; `close` follows it.
    else request.on('data', onData).on('end', onEnd).on('close', onGone);
    request.on('error', ignore);
  });
}

function ignore(): void {
  // Nothing to do.
}
