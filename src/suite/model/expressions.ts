/**
 * The CEL of a webhook configuration's matchConditions, evaluated as an API server does: the same expressions that lockwarden registers
 * with a cluster, with the functions of Kubernetes that they make use of.
 * SOURCE: https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-cel-libraries
 */
import { Environment } from '@marcbachmann/cel-js';
import { isObject } from '../../locks/json.ts';

/** What an expression sees. */
export interface Variables {
  readonly request: unknown;
  readonly object: unknown;
  readonly oldObject: unknown;
}

/** LIMIT: the API server bounds expressions by their cost; lockwarden's own need no bound here. */
const limits = { maxAstNodes: 100_000, maxDepth: 1_000, maxListElements: 1_000, maxCallArguments: 32 };

interface Optional {
  orValue(value: unknown): unknown;
}

const environment = new Environment({ unlistedVariablesAreDyn: true, enableOptionalTypes: true, limits })
  .registerFunction('string(google.protobuf.Timestamp): string', (time: Date) =>
    time.toISOString().replace('.000Z', 'Z'),
  )
  .registerFunction(
    'string.find(string): string',
    (text: string, pattern: string) => new RegExp(pattern, 'u').exec(text)?.[0] ?? '',
  )
  .registerFunction('string.findAll(string): list<string>', (text: string, pattern: string) =>
    [...text.matchAll(new RegExp(pattern, 'gu'))].map(([found]) => found),
  )
  .registerFunction('string.replace(string, string): string', (text: string, old: string, by: string) =>
    text.replaceAll(old, by),
  )
  .registerOperator(
    'optional == optional',
    (a: Optional, b: Optional) => a.orValue(null) === b.orValue(null),
  );

type Program = (variables: Record<string, unknown>) => unknown;

const programs = new Map<string, Program>();

/** Whether an expression holds. Throws where it fails, which none of lockwarden's may. */
export function holds(expression: string, variables: Variables): boolean {
  const program: Program = programs.get(expression) ?? environment.parse(expression);
  programs.set(expression, program);
  const value = program({ ...variables });
  if (typeof value === 'boolean') return value;
  throw new Error(`the expression is not of type bool: ${expression}`);
}

/** JSON as CEL takes it: whole numbers are ints. */
export function celValue(value: unknown): unknown {
  if (!isObject(value)) return converted(value);
  const known = conversions.get(value) ?? converted(value);
  conversions.set(value, known);
  return known;
}

/** An object that is stored is looked at with each write to it. */
const conversions = new WeakMap<object, unknown>();

/** NB: what holds no number stays the same object. */
function converted(value: unknown): unknown {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) {
    const list: readonly unknown[] = value;
    const items = list.map(converted);
    return items.some((item, index) => item !== list[index]) ? items : list;
  }
  if (!isObject(value)) return value;
  let changed: Record<string, unknown> | null = null;
  for (const [key, child] of Object.entries(value)) {
    const inner = converted(child);
    if (inner === child) continue;
    changed ??= { ...value };
    changed[key] = inner;
  }
  return changed ?? value;
}
