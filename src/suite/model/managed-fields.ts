/**
 * What an API server makes of `metadata.managedFields` when an object is created, replaced or patched: the writer's entry takes over
 * every field that the write has changed or added, and is stamped with the present second; what is removed nobody owns. A
 * writer can hand in a list of its own, and one that is empty switches the tracking off for good.
 *
 * Lists within objects count as one field each; those with keys (ownerReferences) the API server looks into.
 * SOURCE: https://github.com/kubernetes/apimachinery/tree/v0.36.3/pkg/util/managedfields/internal
 */
import { isObject, listAt, textAt, at, type JsonObject } from '../../locks/json.ts';
import { instantOf } from '../../locks/recorded-time.ts';
import { secondTime } from '../lock-object.ts';

/** Whose entry a write is noted in. */
export interface Writer {
  readonly manager: string;
  /** Of the object, as the writer sent it. */
  readonly apiVersion: string;
  readonly nowMs: number;
}

/** NB: no key of an object that an API server stores has it. */
const separator = '\0';

/** Paths of fields, each as its keys joined. */
type FieldSet = ReadonlySet<string>;

interface Entry {
  readonly manager: string;
  readonly operation: string;
  readonly apiVersion: string;
  readonly subresource: string;
  readonly timeMs: number | null;
  readonly fields: FieldSet;
}

/** LIMIT: the API server's own: beyond it the entries of the oldest updaters become one. */
const updateManagersMax = 10;
const mergedManager = 'ancient-changes';

/** What is never owned by anybody. */
const unowned = new Set(
  [
    ['apiVersion'],
    ['kind'],
    ['metadata'],
    ...[
      ...['name', 'namespace', 'creationTimestamp', 'selfLink', 'uid', 'clusterName'],
      ...['generation', 'managedFields', 'resourceVersion'],
    ].map((field) => ['metadata', field]),
  ].map(pathKey),
);

/**
 * The list for `object`, which is to be stored in place of `live` (null: it is new) and brings a list of its own, or none.
 */
export function managedFieldsFor(
  live: JsonObject | null,
  object: JsonObject,
  writer: Writer,
): readonly JsonObject[] {
  const entries = entriesFor(live, object);
  // What has lost its tracking never gets it back by an update.
  if (entries.length === 0 && live !== null) return [];
  return encoded(capped(written(entries, live ?? {}, object, writer)));
}

function entriesFor(live: JsonObject | null, object: JsonObject): readonly Entry[] {
  const given = at(object, 'metadata', 'managedFields');
  if (isReset(given)) return [];
  const own = decoded(listAt(object, 'metadata', 'managedFields'));
  return own.length > 0 || live === null ? own : decoded(listAt(live, 'metadata', 'managedFields'));
}

/** An empty list, or one of one empty entry. */
function isReset(given: unknown): boolean {
  if (!Array.isArray(given)) return false;
  const [first] = given as readonly unknown[];
  return given.length === 0 || (given.length === 1 && isObject(first) && Object.keys(first).length === 0);
}

function written(
  entries: readonly Entry[],
  live: JsonObject,
  object: JsonObject,
  { manager, apiVersion, nowMs }: Writer,
): readonly Entry[] {
  const { taken, removed } = compare(live, object);
  const left = entries
    .map((entry) => ({ ...entry, fields: difference(difference(entry.fields, taken), removed) }))
    .filter(({ fields }) => fields.size > 0);
  const mine = difference(taken, unowned);
  if (mine.size === 0) return left;
  const isMine = (entry: Entry): boolean =>
    entry.manager === manager &&
    entry.operation === 'Update' &&
    entry.apiVersion === apiVersion &&
    entry.subresource === '';
  const before = left.find(isMine)?.fields ?? new Set<string>();
  const entry = { manager, operation: 'Update', apiVersion, subresource: '', timeMs: nowMs };
  return [...left.filter((each) => !isMine(each)), { ...entry, fields: union(mine, before) }];
}

/** The fields that are new or have another value, and those that are gone. */
function compare(before: JsonObject, after: JsonObject): { taken: FieldSet; removed: FieldSet } {
  const taken = new Set<string>();
  const removed = new Set<string>();
  const walk = (old: unknown, now: unknown, path: readonly string[]): void => {
    if (isObject(old) || isObject(now)) {
      const [then, next] = [isObject(old) ? old : {}, isObject(now) ? now : {}];
      for (const key of new Set([...Object.keys(then), ...Object.keys(next)])) {
        if (path.length === 1 && path[0] === 'metadata' && key === 'managedFields') continue;
        walk(then[key], next[key], [...path, key]);
      }
      if (path.length === 0) return;
      if (old === undefined) taken.add(pathKey(path));
      if (now === undefined) removed.add(pathKey(path));
    } else if (now === undefined) {
      removed.add(pathKey(path));
    } else if (old === undefined || JSON.stringify(old) !== JSON.stringify(now)) {
      taken.add(pathKey(path));
    }
  };
  // As a typed object has them, metadata and spec are always there, be they empty.
  const empty = after['kind'] === 'Lease' ? { metadata: {}, spec: {} } : { metadata: {} };
  walk({ ...empty, ...before }, { ...empty, ...after }, []);
  return { taken, removed };
}

