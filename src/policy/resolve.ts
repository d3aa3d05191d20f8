/**
 * From the policies of a cluster to what holds for one lock. Deterministic, and explained: each value knows where it comes from.
 *
 * Policies are laid over each other from the least to the most specific: the built-in defaults, the cluster's policies, those
 * of the namespace; among either, whoever names the namespace, the lock and its kind more narrowly comes later and
 * wins. Two that are equally specific and disagree are a conflict: the stricter value holds, and both are told. In the end the
 * floors of the cluster's policies are put under what policies of the namespace have made of it.
 */
import type { LockRef } from '../core/lock.ts';
import { compatible, strict, type Enforcement, type Reason } from '../core/reasons.ts';
import { builtInDefaults, type Settings } from '../core/settings.ts';
import { builtInSettings, namingOf } from './built-in.ts';
import type { Layer, Policy } from './policy.ts';
import { describePolicy, type PolicyRef } from './policy-ref.ts';
import type { Labels } from './selector.ts';

/** A value that policies decide, by the name of the field that sets it; single rules as `rules[REASON]`. */
export type Field =
  | Exclude<keyof Layer, 'rules' | 'toleranceMs' | 'leaseDurationMs'>
  | 'tolerance'
  | 'leaseDuration'
  | `rules[${Reason}]`;

/** Two policies that are equally specific and disagree. */
export interface Conflict {
  readonly field: Field;
  readonly between: readonly PolicyRef[];
  readonly winner: PolicyRef;
}

/** What holds for one lock, and why. */
export interface Effective {
  readonly settings: Settings;
  readonly renewals: 'skip' | 'inspect';
  readonly failurePolicy: 'Ignore' | 'Fail';
  /** The policies that cover the lock, from the least to the most specific. */
  readonly policies: readonly PolicyRef[];
  /** Where each value comes from: a policy, a floor; a field that is absent comes from the built-in defaults. */
  readonly sources: ReadonlyMap<Field, string>;
  readonly conflicts: readonly Conflict[];
}

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

