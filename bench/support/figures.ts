/** What is said of many measurements of one thing. */

/** The value below which `share` of the values lie (0 to 1). NaN where there are none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** A straight line: what there is at nought, and what each more adds. */
export interface Line {
  readonly base: number;
  readonly slope: number;
}

/** The line through points (x, y) from which they lie least squares apart. NaN where there are fewer than two. */
export function lineThrough(points: readonly (readonly [x: number, y: number])[]): Line {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, each) => sum + each, 0) / values.length;
  const [meanX, meanY] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const along = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const slope = along / points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  return { base: meanY - slope * meanX, slope };
}
