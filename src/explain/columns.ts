/** Tables as they are printed. */

/** LIMIT: what is longer pushes the next column off the screen. */
const widthMax = 60;

/** Rows of cells, the first one the header, each column as wide as its widest cell. */
export function columns(rows: readonly (readonly string[])[]): string {
  return aligned(rows, widthsOf(rows));
}

/** How wide each column of these rows is. */
export function widthsOf(rows: readonly (readonly string[])[]): readonly number[] {
  return (rows[0] ?? []).map((_, column) =>
    Math.min(widthMax, Math.max(...rows.map((row) => row[column]?.length ?? 0))),
  );
}

/** Rows of cells in columns of given widths. */
export function aligned(rows: readonly (readonly string[])[], widths: readonly number[]): string {
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
