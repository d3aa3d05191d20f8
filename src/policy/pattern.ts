/** Patterns over names, in which `*` stands for any run of characters. Linear in the name: there is nothing to backtrack into. */

/** Whether `name` matches `pattern`. */
export function matchesPattern(pattern: string, name: string): boolean {
  return patternOf(pattern)(name);
}

/** Takes a pattern apart, for many names. */
export function patternOf(pattern: string): (name: string) => boolean {
  const [first = '', ...rest] = pattern.split('*');
  if (rest.length === 0) return (name) => name === pattern;
  const last = rest.pop() ?? '';
  const pieces = rest.filter((piece) => piece !== '');
  return (name) => {
    if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last))
      return false;
    return holdsInOrder(pieces, name.slice(first.length, name.length - last.length));
  };
}

/** INVARIANT: taking each piece at its first occurrence leaves the most for those that follow, so no other choice can do better. */
function holdsInOrder(pieces: readonly string[], text: string): boolean {
  let from = 0;
  for (const piece of pieces) {
    const at = text.indexOf(piece, from);
    if (at < 0) return false;
    from = at + piece.length;
  }
  return true;
}

/** How narrow a pattern is: a name counts above any pattern, a pattern by the characters it spells out. */
export function narrownessOf(pattern: string): number {
  const literal = pattern.replaceAll('*', '').length;
  return pattern.includes('*') ? literal : nameNarrowness;
}

/** LIMIT: above the longest pattern, of 253 characters. */
const nameNarrowness = 1_000;
