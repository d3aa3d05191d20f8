/**
 * From the policies of a cluster to what holds for one lock. Deterministic, and explained: each value knows where it comes from.
 *
 * Policies are laid over each other from the least to the most specific: the built-in defaults, the cluster's policies, those
 * of the namespace; among either, whoever names the namespace, the lock and its kind more narrowly comes later and
 * wins. Two that are equally specific and disagree are a conflict: the stricter value holds, and both are told. In the end the
 * floors of the cluster's policies are put under what policies of the namespace have made of it.
 */
import type { LockRef } from '../core/lock.ts';
import { builtInDefaults, type Settings } from '../core/settings.ts';
import { builtInSettings, namingOf } from './built-in.ts';
import { Draft } from './draft.ts';
import type { Effective } from './effective.ts';
import type { Policy } from './policy.ts';
import { describePolicy } from './policy-ref.ts';
import type { Labels } from './selector.ts';

/** What is to be resolved. `policies` may hold any; those that do not cover the lock do not count. */
export interface Question {
  readonly lock: LockRef;
  readonly namespaceLabels: Labels;
  readonly policies: readonly Policy[];
  readonly ownNamespace: string;
}

interface Covering {
  readonly policy: Policy;
  readonly specificity: readonly number[];
}

/** What a lock's settings are made of, and nothing else of the lock: equal keys, equal settings, as long as no policy changes. */
export interface Ingredients {
  readonly key: string;
  /** The settings that there would be without policies; null: it would not be judged. */
  readonly base: Settings | null;
  /** From the least to the most specific. */
  readonly covering: readonly Covering[];
  readonly naming: ReturnType<typeof namingOf>;
}

/** What holds for the lock, or null when it is not judged at all. */
export function resolve(question: Question): Effective | null {
  const ingredients = ingredientsOf(question);
  return ingredients === null ? null : effectiveOf(ingredients);
}

/** What the settings of a lock are made of; null: it is not judged, whatever policies say. */
export function ingredientsOf({
  lock,
  namespaceLabels,
  policies,
  ownNamespace,
}: Question): Ingredients | null {
  const naming = namingOf(lock, ownNamespace);
  if (naming === 'never') return null;
  const covering = policies
    .map((policy) => coveringOf(policy, lock, namespaceLabels, naming))
    .filter((each) => each !== null)
    .sort(bySpecificity);
  const base = builtInSettings(lock, ownNamespace);
  const named = covering.map(
    ({ policy, specificity }) => `${describePolicy(policy.ref)} ${specificity.join(' ')}`,
  );
  return { key: [base?.policy ?? '', naming ?? '', ...named].join('\n'), base, covering, naming };
}

/** What policies, laid over what is built in, come to. */
export function effectiveOf({ base, covering, naming }: Ingredients): Effective | null {
  if (covering.length === 0) return base === null ? null : onlyDefaults(base);
  const draft = new Draft(base ?? builtInDefaults);
  for (const group of groupsOf(covering)) draft.lay(group);
  draft.putFloors(covering.map(({ policy }) => policy));
  return draft.finish(
    covering.map(({ policy }) => policy.ref),
    naming === 'namespace',
  );
}

function onlyDefaults(settings: Settings): Effective {
  return {
    settings,
    renewals: 'skip',
    failurePolicy: 'Ignore',
    policies: [],
    sources: new Map(),
    conflicts: [],
  };
}

function coveringOf(
  policy: Policy,
  lock: LockRef,
  labels: Labels,
  naming: ReturnType<typeof namingOf>,
): Covering | null {
  const inNamespace = policy.scope.namespace(lock.namespace, labels);
  const asLock = inNamespace === null ? null : policy.scope.lock(lock.kind, lock.name);
  if (inNamespace === null || asLock === null) return null;
  const isCluster = policy.ref.kind === 'ClusterLockPolicy';
  if (naming === 'namespace' && !(isCluster && inNamespace.exact)) return null;
  if (naming === 'name' && asLock.narrowness === 0) return null;
  return {
    policy,
    specificity: [isCluster ? 0 : 1, inNamespace.narrowness, asLock.narrowness, asLock.kinds],
  };
}

function compareSpecificity(a: Covering, b: Covering): number {
  for (const [index, value] of a.specificity.entries()) {
    const difference = value - (b.specificity[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** By name among equals, so that the order never hangs on which the API server listed first. */
function bySpecificity(a: Covering, b: Covering): number {
  const difference = compareSpecificity(a, b);
  if (difference !== 0) return difference;
  return describePolicy(a.policy.ref) < describePolicy(b.policy.ref) ? -1 : 1;
}

function groupsOf(covering: readonly Covering[]): readonly (readonly Policy[])[] {
  const groups: Policy[][] = [];
  let last: Covering | null = null;
  for (const each of covering) {
    if (last !== null && compareSpecificity(last, each) === 0) groups.at(-1)?.push(each.policy);
    else groups.push([each.policy]);
    last = each;
  }
  return groups;
}
