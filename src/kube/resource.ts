/** What can be listed and watched, and how an object of it is told from another. */
import { arrayAt, isObject, objectAt, stringAt, type JsonObject } from './json.ts';

/** A collection of the API, as this layer reads it. */
export interface WatchedResource {
  /** Path of the collection: `/apis/coordination.k8s.io/v1/leases`. */
  readonly path: string;
  /** Ask for `PartialObjectMetadata`: the rest of each object then never leaves the API server. */
  readonly metadataOnly?: boolean;
  /**
   * NB: not `metadata.namespace=x` on the collection of all namespaces: kube-apiserver 1.36 then continues a list from
   * the wrong place. Name the namespace in the path; `metadata.namespace!=x` is fine.
   */
  readonly fieldSelector?: string;
  /** `key=value`; an object that loses its label is reported as deleted. */
  readonly labelSelector?: string;
  /** Which objects are of interest; default: all. Judged on the parsed object, before anything keeps it. */
  readonly passes?: (object: JsonObject) => boolean;
}

/** The same collection of one namespace; null: as it is. */
export function within(resource: WatchedResource, namespace: string | null): WatchedResource {
  if (namespace === null) return resource;
  const [, api = '', plural = ''] = /^(.*)\/([^/]+)$/.exec(resource.path) ?? [];
  return { ...resource, path: `${api}/namespaces/${namespace}/${plural}` };
}

/** The labels of an object; none where it has none. */
export function labelsOf(object: unknown): Readonly<Record<string, string>> {
  const labels = objectAt(objectAt(object, 'metadata'), 'labels');
  return Object.fromEntries(
    Object.entries(labels).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

/** The part of a query that selects objects. */
export function selectorsOf({
  fieldSelector,
  labelSelector,
}: WatchedResource): Readonly<Record<string, string>> {
  return {
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
    ...(labelSelector === undefined ? {} : { labelSelector }),
  };
}

/** An object as the API server sent it, with what identifies it read out. */
export interface WatchedObject {
  /** Empty for a cluster-scoped object. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** The object itself, raw: times keep every digit that was written. */
  readonly object: JsonObject;
}

/** An object that is no longer there; what it last was has not been seen. */
export interface VanishedObject {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** Reads what identifies an object, or null where it lacks a name or version. */
export function watchedObject(value: unknown): WatchedObject | null {
  if (!isObject(value)) return null;
  const metadata = objectAt(value, 'metadata');
  const name = stringAt(metadata, 'name');
  const resourceVersion = stringAt(metadata, 'resourceVersion');
  if (name === '' || resourceVersion === '') return null;
  return {
    namespace: stringAt(metadata, 'namespace'),
    name,
    uid: stringAt(metadata, 'uid'),
    resourceVersion,
    object: value,
  };
}

/** One page of a list. `next` continues it; empty at the end. */
export interface Page {
  readonly items: readonly WatchedObject[];
  readonly resourceVersion: string;
  readonly next: string;
}

/** Reads a page, or null where `body` is no list. */
export function pageOf(body: unknown): Page | null {
  const metadata = objectAt(body, 'metadata');
  const resourceVersion = stringAt(metadata, 'resourceVersion');
  if (resourceVersion === '') return null;
  const items = arrayAt(body, 'items').map((each) => watchedObject(each));
  return {
    items: items.filter((each) => each !== null),
    resourceVersion,
    next: stringAt(metadata, 'continue'),
  };
}

/**
 * What to accept for a list or a watch of `resource`.
 * SOURCE: https://kubernetes.io/docs/reference/using-api/api-concepts/ (metadata-only fetches)
 */
export function acceptFor(resource: WatchedResource, verb: 'list' | 'watch'): string {
  if (resource.metadataOnly !== true) return 'application/json';
  const kind = verb === 'list' ? 'PartialObjectMetadataList' : 'PartialObjectMetadata';
  return `application/json;as=${kind};g=meta.k8s.io;v=v1`;
}
