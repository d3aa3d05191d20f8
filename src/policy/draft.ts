/**
 * Effective settings in the making: policies are laid over what there is, one group of equally specific ones after another, and floors
 * are put under it in the end.
 */
import { compatible, milder, severity, strict, type Enforcement, type Reason } from '../core/reasons.ts';
import type { Settings } from '../core/settings.ts';
import type { Conflict, Effective, Field } from './effective.ts';
import type { Floor, Layer, Policy } from './policy.ts';
import { describePolicy, type PolicyRef } from './policy-ref.ts';

function stricter(a: Enforcement, b: Enforcement): Enforcement {
  return severity[a] >= severity[b] ? a : b;
}

const allReasons = Object.keys(compatible) as readonly Reason[];

/** A value with the policy that sets it. */
interface Said<T> {
  readonly value: T;
  readonly by: PolicyRef;
}

/** The layers so far. */
export class Draft {
  #settings: Settings;
  #renewals: Effective['renewals'] = 'skip';
  #failurePolicy: Effective['failurePolicy'] = 'Ignore';
  #profile: 'Compatible' | 'Strict' = 'Compatible';
  #ceiling: Enforcement = 'Deny';
  /** Rules that a policy names, which neither profile nor ceiling of the same or a less specific policy changes. */
  #named: Partial<Record<Reason, Enforcement>>;
  /** Whom the cluster's policies exempt, whatever policies of the namespace say. */
  #exemptByCluster: Settings['exempt'];
  readonly #sources = new Map<Field, string>();
  readonly #conflicts: Conflict[] = [];

  constructor(base: Settings) {
    this.#settings = base;
    this.#exemptByCluster = base.exempt;
    // What the built-in settings of a known stealer make milder stays so until a policy names the rule, or starts over.
    this.#named = Object.fromEntries(
      allReasons
        .filter((reason) => base.enforcement[reason] !== compatible[reason])
        .map((reason) => [reason, base.enforcement[reason]]),
    );
  }

  /** Lays policies that are equally specific over what there is. Those of the cluster come first. */
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
    if (group.every(({ ref }) => ref.kind === 'ClusterLockPolicy'))
      this.#exemptByCluster = this.#settings.exempt;
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

  /** Puts the floors under what policies of the namespace say; what the cluster's own say stays, be it lower. */
  putFloors(policies: readonly Policy[]): void {
    this.#set({ enforcement: this.#enforcement() });
    for (const { floor, ref } of policies) {
      if (floor === null) continue;
      const source = `floor of ${describePolicy(ref)}`;
      this.#raise(floor, source);
      const { toleranceMsMax } = floor;
      if (
        toleranceMsMax !== null &&
        this.#saysNamespace('tolerance') &&
        this.#settings.toleranceMs > toleranceMsMax
      ) {
        this.#set({ toleranceMs: toleranceMsMax });
        this.#sources.set('tolerance', source);
      }
      if (floor.exemptions === 'Forbidden' && this.#saysNamespace('exempt')) {
        this.#set({ exempt: this.#exemptByCluster });
        this.#sources.set('exempt', source);
      }
    }
  }

  #raise(floor: Floor, source: string): void {
    const raised = { ...this.#settings.enforcement };
    const general = this.#saysNamespace('enforcement') || this.#saysNamespace('profile');
    for (const reason of allReasons) {
      const field: Field = `rules[${reason}]`;
      // A floor that has raised a rule stands in the way of none that is higher.
      const isBound = this.#sources.has(field) ? !this.#saysCluster(field) : general;
      const least = floor.rules[reason] ?? milder(compatible[reason], floor.enforcement);
      if (!isBound || severity[least] <= severity[raised[reason]]) continue;
      raised[reason] = least;
      this.#sources.set(field, source);
    }
    this.#set({ enforcement: raised });
  }

  #saysNamespace(field: Field): boolean {
    return this.#sources.get(field)?.startsWith('lockpolicy/') === true;
  }

  #saysCluster(field: Field): boolean {
    return this.#sources.get(field)?.startsWith('clusterlockpolicy/') === true;
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
