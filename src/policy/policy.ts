/**
 * A policy as it is used: checked, with durations in milliseconds, expressions compiled, and a way to tell which locks it
 * speaks of, and how narrowly.
 */
import type { z } from 'zod';
import type { Enforcement, Reason } from '../core/reasons.ts';
import type { Candidates, Condition } from '../core/settings.ts';
import { clusterLockPolicy, lockPolicy, type ClusterLockPolicySpec } from './api.ts';
import { durationMs } from './duration.ts';
import { compile } from './expression.ts';
import { describePolicy, type PolicyRef } from './policy-ref.ts';
import { scopeOf, type Scope } from './scope.ts';

/** What one policy sets. A field that is absent is left to less specific policies. */
export interface Layer {
  readonly enforcement?: Enforcement;
  readonly profile?: 'Compatible' | 'Strict';
  readonly rules: Readonly<Partial<Record<Reason, Enforcement>>>;
  readonly toleranceMs?: number;
  readonly leaseDurationMs?: { readonly min: number | null; readonly max: number | null };
  readonly candidates?: Candidates;
  readonly deletion?: 'Tombstone' | 'Deny';
  readonly exempt?: { readonly usernames: readonly string[]; readonly groups: readonly string[] };
  readonly conditions: readonly Condition[];
  readonly inspectRenewals?: boolean;
  readonly failurePolicy?: 'Ignore' | 'Fail';
  readonly message?: string;
}

/** What policies of namespaces cannot go below. */
export interface Floor {
  readonly enforcement: Enforcement;
  readonly rules: Readonly<Partial<Record<Reason, Enforcement>>>;
  readonly toleranceMsMax: number | null;
  readonly exemptions: 'Allowed' | 'Forbidden';
}

/** A policy that can be applied. */
export interface Policy {
  readonly ref: PolicyRef;
  readonly generation: number;
  readonly scope: Scope;
  readonly layer: Layer;
  readonly floor: Floor | null;
}

/** What is wrong with a policy: the path of the field (`spec.conditions[0].expression`) and a clause in lower case. */
export interface Fault {
  readonly field: string;
  readonly why: string;
}

/** A policy, or what is wrong with it. */
export type ParsedPolicy =
  | { readonly ok: true; readonly policy: Policy }
  | {
      readonly ok: false;
      readonly ref: PolicyRef;
      readonly generation: number;
      readonly faults: readonly Fault[];
    };

/** An object as the API server or a file has it. */
export interface PolicyObject {
  readonly ref: PolicyRef;
  readonly generation: number;
  readonly spec: unknown;
}

/** LIMIT: more than this would hollow out the shortest of usual leases. */
export const toleranceMsMax = 10_000;
/** LIMIT: whoever writes fifty mistakes has written one; the first tell enough. */
const faultsMax = 10;

/** Checks a policy. Total: whatever is in the object, there is a policy or at least one fault. */
export function parsePolicy(object: PolicyObject): ParsedPolicy {
  const { ref, generation } = object;
  const schema: z.ZodType<ClusterLockPolicySpec> =
    ref.kind === 'LockPolicy' ? lockPolicy.spec : clusterLockPolicy.spec;
  const parsed = schema.safeParse(object.spec ?? {});
  if (!parsed.success) {
    const faults = parsed.error.issues.slice(0, faultsMax).map(({ path, message }) => ({
      field: fieldOf(path),
      why: message,
    }));
    return { ok: false, ref, generation, faults };
  }
  const faults: Fault[] = [];
  const layer = layerOf(parsed.data, ref, faults);
  const floor = parsed.data.floor === undefined ? null : floorOf(parsed.data.floor, faults);
  if (faults.length > 0) return { ok: false, ref, generation, faults: faults.slice(0, faultsMax) };
  return { ok: true, policy: { ref, generation, layer, floor, scope: scopeOf(parsed.data, ref) } };
}

/** `['conditions', 0, 'name']` as `spec.conditions[0].name`. */
function fieldOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, key) => (typeof key === 'number' ? `${text}[${String(key)}]` : `${text}.${String(key)}`),
    'spec',
  );
}

