/**
 * The policies in force, and what holds for a lock: kept in memory, so that a decision waits for nothing.
 *
 * A policy that turns invalid leaves its last good state in force: an edit that went wrong must not open the door. One that never
 * was valid has no say.
 */
import { describeLock, type LockRef } from '../core/lock.ts';
import { parsePolicy, type Fault, type ParsedPolicy, type Policy, type PolicyObject } from './policy.ts';
import { describePolicy, type PolicyRef } from './policy-ref.ts';
import type { Effective } from './effective.ts';
import { effectiveOf, ingredientsOf } from './resolve.ts';
import type { Labels } from './selector.ts';

/** What there is of one policy. */
export interface StoredPolicy {
  readonly ref: PolicyRef;
  /** Of the object as it was last seen. */
  readonly generation: number;
  /** The state that is in force, which may be an older one; null: none ever was valid. */
  readonly inForce: Policy | null;
  /** What is wrong with the object as it was last seen. */
  readonly faults: readonly Fault[];
}

/**
 * LIMIT: as many as there are locks that are remembered, some 150 bytes each, since what is made of the same policies is one object for all.
 * Beyond it all are forgotten, and resolved again when they are asked for.
 */
const resolvedMax = 100_000;

/** The store. Every method returns at once. */
export class PolicyStore {
  readonly #ownNamespace: string;
  readonly #policies = new Map<string, StoredPolicy>();
  readonly #namespaces = new Map<string, Labels>();
  /** Policies that may cover locks of a namespace; emptied by every change. */
  readonly #byNamespace = new Map<string, readonly Policy[]>();
  readonly #resolved = new Map<string, Effective | null>();
  /** What there is in `#resolved`, by what it is made of. */
  readonly #made = new Map<string, Effective | null>();
  /** Those of namespaces by namespace, and the cluster's under the empty string: a change to one namespace's need not look at all others. */
  readonly #inForce = new Map<string, Map<string, Policy>>();
  #version = 0;

  constructor(ownNamespace: string) {
    this.#ownNamespace = ownNamespace;
  }

  /** Grows with every change. */
  get version(): number {
    return this.#version;
  }

  /** Every policy, whatever its state. */
  get policies(): Iterable<StoredPolicy> {
    return this.#policies.values();
  }

  /** Names of the namespaces that are known, and of those that policies are in. */
  get namespaces(): Iterable<string> {
    const withPolicies = [...this.#inForce.keys()].filter((name) => name !== '');
    return new Set([...this.#namespaces.keys(), ...withPolicies]);
  }

  /** Takes in a policy as it is now. Returns what was made of it. */
  put(object: PolicyObject): ParsedPolicy {
    const parsed = parsePolicy(object);
    const key = describePolicy(object.ref);
    const inForce = parsed.ok ? parsed.policy : (this.#policies.get(key)?.inForce ?? null);
    const faults = parsed.ok ? [] : parsed.faults;
    this.#policies.set(key, { ref: object.ref, generation: object.generation, inForce, faults });
    if (inForce !== null) this.#groupOf(object.ref.namespace).set(key, inForce);
    this.#changed();
    return parsed;
  }

  /** A policy is gone. */
  delete(ref: PolicyRef): void {
    const key = describePolicy(ref);
    if (!this.#policies.delete(key)) return;
    this.#groupOf(ref.namespace).delete(key);
    this.#changed();
  }

  /** All policies of a kind are gone, and so is the kind. Returns how many there were. */
  deleteAll(kind: PolicyRef['kind']): number {
    const refs = [...this.#policies.values()].map(({ ref }) => ref).filter((ref) => ref.kind === kind);
    for (const ref of refs) this.delete(ref);
    return refs.length;
  }

  putNamespace(name: string, labels: Labels): void {
    const before = this.#namespaces.get(name);
    this.#namespaces.set(name, labels);
    if (before === undefined || JSON.stringify(before) !== JSON.stringify(labels)) this.#changed();
  }

  deleteNamespace(name: string): void {
    if (this.#namespaces.delete(name)) this.#changed();
  }

  /** What holds for a lock; null: it is not judged at all. */
  effectiveFor(lock: LockRef): Effective | null {
    const key = describeLock(lock);
    const known = this.#resolved.get(key);
    if (known !== undefined) return known;
    const effective = this.#resolve(lock);
    if (this.#resolved.size >= resolvedMax) this.#forget();
    this.#resolved.set(key, effective);
    return effective;
  }

  #resolve(lock: LockRef): Effective | null {
    const ingredients = ingredientsOf({
      lock,
      namespaceLabels: this.labelsOf(lock.namespace),
      policies: this.policiesFor(lock.namespace),
      ownNamespace: this.#ownNamespace,
    });
    if (ingredients === null) return null;
    const known = this.#made.get(ingredients.key);
    if (known !== undefined) return known;
    const effective = effectiveOf(ingredients);
    this.#made.set(ingredients.key, effective);
    return effective;
  }

  #forget(): void {
    this.#resolved.clear();
    this.#made.clear();
  }

  /** The policies that may cover locks of a namespace. */
  policiesFor(namespace: string): readonly Policy[] {
    const known = this.#byNamespace.get(namespace);
    if (known !== undefined) return known;
    const labels = this.labelsOf(namespace);
    const inForce = [...this.#groupOf('').values(), ...(this.#inForce.get(namespace)?.values() ?? [])];
    const covering = inForce.filter(({ scope }) => scope.namespace(namespace, labels) !== null);
    this.#byNamespace.set(namespace, covering);
    return covering;
  }

  /** Labels of a namespace. The API server puts its name on each, so that holds before the namespace itself has been seen. */
  labelsOf(namespace: string): Labels {
    return this.#namespaces.get(namespace) ?? { 'kubernetes.io/metadata.name': namespace };
  }

  #groupOf(namespace: string): Map<string, Policy> {
    const group = this.#inForce.get(namespace) ?? new Map<string, Policy>();
    this.#inForce.set(namespace, group);
    return group;
  }

  #changed(): void {
    this.#version += 1;
    this.#byNamespace.clear();
    this.#forget();
  }
}
