/** Expressions that compare with a value that there is not: a transition that does not exist, or is never asked about. */
import { parse, type ASTNode } from '@marcbachmann/cel-js';
import type { Expiry } from '../core/expiry.ts';
import type { LockKind, LockWrite } from '../core/lock.ts';
import type { Transition } from '../core/transition.ts';
import { nearest } from '../yaml/nearest.ts';
import type { Path } from '../yaml/places.ts';
import type { Remark } from './finding.ts';
import type { Subject } from './subject.ts';

/** What expressions are asked about; what is false exists, and is never asked about. */
type Values<Value extends string> = Readonly<Record<Value, boolean>>;

/** docs/semantics.md, P4: everything but renewals and writes that change no promise. */
const conditionTransitions: Values<Transition> = {
  'create-free': true,
  'create-held': true,
  acquire: true,
  takeover: true,
  release: true,
  shorten: true,
  'strip-timing': true,
  'strip-record': true,
  delete: true,
  renew: false,
  unchanged: false,
  unheld: false,
};

/** docs/semantics.md, P3: whoever takes a lock. */
const takingTransitions: Values<Transition> = {
  'create-held': true,
  acquire: true,
  takeover: true,
  'create-free': false,
  release: false,
  shorten: false,
  'strip-timing': false,
  'strip-record': false,
  delete: false,
  renew: false,
  unchanged: false,
  unheld: false,
};

const operations: Values<LockWrite['operation']> = { CREATE: true, UPDATE: true, DELETE: true };
const verdicts: Values<Expiry['verdict']> = {
  free: true,
  untimed: true,
  live: true,
  expired: true,
  doubt: true,
};
const lockKinds: Values<LockKind> = { Lease: true, ConfigMap: true, Endpoints: true };

/** Variables that take few values, as they stand in expressions. */
type Variables = ReadonlyMap<string, Values<string>>;

function variablesWith(transition: Values<Transition>): Variables {
  return new Map<string, Values<string>>([
    ['transition', transition],
    ['operation', operations],
    ['lease.state', verdicts],
    ['lock.kind', lockKinds],
  ]);
}

const ofConditions = variablesWith(conditionTransitions);
const ofHolders = variablesWith(takingTransitions);

/** Remarks about the expressions of a policy. */
export function* comparisonRemarks({ spec }: Subject): Generator<Remark> {
  for (const [index, { expression }] of (spec.conditions ?? []).entries()) {
    yield* remarksOn(expression, ofConditions, ['spec', 'conditions', index, 'expression']);
  }
  const { holderExpression } = spec.candidates ?? {};
  if (holderExpression !== undefined)
    yield* remarksOn(holderExpression, ofHolders, ['spec', 'candidates', 'holderExpression']);
}

function* remarksOn(expression: string, variables: Variables, path: Path): Generator<Remark> {
  for (const { variable, text } of comparisons(parse(expression).ast)) {
    const values = variables.get(variable);
    if (values !== undefined && values[text] !== true) yield remarkOn(variable, text, values, path);
  }
}

function remarkOn(variable: string, text: string, values: Values<string>, path: Path): Remark {
  const asked = Object.keys(values).filter((each) => values[each] === true);
  const meant = nearest(text, asked);
  const where = text in values ? ' where this expression is asked' : '';
  return {
    rule: 'ImpossibleComparison',
    path,
    message: `\`${variable}\` is never \`${text}\`${where}`,
    suggestion:
      meant === null
        ? `it is one of ${asked.map((each) => `\`${each}\``).join(', ')}`
        : `did you mean \`${meant}\`?`,
  };
}

interface Comparison {
  readonly variable: string;
  readonly text: string;
}

/** Every comparison of a variable with a text: by `==`, `!=` or `in`. */
function* comparisons(node: ASTNode): Generator<Comparison> {
  if (node.op === '==' || node.op === '!=') {
    const [left, right] = node.args;
    yield* compared(left, [right]);
    yield* compared(right, [left]);
  }
  if (node.op === 'in') {
    const [left, right] = node.args;
    if (right.op === 'list') yield* compared(left, right.args);
  }
  for (const child of childrenOf(node.args)) yield* comparisons(child);
}

function* compared(side: ASTNode, others: readonly ASTNode[]): Generator<Comparison> {
  const variable = nameOf(side);
  if (variable === null) return;
  for (const other of others) {
    if (other.op === 'value' && typeof other.args === 'string') yield { variable, text: other.args };
  }
}

/** `transition`, `lease.state`. */
function nameOf(node: ASTNode): string | null {
  if (node.op === 'id') return node.args;
  if (node.op !== '.') return null;
  const [of, field] = node.args;
  const parent = nameOf(of);
  return parent === null ? null : `${parent}.${field}`;
}

function childrenOf(args: unknown): readonly ASTNode[] {
  if (Array.isArray(args)) return args.flatMap(childrenOf);
  return typeof args === 'object' && args !== null && 'op' in args ? [args as ASTNode] : [];
}
