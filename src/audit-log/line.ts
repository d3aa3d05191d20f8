/** A line of a log, as it was read. */

/** Its text, or why there is none. `complete`: it has a line end. */
export type LogLine = { readonly text: string; readonly complete: boolean } | { readonly tooLong: true };

/** The same, not decoded: its bytes without the line end. */
export type ByteLine = { readonly bytes: Buffer; readonly complete: boolean } | { readonly tooLong: true };
