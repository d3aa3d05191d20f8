/**
 * For which locks the switch stands in, and on what terms: what the policies in force come to, by namespace and by patterns of names,
 * since the API server can tell locks apart by nothing else. Where policies disagree about a name the milder terms hold: the switch
 * refuses no takeover that lockwarden itself would let pass.
 */
import type { LockRef } from '../core/lock.ts';
import type { Reason } from '../core/reasons.ts';
import type { Settings } from '../core/settings.ts';
import { notLocks, takesByPriority, unguardedNamespaces } from '../policy/built-in.ts';
import { matchesPattern } from '../policy/pattern.ts';
import type { PolicyStore } from '../policy/store.ts';

/** What the switch does for the locks of some namespaces. */
export interface Terms {
  /** How early a takeover may be, in milliseconds. */
  readonly toleranceMs: number;
  /** Patterns of the names that it stands in for (`*` is any run of characters); null: all. */
  readonly names: readonly string[] | null;
  /** Patterns of the names that it does not. */
  readonly excludeNames: readonly string[];
  /** Requesters whom it never refuses. */
  readonly exempt: Settings['exempt'];
  /** Whether it also refuses that another cuts a lease short (`ForeignRelease`). */
  readonly shortening: boolean;
  /** Whether it keeps the evidence (`StrippedTiming`, `EvidenceTampered`). */
  readonly stamps: boolean;
}

/** Terms and the namespaces that they hold for. */
export interface TermsClass {
  readonly terms: Terms;
  readonly namespaces: readonly string[];
}

/** For which locks the switch stands in. Sorted: equal policies give equal scopes. */
export interface SwitchScope {
  /** Namespaces in which it never does. */
  readonly unguarded: readonly string[];
  /** For namespaces in no other list; null: for none of them. */
  readonly others: Terms | null;
  readonly classes: readonly TermsClass[];
}

/** Namespaces for which something is built in, whether anybody has seen them yet or not. */
const builtIn = [
  ...unguardedNamespaces,
  ...notLocks.map(({ namespace }) => namespace),
  takesByPriority.namespace,
];

/** LIMIT: no namespace has such a name; what holds for it holds for those that nobody has seen yet. */
const unseen = '-';

/** The scope that the policies in force ask for. */
export function switchScope(store: PolicyStore, ownNamespace: string): SwitchScope {
  const others = termsIn(store, unseen);
  const otherKey = JSON.stringify(others);
  const classes = new Map<string, { readonly terms: Terms; readonly namespaces: string[] }>();
  const unguarded = new Set([ownNamespace]);
  for (const namespace of new Set([...builtIn, ...[...store.namespaces].sort()])) {
    if (namespace === ownNamespace) continue;
    const terms = termsIn(store, namespace);
    const key = JSON.stringify(terms);
    if (terms === null) unguarded.add(namespace);
    else if (key !== otherKey || unguardedNamespaces.includes(namespace)) {
      const known = classes.get(key) ?? { terms, namespaces: [] };
      known.namespaces.push(namespace);
      classes.set(key, known);
    }
  }
  return {
    // Where nothing is refused elsewhere, only what could be taken for more than it is has to be left out by name.
    unguarded: [...unguarded]
      .filter((name) => others !== null || name === ownNamespace || unguardedNamespaces.includes(name))
      .sort(),
    others,
    classes: [...classes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each),
  };
}

/** Whether the switch stands in for a lock. */
export function standsInFor({ unguarded, others, classes }: SwitchScope, lock: LockRef): boolean {
  if (lock.kind !== 'Lease' || unguarded.includes(lock.namespace)) return false;
  const own = classes.find(({ namespaces }) => namespaces.includes(lock.namespace));
  const terms = own?.terms ?? others;
  if (terms === null) return false;
  const matches = (pattern: string): boolean => matchesPattern(pattern, lock.name);
  return (terms.names?.some(matches) ?? true) && !terms.excludeNames.some(matches);
}

/** Terms for the Leases of a namespace; null: the switch stands in for none of them. */
function termsIn(store: PolicyStore, namespace: string): Terms | null {
  const policies = store.policiesFor(namespace).filter(({ scope }) => scope.kinds.includes('Lease'));
  const named = policies.filter(({ scope }) => !scope.allNames);
  // A name that no pattern of a policy can match stands for all that no policy names.
  const base = settingsFor(store, namespace, unnamed);
  const isBaseDenied = refuses(base);
  const probed = named.map(({ scope }) => ({
    names: scope.patterns.names ?? ['*'],
    settings: mildest(store, namespace, scope.patterns.names ?? ['*']),
  }));
  const raising = probed.filter(({ settings }) => refuses(settings));
  if (!isBaseDenied && raising.length === 0) return null;
  const lowering = probed.filter((each) => !raising.includes(each));
  const leftOut = named
    .flatMap(({ scope }) => scope.patterns.excludeNames)
    .map((name) => ({ name, settings: settingsFor(store, namespace, name) }));
  // What refuses nothing is excluded by its name, and has no say in the terms of the rest.
  const refusing = [base, ...[...probed, ...leftOut].map(({ settings }) => settings)].filter(refuses);
  const denied = (...rules: readonly Reason[]): boolean =>
    refusing.every((each) => rules.every((rule) => each.enforcement[rule] === 'Deny'));
  return {
    toleranceMs: Math.max(...refusing.map((each) => each.toleranceMs)),
    names: isBaseDenied ? null : raising.flatMap(({ names }) => names).sort(),
    excludeNames: union([
      lowering.flatMap(({ names }) => names),
      leftOut.filter(({ settings }) => !refuses(settings)).map(({ name }) => name),
      builtInExceptions(namespace),
    ]),
    exempt: {
      usernames: union(refusing.map((each) => each.exempt.usernames)),
      groups: union(refusing.map((each) => each.exempt.groups)),
    },
    shortening: denied('ForeignRelease'),
    stamps: denied('StrippedTiming', 'EvidenceTampered'),
  };
}

/** What holds for the locks of a namespace whose names match a pattern, for want of the locks themselves. */
function settingsFor(store: PolicyStore, namespace: string, pattern: string): Settings | null {
  const name = pattern.replaceAll('*', unnamed);
  return store.effectiveFor({ kind: 'Lease', namespace, name })?.settings ?? null;
}

/** LIMIT: a name that no object can have, so that only patterns for all names match it. */
const unnamed = '\u0000';

function refuses(settings: Settings | null): settings is Settings {
  return settings?.enforcement.PrematureTakeover === 'Deny';
}

/** The mildest of what holds for the patterns of a policy. */
function mildest(store: PolicyStore, namespace: string, patterns: readonly string[]): Settings | null {
  const settings = patterns.map((pattern) => settingsFor(store, namespace, pattern));
  const mild = settings.findIndex((each) => !refuses(each));
  return settings[Math.max(mild, 0)] ?? null;
}

function builtInExceptions(namespace: string): readonly string[] {
  const names = notLocks.filter((each) => each.namespace === namespace).map(({ name }) => name);
  return namespace === takesByPriority.namespace ? [...names, `${takesByPriority.namePrefix}*`] : names;
}

function union(lists: readonly (readonly string[])[]): readonly string[] {
  return [...new Set(lists.flat())].sort();
}
