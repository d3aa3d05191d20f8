/** Locks that stand for what policies speak of: what holds for them, resolved as for any lock, shows what policies do to each other. */
import { lockKinds, type LockKind, type LockRef } from '../core/lock.ts';
import { selects, type Labels, type LabelSelector } from '../policy/selector.ts';
import { meet, nameFor, type Named } from './names.ts';
import type { Subject, Surroundings } from './subject.ts';

/** A lock, and the labels of its namespace. */
export interface Witness {
  readonly lock: LockRef;
  readonly namespaceLabels: Labels;
}

/** LIMIT: of two policies with 64 patterns each for names and namespaces this many combinations are looked at. */
const witnessesMax = 256;

/** A value that stands for all that no selector mentions. */
const anyOther = 'any-other';

/** The label that the API server gives each namespace. */
const nameLabel = 'kubernetes.io/metadata.name';

/** Locks that both policies could cover: one for each two patterns that go together. */
export function sharedLocks(a: Subject, b: Subject, around: Surroundings): readonly Witness[] {
  const kind = sharedKind(a, b);
  if (kind === null) return [];
  const names = shared(a.spec.match?.names, b.spec.match?.names, 'lock');
  const witnesses: Witness[] = [];
  for (const namespace of sharedNamespaces(a, b)) {
    const namespaceLabels = labelsOf(namespace, a, b, around);
    if (namespaceLabels === null) continue;
    for (const name of names) {
      witnesses.push({ lock: { kind, namespace, name }, namespaceLabels });
      if (witnesses.length === witnessesMax) return witnesses;
    }
  }
  return witnesses;
}

function sharedKind(a: Subject, b: Subject): LockKind | null {
  const kinds: readonly LockKind[] = a.spec.match?.kinds ?? lockKinds;
  return kinds.find((kind) => b.spec.match?.kinds?.includes(kind) ?? true) ?? null;
}

function shared(
  a: readonly string[] = ['*'],
  b: readonly string[] = ['*'],
  named: Named = 'lock',
): ReadonlySet<string> {
  const names = new Set<string>();
  for (const one of a) {
    for (const other of b) {
      const both = meet(one, other);
      const name = both === null ? null : nameFor(both, named);
      if (name !== null) names.add(name);
    }
  }
  return names;
}

function sharedNamespaces(a: Subject, b: Subject): ReadonlySet<string> {
  return shared(namespacesOf(a), namespacesOf(b), 'namespace');
}

/** The patterns of namespaces, also of those that are named by the label that holds their name. */
function namespacesOf({ policy, spec }: Subject): readonly string[] | undefined {
  if (policy.ref.kind === 'LockPolicy') return [policy.ref.namespace];
  const { namespaces, namespaceSelector } = spec.match ?? {};
  if (namespaceSelector === undefined) return namespaces;
  const named = valuesOf([namespaceSelector], nameLabel);
  return named.length === 0 ? namespaces : named;
}

/** The labels of a namespace: those it is known to have, or else, for policies of the cluster, such as both select. */
function labelsOf(namespace: string, a: Subject, b: Subject, around: Surroundings): Labels | null {
  const known = around.namespaces.get(namespace);
  const isNamed = [a, b].some(({ policy }) => policy.ref.kind === 'LockPolicy');
  if (known !== undefined || isNamed) return { ...known, [nameLabel]: namespace };
  const selectors = [a, b]
    .map(({ spec }) => spec.match?.namespaceSelector)
    .filter((each) => each !== undefined);
  return labelsFor(selectors, namespace);
}

/** Labels that meet all the selectors, or null when none can. `namespace` null: one of any name. */
export function labelsFor(selectors: readonly LabelSelector[], namespace: string | null): Labels | null {
  const labels: Record<string, string> = namespace === null ? {} : { [nameLabel]: namespace };
  for (const key of keysOf(selectors)) {
    // What one key must be does not hang on the others, so each can be tried by itself.
    const about = selectors.map((selector) => onlyAbout(selector, key));
    const isFixed = key === nameLabel && namespace !== null;
    const options = isFixed ? [namespace] : [null, anyOther, ...valuesOf(selectors, key)];
    const option = options.find((value) =>
      about.every((selector) => selects(selector, value === null ? {} : { [key]: value })),
    );
    if (option === undefined) return null;
    if (option !== null) labels[key] = option;
  }
  return labels;
}

function keysOf(selectors: readonly LabelSelector[]): ReadonlySet<string> {
  return new Set(
    selectors.flatMap(({ matchLabels = {}, matchExpressions = [] }) => [
      ...Object.keys(matchLabels),
      ...matchExpressions.map(({ key }) => key),
    ]),
  );
}

function valuesOf(selectors: readonly LabelSelector[], wanted: string): readonly string[] {
  return selectors.flatMap(({ matchLabels = {}, matchExpressions = [] }) => [
    ...Object.entries(matchLabels).flatMap(([key, value]) => (key === wanted ? [value] : [])),
    ...matchExpressions.flatMap(({ key, operator, values = [] }) =>
      key === wanted && operator === 'In' ? values : [],
    ),
  ]);
}

function onlyAbout(
  { matchLabels = {}, matchExpressions = [] }: LabelSelector,
  wanted: string,
): LabelSelector {
  return {
    matchLabels: Object.fromEntries(Object.entries(matchLabels).filter(([key]) => key === wanted)),
    matchExpressions: matchExpressions.filter(({ key }) => key === wanted),
  };
}
