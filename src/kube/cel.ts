/** Putting CEL expressions together so that they can be read in parts. */

/** True where every term is; a false term keeps the later ones from being evaluated, so guards come first. */
export function all(...terms: readonly string[]): string {
  return terms.map((term) => `(${term})`).join(' &&\n');
}

/** True where any term is. */
export function any(...terms: readonly string[]): string {
  return terms.map((term) => `(${term})`).join(' ||\n');
}

/** The opposite of `term`. */
export function not(term: string): string {
  return `!(${term})`;
}

/**
 * A CEL string literal of `text`.
 * SOURCE: https://github.com/google/cel-spec/blob/master/doc/langdef.md (string and bytes values)
 */
export function literal(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`;
}

/** Whether a request updates an object. */
export const isUpdate = "request.operation == 'UPDATE'";

/**
 * Whether a request is about an object of this name. NB: the request of a deletecollection names no object; each call then carries it as
 * the old one. A CREATE with a generated name has no name yet.
 */
export function isNamed(name: string): string {
  const requestName = "request.?name.orValue('')";
  return any(
    `${requestName} == ${literal(name)}`,
    all(
      `${requestName} == ''`,
      'oldObject != null',
      `oldObject.?metadata.?name.orValue('') == ${literal(name)}`,
    ),
  );
}
