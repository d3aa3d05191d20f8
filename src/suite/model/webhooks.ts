/** Which of a configuration's webhooks an API server asks about a request. */
import { at, isObject, listAt, textAt, type JsonObject } from '../../locks/json.ts';
import { selects, type Labels } from '../../policy/selector.ts';
import type { Review } from './api-server.ts';
import { celValue, holds } from './expressions.ts';

/** A webhook of a ValidatingWebhookConfiguration. */
export type Webhook = JsonObject;

/** The webhooks that are asked about a request to a namespace with these labels. */
export function webhooksAsked(
  webhooks: readonly Webhook[],
  review: Review,
  namespaceLabels: Labels,
): readonly Webhook[] {
  const meant = webhooks.filter(
    (webhook) => hasRule(webhook, review) && isSelected(webhook, namespaceLabels),
  );
  if (meant.length === 0) return [];
  const variables = {
    request: celValue({ ...review, object: undefined, oldObject: undefined }),
    object: celValue(review['object']),
    oldObject: celValue(review['oldObject']),
  };
  return meant.filter((webhook) =>
    listAt(webhook, 'matchConditions').every((condition) =>
      holds(textAt(condition, 'expression'), variables),
    ),
  );
}

function hasRule(webhook: Webhook, review: Review): boolean {
  const { group, resource } = resourceOf(review);
  return listAt(webhook, 'rules').some(
    (rule) =>
      listAt(rule, 'apiGroups').includes(group) &&
      listAt(rule, 'resources').includes(resource) &&
      listAt(rule, 'operations').includes(review['operation']),
  );
}

function resourceOf(review: Review): { readonly group: string; readonly resource: string } {
  return { group: textAt(review, 'resource', 'group'), resource: textAt(review, 'resource', 'resource') };
}

function isSelected(webhook: Webhook, labels: Labels): boolean {
  const selector = at(webhook, 'namespaceSelector');
  return !isObject(selector) || selects(selector, labels);
}
