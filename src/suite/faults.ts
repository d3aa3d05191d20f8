/** What a schema finds wrong, in words for people. */
import type { z } from 'zod';
import { suggestion } from '../yaml/nearest.ts';
import type { Path } from '../yaml/places.ts';

/** Something wrong at a path, a clause in lower case. */
export interface PathFault {
  readonly path: Path;
  readonly message: string;
}

type Issue = z.core.$ZodIssue;

/** The faults in what a schema found, but for unknown fields, which have their own finder. `value` is what was checked. */
export function faultsOf(issues: readonly Issue[], value: unknown): readonly PathFault[] {
  return issues.flatMap((issue) => faultsOfIssue(issue, value));
}

function faultsOfIssue(issue: Issue, value: unknown): readonly PathFault[] {
  const { path } = issue;
  if (issue.code === 'unrecognized_keys') return [];
  const found = valueAt(value, path);
  const last = path.at(-1);
  if (found === undefined && typeof last === 'string') {
    return [{ path, message: `\`${last}\` is missing` }];
  }
  if (issue.code === 'invalid_union') return faultsOfUnion(issue, found);
  return [{ path, message: `${named(last)}${clauseOf(issue, found)}` }];
}

/** Of the forms that a value may have, the one it comes closest to: one that it fails deeper inside. */
function faultsOfUnion(
  issue: Extract<Issue, { code: 'invalid_union' }>,
  found: unknown,
): readonly PathFault[] {
  const inside = issue.errors.find((errors) => errors.every(({ path }) => path.length > 0));
  if (inside !== undefined && typeof found === 'object' && found !== null) {
    return faultsOf(inside, found).map(({ path, message }) => ({
      path: [...issue.path, ...path],
      message,
    }));
  }
  return [
    { path: issue.path, message: `${named(issue.path.at(-1))}${shown(found)}: ${lowered(issue.message)}` },
  ];
}

function clauseOf(issue: Issue, found: unknown): string {
  switch (issue.code) {
    case 'invalid_value': {
      const values = issue.values.map(String);
      const listed = values.map((each) => `\`${each}\``).join(', ');
      const meant = suggestion(String(found), values);
      return `does not take ${shown(found)}${meant === '' ? `; give ${values.length > 1 ? 'one of ' : ''}${listed}` : meant}`;
    }
    case 'invalid_type':
      return `does not take ${shown(found)}: give ${article(issue.expected)}`;
    case 'too_small':
      return 'is empty';
    default:
      return `does not take ${shown(found)}: ${lowered(issue.message)}`;
  }
}

const articles: Readonly<Record<string, string>> = {
  object: 'an object',
  record: 'an object',
  array: 'a list',
  string: 'a text',
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
};

function article(type: string): string {
  return articles[type] ?? type;
}

function named(last: PropertyKey | undefined): string {
  if (last === undefined) return 'the file ';
  return typeof last === 'number' ? 'the item ' : `\`${String(last)}\` `;
}

/** LIMIT: enough to recognize a value by. */
const shownMax = 60;

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value ?? null);
  return `\`${text.length > shownMax ? `${text.slice(0, shownMax)}…` : text}\``;
}

function valueAt(value: unknown, path: Path): unknown {
  let current = value;
  for (const step of path) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = (current as Readonly<Record<PropertyKey, unknown>>)[step];
  }
  return current;
}

function lowered(text: string): string {
  return `${text.charAt(0).toLowerCase()}${text.slice(1)}`;
}
