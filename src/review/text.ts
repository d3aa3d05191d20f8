/**
 * Text that others wrote, made safe for logs, terminals and HTTP headers.
 */

/**
 * `text` with every character that is not for reading (controls, escapes, bidirectional marks, lone surrogates) written
 * as `\u{hex}`, and cut to `maxLength` characters with an ellipsis. Idempotent on printable text.
 */
export function printable(text: string, maxLength: number): string {
  // Cut first: escaping a megabyte of control characters only to drop it would be work for an attacker's sake.
  const shown = escape(text.length > maxLength ? text.slice(0, maxLength) : text);
  return text.length <= maxLength && shown.length <= maxLength
    ? shown
    : `${shown.slice(0, maxLength - 1).toWellFormed()}…`;
}

/** NB: \p{C} holds line and paragraph breaks of ASCII only; U+2028 and U+2029 are separators of their own. */
const unreadable = /[\p{C}\u2028\u2029]/gu;

/** What nearly all texts are made of, lockwarden's own sentences included. NB: looking for what is unreadable takes ten times as long. */
const plain = /^[ -~’…]*$/;

function escape(text: string): string {
  return plain.test(text)
    ? text
    : text.replace(unreadable, (character) => `\\u{${character.codePointAt(0)?.toString(16) ?? ''}}`);
}
