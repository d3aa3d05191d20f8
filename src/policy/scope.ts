/** Which locks a policy speaks of, and how narrowly. */
import type { LockKind } from '../core/lock.ts';
import type { ClusterLockPolicySpec } from './api.ts';
import { matchesPattern, narrownessOf } from './pattern.ts';
import type { PolicyRef } from './policy-ref.ts';
import { selects, type Labels, type LabelSelector } from './selector.ts';

/** Which locks a policy speaks of. */
export interface Scope {
  readonly kinds: readonly LockKind[];
  /** Whether no name is left out. */
  readonly allNames: boolean;
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

/** The scope of a policy. */
export function scopeOf({ match = {} }: ClusterLockPolicySpec, ref: PolicyRef): Scope {
  return {
    kinds: match.kinds ?? lockKinds,
    allNames: match.names === undefined && match.excludeNames === undefined,
    namespace: ref.kind === 'LockPolicy' ? onlyNamespace(ref.namespace) : namespacesOf(match),
    lock: (kind, name) => {
      if (match.kinds?.includes(kind) === false) return null;
      if (match.excludeNames?.some((pattern) => matchesPattern(pattern, name)) === true) return null;
      const narrowness = narrowest(match.names, name);
      return narrowness === null
        ? null
        : { narrowness, kinds: lockKinds.length - (match.kinds?.length ?? lockKinds.length) };
    },
  };
}

const lockKinds: readonly LockKind[] = ['Lease', 'ConfigMap', 'Endpoints'];

function onlyNamespace(own: string): Scope['namespace'] {
  return (name) => (name === own ? { narrowness: 0, exact: true } : null);
}

function namespacesOf(match: {
  readonly namespaces?: readonly string[] | undefined;
  readonly excludeNamespaces?: readonly string[] | undefined;
  readonly namespaceSelector?: LabelSelector | undefined;
}): Scope['namespace'] {
  const { namespaces, excludeNamespaces, namespaceSelector } = match;
  return (name, labels) => {
    if (excludeNamespaces?.some((pattern) => matchesPattern(pattern, name)) === true) return null;
    if (namespaceSelector !== undefined && !selects(namespaceSelector, labels)) return null;
    const narrowness = narrowest(namespaces, name);
    if (narrowness === null) return null;
    // A selector narrows what the same names would say without one.
    const selected = namespaceSelector === undefined ? 0 : 0.5;
    return { narrowness: narrowness + selected, exact: namespaces?.includes(name) === true };
  };
}

/** The narrowness of the narrowest pattern that matches; 0 without patterns; null when none matches. */
function narrowest(patterns: readonly string[] | undefined, name: string): number | null {
  if (patterns === undefined) return 0;
  const matching = patterns.filter((pattern) => matchesPattern(pattern, name));
  return matching.length === 0 ? null : Math.max(...matching.map(narrownessOf));
}
