/**
 * Label selectors, as Kubernetes evaluates them.
 * SOURCE: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
 */
import type { ClusterLockPolicySpec } from './api.ts';

/** A selector over labels. */
export type LabelSelector = NonNullable<NonNullable<ClusterLockPolicySpec['match']>['namespaceSelector']>;

/** Labels of an object. */
export type Labels = Readonly<Record<string, string>>;

/** Whether `labels` meet every requirement. An empty selector selects everything. */
export function selects(selector: LabelSelector, labels: Labels): boolean {
  const equal = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  return equal && (selector.matchExpressions ?? []).every((each) => meets(each, labels));
}

function meets(
  { key, operator, values = [] }: NonNullable<LabelSelector['matchExpressions']>[number],
  labels: Labels,
): boolean {
  const value = labels[key];
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}
