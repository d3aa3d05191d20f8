/** A request's target to what is asked for. Pure, and told before anybody is asked who the caller is only where it says nothing. */
import { badRequest, type Refusal } from './refusal.ts';

/** The API group of the virtual resources that RBAC decides by. No object of it exists anywhere. */
export const reviewGroup = 'review.lockwarden.dev';
/** Where the API is. */
export const reviewRoot = '/apis/review/v1';

/** What can be read. */
export const readResources = ['rejections', 'locks'] as const;

export type ReadResource = (typeof readResources)[number];

/** What is asked for. */
export interface Ask {
  readonly resource: ReadResource;
  readonly verb: 'list' | 'watch';
  /** Null: all namespaces. */
  readonly namespace: string | null;
  readonly limit: number;
  /** The token of a page before, sealed. */
  readonly continued: string | null;
  /** Unix milliseconds. */
  readonly sinceMs: number | null;
}

/** LIMIT: a page of 500 usual records is some 350 KiB, of the longest 3 MiB. */
const limitMax = 500;
const limitDefault = 100;

/** The resource at a path; null: there is none. */
export function resourceAt(path: string): ReadResource | null {
  return readResources.find((each) => path === `${reviewRoot}/${each}`) ?? null;
}

/** Reads the query of a request for `resource`. */
export function askOf(resource: ReadResource, query: string): Ask | Refusal {
  const parameters = new URLSearchParams(query);
  const keys = [...parameters.keys()];
  const known: readonly string[] = parametersOf[resource];
  if (keys.some((key) => !known.includes(key))) return badRequest(`the parameters are ${known.join(', ')}`);
  if (new Set(keys).size < keys.length) return badRequest('a parameter can be given only once');
  const namespace = parameters.get('namespace') ?? '';
  if (namespace !== '' && !isNamespace(namespace)) return badRequest('`namespace` is no name of a namespace');
  const limit = limitOf(parameters.get('limit'));
  if (limit === null) return badRequest(`\`limit\` is a number from 1 to ${String(limitMax)}`);
  const watch = parameters.get('watch') ?? 'false';
  if (watch !== 'true' && watch !== 'false') return badRequest('`watch` is true or false');
  const since = parameters.get('since');
  const sinceMs = since === null ? null : instantOf(since);
  if (since !== null && sinceMs === null)
    return badRequest('`since` is a time such as 2026-03-01T03:12:03Z (RFC 3339)');
  const continued = parameters.get('continue');
  if (watch === 'true' && continued !== null) return badRequest('a watch has no pages: leave `continue` out');
  return {
    resource,
    verb: watch === 'true' ? 'watch' : 'list',
    namespace: namespace === '' ? null : namespace,
    limit,
    continued: continued === '' ? null : continued,
    sinceMs,
  };
}

const parametersOf: Readonly<Record<ReadResource, readonly string[]>> = {
  rejections: ['namespace', 'limit', 'continue', 'since', 'watch'],
  // Whoever wants to see locks change watches the Leases themselves.
  locks: ['namespace', 'limit', 'continue'],
};

/** SOURCE: https://www.rfc-editor.org/rfc/rfc1123 (labels), as the API server checks them */
function isNamespace(text: string): boolean {
  return /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text);
}

/** NB: 0 is what client-go sends for no limit. */
function limitOf(text: string | null): number | null {
  if (text === null || text === '' || text === '0') return limitDefault;
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  return limit >= 1 && limit <= limitMax ? limit : null;
}

function instantOf(text: string): number | null {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.test(text)) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}
