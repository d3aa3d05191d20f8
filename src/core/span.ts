/**
 * A span of time in words.
 */

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;

/** A span of time in its two largest units: `8s`, `4m 10s`, `29d 4h`. Below a second, and for negative ones, `0s`. */
export function span(ms: number): string {
  const first = units.findIndex(([, unitMs]) => ms >= unitMs);
  if (first < 0) return '0s';
  const { parts } = units.slice(first, first + 2).reduce<{ parts: readonly string[]; leftMs: number }>(
    ({ parts: told, leftMs }, [unit, unitMs]) => {
      const count = Math.floor(leftMs / unitMs);
      const part = count === 0 ? [] : [`${String(count)}${unit}`];
      return { parts: [...told, ...part], leftMs: leftMs - count * unitMs };
    },
    { parts: [], leftMs: ms },
  );
  return parts.join(' ');
}
