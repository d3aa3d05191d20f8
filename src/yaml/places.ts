/** YAML with the place of each node, so that a mistake has a line. JSON is YAML too. */
import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseAllDocuments,
  visit,
  type Document,
  type Node,
  type YAMLMap,
} from 'yaml';

/** Where something stands in a file, both counted from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** Something wrong in a file: where, and a clause in lower case. */
export interface Fault extends Place {
  readonly message: string;
}

/** Keys and indices from the root. */
export type Path = readonly PropertyKey[];

/** One document of a file. */
export interface YamlDocument {
  readonly value: unknown;
  /** Where a path stands: its key, or its item of a list. Of what is not there, the nearest parent that is. */
  readonly placeOf: (path: Path) => Place;
}

/** LIMIT: aliases that unfold into more than this are an attack, or a mistake. */
const aliasesMax = 100;
/** LIMIT: whoever writes fifty mistakes has written one; the first tell enough. */
export const faultsMax = 20;

/** Reads all documents of a file; empty ones are left out. Total: whatever is in the text, there are documents or faults. */
export function readYaml(
  text: string,
): { readonly documents: readonly YamlDocument[] } | { readonly faults: readonly Fault[] } {
  const lineCounter = new LineCounter();
  const fault = (offset: number, message: string): Fault => ({
    ...placeAt(lineCounter, offset),
    message: lowered(message),
  });
  try {
    // NB: the library compares each key of a map with each other, which takes minutes for a megabyte of keys.
    const options = { lineCounter, prettyErrors: false, uniqueKeys: false, merge: true };
    const documents: readonly Document[] = [...parseAllDocuments(text, options)];
    const faults = documents.flatMap((document) => [
      ...document.errors.map(({ pos, message }) => fault(pos[0], message)),
      ...misplaced(document).map(({ offset, message }) => fault(offset, message)),
    ]);
    if (faults.length > 0) return { faults: faults.slice(0, faultsMax) };
    return {
      documents: documents
        .filter(({ contents }) => contents !== null && !(isScalar(contents) && contents.value === null))
        .map((document) => ({
          value: document.toJS({ maxAliasCount: aliasesMax }) as unknown,
          placeOf: (path) => placeOf(document, path, lineCounter),
        })),
    };
  } catch (error) {
    return { faults: [fault(0, error instanceof Error ? error.message : String(error))] };
  }
}

interface Misplaced {
  readonly offset: number;
  readonly message: string;
}

/** Keys that stand twice in a map, and aliases of what was not named before. */
function misplaced(document: Document): readonly Misplaced[] {
  const found: Misplaced[] = [];
  visit(document, {
    Map: (_, map) => {
      found.push(...repeatedKeys(map));
    },
    Alias: (_, alias) => {
      if (alias.resolve(document) === undefined)
        found.push({ offset: offsetOf(alias), message: `there is no anchor \`&${alias.source}\` before it` });
    },
  });
  return found;
}

function repeatedKeys(map: YAMLMap): readonly Misplaced[] {
  const seen = new Set<string>();
  const found: Misplaced[] = [];
  for (const { key } of map.items) {
    if (!isScalar(key) || key.value === '<<') continue;
    const name = String(key.value);
    if (seen.has(name)) found.push({ offset: offsetOf(key), message: `the key \`${name}\` stands twice` });
    seen.add(name);
  }
  return found;
}

function placeOf(document: Document, path: Path, lineCounter: LineCounter): Place {
  let current: unknown = document.contents;
  let place: unknown = document.contents;
  for (const step of path) {
    const node: unknown = isAlias(current) ? current.resolve(document) : current;
    const found = childOf(node, step);
    if (found === null) break;
    place = found.place;
    current = found.value;
  }
  return placeAt(lineCounter, offsetOf(place));
}

function childOf(node: unknown, step: PropertyKey): { place: unknown; value: unknown } | null {
  if (isMap(node)) {
    const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
    return pair === undefined ? null : { place: pair.key, value: pair.value };
  }
  if (isSeq<Node>(node) && typeof step === 'number') {
    const item = node.items[step];
    return item === undefined ? null : { place: item, value: item };
  }
  return null;
}

function offsetOf(node: unknown): number {
  return isNode(node) ? (node.range?.[0] ?? 0) : 0;
}

function placeAt(lineCounter: LineCounter, offset: number): Place {
  const { line, col } = lineCounter.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

function lowered(message: string): string {
  const first = message.split('\n')[0] ?? message;
  return `${first.charAt(0).toLowerCase()}${first.slice(1)}`;
}
