/** Which objects of a collection are of interest, by key and uid alone. */
import type { JsonObject } from './json.ts';
import type { VanishedObject, WatchedObject } from './resource.ts';

/** The objects that passed the filter, so that one that stops passing, or is missing from a list, is noticed. */
export class Tracked {
  readonly #passes: (object: JsonObject) => boolean;
  readonly #known = new Map<string, VanishedObject>();
  #listed: Set<string> | null = null;

  constructor(passes: (object: JsonObject) => boolean) {
    this.#passes = passes;
  }

  get size(): number {
    return this.#known.size;
  }

  /** Takes in a state; false where it is of no interest. True once more for one that has just stopped passing. */
  note(object: WatchedObject): boolean {
    const key = keyOf(object);
    this.#listed?.add(key);
    if (!this.#passes(object.object)) return this.#known.delete(key);
    const { namespace, name, uid } = object;
    this.#known.set(key, { namespace, name, uid });
    return true;
  }

  /** Takes in a deletion; false where the object was of no interest. */
  forget(object: WatchedObject): boolean {
    return this.#known.delete(keyOf(object)) || this.#passes(object.object);
  }

  /** The known object that `object` has replaced under the same name, or null. */
  replacedBy(object: WatchedObject): VanishedObject | null {
    const known = this.#known.get(keyOf(object));
    return known === undefined || known.uid === object.uid ? null : known;
  }

  /** A list begins: from here on, what is noted exists. One that did not reach its end counts for nothing. */
  listBegins(): void {
    this.#listed = new Set();
  }

  /** The list is complete: forgets and returns what it did not have. */
  listEnds(): readonly VanishedObject[] {
    const listed = this.#listed ?? new Set();
    this.#listed = null;
    const vanished = [...this.#known].filter(([key]) => !listed.has(key));
    for (const [key] of vanished) this.#known.delete(key);
    return vanished.map(([, object]) => object);
  }
}

function keyOf(object: { readonly namespace: string; readonly name: string }): string {
  return `${object.namespace}/${object.name}`;
}
