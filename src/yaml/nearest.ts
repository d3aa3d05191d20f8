/** The name that somebody may have meant. */

/** LIMIT: of a name of this length two characters may be wrong; of a shorter one, one. */
const twoMistakesLength = 5;

/** The nearest of `known` to `name`, if it is near enough to be what was meant; else null. */
export function nearest(name: string, known: Iterable<string>): string | null {
  const mistakesMax = name.length >= twoMistakesLength ? Math.max(2, Math.floor(name.length / 4)) : 1;
  let best: { readonly name: string; readonly distance: number } | null = null;
  for (const each of known) {
    const distance = distanceOf(name.toLowerCase(), each.toLowerCase());
    if (distance <= mistakesMax && (best === null || distance < best.distance))
      best = { name: each, distance };
  }
  return best?.name ?? null;
}

/** `; did you mean X?`, or nothing. */
export function suggestion(name: string, known: Iterable<string>): string {
  const meant = nearest(name, known);
  return meant === null ? '' : `; did you mean \`${meant}\`?`;
}

/** How many characters must be inserted, removed or replaced, or neighbours swapped, to make `b` of `a`. */
function distanceOf(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1];
      const swapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      current[column] = Math.min(
        cell(last, column) + 1,
        cell(current, column - 1) + 1,
        cell(last, column - 1) + (same ? 0 : 1),
        swapped && row > 1 && column > 1 ? cell(beforeLast, column - 2) + 1 : Infinity,
      );
    }
    beforeLast = last;
    last = current;
  }
  return cell(last, b.length);
}

function cell(row: readonly number[], column: number): number {
  return row[column] ?? Infinity;
}
