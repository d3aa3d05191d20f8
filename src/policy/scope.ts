/** Which locks a policy speaks of, and how narrowly. */
import { lockKinds, type LockKind } from '../core/lock.ts';
import type { ClusterLockPolicySpec } from './api.ts';
import { narrownessOf, patternOf } from './pattern.ts';
import type { PolicyRef } from './policy-ref.ts';
import { selects, type Labels, type LabelSelector } from './selector.ts';

/** Which locks a policy speaks of. */
export interface Scope {
  readonly kinds: readonly LockKind[];
  /** Whether no name is left out. */
  readonly allNames: boolean;
  /** The names as they are written; null: all. */
  readonly patterns: { readonly names: readonly string[] | null; readonly excludeNames: readonly string[] };
  /** Null: the namespace is none of them. */
  readonly namespace: (
    name: string,
    labels: Labels,
  ) => { readonly narrowness: number; readonly exact: boolean } | null;
  readonly lock: (
    kind: LockKind,
    name: string,
  ) => { readonly narrowness: number; readonly kinds: number } | null;
}

/** The scope of a policy. Patterns are taken apart once, here, and not at each decision. */
export function scopeOf({ match = {} }: ClusterLockPolicySpec, ref: PolicyRef): Scope {
  const names = narrowest(match.names);
  const excludes = narrowest(match.excludeNames ?? []);
  const kindsLeftOut = lockKinds.length - (match.kinds?.length ?? lockKinds.length);
  return {
    kinds: match.kinds ?? lockKinds,
    allNames: match.names === undefined && match.excludeNames === undefined,
    patterns: { names: match.names ?? null, excludeNames: match.excludeNames ?? [] },
    namespace: ref.kind === 'LockPolicy' ? onlyNamespace(ref.namespace) : namespacesOf(match),
    lock: (kind, name) => {
      if (match.kinds?.includes(kind) === false) return null;
      const narrowness = names(name);
      if (narrowness === null || excludes(name) !== null) return null;
      return { narrowness, kinds: kindsLeftOut };
    },
  };
}

function onlyNamespace(own: string): Scope['namespace'] {
  return (name) => (name === own ? { narrowness: 0, exact: true } : null);
}

function namespacesOf(match: {
  readonly namespaces?: readonly string[] | undefined;
  readonly excludeNamespaces?: readonly string[] | undefined;
  readonly namespaceSelector?: LabelSelector | undefined;
}): Scope['namespace'] {
  const { namespaces, namespaceSelector } = match;
  const names = narrowest(namespaces);
  const excludes = narrowest(match.excludeNamespaces ?? []);
  // A selector narrows what the same names would say without one.
  const selected = namespaceSelector === undefined ? 0 : 0.5;
  return (name, labels) => {
    const narrowness = names(name);
    if (narrowness === null || excludes(name) !== null) return null;
    if (namespaceSelector !== undefined && !selects(namespaceSelector, labels)) return null;
    return { narrowness: narrowness + selected, exact: namespaces?.includes(name) === true };
  };
}

/** Finds the narrowness of the narrowest pattern that matches a name: null when none does, 0 for all names without patterns. */
function narrowest(patterns: readonly string[] | undefined): (name: string) => number | null {
  if (patterns === undefined) return () => 0;
  const narrowToWide = patterns
    .map((pattern) => ({ matches: patternOf(pattern), narrowness: narrownessOf(pattern) }))
    .sort((a, b) => b.narrowness - a.narrowness);
  return (name) => narrowToWide.find(({ matches }) => matches(name))?.narrowness ?? null;
}
