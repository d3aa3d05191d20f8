/** Durations as policies write them. */

const unitsMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** `500ms`, `1.5s`, `2m` in milliseconds; null when it is no duration. */
export function durationMs(text: string): number | null {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  if (number === undefined || unit === undefined) return null;
  return Math.round(Number(number) * unitsMs[unit as keyof typeof unitsMs]);
}
