/** Lists, page by page, in the form of Kubernetes' own. */
import type { LockRef } from '../core/lock.ts';
import type { RejectionRecord } from '../review/record-schema.ts';
import type { RecentFilter, RecentPage } from '../review/recent.ts';
import { reviewGroup, type Ask } from './ask.ts';
import { locksAfter, placeOf, type LockView } from './lock-view.ts';
import type { Refusal } from './refusal.ts';
import type { Seal } from './seal.ts';

/** `<group>/<version>` of what is answered. */
export const reviewVersion = `${reviewGroup}/v1`;

/** What this replica knows. INVARIANT: whoever calls has been let in for `ask.namespace`, and nothing else is read here. */
export interface ReadSources {
  /** Name of the replica: it tells of what it judged and saw itself, and nothing of others. */
  readonly replica: string;
  readonly rejections: { list(filter: RecentFilter): RecentPage };
  readonly locks: () => Iterable<LockRef>;
  /** Null: it has gone meanwhile. */
  readonly viewOf: (lock: LockRef) => LockView | null;
}

interface List<T> {
  readonly kind: string;
  readonly apiVersion: string;
  readonly metadata: { readonly continue: string };
  readonly replica: string;
  readonly items: readonly T[];
}

type Answer<T> =
  { readonly ok: true; readonly list: List<T> } | { readonly ok: false; readonly refusal: Refusal };

/** The page of an ask, or a refusal of its continue token. */
export function pageOf(ask: Ask, sources: ReadSources, seal: Seal): Answer<RejectionRecord | LockView> {
  const place = ask.continued === null ? '' : seal.open(scopeOf(ask), ask.continued);
  if (place === null) return { ok: false, refusal: expired };
  return {
    ok: true,
    list:
      ask.resource === 'locks'
        ? lockPage(ask, place, sources, seal)
        : rejectionPage(ask, place, sources, seal),
  };
}

/** What a token is good for. NB: a page may have another length than the one before. */
function scopeOf({ resource, namespace, sinceMs }: Ask): string {
  return JSON.stringify([resource, namespace, sinceMs]);
}

function rejectionPage(ask: Ask, place: string, sources: ReadSources, seal: Seal): List<RejectionRecord> {
  const { namespace, sinceMs, limit } = ask;
  const before = place === '' ? null : Number(place);
  const { rejections, next } = sources.rejections.list({ namespace, sinceMs, limit, before });
  return listOf('RejectionList', sources, {
    items: rejections.map(({ record }) => record),
    continued: next === null ? '' : seal.close(scopeOf(ask), String(next)),
  });
}

function lockPage(ask: Ask, place: string, sources: ReadSources, seal: Seal): List<LockView> {
  const { namespace, limit } = ask;
  const found = locksAfter(inNamespace(sources.locks(), namespace), place, limit + 1);
  const shown = found.slice(0, limit);
  const last = shown.at(-1);
  return listOf('LockList', sources, {
    items: shown.map(sources.viewOf).filter((view) => view !== null),
    continued: found.length > limit && last !== undefined ? seal.close(scopeOf(ask), placeOf(last)) : '',
  });
}

function* inNamespace(locks: Iterable<LockRef>, namespace: string | null): Iterable<LockRef> {
  for (const lock of locks) if (namespace === null || lock.namespace === namespace) yield lock;
}

function listOf<T>(
  kind: string,
  { replica }: ReadSources,
  { items, continued }: { readonly items: readonly T[]; readonly continued: string },
): List<T> {
  return { kind, apiVersion: reviewVersion, metadata: { continue: continued }, replica, items };
}

/** As the API server words it. */
const expired: Refusal = {
  code: 410,
  reason: 'Expired',
  message:
    'the continue token is of another replica, an earlier start of this one, or another question: begin anew, without it',
};
