/**
 * Expressions of policies: CEL over a write's view. What they may do is bounded when they are read: they are typed against the view,
 * short, and loops do not nest deep, so one that is accepted ends within microseconds and cannot fail on an absent field.
 */
import { Environment, type ASTNode } from '@marcbachmann/cel-js';
import type { DecisionView } from '../core/view.ts';
import { matchesPattern } from './pattern.ts';

/** An expression that can be evaluated, or why not: a clause in lower case. */
export type Compiled =
  | { readonly ok: true; readonly holds: (view: DecisionView) => boolean | null }
  | { readonly ok: false; readonly why: string };

/** LIMIT: three times what the longest of the shipped expressions has. */
const nodesMax = 300;
/** LIMIT: a loop over a list of 64 within another takes some 4,000 steps, a third would take 260,000. */
const nestedLoopsMax = 2;

const record = { held: 'bool', holder: 'string', leaseDurationSeconds: 'double', transitions: 'int' };

const environment = new Environment({
  unlistedVariablesAreDyn: false,
  limits: {
    maxAstNodes: nodesMax,
    maxDepth: 32,
    maxListElements: 64,
    maxMapEntries: 64,
    maxCallArguments: 8,
  },
})
  .registerVariable('operation', 'string')
  .registerVariable('transition', 'string')
  .registerVariable({ name: 'lock', schema: { kind: 'string', namespace: 'string', name: 'string' } })
  .registerVariable({ name: 'before', schema: record })
  .registerVariable({ name: 'after', schema: record })
  .registerVariable({
    name: 'lease',
    schema: { state: 'string', elapsedSeconds: 'double', remainingSeconds: 'double' },
  })
  .registerVariable({
    name: 'requester',
    schema: { username: 'string', groups: 'list<string>', serviceAccount: 'string', pod: 'string' },
  })
  .registerFunction('like(string, string): bool', (text: string, pattern: string) =>
    matchesPattern(pattern, text),
  );

/** Reads an expression. What is accepted is of type bool, typed throughout, and bounded in time. */
export function compile(expression: string): Compiled {
  try {
    const parsed = environment.parse(expression);
    const checked = parsed.check();
    if (!checked.valid) return { ok: false, why: firstLine(checked.error) };
    if (checked.type !== 'bool')
      return { ok: false, why: `it is of type ${checked.type ?? 'unknown'}, not bool` };
    const refused = refusal(parsed.ast, 0);
    if (refused !== null) return { ok: false, why: refused };
    return { ok: true, holds: (view) => evaluate(parsed, view) };
  } catch (error) {
    return { ok: false, why: firstLine(error) };
  }
}

function evaluate(parsed: (context: Record<string, unknown>) => unknown, view: DecisionView): boolean | null {
  try {
    const value = parsed({ ...view, before: typed(view.before), after: typed(view.after) });
    return typeof value === 'boolean' ? value : null;
  } catch {
    return null;
  }
}

/** NB: the library takes a number for a double, and only a bigint for an int. */
function typed(view: DecisionView['before']): object {
  return { ...view, transitions: BigInt(Math.trunc(view.transitions)) };
}

const loops: readonly string[] = ['all', 'exists', 'exists_one', 'map', 'filter'];

/** Why an expression could take too long, or null. */
function refusal(node: ASTNode, loopsAround: number): string | null {
  const name = node.op === 'rcall' || node.op === 'call' ? node.args[0] : '';
  // NB: JavaScript's regular expressions backtrack; one that a policy brings could stop the process.
  if (name === 'matches') return '`matches` is not offered; use startsWith, endsWith, contains or like';
  const inside = loopsAround + (node.op === 'rcall' && loops.includes(name) ? 1 : 0);
  if (inside > nestedLoopsMax) return `loops are nested deeper than ${String(nestedLoopsMax)}`;
  for (const child of childrenOf(node)) {
    const found = refusal(child, inside);
    if (found !== null) return found;
  }
  return null;
}

function childrenOf(node: ASTNode): readonly ASTNode[] {
  const args: unknown = node.args;
  const nodes: ASTNode[] = [];
  const collect = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(collect);
    else if (isNode(value)) nodes.push(value);
  };
  collect(args);
  return nodes;
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value;
}

/** The library's messages go on with a drawing of the place. */
function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : 'it cannot be read';
  return message.split('\n')[0]?.trim() ?? message;
}
