/** What a PromQL expression asks for, by Prometheus's own grammar. */
import { parser } from '@prometheus-io/lezer-promql';

/** One label matcher, such as `outcome="Deny"`. */
export interface Matcher {
  readonly label: string;
  readonly operator: string;
  readonly value: string;
}

/** One series that is selected. */
export interface Selector {
  readonly metric: string;
  readonly matchers: readonly Matcher[];
  /** The functions around it, from the outermost to the innermost. */
  readonly functions: readonly string[];
}

/** An expression, taken apart. */
export interface Query {
  readonly selectors: readonly Selector[];
  /** Labels that are grouped or matched by. */
  readonly grouping: readonly string[];
}

type Node = ReturnType<typeof parser.parse>['topNode'];

/** @throws Error where `expression` is not PromQL */
export function takeApart(expression: string): Query {
  const selectors: Selector[] = [];
  const grouping: string[] = [];
  const textOf = ({ from, to }: Node): string => expression.slice(from, to);
  const visit = (node: Node, functions: readonly string[]): void => {
    if (node.type.isError) throw new Error(`not PromQL at ${String(node.from)}: ${expression}`);
    const name = node.name === 'FunctionCall' ? node.getChild('FunctionIdentifier') : null;
    const within = name === null ? functions : [...functions, textOf(name)];
    if (node.name === 'VectorSelector') selectors.push(selectorOf(node, within, textOf));
    if (node.name === 'GroupingLabels') grouping.push(...node.getChildren('LabelName').map(textOf));
    for (let child = node.firstChild; child !== null; child = child.nextSibling) visit(child, within);
  };
  visit(parser.parse(expression).topNode, []);
  return { selectors, grouping };
}

function selectorOf(node: Node, functions: readonly string[], textOf: (node: Node) => string): Selector {
  const identifier = node.getChild('Identifier');
  const matchers = node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? [];
  return {
    metric: identifier === null ? '' : textOf(identifier),
    matchers: matchers.map((matcher) => {
      const [label = '', operator = '', value = ''] = ['LabelName', 'MatchOp', 'StringLiteral'].map(
        (name) => {
          const part = matcher.getChild(name);
          return part === null ? '' : textOf(part);
        },
      );
      return { label, operator, value: value.slice(1, -1) };
    }),
    functions,
  };
}
