/** Patterns that match nothing, or leave out everything, or nothing. */
import { unguardedNamespaces } from '../policy/built-in.ts';
import { matchesPattern } from '../policy/pattern.ts';
import type { Path } from '../yaml/places.ts';
import type { Remark } from './finding.ts';
import { isAnything, isWithin, meet, nameFor, type Named } from './names.ts';
import type { Subject, Surroundings } from './subject.ts';
import { labelsFor } from './witnesses.ts';

type Patterns = readonly string[] | undefined;

/** Remarks about what a policy matches. */
export function* patternRemarks({ spec, policy }: Subject, around: Surroundings): Generator<Remark> {
  const { names, excludeNames, namespaces, excludeNamespaces, namespaceSelector } = spec.match ?? {};
  yield* selection('lock', names, excludeNames, ['names', 'excludeNames']);
  yield* selection('namespace', namespaces, excludeNamespaces, ['namespaces', 'excludeNamespaces']);
  if (namespaceSelector !== undefined && labelsFor([namespaceSelector], null) === null) {
    yield {
      rule: 'MatchesNothing',
      path: ['spec', 'match', 'namespaceSelector'],
      message: 'no labels can meet all requirements of the selector',
      suggestion: 'remove the requirement that contradicts another',
    };
  }
  if (policy.ref.kind === 'LockPolicy') yield* outOfReach(policy.ref.namespace, around);
  else yield* clusterReach(namespaces ?? [], excludeNamespaces ?? [], around);
  yield* unnamedStealers(policy.ref.namespace, namespaces ?? [], names);
}

function* selection(
  named: Named,
  patterns: Patterns,
  excluded: Patterns,
  [field, excludedField]: readonly [string, string],
): Generator<Remark> {
  yield* impossible(named, patterns, field);
  yield* impossible(named, excluded, excludedField);
  for (const [index, pattern] of (patterns ?? []).entries()) {
    const by = excluded?.find((each) => isWithin(pattern, each));
    if (by === undefined || nameFor(pattern, named) === null) continue;
    yield {
      rule: 'MatchesNothing',
      path: ['spec', 'match', field, index],
      message: `whatever \`${pattern}\` matches, \`${by}\` of ${excludedField} leaves out again`,
      suggestion: `remove one of the two, or narrow \`${by}\``,
    };
  }
  for (const [index, pattern] of (excluded ?? []).entries()) {
    if (nameFor(pattern, named) === null) continue;
    const path: Path = ['spec', 'match', excludedField, index];
    if (patterns === undefined && isAnything(pattern)) {
      yield {
        rule: 'MatchesNothing',
        path,
        message: `\`${pattern}\` leaves out every ${named}`,
        suggestion: 'narrow the pattern, or remove the policy',
      };
    } else if (patterns?.every((each) => meet(each, pattern) === null) === true) {
      yield {
        rule: 'ExcludesNothing',
        path,
        message: `\`${pattern}\` leaves out no ${named} that ${field} matches`,
        suggestion: 'remove it, or correct the pattern',
      };
    }
  }
}

const rules: Readonly<Record<Named, string>> = {
  lock: 'in names of locks each `.` stands between letters or digits',
  namespace: 'names of namespaces have at most 63 characters, none of them a `.`',
};

function* impossible(named: Named, patterns: Patterns, field: string): Generator<Remark> {
  for (const [index, pattern] of (patterns ?? []).entries()) {
    if (nameFor(pattern, named) !== null) continue;
    yield {
      rule: 'MatchesNothing',
      path: ['spec', 'match', field, index],
      message: `no ${named} can have a name that \`${pattern}\` matches`,
      suggestion: rules[named],
    };
  }
}

/** A LockPolicy where policies of the namespace do not count. */
function* outOfReach(namespace: string, { ownNamespace }: Surroundings): Generator<Remark> {
  const path = ['metadata', 'namespace'];
  if (namespace === ownNamespace) yield neverOwn(namespace, path);
  else if (unguardedNamespaces.includes(namespace)) {
    yield {
      rule: 'NeverCovered',
      path,
      message: `policies of \`${namespace}\` itself do not count: its locks are left alone`,
      suggestion: `use a ClusterLockPolicy with \`namespaces: [${namespace}]\``,
    };
  }
}

function neverOwn(namespace: string, path: Path): Remark {
  return {
    rule: 'NeverCovered',
    path,
    message: `\`${namespace}\` is lockwarden’s own namespace, and its locks are never guarded by itself`,
    suggestion: 'remove it; if lockwarden is installed elsewhere, say where',
  };
}

/** Namespaces that a ClusterLockPolicy names in vain, or does not name enough. */
function* clusterReach(
  namespaces: readonly string[],
  excluded: readonly string[],
  { ownNamespace }: Surroundings,
): Generator<Remark> {
  for (const [index, pattern] of namespaces.entries()) {
    const path = ['spec', 'match', 'namespaces', index];
    if (pattern === ownNamespace) yield neverOwn(pattern, path);
    if (!pattern.includes('*') || isAnything(pattern)) continue;
    const missed = unguardedNamespaces.filter(
      (name) =>
        matchesPattern(pattern, name) &&
        !namespaces.includes(name) &&
        !excluded.some((each) => matchesPattern(each, name)),
    );
    if (missed.length === 0) continue;
    yield {
      rule: 'CoversLess',
      path,
      message: `\`${pattern}\` does not cover ${missed.map((name) => `\`${name}\``).join(', ')}: only full names do`,
      suggestion: 'add the full names to `namespaces`, or to `excludeNamespaces` if they are not meant',
    };
  }
}

/** SOURCE: built-in.ts, which leaves these locks alone unless a policy names them */
const stealers = { namespace: 'istio-system', pattern: 'istio-*' };

/** A policy for the namespace of known stealers whose names, being absent, leave those out. */
function* unnamedStealers(own: string, namespaces: readonly string[], names: Patterns): Generator<Remark> {
  const { namespace, pattern } = stealers;
  const at = own === namespace ? -1 : namespaces.indexOf(namespace);
  if (own !== namespace && at < 0) return;
  if (names?.every(isAnything) === false) return;
  yield {
    rule: 'CoversLess',
    path: at < 0 ? ['metadata', 'namespace'] : ['spec', 'match', 'namespaces', at],
    message: `in \`${namespace}\` the locks \`${pattern}\` go on as built in, because they are taken on purpose and no pattern names them`,
    suggestion: `if they are meant, add \`${pattern}\` to \`names\``,
  };
}