/** What holds for the lock, or null when it is not judged at all. */
export function resolve({ lock, namespaceLabels, policies, ownNamespace }: Question): Effective | null {
  const naming = namingOf(lock, ownNamespace);
  if (naming === 'never') return null;
  const covering = policies
    .map((policy) => coveringOf(policy, lock, namespaceLabels, naming))
    .filter((each) => each !== null)
    .sort(bySpecificity);
  const base = builtInSettings(lock, ownNamespace);
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

const severity: Readonly<Record<Enforcement, number>> = { Deny: 2, Warn: 1, Audit: 0 };

function stricter(a: Enforcement, b: Enforcement): Enforcement {
  return severity[a] >= severity[b] ? a : b;
}

function milder(a: Enforcement, b: Enforcement): Enforcement {
  return severity[a] <= severity[b] ? a : b;
}

const allReasons = Object.keys(compatible) as readonly Reason[];

/** A value with the policy that sets it. */
interface Said<T> {
  readonly value: T;
  readonly by: PolicyRef;
}

/** The layers so far. */
class Draft {
  #settings: Settings;
  #renewals: Effective['renewals'] = 'skip';
  #failurePolicy: Effective['failurePolicy'] = 'Ignore';
  #profile: 'Compatible' | 'Strict' = 'Compatible';
  #ceiling: Enforcement = 'Deny';
  /** Rules that a policy names, which neither profile nor ceiling of the same or a less specific policy changes. */
  #named: Partial<Record<Reason, Enforcement>>;
  readonly #sources = new Map<Field, string>();
  readonly #conflicts: Conflict[] = [];

  constructor(base: Settings) {
    this.#settings = base;
    // What the built-in settings of a known stealer make milder stays so until a policy names the rule, or starts over.
    this.#named = Object.fromEntries(
      allReasons
        .filter((reason) => base.enforcement[reason] !== compatible[reason])
        .map((reason) => [reason, base.enforcement[reason]]),
    );
  }

  /** Lays policies that are equally specific over what there is. */
  lay(group: readonly Policy[]): void {
    this.#layEnforcement(group);
    const tolerance = this.#said(group, 'tolerance', ({ toleranceMs }) => toleranceMs, smaller);
    if (tolerance !== null) this.#set({ toleranceMs: tolerance });
    const leaseDurationMs = this.#said(group, 'leaseDuration', (layer) => layer.leaseDurationMs, first);
    if (leaseDurationMs !== null) this.#set({ leaseDurationMs });
    const candidates = this.#said(group, 'candidates', (layer) => layer.candidates, first);
    if (candidates !== null) this.#set({ candidates });
    const deletion = this.#said(
      group,
      'deletion',
      (layer) => layer.deletion,
      preferring<'Tombstone' | 'Deny'>('Deny'),
    );
    if (deletion !== null) this.#set({ deletion });
    const exempt = this.#said(group, 'exempt', (layer) => layer.exempt, first);
    if (exempt !== null) this.#set({ exempt });
    const note = this.#said(group, 'message', (layer) => layer.message, first);
    if (note !== null) this.#set({ note });
    const inspects = this.#said(group, 'inspectRenewals', (layer) => layer.inspectRenewals, preferring(true));
    if (inspects !== null) this.#renewals = inspects ? 'inspect' : 'skip';
    // Of two that disagree the one that never stops a cluster.
    const fails = this.#said(
      group,
      'failurePolicy',
      (layer) => layer.failurePolicy,
      preferring<'Ignore' | 'Fail'>('Ignore'),
    );
    if (fails !== null) this.#failurePolicy = fails;
    this.#layConditions(group);
  }

  /** A policy that sets enforcement or profile starts over: what less specific ones said of single rules no longer holds. */
  #layEnforcement(group: readonly Policy[]): void {
    const profile = this.#said(
      group,
      'profile',
      (layer) => layer.profile,
      preferring<'Compatible' | 'Strict'>('Strict'),
    );
    const ceiling = this.#said(group, 'enforcement', (layer) => layer.enforcement, stricter);
    if (profile !== null || ceiling !== null) {
      this.#named = {};
      for (const field of this.#sources.keys()) if (field.startsWith('rules[')) this.#sources.delete(field);
    }
    this.#profile = profile ?? this.#profile;
    this.#ceiling = ceiling ?? this.#ceiling;
    for (const reason of allReasons) {
      const named = this.#said(group, `rules[${reason}]`, ({ rules }) => rules[reason], stricter);
      if (named !== null) this.#named = { ...this.#named, [reason]: named };
    }
  }

  #layConditions(group: readonly Policy[]): void {
    const saying = group.filter(({ layer }) => layer.conditions.length > 0);
    if (saying.length === 0) return;
    const conditions = saying.flatMap(({ layer }) => layer.conditions);
    this.#set({ conditions: [...this.#settings.conditions, ...conditions] });
    const before = this.#sources.get('conditions');
    const sources = saying.map(({ ref }) => describePolicy(ref)).join(', ');
    this.#sources.set('conditions', before === undefined ? sources : `${before}, ${sources}`);
  }

  /** Puts the floors under what there is. They bind policies of the namespace, so without one there is nothing to raise. */
  putFloors(policies: readonly Policy[]): void {
    this.#set({ enforcement: this.#enforcement() });
    if (!policies.some(({ ref }) => ref.kind === 'LockPolicy')) return;
    for (const { floor, ref } of policies) {
      if (floor === null) continue;
      const source = `floor of ${describePolicy(ref)}`;
      this.#raise(floor.rules, floor.enforcement, source);
      if (floor.toleranceMsMax !== null && this.#settings.toleranceMs > floor.toleranceMsMax) {
        this.#set({ toleranceMs: floor.toleranceMsMax });
        this.#sources.set('tolerance', source);
      }
      if (floor.exemptions === 'Forbidden') this.#takeBackExemptions(policies, source);
    }
  }

  #raise(rules: Layer['rules'], enforcement: Enforcement, source: string): void {
    const raised = { ...this.#settings.enforcement };
    for (const reason of allReasons) {
      const least = rules[reason] ?? milder(compatible[reason], enforcement);
      if (severity[least] <= severity[raised[reason]]) continue;
      raised[reason] = least;
      this.#sources.set(`rules[${reason}]`, source);
    }
    this.#set({ enforcement: raised });
  }

  #takeBackExemptions(policies: readonly Policy[], source: string): void {
    const ofCluster = policies.findLast(
      ({ ref, layer }) => ref.kind === 'ClusterLockPolicy' && layer.exempt !== undefined,
    );
    const exempt = ofCluster?.layer.exempt ?? builtInDefaults.exempt;
    if (same(exempt, this.#settings.exempt)) return;
    this.#set({ exempt });
    this.#sources.set('exempt', source);
  }

  finish(policies: readonly PolicyRef[], isSystem: boolean): Effective {
    const narrowest = policies.at(-1);
    if (narrowest !== undefined) this.#set({ policy: describePolicy(narrowest) });
    return {
      settings: this.#settings,
      // What the control plane itself needs is never made to wait for lockwarden.
      renewals: isSystem ? 'skip' : this.#renewals,
      failurePolicy: isSystem ? 'Ignore' : this.#failurePolicy,
      policies,
      sources: this.#sources,
      conflicts: this.#conflicts,
    };
  }

  #enforcement(): Settings['enforcement'] {
    const profile = this.#profile === 'Strict' ? strict : compatible;
    const effective = { ...profile };
    for (const reason of allReasons) {
      effective[reason] = this.#named[reason] ?? milder(profile[reason], this.#ceiling);
    }
    return effective;
  }

  /** What the group says about a field, or null when it says nothing; notes the source, and a disagreement. */
  #said<T>(
    group: readonly Policy[],
    field: Field,
    valueOf: (layer: Layer) => T | undefined,
    choose: (a: T, b: T) => T,
  ): T | null {
    const sayings: Said<T>[] = [];
    for (const { layer, ref } of group) {
      const value = valueOf(layer);
      if (value !== undefined) sayings.push({ value, by: ref });
    }
    const [one, ...others] = sayings;
    if (one === undefined) return null;
    const value = others.reduce((chosen, other) => choose(chosen, other.value), one.value);
    const winner = sayings.find((saying) => same(saying.value, value)) ?? one;
    this.#sources.set(field, describePolicy(winner.by));
    if (others.some((other) => !same(other.value, one.value))) {
      this.#conflicts.push({ field, between: sayings.map(({ by }) => by), winner: winner.by });
    }
    return value;
  }

  #set(change: Partial<Settings>): void {
    this.#settings = { ...this.#settings, ...change };
  }
}

function smaller(a: number, b: number): number {
  return Math.min(a, b);
}

function first<T>(a: T): T {
  return a;
}

function preferring<T>(preferred: T): (a: T, b: T) => T {
  return (a, b) => (a === preferred || b === preferred ? preferred : a);
}

/** NB: compiled conditions are compared by what they are called and say, their functions being new each time. */
function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
