/** Cells of tables. */
import { seconds } from '../core/message.ts';
import type { Interval } from '../core/time.ts';

/** LIMIT: as wide as a column gets. */
export const cellMax = 60;
export const nothing = '-';

/** `1.5s`. */
export function durationCell(ms: number | null): string {
  return ms === null ? nothing : seconds(ms).replace(' ', '');
}

/** LIMIT: what a request takes on its way. */
const inStepMs = 100;

/** `+3.2s ±0.5s`: ahead of the API server's. */
export function clockCell(bounds: Interval | null): string {
  if (bounds === null) return nothing;
  if (bounds.min <= inStepMs && bounds.max >= -inStepMs) return 'in step';
  const middle = (bounds.min + bounds.max) / 2;
  const sign = middle < 0 ? '-' : '+';
  const half = Math.round((bounds.max - bounds.min) / 200) / 10;
  return `${sign}${durationCell(Math.abs(middle))} ±${String(half)}s`;
}
