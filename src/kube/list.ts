/** Listing a collection page by page, so that no more than a page of it is ever in memory. */
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import {
  acceptFor,
  pageOf,
  selectorsOf,
  type Page,
  type WatchedObject,
  type WatchedResource,
} from './resource.ts';

/** LIMIT: client-go's page size. A lease is 1 to 2 KiB, so a page is about 1 MiB. */
const pageObjects = 500;
/**
 * LIMIT: a page of leases whose writers planted stamps in every one could reach 500 times 10 MiB. A page beyond 64 MiB
 * is asked for again in smaller pieces, down to a single object.
 */
const pageBytesMax = 64 * 1024 * 1024;
/** LIMIT: five million objects; an API server that continues a list beyond that is broken. */
const pagesMax = 10_000;

/**
 * Lists `resource` from the API server's present state and hands over each page as it arrives.
 *
 * @returns the resource version of the list, from which to watch
 * @throws KubeError, `gone` among others: where a list takes longer than etcd keeps its history, begin anew
 */
export async function listPages(
  client: KubeClient,
  resource: WatchedResource,
  onPage: (objects: readonly WatchedObject[]) => void,
  signal: AbortSignal,
): Promise<string> {
  let next = '';
  let limit = pageObjects;
  for (let pages = 0; pages < pagesMax; pages += 1) {
    const page = await getPage(client, resource, { limit, next }, signal);
    if (page === 'too-large') {
      limit = Math.ceil(limit / 10);
      continue;
    }
    onPage(page.items);
    if (page.next === '') return page.resourceVersion;
    next = page.next;
  }
  throw new KubeError('malformed', `the list of \`${resource.path}\` has no end`);
}

async function getPage(
  client: KubeClient,
  resource: WatchedResource,
  place: { readonly limit: number; readonly next: string },
  signal: AbortSignal,
): Promise<Page | 'too-large'> {
  try {
    // No resourceVersion: the most recent state, never an older one from a cache that lags behind.
    const { body } = await client.request({
      method: 'GET',
      path: resource.path,
      accept: acceptFor(resource, 'list'),
      query: {
        limit: String(place.limit),
        ...(place.next === '' ? {} : { continue: place.next }),
        ...selectorsOf(resource),
      },
      bytesMax: pageBytesMax,
      timeoutMs: listTimeoutMs,
      signal,
    });
    const page = pageOf(body);
    if (page === null) throw new KubeError('malformed', `the answer for \`${resource.path}\` is no list`);
    return page;
  } catch (error) {
    if (error instanceof KubeError && error.kind === 'too-large' && place.limit > 1) return 'too-large';
    throw error;
  }
}

/** LIMIT: the API server's own timeout for a request that is not a watch. */
const listTimeoutMs = 60_000;
