/** Patterns over names, in which `*` stands for any run of characters. Linear in the name: there is nothing to backtrack into. */

/** Whether `name` matches `pattern`. */
export function matchesPattern(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  if (rest.length === 0) return name === pattern;
  const last = rest.pop() ?? '';
  if (!name.startsWith(first) || name.length < first.length + last.length || !name.endsWith(last))
    return false;
  // INVARIANT: taking each piece at its first occurrence leaves the most for those that follow, so no other choice can do better.
  let from = first.length;
  const end = name.length - last.length;
  for (const piece of rest) {
    const at = name.indexOf(piece, from);
    if (at < 0 || at + piece.length > end) return false;
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
