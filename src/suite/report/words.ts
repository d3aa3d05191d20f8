/** Words that every report uses. */
import type { Step } from '../suite.ts';

/** `5s`, `1m30s`, `250ms`. */
export function describeMs(ms: number): string {
  if (ms !== 0 && Math.abs(ms) < 1_000) return `${String(ms)}ms`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = `${String((ms % 60_000) / 1_000)}s`;
  if (minutes === 0) return seconds;
  return seconds === '0s' ? `${String(minutes)}m` : `${String(minutes)}m${seconds}`;
}

/** `thief takeOver`. */
export function describeStep({ actor, action }: Step): string {
  return `${actor.name} ${action.kind}`;
}