function layerOf(spec: ClusterLockPolicySpec, ref: PolicyRef, faults: Fault[]): Layer {
  const { enforcement, profile, deletion, inspectRenewals, failurePolicy, message, exempt } = spec;
  const toleranceMs = milliseconds(spec.tolerance, 'spec.tolerance', faults);
  if (toleranceMs !== null && toleranceMs > toleranceMsMax) {
    faults.push({ field: 'spec.tolerance', why: `at most ${String(toleranceMsMax / 1_000)}s` });
  }
  return {
    ...(enforcement !== undefined && { enforcement }),
    ...(profile !== undefined && { profile }),
    rules: rulesOf(spec.rules),
    ...(toleranceMs !== null && { toleranceMs }),
    ...(spec.leaseDuration !== undefined && { leaseDurationMs: boundsOf(spec.leaseDuration, faults) }),
    ...(spec.candidates !== undefined && { candidates: candidatesOf(spec.candidates, ref, faults) }),
    ...(deletion !== undefined && { deletion }),
    ...(exempt !== undefined && {
      exempt: { usernames: exempt.users ?? [], groups: exempt.groups ?? [] },
    }),
    conditions: conditionsOf(spec.conditions ?? [], ref, faults),
    ...(inspectRenewals !== undefined && { inspectRenewals }),
    ...(failurePolicy !== undefined && { failurePolicy }),
    ...(message !== undefined && { message }),
  };
}

function floorOf(floor: NonNullable<ClusterLockPolicySpec['floor']>, faults: Fault[]): Floor {
  return {
    enforcement: floor.enforcement ?? 'Audit',
    rules: rulesOf(floor.rules),
    toleranceMsMax: milliseconds(floor.toleranceMax, 'spec.floor.toleranceMax', faults),
    exemptions: floor.exemptions ?? 'Forbidden',
  };
}

function rulesOf(rules: ClusterLockPolicySpec['rules']): Partial<Record<Reason, Enforcement>> {
  return Object.fromEntries((rules ?? []).map(({ reason, enforcement }) => [reason, enforcement]));
}

function boundsOf(
  { min, max }: NonNullable<ClusterLockPolicySpec['leaseDuration']>,
  faults: Fault[],
): { min: number | null; max: number | null } {
  const bounds = {
    min: milliseconds(min, 'spec.leaseDuration.min', faults),
    max: milliseconds(max, 'spec.leaseDuration.max', faults),
  };
  if (bounds.min !== null && bounds.max !== null && bounds.min > bounds.max) {
    faults.push({ field: 'spec.leaseDuration', why: 'min must not be longer than max' });
  }
  return bounds;
}

function milliseconds(text: string | undefined, field: string, faults: Fault[]): number | null {
  if (text === undefined) return null;
  const ms = durationMs(text);
  if (ms === null) faults.push({ field, why: 'give a duration such as `500ms`, `15s` or `1m`' });
  return ms;
}

function candidatesOf(
  { serviceAccounts, holder, holderExpression }: NonNullable<ClusterLockPolicySpec['candidates']>,
  ref: PolicyRef,
  faults: Fault[],
): Candidates {
  const field = 'spec.candidates.holderExpression';
  const usernames = (serviceAccounts ?? []).map((account, index) => {
    const [name = '', namespace = ref.namespace] = account.split('/').toReversed();
    if (namespace === '') {
      faults.push({
        field: `spec.candidates.serviceAccounts[${String(index)}]`,
        why: 'a ClusterLockPolicy needs `namespace/name`',
      });
    }
    return `system:serviceaccount:${namespace}:${name}`;
  });
  return {
    usernames: serviceAccounts === undefined ? null : usernames,
    holder: holder ?? 'Any',
    holderCondition:
      holderExpression === undefined
        ? null
        : conditionOf({ name: 'holderExpression', expression: holderExpression }, ref, field, faults),
  };
}

function conditionsOf(
  conditions: NonNullable<ClusterLockPolicySpec['conditions']>,
  ref: PolicyRef,
  faults: Fault[],
): readonly Condition[] {
  return conditions.map((each, index) =>
    conditionOf(each, ref, `spec.conditions[${String(index)}].expression`, faults),
  );
}

function conditionOf(
  { name, expression, message }: { name: string; expression: string; message?: string | undefined },
  ref: PolicyRef,
  field: string,
  faults: Fault[],
): Condition {
  const compiled = compile(expression);
  if (!compiled.ok) faults.push({ field, why: compiled.why });
  return {
    name: `${describePolicy(ref)}: ${name}`,
    message: message ?? expression.replaceAll(/\s+/g, ' '),
    holds: compiled.ok ? compiled.holds : () => null,
  };
}
