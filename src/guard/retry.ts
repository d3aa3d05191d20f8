/** Trying again until the API server agrees, with one clear line for each attempt that failed. */
import { Backoff } from '../kube/backoff.ts';
import { KubeError } from '../kube/errors.ts';
import { timerSleep, type Logger, type Sleep } from '../kube/ports.ts';

/** How to try again. */
export interface RetryOptions {
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Constant message of the line for a failed attempt. */
  readonly message: string;
  /** Told the reason of each failed attempt, for readiness. */
  readonly onFailure?: (reason: string) => void;
  readonly sleep?: Sleep;
}

/** LIMIT: an operator who has mended something should not wait longer than this to see it. */
const capMs = 10_000;

/**
 * Runs `attempt` until it succeeds; null when `signal` aborts first. Only failures of the API server are tried again:
 * anything else is a defect, or wrong usage, and is thrown.
 */
export async function untilAgreed<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T | null> {
  const { logger, signal, message, onFailure, sleep = timerSleep } = options;
  const backoff = new Backoff({ capMs });
  while (!signal.aborted) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      // What was given up at the end of the process is no failure to tell of.
      if (error.kind === 'aborted') break;
      const retryInMs = backoff.nextMs(error.retryAfterMs);
      logger.warn({ reason: error.message, retryInMs }, message);
      onFailure?.(error.message);
      await sleep(retryInMs, signal);
    }
  }
  return null;
}