function capped(entries: readonly Entry[]): readonly Entry[] {
  const updaters = entries.filter(({ operation }) => operation !== 'Apply').sort(byAge);
  const surplus = updaters.length - updateManagersMax;
  if (surplus <= 0) return entries;
  // NB: the bucket counts as one, so that one more goes into it than there are too many.
  const merged = updaters.slice(0, surplus + 1);
  const newest = merged.at(-1);
  const bucket: Entry = {
    manager: mergedManager,
    operation: 'Update',
    apiVersion: newest?.apiVersion ?? '',
    subresource: '',
    timeMs: newest?.timeMs ?? null,
    fields: merged.reduce<FieldSet>((all, { fields }) => union(all, fields), new Set()),
  };
  return [...entries.filter((entry) => !merged.includes(entry)), bucket];
}

function byAge(a: Entry, b: Entry): number {
  return seconds(a) - seconds(b) || (a.manager < b.manager ? -1 : 1);
}

function seconds({ timeMs }: Entry): number {
  return timeMs === null ? 0 : Math.floor(timeMs / 1_000);
}

/** A list that is stored is decoded with each write to its object. */
const decodings = new WeakMap<readonly unknown[], readonly Entry[]>();

function decoded(list: readonly unknown[]): readonly Entry[] {
  const known = decodings.get(list) ?? decode(list);
  decodings.set(list, known);
  return known;
}

/** NB: of entries with the same identity the last one counts; a list that cannot be read counts as none. */
function decode(list: readonly unknown[]): readonly Entry[] {
  const entries = new Map<string, Entry>();
  for (const item of list) {
    const operation = textAt(item, 'operation');
    if (operation !== 'Apply' && operation !== 'Update') return [];
    const entry: Entry = {
      manager: textAt(item, 'manager'),
      operation,
      apiVersion: textAt(item, 'apiVersion'),
      subresource: textAt(item, 'subresource'),
      timeMs: instantOf(textAt(item, 'time')),
      fields: fieldsOf(at(item, 'fieldsV1')),
    };
    const version = operation === 'Apply' ? '' : entry.apiVersion;
    entries.set(JSON.stringify([entry.manager, operation, version, entry.subresource]), entry);
  }
  return [...entries.values()];
}

/** SOURCE: https://github.com/kubernetes/apimachinery/blob/v0.36.3/pkg/util/managedfields/internal/managedfields.go (sortEncodedManagedFields) */
function encoded(entries: readonly Entry[]): readonly JsonObject[] {
  return [...entries]
    .sort(byIdentity)
    .map(({ manager, operation, apiVersion, subresource, timeMs, fields }) => ({
      manager,
      operation,
      apiVersion,
      ...(timeMs !== null && { time: secondTime(timeMs) }),
      fieldsType: 'FieldsV1',
      fieldsV1: fieldsV1(fields),
      ...(subresource !== '' && { subresource }),
    }));
}

function byIdentity(a: Entry, b: Entry): number {
  const text = ({ manager, apiVersion, subresource }: Entry): string =>
    [manager, apiVersion, subresource].join('\0');
  if (a.operation !== b.operation) return a.operation < b.operation ? -1 : 1;
  return seconds(a) - seconds(b) || (text(a) < text(b) ? -1 : 1);
}

/** `{"f:spec":{"f:renewTime":{}}}` as paths. An element of a list keeps its key as it is. */
function fieldsOf(fields: unknown, path: readonly string[] = []): FieldSet {
  const found = new Set<string>();
  if (!isObject(fields)) return found;
  for (const [key, inner] of Object.entries(fields)) {
    const at = [...path, key.startsWith('f:') ? key.slice(2) : key];
    if (key === '.') found.add(pathKey(path));
    else if (isObject(inner) && Object.keys(inner).length === 0) found.add(pathKey(at));
    else for (const each of fieldsOf(inner, at)) found.add(each);
  }
  return found;
}

interface Branch {
  readonly children: Map<string, Branch>;
  isMember: boolean;
}

function fieldsV1(fields: FieldSet): JsonObject {
  const root: Branch = { children: new Map(), isMember: false };
  for (const key of [...fields].sort()) {
    let branch = root;
    for (const step of key.split(separator)) {
      const child = branch.children.get(step) ?? { children: new Map<string, Branch>(), isMember: false };
      branch.children.set(step, child);
      branch = child;
    }
    branch.isMember = true;
  }
  return nested(root);
}

function nested({ children, isMember }: Branch): JsonObject {
  if (children.size === 0) return {};
  const own = isMember ? { '.': {} } : {};
  const inner = [...children].map(([key, child]): [string, JsonObject] => [fieldKey(key), nested(child)]);
  return { ...own, ...Object.fromEntries(inner) };
}

function fieldKey(key: string): string {
  return /^[kvi]:/.test(key) ? key : `f:${key}`;
}

function pathKey(path: readonly string[]): string {
  return path.join(separator);
}

function difference(a: FieldSet, b: FieldSet): FieldSet {
  return new Set([...a].filter((each) => !b.has(each)));
}

function union(a: FieldSet, b: FieldSet): FieldSet {
  return new Set([...a, ...b]);
}
